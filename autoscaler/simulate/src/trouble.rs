//! What goes wrong: processes die and are replaced, leadership moves, somebody else writes, the platform is away.

use kaos_core::platform::{Expected, Scale};
use kaos_core::snapshot::Phase;
use kaos_core::{Moment, ProxyId};

use crate::event::{Event, Trouble};
use crate::proxy::Proxy;
use crate::sabotage::Sabotage;
use crate::scaler::Scaler;
use crate::tally::Kind;
use crate::world::{World, micros, millis, secs};

impl World {
    pub(crate) fn plan_troubles(&mut self) {
        let faults = self.setup.faults.clone();
        let counts = [
            (faults.proxy_restarts, 0),
            (faults.autoscaler_restarts, 1),
            (faults.handovers, 2),
            (faults.foreign, 3),
            (faults.outages, 4),
            (faults.crashes, 5),
        ];
        for (count, kind) in counts {
            for _ in 0..count {
                let at = Moment::ZERO + self.random.between(secs(2), self.setup.span);
                let trouble = match kind {
                    0 => Trouble::Proxy(self.random.below(self.setup.proxies as u64) as usize),
                    1 => Trouble::ScalerDies(self.random.below(self.setup.autoscalers as u64) as usize),
                    2 => Trouble::Handover(self.random.below(self.setup.autoscalers as u64) as usize),
                    3 => Trouble::Foreign(self.random.below(self.setup.policies.len() as u64) as usize),
                    4 => Trouble::Outage,
                    _ => Trouble::Crash(self.random.below(self.setup.policies.len() as u64) as usize),
                };
                self.queue.put(at, Event::Trouble(trouble));
            }
        }
    }

