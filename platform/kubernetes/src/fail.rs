//! Starts that the platform says fail: when those who wait are told, and when the next start may be tried.
//!
//! A pure rule over what is seen. A failure stands until a replica is ready or the pod template changes; going to zero
//! doesn't clear it, so that retries back off per workload and not per request.

use std::time::Duration;

use kaos_core::Moment;
use kaos_core::snapshot::StartFailure;

use crate::object::{Trouble, UNSCHEDULABLE};

/// After the first failure; it doubles.
const FIRST: Duration = Duration::from_secs(5);

/// After any failure.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a pod is without a node before its start has failed. Room that another pod is just leaving is found within it;
/// a node that has to be made takes longer than those who wait would.
const PLACE: Duration = Duration::from_secs(3);

/// What is seen of a workload's start.
pub(crate) struct Seen<'a> {
    /// Why the platform says it doesn't go on.
    pub(crate) trouble: Option<&'a Trouble>,
    /// Replicas that answer.
    pub(crate) ready: u32,
    /// Replicas that are wanted: at zero nothing can fail, and what was said of earlier pods is old.
    pub(crate) desired: u32,
    /// The pod template.
    pub(crate) template: u64,
}

/// Failures of one workload in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failing {
    failure: Option<StartFailure>,
    template: u64,
    /// Since when no node takes a pod.
    unplaced: Option<Moment>,
}

impl Seen<'_> {
    fn failing(&self) -> Option<&Trouble> {
        self.trouble.filter(|_| self.ready == 0 && self.desired > 0)
    }
}

impl Failing {
    /// Takes what is seen at `now`.
    pub(crate) fn see(&mut self, seen: &Seen<'_>, now: Moment) {
        if seen.ready > 0 || seen.template != self.template {
            *self = Failing { failure: None, template: seen.template, unplaced: self.unplaced };
        }
        let unplaced = seen.failing().is_some_and(|trouble| trouble.because == UNSCHEDULABLE);
        self.unplaced = if unplaced { self.unplaced.or(Some(now)) } else { None };
        let Some(trouble) = seen.failing().filter(|_| self.settled(now)) else { return };
        let before = self.failure.take();
        let (attempts, retry_at) = match before {
            Some(failure) if now < failure.retry_at => (failure.attempts, failure.retry_at),
            before => {
                let attempts = before.map_or(1, |failure| failure.attempts.saturating_add(1));
                (attempts, now + (FIRST * 2_u32.pow((attempts - 1).min(10))).min(LONGEST))
            }
        };
        self.failure = Some(StartFailure {
            because: trouble.because.to_owned(),
            detail: trouble.detail.to_string(),
            attempts,
            known: true,
            retry_at,
        });
    }

    /// The failure, while there is one.
    pub(crate) fn failure(&self) -> Option<&StartFailure> {
        self.failure.as_ref()
    }

    /// Whether what is seen at `now` is a failure, and not only what was seen before.
    pub(crate) fn stands(&self, seen: &Seen<'_>, now: Moment) -> bool {
        seen.failing().is_some() && self.settled(now)
    }

    /// When to look again though nothing has changed: what still fails then has failed once more.
    pub(crate) fn due(&self, seen: &Seen<'_>, now: Moment) -> Option<Moment> {
        seen.failing()?;
        if !self.settled(now) {
            return self.unplaced.map(|since| since + PLACE);
        }
        self.failure.as_ref().map(|failure| failure.retry_at)
    }

    /// Whether a pod that had no node had time to find one.
    fn settled(&self, now: Moment) -> bool {
        self.unplaced.is_none_or(|since| now >= since + PLACE)
    }
}
