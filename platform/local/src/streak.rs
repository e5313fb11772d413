//! Failures in a row: when the next start may be tried, and from when on those who wait are told.
//!
//! A pure rule. The first two failures are retried quietly after 100 ms and 200 ms; the third is known. A lasting
//! failure (no such command, a start timeout) is known at once. Known failures back off: 1 s, 2 s, 4 s, … 60 s.

use std::time::Duration;

use kaos_core::Moment;

/// Failures that are retried before anybody is told.
const QUIET: u32 = 2;

/// Per quiet retry.
const QUIET_STEP: Duration = Duration::from_millis(100);

/// After the first known failure.
const FIRST: Duration = Duration::from_secs(1);

/// After any failure.
const LONGEST: Duration = Duration::from_secs(60);

/// Failures since the last success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Streak {
    attempts: u32,
    known: u32,
    last: Option<Moment>,
}

/// What one more failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Failures in a row.
    pub(crate) attempts: u32,
    /// Whether those who wait are told.
    pub(crate) known: bool,
    /// No start before.
    pub(crate) retry_at: Moment,
}

impl Streak {
    /// Counts a failure at `now` of a start that was begun at `begun`.
    ///
    /// `None` if the start was begun before the last failure was seen: replicas that are started together and fail
    /// together have failed once.
    pub(crate) fn failed(&mut self, begun: Moment, lasting: bool, now: Moment) -> Option<Verdict> {
        if self.last.is_some_and(|last| begun < last) && !(lasting && self.known == 0) {
            return None;
        }
        self.last = Some(now);
        self.attempts += 1;
        let known = lasting || self.known > 0 || self.attempts > QUIET;
        let pause = if known {
            self.known += 1;
            let doublings = (self.known - 1).min(16);
            (FIRST * 2_u32.pow(doublings)).min(LONGEST)
        } else {
            QUIET_STEP * self.attempts
        };
        Some(Verdict { attempts: self.attempts, known, retry_at: now + pause })
    }

    /// Whether a failure was known since the last success: starts are then tried one at a time.
    pub(crate) fn is_known(&self) -> bool {
        self.known > 0
    }

    /// A success: the next failure is the first.
    pub(crate) fn reset(&mut self) {
        *self = Streak::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails again and again, each time as soon as a start may be tried: (known, pause in ms) for each.
    fn pauses(lasting: bool, failures: usize) -> Vec<(bool, u128)> {
        let mut streak = Streak::default();
        let mut now = Moment::from_secs(100);
        let mut seen = Vec::new();
        for _ in 0..failures {
            let verdict = streak.failed(now, lasting, now).unwrap();
            seen.push((verdict.known, verdict.retry_at.since(now).as_millis()));
            now = verdict.retry_at;
        }
        seen
    }

    #[test]
    fn two_quiet_retries_then_known_and_doubling_up_to_a_minute() {
        let known = |ms| (true, ms);
        assert_eq!(
            pauses(false, 11),
            [(false, 100), (false, 200)]
                .into_iter()
                .chain([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000].map(known))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_lasting_failure_is_known_at_once() {
        assert_eq!(pauses(true, 3), [(true, 1000), (true, 2000), (true, 4000)]);
    }

    #[test]
    fn a_success_forgets() {
        let mut streak = Streak::default();
        let now = Moment::from_secs(1);
        for _ in 0..5 {
            streak.failed(now, true, now);
        }
        assert!(streak.is_known());
        streak.reset();
        assert!(!streak.is_known());
        let verdict = streak.failed(now, false, now).unwrap();
        assert_eq!((verdict.attempts, verdict.known), (1, false));
    }

    #[test]
    fn what_was_started_together_fails_once() {
        let mut streak = Streak::default();
        let (begun, now) = (Moment::from_secs(1), Moment::from_secs(2));
        assert_eq!(streak.failed(begun, false, now).unwrap().attempts, 1);
        assert_eq!(streak.failed(begun, false, now), None);
        // But a lasting failure among quiet ones is told.
        assert!(streak.failed(begun, true, now).unwrap().known);
        assert_eq!(streak.failed(begun, true, now), None);
        assert_eq!(streak.failed(now, false, now).unwrap().attempts, 3);
    }
}
