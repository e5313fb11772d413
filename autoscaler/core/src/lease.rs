//! How a proxy obeys a hold: for a bounded time after it first saw it, and each id once.
//!
//! Annotations get copied and come back with a rollback, and an autoscaler that asked for a hold may die. So a hold is
//! a lease: obeyed for at most ten seconds of the proxy's own clock, then reported as expired, never obeyed again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::HoldId;
use crate::moment::Moment;
use crate::report::HoldState;
use crate::snapshot::Hold;

/// Longest time for which a proxy obeys one hold.
pub const LONGEST: Duration = Duration::from_secs(10);

/// Ids that are remembered so that they aren't obeyed again.
const REMEMBERED: usize = 32;

/// One workload's hold in one proxy.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    current: Option<(Hold, Moment)>,
    spent: VecDeque<HoldId>,
}

impl Lease {
    /// Takes what the snapshot says. Returns whether what is obeyed has changed.
    pub fn saw(&mut self, hold: Option<&Hold>, now: Moment) -> bool {
        let before = self.obeyed(now).cloned();
        match hold {
            Some(hold) if self.current.as_ref().is_some_and(|(current, _)| current.id == hold.id) => {}
            other => {
                if let Some((past, _)) = self.current.take() {
                    self.spend(past.id);
                }
                self.current = other.map(|hold| (hold.clone(), now));
            }
        }
        before.as_ref() != self.obeyed(now)
    }

    fn spend(&mut self, id: HoldId) {
        if self.spent.len() == REMEMBERED {
            self.spent.pop_front();
        }
        self.spent.push_back(id);
    }

    /// The hold to obey at `now`.
    pub fn obeyed(&self, now: Moment) -> Option<&Hold> {
        let (hold, seen) = self.current.as_ref()?;
        let fresh = now.since(*seen) < LONGEST && !self.spent.contains(&hold.id);
        fresh.then_some(hold)
    }

    /// When the hold that is obeyed at `now` expires.
    pub fn expires(&self, now: Moment) -> Option<Moment> {
        self.obeyed(now)?;
        self.current.as_ref().map(|(_, seen)| *seen + LONGEST)
    }

    /// What to report of the hold that the snapshot shows; `empty` says whether nothing is in flight on what it covers.
    pub fn answer(&self, now: Moment, empty: bool) -> Option<(HoldId, HoldState)> {
        let (hold, _) = self.current.as_ref()?;
        let state = match (self.obeyed(now), empty) {
            (None, _) => HoldState::Expired,
            (Some(_), true) => HoldState::Confirmed,
            (Some(_), false) => HoldState::Draining,
        };
        Some((hold.id.clone(), state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Targets;

    fn hold(id: &str) -> Hold {
        Hold { id: HoldId::new(id), by: "test".into(), targets: Targets::All }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    #[test]
    fn a_hold_is_obeyed_for_ten_seconds_and_then_never_again() {
        let mut lease = Lease::default();
        assert!(lease.saw(Some(&hold("a")), at(0)));
        assert_eq!(lease.answer(at(1), false), Some((HoldId::new("a"), HoldState::Draining)));
        assert_eq!(lease.answer(at(9), true), Some((HoldId::new("a"), HoldState::Confirmed)));
        assert_eq!(lease.answer(at(10), true), Some((HoldId::new("a"), HoldState::Expired)));
        assert!(!lease.saw(Some(&hold("a")), at(11)));
        assert_eq!(lease.obeyed(at(11)), None);
    }

    #[test]
    fn a_hold_that_comes_back_with_a_rollback_is_not_obeyed() {
        let mut lease = Lease::default();
        lease.saw(Some(&hold("a")), at(0));
        assert!(lease.saw(None, at(1)));
        assert!(!lease.saw(Some(&hold("a")), at(2)));
        assert_eq!(lease.answer(at(2), true), Some((HoldId::new("a"), HoldState::Expired)));
        assert!(lease.saw(Some(&hold("b")), at(3)));
        assert_eq!(lease.expires(at(3)), Some(at(13)));
    }
}
