//! What scales a function in a replay.

use std::time::Duration;

use kaos_core::average::{self, Averages, Flow};
use kaos_core::decide::{Memory, decide};
use kaos_core::learned::{Learned, Prewarms};
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
    /// What had been by the end of the second that proxies would have told of by now.
    told: (u64, u64),
    /// The second of the last look, and what had been when that second was first looked at.
    over: (u64, (u64, u64)),
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
            told: (0, 0),
            over: (0, (0, 0)),
            patience: None,
            rest_until: Moment::ZERO,
        }
    }

    /// Brings the averages up to the last second that proxies would have told of.
    fn measure(&mut self, pool: &Pool) {
        if pool.desired() == 0 {
            self.averages = None;
            return;
        }
        let now = Moment::from_micros(pool.now());
        let total = (pool.areas().0, pool.begun());
        let Some(averages) = &mut self.averages else {
            self.averages = Some(Averages::new(&self.policy, now));
            (self.counted, self.told, self.over) = (total, total, (now.secs(), total));
            return;
        };
        if now.secs() > self.over.0 {
            self.told = std::mem::replace(&mut self.over, (now.secs(), total)).1;
        }
        averages.follow(&self.policy, now, |_| {
            let counted = std::mem::replace(&mut self.counted, self.told);
            let (micros, arrivals) = (self.told.0 - counted.0, self.told.1 - counted.1);
            Flow { micros: micros as i64, arrivals: arrivals as i64 }
        });
    }

    fn observe(&mut self, pool: &Pool) -> Observation {
        let mut seen = Observation {
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
            ..Observation::default()
        };
        if self.policy.idle_timeout == IdleTimeout::Learned {
            seen.warmth = self.learned.look(&seen, Moment::from_micros(pool.now()), &self.terms);
        }
        seen
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
        let seen = self.observe(pool);
        let (verdict, memory) = decide(&self.policy, &seen, std::mem::take(&mut self.memory), now);
        self.memory = memory;
        match verdict.decision {
            Decision::Scale { to, because } if to > pool.desired() => {
                self.learned.raising(because);
                self.descend(pool, to);
                pool.raise(to);
            }
            decision => self.descend(pool, decision.aim(pool.desired())),
        }
        if pool.desired() != seen.replicas.desired {
            // What comes next is decided once it is written.
            return pool.now() + 1;
        }
        let ticks = average::ticks(self.averages.as_ref(), &self.policy, &seen, now);
        let tick = if ticks { (pool.now() / SECOND + 1) * SECOND } else { NEVER };
        let next = verdict.next.map_or(NEVER, |next| next.at.micros());
        let next = if next > pool.now() { next } else { NEVER };
        tick.min(next).min(self.patience.unwrap_or(NEVER))
    }

    fn prewarms(&self) -> Prewarms {
        self.learned.prewarms()
    }
}
