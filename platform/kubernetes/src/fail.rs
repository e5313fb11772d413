//! Starts that the platform says fail: when those who wait are told, and when the next start may be tried.
//!
//! A pure rule over what is seen. A failure stands until a replica is ready or the pod template changes; going to zero
//! doesn't clear it, so that retries back off per workload and not per request.

use std::time::Duration;

use kaos_core::Moment;
use kaos_core::snapshot::StartFailure;

use crate::object::Trouble;

/// After the first failure; it doubles.
const FIRST: Duration = Duration::from_secs(5);

/// After any failure.
const LONGEST: Duration = Duration::from_secs(60);

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
}

impl Failing {
    /// Takes what is seen at `now`.
    pub(crate) fn see(&mut self, seen: &Seen<'_>, now: Moment) {
        if seen.ready > 0 || seen.template != self.template {
            *self = Failing { failure: None, template: seen.template };
        }
        let Some(trouble) = seen.trouble.filter(|_| seen.ready == 0 && seen.desired > 0) else { return };
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

    /// When to look again though nothing has changed: what still fails then has failed once more.
    pub(crate) fn due(&self, seen: &Seen<'_>) -> Option<Moment> {
        let failing = seen.trouble.is_some() && seen.ready == 0 && seen.desired > 0;
        self.failure.as_ref().filter(|_| failing).map(|failure| failure.retry_at)
    }
}
