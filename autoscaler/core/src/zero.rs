//! Going down is a protocol, not a patch: `serving → holding → empty → zero`, and back to serving.
//!
//! The workload (or chosen replicas of it) is held: every live proxy stops dispatching to it, queues what comes, and
//! confirms that nothing is in flight there. Only then, and once the platform shows the hold back, is the count written,
//! against the version of the hold's write.
//! A request that waits takes the hold away; a proxy that doesn't answer in time cancels the attempt; the hold is removed
//! in the end, whatever happened. Knows no transport: writes are asked for, and their results handed in.

use std::time::Duration;

use crate::id::{EndpointUid, HoldId};
use crate::moment::Moment;
use crate::platform::{Expected, Refusal, Scale};
use crate::report::{HoldAnswer, HoldState};
use crate::snapshot::{Hold, Targets};

/// An attempt is given up when proxies take longer than this to confirm.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The count is lowered only this long after the hold's write began. With the two seconds that a write may take it stays
/// below [`crate::lease::LONGEST`], for which every proxy obeys.
pub const LATEST: Duration = Duration::from_secs(5);

/// First rest after an attempt that failed; doubles with each in a row.
pub const REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// One workload's way down.
#[derive(Clone, Debug, Default)]
pub struct Descent {
    state: State,
    failures: u32,
    rest_until: Moment,
}

/// Where a descent is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing of ours is in force.
    #[default]
    Serving,
    /// The hold is being written, or is written and proxies are asked.
    Holding(Attempt),
    /// Every proxy confirmed: the lower count is being written.
    Empty,
    /// The hold has to go.
    Releasing,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    hold: Hold,
    from: u32,
    to: u32,
    /// Its targets go in their order.
    ordered: bool,
    begun: Moment,
    /// Version and end of the hold's write.
    written: Option<(u64, Moment)>,
}

/// What a step looks at.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// The time.
    pub now: Moment,
    /// This autoscaler leads.
    pub leading: bool,
    /// The count to go down to. `None`: not down.
    pub aim: Option<u32>,
    /// The count that is there.
    pub desired: u32,
    /// Requests that wait.
    pub waiting: u64,
    /// Version of what the platform shows.
    pub shown: u64,
    /// The hold in force, as far as is known: our own writes count before the platform shows them.
    pub hold: Option<&'a Hold>,
    /// What each live proxy says of the hold it sees; `None` if it said nothing.
    pub answers: &'a [Option<&'a HoldAnswer>],
    /// The ready replicas with what they have in flight.
    pub ready: &'a [(EndpointUid, u64)],
    /// Whether they are in the order in which the platform lets them go: then nobody else can be chosen.
    pub ordered: bool,
}

/// A write that the protocol asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Mark the workload with this hold.
    Hold(Hold),
    /// Write the lower count.
    Lower(Scale),
    /// Take the hold away.
    Release,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The count was lowered.
    Lowered,
    /// Requests wait: serving goes on.
    Traffic,
    /// The decision is another one by now, or this autoscaler doesn't lead any more.
    Unwanted,
    /// Not every proxy confirmed in time.
    Unconfirmed,
    /// A proxy doesn't obey any more.
    Expired,
    /// Somebody took the hold away.
    Taken,
    /// The platform didn't write.
    Refused(Refusal),
}

impl Descent {
    /// Where it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Not before this moment is another hold tried.
    pub fn rest_until(&self) -> Moment {
        self.rest_until
    }

    /// When a step is due though nothing happens: the end of the patience.
    pub fn due(&self) -> Option<Moment> {
        match &self.state {
            State::Holding(attempt) => attempt.deadline(),
            _ => None,
        }
    }

    /// One step while no write is in flight. `fresh` makes a hold's id, never used before, and its author.
    pub fn step(
        &mut self,
        scene: &Scene<'_>,
        fresh: impl FnOnce() -> (HoldId, String),
    ) -> (Option<Ask>, Option<Ended>) {
        match &self.state {
            State::Serving => (self.serving(scene, fresh), None),
            State::Holding(attempt) => {
                let attempt = attempt.clone();
                self.holding(&attempt, scene)
            }
            // A write that was never answered: its outcome is unknown, and so is the hold's.
            State::Empty | State::Releasing => {
                self.state = State::Releasing;
                (Some(Ask::Release), None)
            }
        }
    }

    // serving → holding: the decision is to go down. A hold that isn't ours was left behind, or waits for nothing.
    fn serving(&mut self, scene: &Scene<'_>, fresh: impl FnOnce() -> (HoldId, String)) -> Option<Ask> {
        if scene.hold.is_some() {
            let remove = scene.leading || scene.waiting > 0;
            if remove {
                self.state = State::Releasing;
            }
            return remove.then_some(Ask::Release);
        }
        let to = scene.aim.filter(|to| *to < scene.desired)?;
        if !scene.leading || scene.waiting > 0 || scene.answers.is_empty() || self.rest_until > scene.now {
            return None;
        }
        let targets = match scene.desired - to {
            _ if to == 0 => Targets::All,
            count if scene.ordered => first(scene.ready.iter(), count)?,
            count => least_busy(scene.ready, count)?,
        };
        let (id, by) = fresh();
        let hold = Hold { id, by, targets };
        self.state = State::Holding(Attempt {
            hold: hold.clone(),
            from: scene.desired,
            to,
            ordered: scene.ordered,
            begun: scene.now,
            written: None,
        });
        Some(Ask::Hold(hold))
    }

