//! The way down after a burst, by one step of the down-rate at a time and not below what the stable window needs.
//!
//! After a panic the steps are a panic window apart: Knative's KPA drops by the down-rate at every tick, 100 → 1 in 12 s, and
//! pays for the next burst with another panic. What a queue asked for is kept for longer, where a hard limit is why requests had
//! to wait: without one a replica too few lets nobody wait, but with one each of the next burst waits for a start again. Nothing
//! is kept that the fullest second of the window would need: that is paid for a whole window after every burst, and keeps no more
//! than these steps do from a fleet that collapses.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::policy::Policy;

/// Steps in a stable window of what a queue asked for.
const QUEUE_STEPS: u32 = 3;

/// Whether a panic is over that was last triggered then: half a stable window later. KPA's lasts a whole one, most of what a short
/// burst costs.
pub fn is_over(policy: &Policy, triggered: Moment, now: Moment) -> bool {
    triggered + policy.window / 2 < now
}

/// A burst that is over, or about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// What may not be gone below before the next step.
    pub level: u32,
    /// When the next step may be taken.
    pub next: Moment,
    /// From one step to the next.
    pub pace: Duration,
    /// When the ordinary rules apply again.
    pub until: Moment,
}

impl Recovery {
    /// A panic that kept `most` replicas ends at `now`. The first step may be taken at once.
    pub fn after_panic(policy: &Policy, most: u32, now: Moment) -> Self {
        let pace = policy.panic_window();
        Recovery { level: policy.capped(most), next: now, pace, until: now + policy.window }
    }

    /// At `now` requests wait for a slot, or for those that were asked for because they do: `count` in all.
    pub fn after_queue(policy: &Policy, count: u32, now: Moment) -> Self {
        let pace = policy.window / QUEUE_STEPS;
        Recovery { level: policy.capped(count), next: now + pace, pace, until: now + policy.window }
    }

    /// The least count at `now`, and the recovery after it; `None` when it is over, because the stable window needs as
    /// much.
    pub fn step(mut self, policy: &Policy, need: u32, now: Moment) -> Option<(u32, Self)> {
        if now >= self.until {
            return None;
        }
        if now >= self.next {
            self.level = (f64::from(self.level) / policy.max_scale_down_rate).floor() as u32;
            self.next = now + self.pace;
        }
        (need < self.level).then_some((self.level, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy { max_scale: 0, ..Policy::default() }
    }

    /// The seconds at which the least count changes, where the stable window needs one. `None`: it is over.
    fn timeline(recovery: Recovery) -> Vec<(u64, Option<u32>)> {
        let mut recovery = Some(recovery);
        let mut timeline = Vec::new();
        for second in (0..80).step_by(2) {
            let stepped =
                recovery.take().and_then(|recovery| recovery.step(&policy(), 1, Moment::from_secs(second)));
            let least = stepped.map(|(least, left)| {
                recovery = Some(left);
                least
            });
            if timeline.last().is_none_or(|(_, last)| *last != least) {
                timeline.push((second, least));
            }
        }
        timeline
    }

    #[test]
    fn a_hundred_come_down_in_half_a_minute_not_in_twelve_seconds() {
        let steps = timeline(Recovery::after_panic(&policy(), 100, Moment::ZERO));
        let expected = [(0, 50), (6, 25), (12, 12), (18, 6), (24, 3)].map(|(at, least)| (at, Some(least)));
        assert_eq!((&steps[..5], &steps[5..]), (&expected[..], &[(30, None)][..]));
    }

    #[test]
    fn what_a_queue_asked_for_is_kept_longer_and_not_for_ever() {
        let steps = timeline(Recovery::after_queue(&policy(), 100, Moment::ZERO));
        let expected = [(0, 100), (20, 50), (40, 25)].map(|(at, least)| (at, Some(least)));
        assert_eq!((&steps[..3], &steps[3..]), (&expected[..], &[(60, None)][..]));
    }

    #[test]
    fn it_is_over_once_the_stable_window_needs_as_much() {
        let begun = Recovery::after_panic(&policy(), 100, Moment::ZERO);
        let (least, left) = begun.step(&policy(), 49, Moment::from_secs(1)).unwrap();
        assert_eq!(least, 50);
        assert_eq!(left.step(&policy(), 50, Moment::from_secs(2)), None);
    }

    #[test]
    fn a_lower_bound_set_meanwhile_holds_here_too() {
        let capped = Policy { max_scale: 10, ..policy() };
        for begun in [Recovery::after_panic, Recovery::after_queue] {
            assert!(begun(&capped, 100, Moment::ZERO).step(&capped, 1, Moment::ZERO).unwrap().0 <= 10);
        }
    }
}
