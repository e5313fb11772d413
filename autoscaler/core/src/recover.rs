//! The way out of panic: down by one step of the down-rate per panic window, not below what the fullest second of the
//! stable window needs.
//!
//! Knative's KPA drops by the down-rate at every tick once panic ends, 100 → 1 in 12 s, and pays for the next burst with
//! another panic. A recovery ends when the stable window needs what is still there, or after one stable window.

use serde::{Deserialize, Serialize};

use crate::kpa;
use crate::moment::Moment;
use crate::policy::Policy;
use crate::window::Load;

/// A panic that ended a short while ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// What may not be gone below before the next step.
    pub level: u32,
    /// When the next step may be taken.
    pub next: Moment,
    /// When the ordinary rules apply again.
    pub until: Moment,
}

impl Recovery {
    /// A panic that kept `most` replicas ends at `now`. The first step may be taken at once.
    pub fn begin(policy: &Policy, most: u32, now: Moment) -> Self {
        Recovery { level: policy.capped(most), next: now, until: now + policy.window }
    }

    /// The least count at `now`, and the recovery after it; `None` when it is over, because the stable window needs as
    /// much.
    pub fn step(mut self, policy: &Policy, need: u32, peak: Load, now: Moment) -> Option<(u32, Self)> {
        if now >= self.until {
            return None;
        }
        if now >= self.next {
            self.level = (f64::from(self.level) / policy.max_scale_down_rate).floor() as u32;
            self.next = now + policy.panic_window();
        }
        let least = self.level.max(policy.capped(kpa::needed(policy, peak)));
        (need < least).then_some((least, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy { max_scale: 0, ..Policy::default() }
    }

    #[test]
    fn a_hundred_come_down_in_half_a_minute_not_in_twelve_seconds() {
        let mut recovery = Some(Recovery::begin(&policy(), 100, Moment::ZERO));
        let mut timeline = Vec::new();
        for second in (0..40).step_by(2) {
            let stepped = recovery
                .take()
                .and_then(|recovery| recovery.step(&policy(), 1, Load::of(0.1), Moment::from_secs(second)));
            let least = stepped.map(|(least, left)| {
                recovery = Some(left);
                least
            });
            if timeline.last().is_none_or(|(_, last)| *last != least) {
                timeline.push((second, least));
            }
        }
        let expected = [(0, 50), (6, 25), (12, 12), (18, 6), (24, 3)].map(|(at, least)| (at, Some(least)));
        assert_eq!(timeline[..5], expected);
        assert_eq!(timeline[5..], [(30, None)]);
    }

    #[test]
    fn the_fullest_second_is_a_floor_and_a_stable_window_the_end() {
        let begun = Recovery::begin(&policy(), 100, Moment::ZERO);
        let (least, left) = begun.step(&policy(), 1, Load::of(5600.0), Moment::from_secs(30)).unwrap();
        assert_eq!(least, 80);
        assert_eq!(left.clone().step(&policy(), 80, Load::of(5600.0), Moment::from_secs(31)), None);
        assert_eq!(left.step(&policy(), 1, Load::of(5600.0), Moment::from_secs(60)), None);
    }

    #[test]
    fn a_lower_bound_set_meanwhile_holds_here_too() {
        let capped = Policy { max_scale: 10, ..policy() };
        let begun = Recovery::begin(&capped, 100, Moment::ZERO);
        assert_eq!(begun.step(&capped, 1, Load::of(5600.0), Moment::ZERO).unwrap().0, 10);
    }
}
