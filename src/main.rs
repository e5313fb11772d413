//! The `kaos` command: parses what was said, runs it, and returns the exit code.

mod cli;
mod config;
mod failure;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return said_by_clap(&error),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version go to stdout with 0, a wrong command line to stderr with 2.
fn said_by_clap(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(up) => {
            let c = config::choose(&up, &kaos_core::Policy::local(2))?;
            println!("{c:?}");
            Ok(())
        }
        _ => Ok(()),
    }
}
