//! The seam that every platform fills: snapshots out, two requests in.
//!
//! Out goes a stream of [`Snapshot`](crate::Snapshot)s, each the whole picture. In come [`Platform::scale`] and
//! [`Platform::hold`]; retiring chosen replicas is a hold with [`Targets::Endpoints`](crate::snapshot::Targets).

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{EndpointUid, WorkloadId};
use crate::snapshot::Hold;

/// What the autoscaler asks of wherever replicas run.
pub trait Platform: Send + Sync + 'static {
    /// Sets the replica count of `workload` to `scale.to` if `scale.expected` holds.
    ///
    /// Returns the object's version after the write. Doing the same twice is the same as doing it once.
    fn scale(&self, workload: &WorkloadId, scale: Scale)
    -> impl Future<Output = Result<u64, Refusal>> + Send;

    /// Marks `workload` with `hold`, or takes away the hold that is there. Returns the object's version after the write.
    fn hold(
        &self,
        workload: &WorkloadId,
        hold: Option<Hold>,
    ) -> impl Future<Output = Result<u64, Refusal>> + Send;
}

/// Where what was learned outlives processes: an entry of bytes per workload.
pub trait Shelf: Send + 'static {
    /// Entries that others have written since the last look; at the first, all.
    fn look(&mut self) -> impl Future<Output = Result<Vec<Entry>, Refusal>> + Send;

    /// Writes entries, and takes away those without bytes. After a [`Refusal::Conflict`], or when it isn't known what was
    /// written, the next look shows all of it again.
    fn put(
        &mut self,
        entries: &[(WorkloadId, Option<Arc<[u8]>>)],
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// What is on a [`Shelf`] of one workload.
pub type Entry = (WorkloadId, Arc<[u8]>);

/// One write of a replica count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// The new count.
    pub to: u32,
    /// When the count goes down but not to zero: these go. If one of them isn't there any more the write is a
    /// [`Refusal::Conflict`]: another one, that may hold requests, would go in its place.
    pub victims: Vec<EndpointUid>,
    /// What must be true for the write to happen.
    pub expected: Expected,
}

/// Precondition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// The count is still this one: a wake expects 0 and loses only to another wake.
    Replicas(u32),
    /// Nobody has written the object since this version.
    Version(u64),
}

/// Why a platform didn't do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The precondition doesn't hold any more: look again, decide again.
    Conflict,
    /// The workload isn't there any more.
    Gone,
    /// The platform doesn't write for a while: it is throttled, or a right is missing.
    Later {
        /// Asking again before is no use.
        after: Duration,
        /// For this reason.
        why: String,
    },
    /// The platform can't or won't, for this reason.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Conflict => out.write_str("somebody else wrote first"),
            Refusal::Gone => out.write_str("the workload is gone"),
            Refusal::Failed(why) | Refusal::Later { why, .. } => out.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}
