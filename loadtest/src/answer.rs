//! A small HTTP/1.1 and HTTP/2 (prior knowledge) program that answers as its path and query tell it.
//!
//! Tests and benchmarks run it where a user's function would be: it is quick to start, stamps each answer with what a
//! client can't see (when the process began, when it listened, how many requests are open), and misbehaves on request.
//! It knows nothing of Kaos beyond `PORT` and `HOST` in its environment.

mod ask;
mod body;
mod flags;
mod line;
mod listen;
mod misbehave;
mod reply;
mod response;
mod serve;
mod socket;
mod stamp;
mod websocket;

use std::process::ExitCode;

use clap::Parser;

use crate::descriptors;
use flags::Flags;
pub(crate) use stamp::wall_micros;

/// Exit code when more requests were open than `--hard-limit` allows.
pub const HARD_LIMIT_BROKEN: u8 = 9;

/// Exit code of `/crash`.
pub const CRASHED: u8 = 7;

/// The whole program: reads the arguments, listens, answers until SIGTERM or SIGINT. Returns the exit code: 0 after a signal,
/// 1 if it can't listen, 2 on usage, [`CRASHED`], [`HARD_LIMIT_BROKEN`] or what `--exit` says.
pub fn main() -> ExitCode {
    let started = wall_micros();
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if let Some(code) = flags.exit {
        eprintln!("answer: told to exit with {code} before listening");
        return ExitCode::from(code);
    }
    if flags.orphan_parent {
        return misbehave::fork_again(&flags);
    }
    descriptors::raise_limit();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        eprintln!("answer: the machine refused an event loop (epoll): too many open files?");
        return ExitCode::FAILURE;
    };
    ExitCode::from(runtime.block_on(listen::run(&flags, started)))
}
