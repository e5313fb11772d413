//! Who is awake with whom: a workload that is awake keeps those it names awake, and what they name in turn.
//!
//! Being awake with another is no reason of one's own, so those that name each other sleep as if they didn't. Nothing is done
//! here where nobody names anybody, and only what changes is looked at again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kaos_core::decide::{Memory, decide};
use kaos_core::observation::Company;
use kaos_core::snapshot::Mode;
use kaos_core::{Moment, Observation, Policy, WorkloadId, idle};

use super::Line;
use crate::track::Track;

/// Who names others, and who is awake with another.
#[derive(Debug, Default)]
pub(super) struct Companies {
    callers: BTreeMap<usize, Caller>,
    /// Those who are awake with another.
    kept: BTreeSet<usize>,
    /// It may be otherwise by now.
    stirred: bool,
}

/// One that names others.
#[derive(Debug)]
struct Caller {
    /// The names are in it.
    policy: Arc<Policy>,
    state: State,
    /// When that is over if nothing happens.
    until: Option<Moment>,
    /// A request has reached it through Kaos.
    seen: bool,
}

/// How a workload that names others is, its own company aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asleep, and nothing wakes it.
    Asleep,
    /// There, with no reason left: those that it names stay until it has gone.
    Leaving,
    /// Awake for a reason of its own, or is to wake for one: those that it names wake.
    Up,
}

impl Companies {
    /// The workload at `at` has this policy.
    pub(super) fn names(&mut self, at: usize, policy: &Arc<Policy>) {
        match self.callers.get_mut(&at) {
            Some(caller) if caller.policy.wake_with == policy.wake_with => return,
            None if policy.wake_with.is_empty() => return,
            Some(_) if policy.wake_with.is_empty() => drop(self.callers.remove(&at)),
            Some(caller) => caller.policy = policy.clone(),
            None => {
                let caller =
                    Caller { policy: policy.clone(), state: State::Asleep, until: None, seen: false };
                self.callers.insert(at, caller);
            }
        }
        self.stirred = true;
    }

    /// There is one more that may be named.
    pub(super) fn comes(&mut self) {
        self.stirred |= !self.callers.is_empty();
    }

    /// The workload at `at` is gone.
    pub(super) fn leaves(&mut self, at: usize) {
        self.kept.remove(&at);
        self.stirred |= self.callers.remove(&at).is_some();
    }

    /// Whether who is awake with whom is to be said anew.
    pub(super) fn is_stirred(&self) -> bool {
        self.stirred
    }

    /// When the one at `at` is to be looked at though nothing happens: kept awake by another it has no idle time of its own.
    pub(super) fn until(&self, at: usize) -> Option<Moment> {
        self.callers.get(&at)?.until
    }

    /// Those of `touched` who name others.
    pub(super) fn callers(&self, touched: &BTreeSet<usize>) -> Vec<usize> {
        self.callers.keys().filter(|at| touched.contains(at)).copied().collect()
    }
}

/// How a workload is of which this is `seen`, and until when if nothing happens. An autoscaler that doesn't lead goes by requests
/// that wait, for the rest may be of old, and it takes nothing away.
fn state(track: &Track, seen: &Observation, memory: &Memory, now: Moment) -> (State, Option<Moment>) {
    let desired = seen.replicas.desired;
    let alone = || Observation { company: None, ..seen.clone() };
    let mut until = None;
    let up = if seen.waiting > 0 || !seen.leading {
        seen.waiting > 0
    } else if seen.mode != Mode::Scale {
        desired > 0
    } else if desired > 0 {
        let ends = idle::ends(track.policy(), &alone());
        until = ends.filter(|at| *at > now);
        ends.is_none_or(|at| at > now)
    } else {
        decide(track.policy(), &alone(), memory.clone(), now).0.decision.aim(0) > 0
    };
    let state = match (up, desired) {
        (true, _) => State::Up,
        (false, 0) => State::Asleep,
        (false, _) => State::Leaving,
    };
    (state, until)
}

impl Line {
    /// Looks how the workload at `at` is, just observed, if it names others. `memory` is that of before.
    pub(super) fn calls(&mut self, at: usize, seen: &Observation, memory: &Memory, now: Moment) {
        let Some((caller, track)) = self.companies.callers.get_mut(&at).zip(self.tracks[at].as_ref()) else {
            return;
        };
        let (state, until) = state(track, seen, memory, now);
        self.companies.stirred |= (caller.state, caller.seen) != (state, track.seen);
        (caller.state, caller.until, caller.seen) = (state, until, track.seen);
    }

    /// Says anew who is awake with whom, if that may have changed. Those for whom it has.
    pub(super) fn gather(&mut self) -> Vec<usize> {
        if !std::mem::take(&mut self.companies.stirred) {
            return Vec::new();
        }
        let with = self.kept_awake();
        let now = with.keys().copied().collect();
        let before = std::mem::replace(&mut self.companies.kept, now);
        let mut changed = Vec::new();
        for at in before.union(&self.companies.kept) {
            let caller = with.get(at).map(|with| (*with, &self.companies.callers[with]));
            let seen = caller.is_some_and(|(_, caller)| caller.seen);
            let company = caller.and_then(|(with, caller)| {
                let with = self.tracks[with].as_ref()?.workload.id.clone();
                Some(Company { with, wakes: caller.state == State::Up })
            });
            let Some(track) = self.tracks[*at].as_mut() else { continue };
            if track.company != company || seen && !track.seen {
                track.company = company;
                // Whoever reaches the one may reach the other past Kaos: that is what it is named for.
                track.seen |= seen;
                changed.push(*at);
            }
        }
        changed
    }

    /// Everybody who is awake with another, and with whom: rather with one that has a reason to be.
    fn kept_awake(&self) -> BTreeMap<usize, usize> {
        let mut with = BTreeMap::new();
        for state in [State::Up, State::Leaving] {
            let callers = self.companies.callers.iter().filter(|(_, caller)| caller.state == state);
            for first in callers.map(|(at, _)| *at) {
                for to in self.reached(first) {
                    // Those that name each other would wait for each other to go.
                    let apart = || state == State::Up || !self.reached(to).contains(&first);
                    if let (Entry::Vacant(place), true) = (with.entry(to), apart()) {
                        place.insert(first);
                    }
                }
            }
        }
        with
    }

    /// Those that the one at `first` names, and all that they name in turn, without itself.
    fn reached(&self, first: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut next = VecDeque::from([first]);
        while let Some(at) = next.pop_front() {
            let Some((caller, track)) = self.companies.callers.get(&at).zip(self.tracks[at].as_ref()) else {
                continue;
            };
            let names = caller.policy.wake_with.iter();
            let ids = names.map(|name| WorkloadId::new(track.workload.id.namespace(), name));
            let places = ids.filter_map(|id| self.places.get(&id).copied());
            next.extend(places.filter(|to| *to != first && reached.insert(*to)));
        }
        reached
    }
}

#[cfg(test)]
#[path = "company_test.rs"]
mod tests;
