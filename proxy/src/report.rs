//! What workers and the control task say to each other.

use kaos_core::{Moment, Sums, WorkloadId};
use tokio::sync::oneshot;

use crate::ledger::{Counts, Histogram};
use crate::tls::Handshakes;

/// Requests have begun to wait at a gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice {
    pub(crate) gate: u32,
}

/// One worker's sums per gate, and when something last happened there.
pub(crate) type Brief = Vec<(u32, (Sums, Option<Moment>))>;

/// A question to a worker. It copies its own counters in its own turn: nobody reads them from outside.
#[derive(Debug)]
pub(crate) enum Ask {
    /// For a report.
    Brief(oneshot::Sender<Brief>),
    /// For the metrics.
    Totals(oneshot::Sender<WorkerTotals>),
    /// To let go of what the access log is to be told.
    Flush(oneshot::Sender<()>),
}

/// Everything one worker has counted.
#[derive(Clone, Debug)]
pub(crate) struct WorkerTotals {
    pub(crate) workloads: Vec<WorkloadCounts>,
    pub(crate) strays: Counts,
    pub(crate) links: Links,
    /// Client connections: HTTP/1, HTTP/2.
    pub(crate) connections: [usize; 2],
    pub(crate) handshakes: Handshakes,
    pub(crate) delays: Histogram<16>,
}

/// Everything one worker has counted of one workload.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadCounts {
    pub(crate) id: WorkloadId,
    pub(crate) counts: Counts,
    pub(crate) links: Links,
}

/// Connections to replicas.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Links {
    pub(crate) idle: usize,
    pub(crate) active: usize,
}

impl Links {
    pub(crate) fn plus(self, more: Links) -> Links {
        Links { idle: self.idle + more.idle, active: self.active + more.active }
    }
}
