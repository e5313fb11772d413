//! What admission knows of a workload: its replicas, its starts, and what follows for who has to wait.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::snapshot::Mode;
use kaos_core::{Moment, Workload};

use crate::refuse::Refusal;
use crate::slot::Slot;

/// What admission knows of a workload: one picture, swapped whole.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) workload: Arc<Workload>,
    /// Replicas that are ready in the platform's eyes.
    pub(crate) slots: Box<[Arc<Slot>]>,
    /// The proxies that have slots on them, if this one has none: who wants a slot is passed on to one of them.
    pub(crate) owners: Box<[Arc<Slot>]>,
    /// Not adopted any more.
    pub(crate) removed: bool,
    pub(crate) starts: Starts,
}

/// What is known of the workload's starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Starts {
    /// How long the last one took, from its decision.
    pub(crate) took: Option<Duration>,
    /// When the one under way was begun.
    pub(crate) begun: Option<Moment>,
}

impl View {
    /// Whether a replica is ready and not held.
    pub(crate) fn is_serving(&self) -> bool {
        self.slots.iter().any(|slot| slot.is_open())
    }

    /// From when on every other program should know of a replica that is ready: `settle` after the platform began to say so,
    /// or at once if that is longer ago than anybody remembers. `None`: the platform says it of none.
    pub(crate) fn settled(&self, settle: Duration) -> Option<Moment> {
        let since = self.slots.iter().filter_map(|slot| slot.listed()).min()?;
        Some(if since == Moment::ZERO { since } else { since + settle })
    }

    /// The answer to those who wait, if nothing is ready or on its way and the start is known to fail, or nobody would begin
    /// one.
    pub(crate) fn known_failure(&self, now: Moment) -> Option<Refusal> {
        if !self.slots.is_empty() || self.workload.replicas.starting > 0 {
            return None;
        }
        if self.workload.mode == Mode::Plain {
            return Some(Refusal::NoEndpoint);
        }
        let failure =
            self.workload.failure.as_ref().filter(|failure| failure.known && now < failure.retry_at)?;
        Some(Refusal::StartFailed(failure.detail.clone(), failure.retry_at.since(now)))
    }

    /// How long the last start that is known took; a second if none is.
    pub(crate) fn start_span(&self) -> Duration {
        self.starts.took.unwrap_or(Duration::from_secs(1))
    }

    /// The time after which the first replica should be ready, if that is known to be later than `deadline`. A start that
    /// takes longer already than the last one is ready at a time that nobody knows.
    pub(crate) fn ready_after(&self, deadline: Moment, now: Moment) -> Option<Duration> {
        if !self.slots.is_empty() {
            return None;
        }
        let ready = self.starts.begun.unwrap_or(now) + self.starts.took?;
        (ready > deadline && ready > now).then(|| ready.since(now))
    }
}
