//! What was seen of each workload for as long as it is watched, and how: kept beside its journal.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kaos_core::Moment;
use kaos_core::advice::{Advice, Watch};

/// What a start is taken to take before one was seen: as `kaos simulate` does.
pub const ASSUMED_START: Duration = Duration::from_secs(1);

/// A workload that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Whether it is only observed: then its replicas are those that it would have had.
    pub observed: bool,
    /// What a start takes, if one was seen.
    pub start: Option<Duration>,
    watch: Watch,
}

impl Watched {
    /// What to make of it at `now`, where a cold start is worth as much as `cold_start_cost` of an idle replica.
    pub fn advice(&self, cold_start_cost: Duration, now: Moment) -> Advice {
        self.watch.advice(cold_start_cost, now)
    }
}

/// Whether one workload is watched, and what was seen of it.
#[derive(Debug, Default)]
pub(crate) struct Watching(Mutex<Option<Watched>>);

impl Watching {
    /// Hands what was seen so far to `see`: from `now` on with `replicas`, if it was watched otherwise before, or not at all.
    pub(crate) fn watch(&self, observed: bool, replicas: u32, now: Moment, see: impl FnOnce(&mut Watch)) {
        let mut watched = self.lock();
        let new = || Watched { observed, start: None, watch: Watch::new(replicas, now) };
        let watched = match &mut *watched {
            Some(watched) if watched.observed == observed => watched,
            other => other.insert(new()),
        };
        see(&mut watched.watch);
    }

    /// A start is known to take so long.
    pub(crate) fn starts(&self, took: Option<Duration>) {
        if let Some(watched) = &mut *self.lock() {
            watched.start = took;
        }
    }

    /// It is switched off: nothing is watched.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    /// What was seen, if it is watched.
    pub(crate) fn seen(&self) -> Option<Watched> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
