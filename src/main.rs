//! The `kaos` command: parses what was said, runs it, and returns the exit code.

mod access_log;
mod admin;
#[cfg(feature = "kubernetes")]
mod adopt;
mod ask;
#[cfg(feature = "kubernetes")]
mod autoscaler;
#[cfg(feature = "kubernetes")]
mod check;
mod cli;
mod clock;
#[cfg(feature = "kubernetes")]
mod cluster;
mod config;
#[cfg(feature = "kubernetes")]
mod external;
mod failure;
mod hello;
#[cfg(feature = "kubernetes")]
mod image;
#[cfg(feature = "kubernetes")]
mod install;
mod instance;
mod keeping;
mod mark;
#[cfg(feature = "kubernetes")]
mod objects;
mod process;
#[cfg(feature = "kubernetes")]
mod proxy;
mod report;
mod simulate;
mod tell;
mod tls;
mod up;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::Failure;

/// The C library's allocator keeps what ten thousand held requests needed for ever; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return said_by_clap(&error),
    };
    if let Command::Guardian = cli.command {
        return kaos_local::guard();
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure::No) => ExitCode::from(failure.exit_code()),
        Err(failure) => {
            // Nobody is left to be told that stderr is closed.
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version go to stdout with 0, a wrong command line to stderr with 2.
fn said_by_clap(error: &clap::Error) -> ExitCode {
    // A reader that has gone away is no failure.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(up) => up::up(&up),
        #[cfg(feature = "kubernetes")]
        Command::Proxy(args) => proxy::proxy(&args),
        #[cfg(feature = "kubernetes")]
        Command::Autoscaler(args) => autoscaler::autoscaler(&args),
        #[cfg(feature = "kubernetes")]
        Command::Install(install) => install::install(&install),
        #[cfg(feature = "kubernetes")]
        Command::Uninstall(uninstall) => install::uninstall(&uninstall),
        #[cfg(feature = "kubernetes")]
        Command::Image(image) => image::image(&image),
        Command::Ls(ask) => ask::ls(&ask),
        Command::Describe(one) => ask::describe(&one),
        Command::Explain(explain) if explain.advice => ask::advice(&explain.one),
        Command::Explain(explain) => ask::explain(&explain.one),
        Command::Forget(one) => ask::forget(&one),
        Command::Logs(logs) => ask::logs(&logs),
        Command::Invoke(invoke) => ask::invoke(&invoke),
        Command::Simulate(args) => simulate::simulate(&args),
        #[cfg(feature = "kubernetes")]
        Command::Check(args) => check::check(&args),
        #[cfg(feature = "kubernetes")]
        Command::Adopt(args) => adopt::adopt(&args),
        Command::Version(ask) => ask::version(&ask),
        Command::Hello => hello::run(),
        Command::Guardian => Ok(()),
    }
}
