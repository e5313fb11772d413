//! What the control line keeps of one workload: what the platform shows, what we wrote and it doesn't show yet, the
//! averages, the memory of decisions, the way down. Makes the observation; decides nothing itself.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::average::Averages;
use kaos_core::contest::{self, Contest};
use kaos_core::decide::Memory;
use kaos_core::observation::Company;
use kaos_core::platform::{Expected, Refusal, Scale};
use kaos_core::snapshot::{Hold, Phase, Replicas, Workload};
use kaos_core::zero::{Ask, Descent};
use kaos_core::{EndpointUid, Moment, Observation, Policy, WorkloadId};

use crate::action::Action;
use crate::collect::{Hearing, Total};
use crate::journal::Book;
use crate::learn::Learn;
use crate::retry::Retry;
use crate::shadow::Shadow;

mod told;
mod watch;

/// What we wrote is believed for so long, though the platform doesn't show it.
const BELIEF: Duration = Duration::from_secs(60);

/// In a contest, one write of the count per this. A wake from zero isn't one of them: it neither waits nor is waited after.
const CONTEST_PAUSE: Duration = Duration::from_secs(60);

/// A replica that isn't ready this long after it was asked for keeps nobody else from starting: of those that never get
/// ready, a cluster that is full or a broken image can make as many as may start at once.
const START: Duration = Duration::from_secs(30);

/// One workload.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) workload: Arc<Workload>,
    pub(crate) memory: Memory,
    pub(crate) descent: Descent,
    pub(crate) averages: Option<Averages>,
    pub(crate) book: Arc<Book>,
    /// The write in flight.
    pub(crate) write: Option<Write>,
    /// When the last write was begun.
    begun: Moment,
    /// The version that the platform showed then.
    begun_on: u64,
    /// After a refusal, no write of that kind before.
    pub(crate) scale_retry: Retry,
    pub(crate) hold_retry: Retry,
    /// Whoever comes with the request that woke it is heard of until then.
    pub(crate) gathering: Moment,
    /// When it is to be looked at though nothing happens.
    pub(crate) due: Option<Moment>,
    /// Replicas on their way, as they are counted in the line's start budget.
    pub(crate) starting: u32,
    /// Replicas that were asked for and aren't ready yet.
    asked: u32,
    /// When the last of them were.
    asked_at: Moment,
    /// Waits for the start budget.
    pub(crate) held_back: bool,
    /// Who it is awake with.
    pub(crate) company: Option<Company>,
    belief: Option<Belief>,
    ready_since: Moment,
    /// Replicas that have been ready.
    ripe: Vec<EndpointUid>,
    /// Whether a request has reached it through Kaos, or one that it is awake with.
    pub(crate) seen: bool,
    contest: Contest,
    /// When the count was last written, wakes aside.
    last_scale: Option<Moment>,
    pub(crate) learn: Learn,
    /// What its last start took.
    took: Option<Duration>,
    /// When a request asked for the replica that it waits for.
    woke: Option<Moment>,
    /// Where it is only observed.
    shadow: Option<Box<Shadow>>,
}

/// A write in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// A greater count.
    Raise(Scale),
    /// A step of the way down.
    Descent(Ask),
}

impl Write {
    /// The count that it writes, if it is one.
    fn to(&self) -> Option<u32> {
        match self {
            Write::Raise(scale) | Write::Descent(Ask::Lower(scale)) => Some(scale.to),
            Write::Descent(Ask::Hold(_) | Ask::Release) => None,
        }
    }

    /// Whether a count of `desired` may be its outcome.
    fn is_to(&self, desired: u32) -> bool {
        self.to().is_none_or(|to| to == desired)
    }

    /// Whether it is a count.
    fn scales(&self) -> bool {
        !matches!(self, Write::Descent(Ask::Hold(_) | Ask::Release))
    }

    /// Whether it is a count for what is at zero.
    fn wakes(&self) -> bool {
        matches!(self, Write::Raise(scale) if scale.expected == Expected::Replicas(0))
    }

    /// As it is asked of the platform.
    pub(crate) fn action(&self, workload: &WorkloadId) -> Action {
        let workload = workload.clone();
        match self {
            Write::Raise(scale) | Write::Descent(Ask::Lower(scale)) => {
                Action::Scale { workload, scale: scale.clone() }
            }
            Write::Descent(Ask::Hold(hold)) => Action::Hold { workload, hold: hold.clone() },
            Write::Descent(Ask::Release) => Action::Release { workload },
        }
    }
}

