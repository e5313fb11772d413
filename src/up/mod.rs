//! `kaos up`: the whole system on this machine. Wires the parts in the order in which a request meets them, listens to
//! signals, and ends them in the opposite order. Knows no rule.

mod output;
mod reload;
mod run;
mod state;
mod status;

use std::num::NonZero;
use std::time::Duration;

use kaos_core::Policy;

use crate::cli::{Form, Up};
use crate::config::choose;
use crate::failure::Failure;
use crate::process::log;
use crate::process::terminal::Terminal;
use run::Run;

/// Threads of the control side: what the admin port computes doesn't delay a decision.
const CONTROL_THREADS: usize = 2;
/// Longest wait at the end where nothing is said.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs functions until it is told to stop.
pub(crate) fn up(up: &Up) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let base = Policy::local(u32::try_from(cores).unwrap_or(u32::MAX));
    let chosen = choose(up, &base)?;
    let json = up.output.form == Form::Json;
    let terminal =
        Terminal::start().map_err(|error| Failure::Failed(format!("no thread for stderr: {error}")))?;
    let level = chosen.config.settings.log_level.unwrap_or(tracing::Level::INFO);
    log::start(&terminal, level, json);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("kaos-control")
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime: {error}")))?;
    let run = Run { chosen, base, cores, terminal: terminal.clone(), json };
    let ended = runtime.block_on(run.run());
    // Whatever is still under way is cut.
    runtime.shutdown_background();
    terminal.finish();
    ended
}
