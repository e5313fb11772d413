//! The outside of a process that runs in a cluster: logs on stderr and a runtime.

use std::io::IsTerminal;

use super::log;
use super::terminal::Terminal;
use crate::cli::cluster::{LogFormat, Member};
use crate::failure::Failure;

/// Threads of the control side: what the admin port computes doesn't delay a decision.
const CONTROL_THREADS: usize = 2;

/// Runs `process` to its end.
pub(crate) fn run(
    member: &Member,
    process: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let terminal =
        Terminal::start().map_err(|error| Failure::Failed(format!("no thread for stderr: {error}")))?;
    let json = match member.log_format {
        Some(form) => form == LogFormat::Json,
        None => !std::io::stderr().is_terminal(),
    };
    log::start(&terminal, member.log_level, json);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("kaos-control")
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(process);
    // Whatever is still under way is cut.
    runtime.shutdown_background();
    terminal.finish();
    ended
}

/// The name of this process among its like: the one that was given, else the host's, which in a cluster is the pod's.
pub(crate) fn name(member: &Member) -> Result<String, Failure> {
    let host = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let name = member.id.clone().unwrap_or_else(host);
    if name.is_empty() {
        return Err(Failure::Configuration("this host has no name: say one with --id (KAOS_ID)".into()));
    }
    Ok(name)
}
