//! The rules that no schedule may break, checked from outside: against what is true, not what the control line believes.

use std::time::Duration;

use kaos_autoscaler::Action;
use kaos_autoscaler::collect::SILENCE;
use kaos_core::decision::{Because, Why};
use kaos_core::platform::{Expected, Scale};
use kaos_core::report::HoldState;
use kaos_core::snapshot::Phase;
use kaos_core::warm::LEAST_KEPT;
use kaos_core::{Decision, Moment, Report, decide};

use crate::platform::Moved;
use crate::tally::Kind;
use crate::world::{World, secs};

/// Most writes for one workload in ten seconds: a loop that runs hot sends hundreds.
const MOST_WRITES: usize = 60;

/// After a write that wasn't answered well, the next one may wait for this long.
const RETRY: Duration = secs(6);

impl World {
    pub(crate) fn broken(&mut self, rule: impl FnOnce(&Self) -> String) {
        if self.violation.is_none() {
            self.note(|_| "a rule is broken".into());
            self.violation = Some(rule(self));
        }
    }

    /// After every event: no hold is obeyed for longer than its lease.
    pub(crate) fn check_always(&mut self) {
        let now = self.now();
        if let Some(rule) = self.proxies.iter().find_map(|proxy| proxy.overstays(now)) {
            self.broken(|_| format!("a hold is obeyed beyond its lease: {rule}"));
        }
    }

    /// A write is sent. Nothing goes down without a leader and a confirmation of every proxy, nor while a replica
    /// starts.
    pub(crate) fn check_asked(&mut self, scaler: usize, action: &Action) {
        self.tally.writes += 1;
        let Action::Scale { workload, scale } = action else { return };
        if !matches!(scale.expected, Expected::Version(_)) {
            return;
        }
        let at = self.platform.find(workload);
        if !self.scalers[scaler].leading {
            self.broken(|world| {
                format!("a{scaler} doesn't lead and lowers to {}{}", scale.to, world.brief(at))
            });
        }
        if let Some(proxy) = self.unconfirmed(scaler, at, scale) {
            self.broken(|world| format!("no data isn't zero: {proxy} didn't confirm{}", world.brief(at)));
        }
        if self.starts(scaler, at) {
            self.broken(|world| format!("lowered to {} while a replica starts{}", scale.to, world.brief(at)));
        }
    }

    /// A proxy that takes traffic and that this autoscaler hasn't heard to be empty.
    fn unconfirmed(&self, scaler: usize, at: usize, scale: &Scale) -> Option<String> {
        let now = self.now();
        let id = &self.platform.objects()[at].id;
        let confirmed = |proxy: &crate::proxy::Proxy| {
            let heard =
                self.scalers[scaler].heard.get(&proxy.id).filter(|heard| now.since(heard.at) <= SILENCE);
            heard.and_then(|heard| heard.answers.get(id)).is_some_and(|answer| match answer.state {
                HoldState::Confirmed => true,
                HoldState::Draining => {
                    scale.to > 0 && scale.victims.iter().all(|victim| answer.empty.contains(victim))
                }
                HoldState::Expired => false,
            })
        };
        let open = self.proxies.iter().zip(&self.open).filter(|(_, open)| **open);
        open.map(|(proxy, _)| proxy).find(|proxy| !confirmed(proxy)).map(|proxy| proxy.id.to_string())
    }

