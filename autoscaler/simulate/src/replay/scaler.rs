//! What scales a function in a replay.

use std::time::Duration;

use kaos_core::average::{Averages, Flow};
use kaos_core::decide::{Memory, decide};
use kaos_core::decision::Because;
use kaos_core::learned::{Learned, Prewarms, Sight, Warmth};
use kaos_core::observation::Heard;
use kaos_core::policy::IdleTimeout;
use kaos_core::snapshot::{Mode, Replicas};
use kaos_core::warm::Terms;
use kaos_core::zero::{PATIENCE, REST};
use kaos_core::{Decision, Moment, Observation, Policy};

use super::pool::{NEVER, Pool};

const SECOND: u64 = 1_000_000;

/// What decides how many replicas a function has.
pub(crate) trait Scaler {
    /// Looks at what is there now, and asks for more or fewer. Returns when it wants to look again though nothing happens.
    ///
    /// It looks too when a request has to wait, when a replica has become ready, and when one that is held is empty.
    fn look(&mut self, pool: &mut Pool) -> u64;

    /// What it started before anybody asked.
    fn prewarms(&self) -> Prewarms {
        Prewarms::default()
    }
}

/// The rules of Kaos, as they run live.
///
/// An autoscaler that is heard and obeyed at once: what reports, writes and the protocol of going down take is left out, and
/// nothing fails. How long it waits until replicas are empty is in.
#[derive(Debug)]
pub(crate) struct Kaos {
    policy: Policy,
    memory: Memory,
    averages: Option<Averages>,
    /// What is in the averages already: request-microseconds, and requests.
    counted: (u64, u64),
    /// The last second that was over at a look, and what had been by then: in the averages a second later, as proxies tell each
    /// second.
    over: Option<(u64, (u64, u64))>,
    /// While replicas are held: until when.
    patience: Option<u64>,
    rest_until: Moment,
    learned: Learned,
    terms: Terms,
}

impl Kaos {
    pub(crate) fn new(policy: Policy, start_time: Duration) -> Self {
        let terms = Terms::new(&policy, start_time);
        Kaos {
            learned: Learned::default(),
            terms,
            policy,
            memory: Memory::default(),
            averages: None,
            counted: (0, 0),
            over: None,
            patience: None,
            rest_until: Moment::ZERO,
        }
    }

    /// Brings the averages up to the last second that proxies would have told of.
    fn measure(&mut self, pool: &Pool) {
        if pool.desired() == 0 {
            (self.averages, self.over) = (None, None);
            return;
        }
        let Some(over) = (pool.now() / SECOND).checked_sub(1) else { return };
        let total = (pool.areas().0, pool.begun());
        let Some(averages) = &mut self.averages else {
            self.averages = Some(Averages::new(&self.policy, over));
            (self.counted, self.over) = (total, None);
            return;
        };
        if self.over.is_some_and(|(second, _)| over <= second) {
            return;
        }
        let told = self.over.replace((over, total));
        if let Some((told, total)) = told.filter(|(told, _)| averages.lacks(*told)) {
            let (micros, arrivals) = (total.0 - self.counted.0, total.1 - self.counted.1);
            let flow = Flow { micros: micros as i64, arrivals: arrivals as i64 };
            averages.fold(&self.policy, flow, told);
            self.counted = total;
        }
    }

    /// Until when it is warm, where that is learned.
    fn learn(&mut self, pool: &Pool) -> Option<Warmth> {
        let sight = Sight {
            now: Moment::from_micros(pool.now()),
            busy: !pool.is_done(),
            last_activity: pool.last_activity().map(Moment::from_micros),
            ready_since: Moment::from_micros(pool.ready_since()),
            desired: pool.desired(),
        };
        let learns = self.policy.idle_timeout == IdleTimeout::Learned;
        if learns { self.learned.look(&sight, &self.terms) } else { None }
    }

    fn observe(&self, pool: &Pool, warmth: Option<Warmth>) -> Observation {
        Observation {
            leading: true,
            mode: Mode::Scale,
            replicas: Replicas { desired: pool.desired(), ready: pool.ready(), starting: pool.starting() },
            shown: true,
            running: pool.running(),
            waiting: pool.waiting(),
            load: self.averages.as_ref().and_then(Averages::loads),
            last_activity: pool.last_activity().map(Moment::from_micros),
            ready_since: Moment::from_micros(pool.ready_since()),
            heard: Heard::From(Moment::ZERO),
            // What comes by a trace came through Kaos.
            seen: true,
            rest_until: self.rest_until,
            warmth,
            ..Observation::default()
        }
    }

    /// On the way down: those that are held go once they are empty, or come back.
    fn descend(&mut self, pool: &mut Pool, aim: u32) {
        let (now, desired) = (pool.now(), pool.desired());
        match self.patience {
            None if aim == 0 && desired > 0 => pool.lower(0),
            None if aim < desired => {
                pool.hold(desired - aim);
                self.patience = Some(now + PATIENCE.as_micros() as u64);
            }
            None => return,
            Some(_) if aim >= desired || pool.waiting() > 0 => {
                pool.unhold(false);
                self.patience = None;
                return;
            }
            Some(_) => {}
        }
        let over = self.patience.is_some_and(|until| until <= now);
        if self.patience.is_some() && (over || pool.is_hold_empty()) {
            if pool.unhold(true) == 0 {
                self.rest_until = Moment::from_micros(now) + REST;
            }
            self.patience = None;
        }
    }
}

impl Scaler for Kaos {
    fn look(&mut self, pool: &mut Pool) -> u64 {
        self.measure(pool);
        let now = Moment::from_micros(pool.now());
        let warmth = self.learn(pool);
        let seen = self.observe(pool, warmth);
        let (verdict, memory) = decide(&self.policy, &seen, std::mem::take(&mut self.memory), now);
        self.memory = memory;
        match verdict.decision {
            Decision::Scale { to, because } if to > pool.desired() => {
                if because == Because::Prewarm {
                    self.learned.prewarming();
                }
                self.descend(pool, to);
                pool.raise(to);
            }
            decision => self.descend(pool, decision.aim(pool.desired())),
        }
        if pool.desired() != seen.replicas.desired {
            // What comes next is decided once it is written.
            return pool.now() + 1;
        }
        let untold = pool.last_activity().is_some_and(|at| pool.now() - at < 3 * SECOND);
        let kept = untold || pool.desired() > self.policy.floor();
        let moving = |averages: &Averages| pool.running() > 0 || kept || !averages.is_quiet();
        let ticks = pool.desired() > 0 && self.averages.as_ref().is_none_or(moving);
        let tick = if ticks { (pool.now() / SECOND + 1) * SECOND } else { NEVER };
        let next = verdict.next.map_or(NEVER, |next| next.at.micros());
        let next = if next > pool.now() { next } else { NEVER };
        tick.min(next).min(self.patience.unwrap_or(NEVER))
    }

    fn prewarms(&self) -> Prewarms {
        self.learned.prewarms()
    }
}
