//! What the control line asks of the platform.

use kaos_core::WorkloadId;
use kaos_core::platform::Scale;
use kaos_core::snapshot::Hold;

/// A write to the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Change the count.
    Scale {
        /// Whose.
        workload: WorkloadId,
        /// To what, and on what condition.
        scale: Scale,
    },
    /// Mark the workload.
    Hold {
        /// Which one.
        workload: WorkloadId,
        /// With what.
        hold: Hold,
    },
    /// Take the mark away.
    Release {
        /// From which one.
        workload: WorkloadId,
    },
}

impl Action {
    /// The workload that it is about.
    pub fn workload(&self) -> &WorkloadId {
        match self {
            Action::Scale { workload, .. } | Action::Hold { workload, .. } | Action::Release { workload } => {
                workload
            }
        }
    }
}
