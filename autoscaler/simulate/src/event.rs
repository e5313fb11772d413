//! Everything that can happen in a schedule.

use std::sync::Arc;

use kaos_autoscaler::Action;
use kaos_core::{EndpointUid, Report, Snapshot};

use crate::proxy::Request;
/// Something that happens. `process` numbers tell whether the one it happens to still lives.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A request for a workload comes, and the next one is on its way.
    Arrive { at: usize },
    /// A request's work is done.
    Finish { proxy: usize, process: u64, at: usize, request: Request },
    /// A replica isn't there any more: the connection is refused.
    Refused { proxy: usize, process: u64, at: usize, request: Request },
    /// A request has waited for as long as it may.
    Deadline { proxy: usize, process: u64, at: usize, request: Request },
    /// A proxy's second is over.
    Tick { proxy: usize, process: u64 },
    /// A proxy wants to report before its second is over.
    Report { proxy: usize, process: u64 },
    /// A report arrives.
    Heard { scaler: usize, process: u64, report: Arc<Report> },
    /// A picture arrives.
    Shown { watcher: Watcher, process: u64, picture: Arc<Snapshot> },
    /// An autoscaler's turn is due.
    Turn { scaler: usize, process: u64 },
    /// A write arrives at the platform.
    Apply { write: u64, action: Action },
    /// The answer to a write arrives.
    Answer { write: u64 },
    /// A start is over.
    Started { at: usize, uid: EndpointUid, well: bool },
    /// Missing starts are tried again.
    Fill { at: usize },
    /// A taken replica stops.
    Stopped { at: usize, uid: EndpointUid },
    /// An autoscaler learns whether it leads.
    Lead { scaler: usize, process: u64, leading: bool },
    /// An autoscaler learns which proxies exist.
    Listed { scaler: usize, process: u64 },
    /// A proxy takes traffic.
    Open { proxy: usize, process: u64 },
    /// Something goes wrong.
    Trouble(Trouble),
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A proxy's process is replaced: by one of the same name, or of another.
    Proxy(usize),
    /// An autoscaler's process dies.
    ScalerDies(usize),
    /// It comes back.
    ScalerBegins(usize),
    /// Leadership moves to this one; for a moment two believe that they lead.
    Handover(usize),
    /// Somebody else writes a count.
    Foreign(usize),
    /// A ready replica dies, and its requests with it.
    Crash(usize),
    /// The platform answers nobody for a while.
    Outage,
}

/// Who sees pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watcher {
    Proxy(usize),
    Scaler(usize),
}
