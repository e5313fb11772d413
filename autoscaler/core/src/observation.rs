//! What is known of one workload at one moment: everything that a decision is made from, beside the policy and the memory.

use serde::{Deserialize, Serialize};

use crate::id::WorkloadId;
use crate::moment::Moment;
use crate::snapshot::{HandedTo, Mode, Replicas, StartFailure};
use crate::warm::Warmth;
use crate::window::Load;

/// Everything that a decision is made from, beside the policy and the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Whether this autoscaler leads: the others wake, and change nothing else.
    pub leading: bool,
    /// Whether the count is ours to change.
    #[serde(default)]
    pub mode: Mode,
    /// Replica counts, as far as they are known: our own writes count before the platform shows them.
    pub replicas: Replicas,
    /// Whether the platform shows our last write of the count: before that, what it shows of replicas is of old.
    pub shown: bool,
    /// Requests that hold a slot, over all proxies.
    pub running: u64,
    /// Requests that wait for one. Never part of `load`.
    pub waiting: u64,
    /// The averages. `None`: nothing was measured yet.
    pub load: Option<Loads>,
    /// The end of the last request, or the last byte of a stream.
    pub last_activity: Option<Moment>,
    /// When a replica last became ready, or was first seen to be.
    pub ready_since: Moment,
    /// When it is warm, where that is learned. `None`: it isn't, or requests are in flight or wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmth: Option<Warmth>,
    /// Who this one is awake with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Company>,
    /// Whether what the proxies said is enough to go down on.
    pub heard: Heard,
    /// Whether a request has ever reached it through Kaos, or its sleep needn't be earned.
    pub seen: bool,
    /// Why starts fail, while they do.
    pub failure: Option<StartFailure>,
    /// How many replicas may begin to start; `None` for as many as are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<u32>,
    /// Not before this moment is another hold tried; zero if none failed.
    pub rest_until: Moment,
    /// Something else writes the count too: not before this moment is it written again, but for a wake from zero.
    pub contested_until: Moment,
    /// Who that is, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contender: Option<String>,
    /// Who decides on the count above zero. `None`: Kaos does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_to: Option<HandedTo>,
}

/// The averages over both windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loads {
    /// Over the stable window.
    pub stable: Load,
    /// Over the panic window.
    pub panic: Load,
}

/// Another workload that is awake, and names this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    /// Which one.
    pub with: WorkloadId,
    /// Whether it has a reason of its own to be awake: only then does this one wake for it, else it just stays.
    pub wakes: bool,
}

/// Whether every live proxy was heard for long enough to lower a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heard {
    /// A live proxy is silent, or none is known.
    #[default]
    Silent,
    /// From this moment on, if none falls silent.
    From(Moment),
}

impl Observation {
    /// Replicas on their way: starting, or asked for and not seen yet. A start that is known to fail isn't one.
    pub fn coming(&self) -> u32 {
        match &self.failure {
            Some(failure) if failure.known => 0,
            _ => self.replicas.desired.saturating_sub(self.replicas.ready),
        }
    }

    /// Whether requests are in flight or wait.
    pub fn is_busy(&self) -> bool {
        self.running > 0 || self.waiting > 0
    }

    /// When a replica is to be started though nobody asks, if nobody does before.
    pub fn prewarm(&self) -> Option<Moment> {
        self.warmth?.prewarm
    }

    /// When the idle clock last restarted.
    pub fn idle_since(&self) -> Moment {
        self.last_activity.map_or(self.ready_since, |at| at.max(self.ready_since))
    }
}
