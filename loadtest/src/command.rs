//! The command `loadtest`: arguments in, exit code out. 0: as expected; 1: an expectation isn't met; 2: usage.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::descriptors;
use crate::run::run;
use crate::scenario::Scenario;
use crate::summary::Summary;

/// Sends requests as a schedule says, whatever the answers do, and tells what came of them.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenario files
    Run {
        /// The scenarios, one after the other
        #[arg(required = true)]
        scenarios: Vec<PathBuf>,
        /// Where Kaos listens, instead of where the scenarios say
        #[arg(long, value_name = "URL")]
        target: Option<String>,
        /// How to print the result
        #[arg(long, value_enum, default_value_t = Output::Human)]
        output: Output,
    },
}

/// How to print results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people.
    Human,
    /// JSON for programs.
    Json,
}

/// What ends a command early.
pub(crate) enum Stop {
    /// What was asked for makes no sense: exit code 2.
    Usage(String),
    /// It couldn't be done, or an expectation wasn't met: exit code 1.
    Failed(String),
}

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    descriptors::raise_limit();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        eprintln!("loadtest: the machine refused an event loop (epoll): too many open files?");
        return ExitCode::FAILURE;
    };
    match runtime.block_on(arguments.command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Usage(why)) => {
            eprintln!("loadtest: {why}");
            ExitCode::from(2)
        }
        Err(Stop::Failed(why)) => {
            eprintln!("loadtest: {why}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    async fn run(self) -> Result<(), Stop> {
        match self {
            Command::Run { scenarios, target, output } => {
                let mut unmet = 0;
                for file in &scenarios {
                    unmet += run_file(file, target.as_deref(), output).await?;
                }
                if unmet > 0 {
                    return Err(Stop::Failed(format!("{unmet} expectations not met")));
                }
                Ok(())
            }
        }
    }
}

/// Runs one scenario file and prints its result. Returns how many expectations weren't met.
async fn run_file(file: &Path, target: Option<&str>, output: Output) -> Result<usize, Stop> {
    let usage = |why: String| Stop::Usage(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| usage(error.to_string()))?;
    let mut scenario = Scenario::parse(&text).map_err(usage)?;
    if let Some(target) = target {
        scenario.target = target.to_owned();
    }
    if output == Output::Human {
        println!("{}: {}", file.display(), scenario.about.trim());
    }
    let tallies = run(&scenario).await.map_err(|why| Stop::Failed(format!("{}: {why}", file.display())))?;
    let loads = scenario.load.iter().zip(&tallies);
    let summaries: Vec<Summary> = loads.map(|(load, tally)| Summary::new(load, tally)).collect();
    match output {
        Output::Human => summaries.iter().for_each(|summary| print!("{}", summary.table())),
        Output::Json => print_json(&summaries)?,
    }
    Ok(summaries.iter().map(|summary| summary.unmet.len()).sum())
}

/// Prints one line of JSON.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Stop> {
    let text = serde_json::to_string(value).map_err(|error| Stop::Failed(error.to_string()))?;
    println!("{text}");
    Ok(())
}