    /// A replica starts, and the autoscaler was shown it.
    fn starts(&self, scaler: usize, at: usize) -> bool {
        let object = &self.platform.objects()[at];
        let Some(shown) = self.scalers[scaler].shown.as_ref().map(|shown| &shown.workloads[at]) else {
            return false;
        };
        let known = shown.failure.as_ref().is_some_and(|failure| failure.known);
        let starting = shown.endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Starting);
        let still = starting.filter(|endpoint| object.replicas.get(&endpoint.uid) == Some(&Phase::Starting));
        !known && object.desired == shown.replicas.desired && still.count() > 0
    }

    /// Writes are bounded.
    pub(crate) fn check_rate(&mut self, action: &Action) {
        let (at, now) = (self.platform.find(action.workload()), self.now());
        let recent = &mut self.recent[at];
        recent.push_back(now);
        while recent.front().is_some_and(|first| now.since(*first) > secs(10)) {
            recent.pop_front();
        }
        if recent.len() > MOST_WRITES {
            self.broken(|world| format!("more than {MOST_WRITES} writes in 10 s{}", world.brief(at)));
        }
    }

    /// A write took effect. No replica that holds a request is taken; no zero while requests run; bounds hold.
    pub(crate) fn check_written(&mut self, at: usize, before: u32, action: &Action, moved: &Moved) {
        let policy = self.setup.policies[at].clone();
        match action {
            Action::Hold { .. } => {
                self.lowered[at] = false;
                self.maybe_hit();
            }
            Action::Release { .. } => {
                if !self.lowered[at] {
                    self.tally.mark(Kind::HoldCancelled);
                }
                self.lowered[at] = true;
            }
            Action::Scale { scale, .. } if scale.to < before => {
                self.lowered[at] = true;
                let count = if scale.to == 0 { &mut self.tally.zeros } else { &mut self.tally.lowered };
                *count += 1;
                let worked = self.proxies.iter().filter_map(|proxy| proxy.posts[at].worked).max();
                let idle = worked.is_none_or(|worked| {
                    self.now().since(worked) >= policy.idle_timeout.fixed().unwrap_or(LEAST_KEPT)
                });
                if scale.to == 0 && !idle {
                    self.broken(|world| format!("zero before the idle time was over{}", world.brief(at)));
                }
                if scale.to < policy.min_scale {
                    self.broken(|world| format!("{} is below min-scale{}", scale.to, world.brief(at)));
                }
                if scale.to == 0 && self.in_flight(at, None) > 0 {
                    self.broken(|world| format!("zero with requests in flight{}", world.brief(at)));
                }
                if let Some(uid) = moved.taken.iter().find(|uid| self.in_flight(at, Some(uid)) > 0) {
                    self.broken(|world| format!("{uid} was taken with a request on it{}", world.brief(at)));
                }
            }
            Action::Scale { scale, .. } => {
                if policy.max_scale > 0 && scale.to > policy.max_scale {
                    self.broken(|world| format!("{} is above max-scale{}", scale.to, world.brief(at)));
                }
            }
        }
    }

    /// A report was heard and a turn taken: who waits at zero has been woken.
    pub(crate) fn check_wake(&mut self, scaler: usize, report: &Report) {
        let now = self.now();
        for (id, _) in report.workloads.iter().filter(|(_, reading)| reading.waiting.open() > 0) {
            let at = self.platform.find(id);
            let heard = &self.scalers[scaler];
            let last = heard.heard.get(&report.proxy).and_then(|heard| heard.named.get(id));
            if last != Some(&report.sequence) {
                continue;
            }
            let Some(shown) = heard.shown.as_ref().map(|shown| &shown.workloads[at]) else { continue };
            let failing = shown.failure.as_ref().is_some_and(|failure| failure.retry_at > now);
            let written = heard.last_write.get(id).is_some_and(|last| now.since(*last) < RETRY);
            if shown.replicas.desired > 0 || self.platform.objects()[at].desired > 0 || failing || written {
                continue;
            }
            let last =
                heard.journal.book(id).and_then(|book| book.entries().first().map(|entry| entry.decision));
            let queued = last == Some(Decision::Stay(Why::StartBudget));
            if self.setup.max_starting >= 20 || !queued {
                self.broken(|world| {
                    format!(
                        "a{scaler} heard of requests that wait and wakes nothing: {last:?}{}",
                        world.brief(at)
                    )
                });
            }
        }
    }

    /// A turn was taken: nobody is held back while there is room to start.
    pub(crate) fn check_budget(&mut self, scaler: usize) {
        if let Some(id) = self.scalers[scaler].line.neglected().cloned() {
            let at = self.platform.find(&id);
            self.broken(|world| {
                format!("a{scaler} holds {id} back though there is room to start{}", world.brief(at))
            });
        }
    }

    /// A request waited for too long. Where nothing went wrong, somebody has to have tried.
    pub(crate) fn check_late(&mut self, at: usize) {
        let faults = &self.setup.faults;
        let calm = [
            faults.lost,
            faults.failed_starts,
            faults.refused,
            faults.slow,
            faults.outages,
            faults.autoscaler_restarts,
            faults.foreign,
            faults.crashes,
            faults.hits,
        ];
        let tried = self.platform.objects()[at].desired > 0 || self.setup.max_starting < 20;
        if !tried && calm.iter().all(|fault| *fault == 0) {
            self.broken(|world| {
                format!("a request waited to its end and nothing was started{}", world.brief(at))
            });
        }
    }

    /// Long after the last request: nothing waits, no hold is left, what may sleep sleeps, nobody writes.
    pub(crate) fn check_rest(&mut self) {
        let now = self.now();
        for at in 0..self.setup.policies.len() {
            let policy = self.setup.policies[at].clone();
            let waiting: usize = self.proxies.iter().map(|proxy| proxy.posts[at].queue.len()).sum();
            if waiting > 0 || self.in_flight(at, None) > 0 {
                self.broken(|world| format!("requests never ended{}", world.brief(at)));
            }
            let object = &self.platform.objects()[at];
            let (desired, held) = (object.desired, object.hold.is_some());
            if held {
                self.broken(|world| format!("a hold was left behind{}", world.brief(at)));
            }
            let company = self.wakes_with_one_that_never_sleeps(at);
            if policy.min_scale == 0 && desired > 0 && !company {
                self.broken(|world| format!("idle and not at zero{}", world.brief(at)));
            }
            let contested = self.tally.foreign >= 3;
            if company && !contested && desired == 0 {
                self.broken(|world| {
                    format!("asleep while one is awake that it wakes with{}", world.brief(at))
                });
            }
            if policy.min_scale > 0 && !contested && desired != policy.floor() {
                self.broken(|world| format!("idle and not at {}{}", policy.floor(), world.brief(at)));
            }
            // In a contest the way to `min-scale` goes by one write a minute.
            let climbs = contested && policy.min_scale > 0;
            if !climbs && self.recent[at].back().is_some_and(|last| now.since(*last) < secs(20)) {
                self.broken(|world| format!("writes though nothing happens{}", world.brief(at)));
            }
        }
    }

    /// Whether another names it that never sleeps, be it over others.
    fn wakes_with_one_that_never_sleeps(&self, at: usize) -> bool {
        let policies = &self.setup.policies;
        let mut named: Vec<usize> =
            (0..policies.len()).filter(|other| *other != at && policies[*other].min_scale > 0).collect();
        let mut next = 0;
        while let Some(from) = named.get(next).copied() {
            for name in &policies[from].wake_with {
                let to = (0..policies.len()).find(|to| *format!("w{to}") == **name);
                named.extend(to.filter(|to| !named.contains(to)));
            }
            next += 1;
        }
        named.contains(&at)
    }

    /// One request to each workload after the rest was served, as it has to be; but where few may start at once, a start
    /// may come too late.
    pub(crate) fn check_probes(&mut self, served: u64) {
        let waiting = self.proxies.iter().flat_map(|proxy| &proxy.posts).any(|post| !post.queue.is_empty());
        if self.setup.max_starting < 20 && !waiting {
            return;
        }
        let expected = served + self.setup.policies.len() as u64;
        if self.tally.served < expected {
            self.broken(|world| {
                let briefs: Vec<String> = (0..world.setup.policies.len()).map(|at| world.brief(at)).collect();
                format!("a request after the rest wasn't served{}", briefs.concat())
            });
        }
    }

    /// What the journals stored decides the same again.
    pub(crate) fn check_journals(&mut self) {
        let books = self.scalers.iter().flat_map(|scaler| scaler.journal.all());
        let entries: Vec<_> = books.flat_map(|(_, book)| book.entries()).collect();
        for entry in entries {
            let (again, _) = decide(&entry.policy, &entry.observation, entry.memory.clone(), entry.at);
            if matches!(entry.decision, Decision::Scale { because: Because::Prewarm, .. }) {
                self.tally.mark(Kind::Prewarmed);
            }
            if matches!(entry.decision, Decision::Scale { because: Because::WakeWith, .. }) {
                self.tally.mark(Kind::Together);
            }
            if again.decision != entry.decision {
                self.broken(|_| format!("decided again: {:?} instead of {entry:?}", again.decision));
            }
        }
    }

    /// The end of everything that goes wrong: who is away comes back, one autoscaler leads.
    pub(crate) fn calm_down(&mut self) {
        self.lively = false;
        self.note(|_| "calm".into());
        self.outage_until = Moment::ZERO;
        let mut leader = false;
        for scaler in 0..self.scalers.len() {
            let lead = !leader && self.scalers[scaler].up;
            leader |= lead;
            self.settle_leader(scaler, lead);
        }
        self.open.fill(true);
    }
}