    /// A hold was written: sometimes that is when a process dies.
    pub(crate) fn maybe_hit(&mut self) {
        if !self.lively || !self.random.chance(self.setup.faults.hits) {
            return;
        }
        let at = self.now() + self.random.spread(micros(100), secs(4));
        let trouble = if self.random.chance(500) {
            Trouble::Proxy(self.random.below(self.setup.proxies as u64) as usize)
        } else {
            Trouble::ScalerDies(self.random.below(self.setup.autoscalers as u64) as usize)
        };
        self.queue.put(at, Event::Trouble(trouble));
    }

    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        let comes_back = matches!(trouble, Trouble::ScalerBegins(_));
        if !self.lively && !comes_back {
            return;
        }
        self.note(|_| format!("{trouble:?}"));
        let held = self.platform.objects().iter().any(|object| object.hold.is_some());
        match trouble {
            Trouble::Proxy(at) => self.replace_proxy(at),
            Trouble::ScalerDies(at) => self.kill_scaler(at),
            Trouble::ScalerBegins(at) => self.revive_scaler(at),
            Trouble::Handover(at) => self.hand_over(at),
            Trouble::Foreign(at) => self.foreign(at),
            Trouble::Crash(at) => self.crash(at),
            Trouble::Outage => {
                self.tally.outages += 1;
                self.outage_until = self.now() + self.random.between(millis(500), secs(12));
            }
        }
        if held && matches!(trouble, Trouble::Proxy(_) | Trouble::ScalerDies(_)) {
            self.tally.mark(Kind::RestartInHold);
        }
    }

    /// Its requests die with it. The new process sees the present picture, is listed, and takes traffic a second later.
    fn replace_proxy(&mut self, at: usize) {
        let (now, process) = (self.now(), self.process());
        let old = self.proxies[at].id.clone();
        let id = if self.random.chance(500) { old } else { ProxyId::new(&format!("p{at}.{process}")) };
        let picture = self.platform.picture();
        let stubborn = self.sabotage == Some(Sabotage::LeaseForever);
        self.proxies[at] = Proxy::new(id, process, picture, stubborn, now);
        self.open[at] = false;
        self.queue.put(now, Event::Tick { proxy: at, process });
        self.queue.put(now + secs(1), Event::Open { proxy: at, process });
        for scaler in 0..self.scalers.len() {
            let listed = now + self.random.spread(millis(1), millis(500));
            let process = self.scalers[scaler].incarnation;
            self.queue.put(listed, Event::Listed { scaler, process });
        }
    }

    fn kill_scaler(&mut self, at: usize) {
        if !self.scalers[at].up {
            return;
        }
        let now = self.now();
        self.scalers[at].up = false;
        let back = now + self.random.spread(millis(50), secs(20));
        self.queue.put(back, Event::Trouble(Trouble::ScalerBegins(at)));
        if self.scalers[at].leading {
            let other = (0..self.scalers.len()).find(|other| self.scalers[*other].up);
            if let Some(scaler) = other {
                self.tally.mark(Kind::Failover);
                let lead = now + self.random.between(secs(2), secs(17));
                let process = self.scalers[scaler].incarnation;
                self.queue.put(lead, Event::Lead { scaler, process, leading: true });
            }
        }
    }

    fn revive_scaler(&mut self, at: usize) {
        let incarnation = self.process();
        let (kept, now) = (self.scalers[at].kept(), self.now());
        self.scalers[at] = Scaler::new(at, incarnation, self.setup.max_starting);
        for (id, kept) in kept {
            self.tally.mark(Kind::Recalled);
            if let Err(why) = self.scalers[at].line.recall(&id, &kept, now) {
                self.broken(|_| format!("what was learned of {id} can't be read again: {why}"));
            }
        }
        let alone = (0..self.scalers.len()).all(|other| other == at || !self.scalers[other].up);
        self.begin_scaler(at, alone);
    }

    /// From here on this one leads, or doesn't.
    pub(crate) fn settle_leader(&mut self, scaler: usize, leading: bool) {
        let process = self.scalers[scaler].incarnation;
        // After whatever was on its way.
        self.queue.put(self.now() + secs(20), Event::Lead { scaler, process, leading });
    }

    fn hand_over(&mut self, to: usize) {
        let now = self.now();
        if !self.scalers[to].up || self.scalers[to].leading {
            return;
        }
        self.tally.mark(Kind::Failover);
        for scaler in 0..self.scalers.len() {
            let process = self.scalers[scaler].incarnation;
            let leading = scaler == to;
            let at = if leading { now } else { now + self.random.between(millis(0), secs(3)) };
            self.queue.put(at, Event::Lead { scaler, process, leading });
        }
    }

    fn crash(&mut self, at: usize) {
        let now = self.now();
        let object = &self.platform.objects()[at];
        let ready = object.replicas.iter().filter(|(_, phase)| **phase == Phase::Ready);
        let Some(uid) = ready.map(|(uid, _)| uid.clone()).next() else { return };
        for proxy in 0..self.proxies.len() {
            let post = &self.proxies[proxy].posts[at];
            let cut: Vec<_> =
                post.running.iter().filter(|(_, on)| **on == uid).map(|(request, _)| *request).collect();
            for request in cut {
                self.proxies[proxy].finish(at, request, now);
            }
        }
        let moved = self.platform.crash(at, &uid, now);
        self.note(|world| format!("{uid} dies{}", world.brief(at)));
        self.moved(at, moved);
    }

    fn foreign(&mut self, at: usize) {
        self.tally.mark(Kind::ForeignWrite);
        self.tally.foreign += 1;
        let now = self.now();
        let most = u64::from(self.setup.policies[at].max_scale) + 2;
        let to = self.random.below(most) as u32;
        let desired = self.platform.objects()[at].desired;
        let scale = Scale { to, victims: Vec::new(), expected: Expected::Replicas(desired) };
        let moved = self.platform.scale(at, &scale, now);
        self.note(|world| format!("somebody else: {to}{}", world.brief(at)));
        self.moved(at, moved);
    }
}
