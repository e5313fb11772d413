//! The command `loadtest`: arguments in, exit code out. 0: as expected; 1: an expectation isn't met; 2: usage.

mod live;
mod measure;
mod replay;
mod scenarios;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::descriptors;

/// Sends requests as a schedule says, whatever the answers do, and tells what came of them.
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    version,
    after_help = "Exit codes: 0 as expected, 1 an expectation isn't met, 2 usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenario files
    Run(scenarios::Run),
    /// Measure what Kaos adds to cold starts
    Cold(measure::Cold),
    /// From zero to an answer and back, again and again
    Cycles(measure::Cycles),
    /// Send recorded traffic of a hundred functions again
    Trace(replay::Trace),
    /// Send recorded traffic to a Kaos of its own, and compare with what `kaos simulate` says of it
    Live(live::Live),
}

/// Where Kaos is, and how to print.
#[derive(Debug, Args)]
struct Place {
    /// Where Kaos listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    target: String,
    /// Where its admin port is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    admin: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// How to print results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for people.
    Human,
    /// JSON for programs.
    Json,
}

/// What ends a command early.
enum Stop {
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
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Run(run) => run.run().await,
            Command::Cold(cold) => cold.run().await,
            Command::Cycles(cycles) => cycles.run().await,
            Command::Trace(trace) => trace.run().await,
            Command::Live(live) => live.run().await,
        }
    });
    let (code, why) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Stop::Usage(why)) => (2, why),
        Err(Stop::Failed(why)) => (1, why),
    };
    eprintln!("loadtest: {why}");
    ExitCode::from(code)
}

/// Fails with what wasn't met, if anything.
fn met(unmet: &[String]) -> Result<(), Stop> {
    if unmet.is_empty() { Ok(()) } else { Err(Stop::Failed(unmet.join("\n  "))) }
}

/// Prints one line of JSON.
fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Stop> {
    let text = serde_json::to_string(value).map_err(|error| Stop::Failed(error.to_string()))?;
    println!("{text}");
    Ok(())
}
