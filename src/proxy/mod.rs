//! `kaos proxy`: the data line in a cluster. Wires the parts in the order in which a request meets them, listens to
//! signals, and ends them in the opposite order. Knows no rule.

mod run;

use crate::cli::cluster::Proxy;
use crate::failure::Failure;
use crate::process::daemon;

/// Takes requests until it is told to stop.
pub(crate) fn proxy(proxy: &Proxy) -> Result<(), Failure> {
    daemon::run(&proxy.member, run::run(proxy))
}