    // holding → empty: every live proxy confirms this very hold. Anything else that happens: holding → releasing.
    fn holding(&mut self, attempt: &Attempt, scene: &Scene<'_>) -> (Option<Ask>, Option<Ended>) {
        let id = &attempt.hold.id;
        if scene.waiting > 0 {
            return self.cancel(Ended::Traffic, scene.now);
        }
        let another = scene.desired != attempt.from || scene.aim.is_none_or(|aim| aim > attempt.to);
        if !scene.leading || another {
            return self.cancel(Ended::Unwanted, scene.now);
        }
        if scene.hold.is_none_or(|hold| hold.id != *id) {
            return self.cancel(Ended::Taken, scene.now);
        }
        let answers = || scene.answers.iter().map(|answer| answer.filter(|answer| answer.id == *id));
        if answers().flatten().any(|answer| answer.state == HoldState::Expired) {
            return self.cancel(Ended::Expired, scene.now);
        }
        let Some((version, _)) = attempt.written else {
            // Its write was never answered.
            return self.cancel(Ended::Unconfirmed, scene.now);
        };
        let over = attempt.deadline().is_none_or(|deadline| scene.now >= deadline);
        let in_time = scene.now <= attempt.begun + LATEST;
        // What is written has been seen back: replicas and count are those of the hold, not of a picture before it.
        let there = |uid: &EndpointUid| scene.ready.iter().any(|(ready, _)| ready == uid);
        match attempt.lowered(answers(), over) {
            Some((to, victims)) if in_time && scene.shown >= version && victims.iter().all(there) => {
                self.state = State::Empty;
                (Some(Ask::Lower(Scale { to, victims, expected: Expected::Version(version) })), None)
            }
            _ if over => self.cancel(Ended::Unconfirmed, scene.now),
            _ => (None, None),
        }
    }

    fn cancel(&mut self, ended: Ended, now: Moment) -> (Option<Ask>, Option<Ended>) {
        self.ended(&ended, now);
        self.state = State::Releasing;
        (Some(Ask::Release), Some(ended))
    }

    fn ended(&mut self, ended: &Ended, now: Moment) {
        match ended {
            Ended::Lowered => self.failures = 0,
            Ended::Traffic | Ended::Unwanted => {}
            Ended::Unconfirmed | Ended::Expired | Ended::Taken | Ended::Refused(_) => {
                let rest = REST * 2_u32.pow(self.failures.min(4));
                self.rest_until = now + rest.min(LONGEST_REST);
                self.failures += 1;
            }
        }
    }

    /// The result of the write that was asked for. Returns how the attempt ended, if it did.
    pub fn wrote(&mut self, ask: &Ask, result: &Result<u64, Refusal>, now: Moment) -> Option<Ended> {
        let ended = match (ask, result, &mut self.state) {
            // holding: the hold is written; proxies are asked from here on.
            (Ask::Hold(hold), Ok(version), State::Holding(attempt)) if attempt.hold.id == hold.id => {
                attempt.written = Some((*version, now));
                return None;
            }
            // empty → zero: and the hold has done its work.
            (Ask::Lower(_), Ok(_), _) => Ended::Lowered,
            // releasing → serving.
            (Ask::Release, Ok(_) | Err(Refusal::Gone), _) => {
                self.state = State::Serving;
                return None;
            }
            (Ask::Release, Err(_), _) => return None,
            (_, Err(refusal), _) => Ended::Refused(refusal.clone()),
            (Ask::Hold(_), Ok(_), _) => Ended::Unwanted,
        };
        self.ended(&ended, now);
        self.state = State::Releasing;
        Some(ended)
    }
}

impl Attempt {
    fn deadline(&self) -> Option<Moment> {
        self.written.map(|(_, at)| (at + PATIENCE).min(self.begun + LATEST))
    }

    /// The count to write and who goes, if `answers` allow it: all of the targets; or, when time is `over`, those that
    /// every proxy confirmed.
    fn lowered<'a>(
        &self,
        answers: impl Iterator<Item = Option<&'a HoldAnswer>>,
        over: bool,
    ) -> Option<(u32, Vec<EndpointUid>)> {
        let answers: Vec<&HoldAnswer> = answers.collect::<Option<_>>()?;
        let all = answers.iter().all(|answer| answer.state == HoldState::Confirmed);
        let Targets::Endpoints(targets) = &self.hold.targets else {
            return all.then(|| (0, Vec::new()));
        };
        let empty = |uid: &EndpointUid| {
            answers.iter().all(|answer| answer.state == HoldState::Confirmed || answer.empty.contains(uid))
        };
        let gone: Vec<EndpointUid> = match self.ordered {
            true => targets.iter().take_while(|uid| empty(uid)).cloned().collect(),
            false => targets.iter().filter(|uid| empty(uid)).cloned().collect(),
        };
        let enough = gone.len() == targets.len() || over && !gone.is_empty();
        let kept = u32::try_from(targets.len() - gone.len()).unwrap_or(u32::MAX);
        enough.then(|| (self.to.saturating_add(kept), gone))
    }
}

/// The `count` replicas with least in flight. `None` if there aren't as many.
fn least_busy(ready: &[(EndpointUid, u64)], count: u32) -> Option<Targets> {
    let mut order: Vec<&(EndpointUid, u64)> = ready.iter().collect();
    order.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
    first(order.into_iter(), count)
}

/// The first `count` of `ready`. `None` if there aren't as many.
fn first<'r>(ready: impl ExactSizeIterator<Item = &'r (EndpointUid, u64)>, count: u32) -> Option<Targets> {
    let enough = ready.len() >= count as usize;
    enough.then(|| Targets::Endpoints(ready.take(count as usize).map(|(uid, _)| uid.clone()).collect()))
}