/// What we wrote and the platform doesn't show yet.
#[derive(Debug)]
struct Belief {
    desired: u32,
    hold: Option<Hold>,
    version: u64,
    /// The version of the last write of the count.
    counted: u64,
    at: Moment,
}

/// Whether a count that isn't ours, and was `before`, is somebody's who contends for it. Another autoscaler's is not, nor is
/// one of starts that fail and that a platform gives up.
fn contends(workload: &Workload, before: u32) -> bool {
    let concerns = contest::concerns(before, workload.replicas.desired, workload.handed_to.as_ref());
    concerns && workload.contender.is_some() && workload.failure.is_none()
}

impl Track {
    pub(crate) fn new(workload: Arc<Workload>, book: Arc<Book>, earned: bool, now: Moment) -> Self {
        let ready = workload.endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready);
        Track {
            ripe: ready.map(|endpoint| endpoint.uid.clone()).collect(),
            memory: Memory::adopt(workload.replicas, now),
            descent: Descent::default(),
            averages: None,
            book,
            write: None,
            begun: Moment::ZERO,
            begun_on: 0,
            scale_retry: Retry::default(),
            hold_retry: Retry::default(),
            gathering: Moment::ZERO,
            due: None,
            starting: 0,
            asked: if workload.contender.is_none() { workload.replicas.desired } else { 0 },
            asked_at: now,
            held_back: false,
            company: None,
            belief: None,
            ready_since: now,
            seen: earned,
            contest: Contest::default(),
            last_scale: None,
            learn: Learn::default(),
            took: None,
            woke: None,
            shadow: None,
            workload,
        }
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.workload.policy
    }

    /// Takes what the platform shows.
    pub(crate) fn saw(&mut self, workload: &Arc<Workload>, now: Moment) {
        if self.ripens(workload) {
            self.ready_since = now;
            if self.asked > 0 {
                let took = now.since(self.asked_at);
                self.learn.started(took);
                self.took = Some(took);
            }
            self.woken(now);
        }
        let before = self.replicas().desired;
        self.workload = workload.clone();
        if self.belief.as_ref().is_some_and(|belief| workload.version >= belief.version) {
            self.belief = None;
        }
        let after = self.replicas().desired;
        let ours = self.write.as_ref().is_some_and(|write| write.scales() && write.is_to(after));
        // Who goes on from the count that is just being written is no other than who goes on from it once it is shown.
        let from = self.write.as_ref().and_then(Write::to).map_or(before, |to| to.max(before));
        if after != before && !ours && contends(workload, from) {
            self.contest.changed(now);
        }
        // Another autoscaler's raise. What a person or a rollout starts was none of the budget's to begin with.
        if after > before && !ours && workload.contender.is_none() {
            self.asked_for(after - before, now);
        }
        self.scale_retry.saw(workload.version, now);
        self.hold_retry.saw(workload.version, now);
    }

    /// Begins a write.
    pub(crate) fn begin(&mut self, write: Write, now: Moment) {
        (self.write, self.begun, self.begun_on) = (Some(write), now, self.workload.version);
    }

    /// Whether a replica became ready that wasn't before. One that is ready, not ready and ready again is none: else one
    /// that flaps would never be idle.
    fn ripens(&mut self, workload: &Workload) -> bool {
        let ready = workload.endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready);
        let fresh: Vec<EndpointUid> = ready
            .filter(|endpoint| !self.ripe.contains(&endpoint.uid))
            .map(|endpoint| endpoint.uid.clone())
            .collect();
        self.ripe.retain(|uid| workload.endpoints.iter().any(|endpoint| endpoint.uid == *uid));
        let unnamed = workload.endpoints.is_empty() && workload.replicas.ready > self.workload.replicas.ready;
        let ripens = unnamed || !fresh.is_empty();
        self.ripe.extend(fresh);
        ripens
    }

    /// Replica counts, our own writes included.
    pub(crate) fn replicas(&self) -> Replicas {
        let shown = self.workload.replicas;
        self.belief.as_ref().map_or(shown, |belief| Replicas { desired: belief.desired, ..shown })
    }

    /// The hold in force, our own writes included.
    pub(crate) fn hold(&self) -> Option<&Hold> {
        match &self.belief {
            Some(belief) => belief.hold.as_ref(),
            None => self.workload.hold.as_ref(),
        }
    }

    /// Takes the result of the write in flight.
    pub(crate) fn wrote(&mut self, write: &Write, result: &Result<u64, Refusal>, now: Moment) {
        let scales = write.scales();
        let retry = if scales { &mut self.scale_retry } else { &mut self.hold_retry };
        retry.took(result.as_ref().err(), self.begun_on, now);
        // The picture may have come before the refusal that was due to it.
        retry.saw(self.workload.version, now);
        let Ok(version) = *result else { return };
        if scales && !write.wakes() {
            self.last_scale = Some(now);
        }
        if self.workload.version >= version {
            // Our count was never shown: another's had taken its place by then.
            let counted = self.contest.last().is_some_and(|at| at >= self.begun);
            let another = self.workload.version > version
                && write.to().is_some_and(|written| contends(&self.workload, written));
            if another && !counted {
                self.contest.changed(now);
            }
            return;
        }
        let counted = match &self.belief {
            _ if scales => version,
            Some(belief) => belief.counted,
            None => 0,
        };
        let (desired, hold) = (self.replicas().desired, self.hold().cloned());
        let mut belief = Belief { desired, hold, version, counted, at: now };
        match write {
            Write::Raise(scale) | Write::Descent(Ask::Lower(scale)) => belief.desired = scale.to,
            Write::Descent(Ask::Hold(hold)) => belief.hold = Some(hold.clone()),
            Write::Descent(Ask::Release) => belief.hold = None,
        }
        self.belief = Some(belief);
    }

    /// Forgets what is over: a belief that the platform never showed.
    pub(crate) fn age(&mut self, now: Moment) {
        if self.belief.as_ref().is_some_and(|belief| now.since(belief.at) >= BELIEF) {
            self.belief = None;
        }
    }

    /// When [`Track::age`] may change something that matters.
    pub(crate) fn ages(&self) -> Option<Moment> {
        self.belief.as_ref().map(|belief| belief.at + BELIEF)
    }

    /// Everything that a decision is made from.
    pub(crate) fn observe(
        &mut self,
        total: Total,
        hearing: Hearing,
        leading: bool,
        now: Moment,
    ) -> Observation {
        self.seen |= total.running > 0 || total.waiting > 0 || total.last_activity.is_some();
        let contested = self.contest.is_on(now);
        let mut seen = Observation {
            leading,
            mode: self.workload.mode.clone(),
            replicas: self.replicas(),
            shown: self.belief.as_ref().is_none_or(|belief| self.workload.version >= belief.counted),
            running: total.running,
            waiting: total.waiting,
            load: self.averages.as_ref().and_then(Averages::loads),
            last_activity: total.last_activity,
            warmth: None,
            company: self.company.clone(),
            ready_since: self.ready_since,
            heard: hearing.for_window(self.workload.policy.window),
            seen: self.seen,
            failure: self.workload.failure.clone(),
            allowance: None,
            rest_until: self.descent.rest_until(),
            contested_until: match self.last_scale.filter(|_| contested) {
                Some(at) => at + CONTEST_PAUSE,
                None => Moment::ZERO,
            },
            contender: self.workload.contender.clone().filter(|_| contested),
            handed_to: self.workload.handed_to.clone(),
        };
        seen.warmth = self.learn.look(&self.workload.policy, &seen, now, &self.book);
        seen
    }

    /// Tells how many replicas are in use from `now` on.
    pub(crate) fn account(&self, seen: &Observation, now: Moment) {
        let slots = u64::from(self.policy().slots());
        let Replicas { ready, starting, .. } = seen.replicas;
        let busy = u32::try_from(seen.running.div_ceil(slots)).unwrap_or(u32::MAX).min(ready);
        self.book.uses(busy, (ready - busy).saturating_add(starting), now);
    }

    /// So many more replicas are asked for.
    pub(crate) fn asked_for(&mut self, count: u32, now: Moment) {
        self.asked = self.asked.saturating_add(count);
        self.asked_at = now;
    }

    /// Replicas that were asked for and are on their way: what the start budget counts. `seen` is what is known at `now`.
    pub(crate) fn on_their_way(&mut self, seen: &Observation, now: Moment) -> u32 {
        let reserved = match &self.write {
            Some(Write::Raise(scale)) => scale.to.saturating_sub(seen.replicas.desired),
            _ => 0,
        };
        let late = now.since(self.asked_at) >= START;
        self.asked = if late { 0 } else { self.asked.min(seen.coming().saturating_add(reserved)) };
        self.asked
    }

    /// When those on their way stop counting, if they aren't ready before.
    pub(crate) fn late_at(&self) -> Option<Moment> {
        (self.asked > 0).then(|| self.asked_at + START)
    }
}
