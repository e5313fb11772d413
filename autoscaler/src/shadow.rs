//! What would have become of a workload that is only observed: the same decisions over replicas that don't exist.
//!
//! They are obeyed at once, and a replica is ready a start-up time after it was asked for. Requests are those that are seen: what
//! really runs while the shadow has no replica would have waited for one, and been worked on as long after that was ready.

use std::time::Duration;

use kaos_core::advice::Watch;
use kaos_core::average::{self, Averages, Flow};
use kaos_core::decide::{Memory, decide};
use kaos_core::decision::Because;
use kaos_core::learned::Learned;
use kaos_core::policy::IdleTimeout;
use kaos_core::snapshot::{Mode, Replicas};
use kaos_core::warm::Terms;
use kaos_core::{Decision, Moment, Observation, Policy};

use crate::untold::awaits;

/// Starts under way that are told apart; more become ready with the last of these.
const STARTS: usize = 8;
/// Decisions in one look: a count changes, and what comes next is decided.
const STEPS: usize = 3;

/// One workload's shadow.
#[derive(Debug)]
pub(crate) struct Shadow {
    desired: u32,
    ready: u32,
    /// When how many more will be ready.
    starting: Vec<(Moment, u32)>,
    ready_since: Moment,
    /// When the last wake was asked for, and when that was ready.
    woke: Option<(Moment, Moment)>,
    /// The last activity that was seen.
    last: Option<Moment>,
    memory: Memory,
    averages: Option<Averages>,
    /// What flowed and isn't in the averages yet.
    flowed: Flow,
    learned: Learned,
    due: Option<Moment>,
}

/// What a shadow looks at.
pub(crate) struct Scene<'a> {
    pub(crate) policy: &'a Policy,
    /// What is known of the real workload.
    pub(crate) seen: &'a Observation,
    /// Up to when proxies have told of everything.
    pub(crate) told: Moment,
    /// What flowed in a second that proxies have told of by now.
    pub(crate) flow: Option<Flow>,
    /// From asked for to ready.
    pub(crate) start: Duration,
    pub(crate) now: Moment,
}

impl Shadow {
    /// Begins with the replicas that there really are.
    pub(crate) fn new(seen: &Observation, now: Moment) -> Self {
        let desired = seen.replicas.desired;
        Shadow {
            desired,
            ready: desired,
            starting: Vec::new(),
            ready_since: seen.ready_since,
            woke: None,
            last: seen.last_activity,
            memory: Memory::adopt(Replicas { desired, ready: desired, starting: 0 }, now),
            averages: None,
            flowed: Flow::default(),
            learned: Learned::default(),
            due: None,
        }
    }

    /// When it wants to look again though nothing happens.
    pub(crate) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Replicas that would have been asked for.
    pub(crate) fn desired(&self) -> u32 {
        self.desired
    }

    /// Decides, and does it.
    pub(crate) fn look(&mut self, scene: &Scene<'_>, watch: &mut Watch) {
        let &Scene { policy, seen, now, start, .. } = scene;
        self.ripen(now);
        let came = seen.last_activity.filter(|at| self.last.is_none_or(|last| *at > last));
        self.last = self.last.max(seen.last_activity);
        let open = seen.running.saturating_add(seen.waiting);
        self.measure(scene);
        let (mut next, mut ticks) = (None, true);
        for _ in 0..STEPS {
            // Who came and went meanwhile would have waited, and still would.
            let waits = came.is_some() || self.woke.is_some_and(|(_, ready)| ready > now);
            let asks = if self.ready == 0 && waits { open.max(1) } else { open };
            let mut shadow = self.observe(scene, asks);
            awaits(policy, &mut shadow, scene.told, now);
            let (verdict, memory) = decide(policy, &shadow, std::mem::take(&mut self.memory), now);
            self.memory = memory;
            next = verdict.next.map(|next| next.at);
            ticks = average::ticks(self.averages.as_ref(), policy, &shadow, now);
            let Decision::Scale { to, because } = verdict.decision else { break };
            if self.desired == 0 {
                self.begin(scene);
            }
            match because {
                Because::Wake => {
                    let at = came.unwrap_or(now).min(now);
                    self.woke = Some((at, at + start));
                    self.raise(to, at + start);
                    watch.runs(to, at);
                    watch.cold_start(start);
                }
                _ if to > self.desired => {
                    self.learned.raising(because);
                    self.raise(to, now + start);
                }
                _ => self.lower(to),
            }
            watch.runs(self.desired, now);
            self.ripen(now);
        }
        let coming = self.starting.iter().map(|(at, _)| *at).min();
        let tick = ticks.then(|| Moment::from_secs(now.secs() + 1));
        self.due = [next, coming, tick].into_iter().flatten().filter(|at| *at > now).min();
    }

