//! `kaos up`.

mod log;
mod terminal;

use crate::failure::Failure;

/// Runs functions until it is told to stop.
pub(crate) fn up(up: &crate::cli::Up) -> Result<(), Failure> {
    let _ = crate::config::choose(up, &kaos_core::Policy::local(2))?;
    Ok(())
}
