//! `kaos autoscaler`: the control line in a cluster. Wires the parts and ends them; knows no rule.

mod listen;
mod run;

use crate::cli::cluster::Autoscaler;
use crate::failure::Failure;
use crate::process::daemon;

/// Decides until it is told to stop.
pub(crate) fn autoscaler(autoscaler: &Autoscaler) -> Result<(), Failure> {
    daemon::run(&autoscaler.member, run::run(autoscaler))
}