    fn raise(&mut self, to: u32, ready_at: Moment) {
        let more = to - self.desired;
        self.desired = to;
        let full = self.starting.len() >= STARTS;
        match self.starting.last_mut().filter(|_| full) {
            Some(last) => *last = (last.0.max(ready_at), last.1 + more),
            None => self.starting.push((ready_at, more)),
        }
    }

    fn lower(&mut self, to: u32) {
        self.desired = to;
        self.ready = self.ready.min(to);
        if self.ready == to {
            self.starting.clear();
        }
    }

    /// What was asked for a start-up time ago is ready.
    fn ripen(&mut self, now: Moment) {
        let (ready, ready_since, desired) = (&mut self.ready, &mut self.ready_since, self.desired);
        self.starting.retain(|(at, count)| {
            if *at <= now {
                *ready = (*ready + count).min(desired);
                *ready_since = (*ready_since).max(*at);
            }
            *at > now
        });
    }

    /// Brings the averages up to the last second that proxies have told of.
    fn measure(&mut self, scene: &Scene<'_>) {
        match &mut self.averages {
            _ if self.desired == 0 => self.averages = None,
            None => self.begin(scene),
            Some(averages) => {
                let flow = scene.flow.unwrap_or_default();
                self.flowed.micros = self.flowed.micros.saturating_add(flow.micros);
                self.flowed.arrivals = self.flowed.arrivals.saturating_add(flow.arrivals);
                averages.follow(scene.policy, scene.now, |_| std::mem::take(&mut self.flowed));
            }
        }
    }

    /// Begins to measure: the first second in the averages is that of now.
    fn begin(&mut self, scene: &Scene<'_>) {
        self.averages = Some(Averages::new(scene.policy, scene.now));
        self.flowed = Flow::default();
    }

    fn observe(&mut self, scene: &Scene<'_>, asks: u64) -> Observation {
        let &Scene { policy, seen, now, start, .. } = scene;
        // A hard limit bounds what so many replicas would have carried.
        let slots = match (self.ready, policy.container_concurrency) {
            (0, _) => 0,
            (_, 0) => u64::MAX,
            (ready, limit) => u64::from(ready) * u64::from(limit),
        };
        let running = asks.min(slots);
        // What was worked on while nothing was ready would have been after.
        let late = self.woke.zip(self.last).map(|((woke, ready), last)| ready + last.min(ready).since(woke));
        let last_activity = self.last.max(late);
        let replicas =
            Replicas { desired: self.desired, ready: self.ready, starting: self.desired - self.ready };
        let mut shadow = Observation {
            leading: true,
            mode: Mode::Scale,
            replicas,
            shown: true,
            running,
            waiting: asks - running,
            load: self.averages.as_ref().and_then(Averages::loads),
            last_activity,
            ready_since: self.ready_since,
            heard: seen.heard,
            seen: seen.seen,
            company: seen.company.clone(),
            ..Observation::default()
        };
        if policy.idle_timeout == IdleTimeout::Learned {
            shadow.warmth = self.learned.look(&shadow, now, &Terms::new(policy, start));
        }
        shadow
    }
}

#[cfg(test)]
#[path = "shadow_test.rs"]
mod tests;
