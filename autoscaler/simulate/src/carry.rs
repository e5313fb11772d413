//! Messages between the parts: reports, pictures, writes and their answers. Each takes time; some get lost.

use std::sync::Arc;
use std::time::Duration;

use kaos_autoscaler::Action;
use kaos_core::platform::Refusal;
use kaos_core::{EndpointUid, Moment, Report, Snapshot};

use crate::event::{Event, Watcher};
use crate::platform::Moved;
use crate::random::Random;
use crate::sabotage::Sabotage;
use crate::scaler::bent;
use crate::tally::Kind;
use crate::world::{Sent, World, micros, millis, secs};

/// A write is given up by its caller after this.
const WRITE_DEADLINE: Duration = secs(2);

impl World {
    pub(crate) fn tick(&mut self, proxy: usize) {
        let (now, process) = (self.now(), self.proxies[proxy].epoch);
        if (now.since(self.proxies[proxy].born).as_secs()).is_multiple_of(10) {
            self.proxies[proxy].everything = true;
        }
        for at in 0..self.setup.policies.len() {
            self.release(proxy, at);
        }
        self.report(proxy);
        self.queue.put(now + secs(1), Event::Tick { proxy, process });
    }

    /// A proxy reports at once when a request waits or its answer to a hold changes; else each second.
    pub(crate) fn report_soon(&mut self, proxy: usize) {
        let now = self.now();
        let waits = self.proxies[proxy].posts.iter().any(|post| !post.queue.is_empty());
        if waits || self.proxies[proxy].has_answer(now) {
            let process = self.proxies[proxy].epoch;
            self.queue.put(now, Event::Report { proxy, process });
        }
    }

    pub(crate) fn report(&mut self, proxy: usize) {
        let now = self.now();
        let report = Arc::new(self.proxies[proxy].report(now));
        if report.workloads.is_empty() && !report.full {
            return;
        }
        let faults = if self.lively { self.setup.faults.clone() } else { Default::default() };
        for scaler in (0..self.scalers.len()).filter(|at| self.scalers[*at].up) {
            if self.random.chance(faults.lost) {
                self.tally.mark(Kind::ReportLost);
                // The connection broke: the next report begins anew with everything.
                self.proxies[proxy].everything = true;
                continue;
            }
            let process = self.scalers[scaler].incarnation;
            let copies = if self.random.chance(faults.repeated) { 2 } else { 1 };
            for _ in 0..copies {
                let late = self.random.chance(faults.late);
                let longest = if late { secs(4) } else { millis(20) };
                let delay = self.random.spread(micros(100), longest);
                self.queue.put(now + delay, Event::Heard { scaler, process, report: report.clone() });
            }
        }
    }

    pub(crate) fn heard(&mut self, scaler: usize, report: &Report) {
        let (now, sabotage) = (self.now(), self.sabotage);
        let new = self.scalers[scaler].heard(report, sabotage, now);
        self.note(|_| {
            let waiting: u64 = report.workloads.iter().map(|(_, reading)| reading.waiting.open()).sum();
            let (proxy, sequence, full) = (&report.proxy, report.sequence, report.full);
            format!("a{scaler}: hears {proxy} #{sequence}, full {full}, new {new}, waiting {waiting}")
        });
        self.turn(scaler);
        if new {
            self.check_wake(scaler, report);
        }
    }

    /// Everybody is shown what is, each after a while, in order.
    pub(crate) fn show(&mut self) {
        let picture = self.platform.picture();
        let proxies = (0..self.proxies.len()).map(Watcher::Proxy);
        let watchers: Vec<Watcher> = proxies.chain((0..self.scalers.len()).map(Watcher::Scaler)).collect();
        for watcher in watchers {
            let stale = self.lively && self.random.chance(self.setup.faults.stale);
            let longest = if stale { secs(3) } else { millis(30) };
            let delay = self.random.spread(micros(50), longest);
            let last = self.last_shown.get(&watcher).copied().unwrap_or_default();
            let at = (self.now() + delay).max(last).max(self.outage_until);
            self.last_shown.insert(watcher, at);
            let process = match watcher {
                Watcher::Proxy(at) => self.proxies[at].epoch,
                Watcher::Scaler(at) => self.scalers[at].incarnation,
            };
            self.queue.put(at, Event::Shown { watcher, process, picture: picture.clone() });
        }
    }

    pub(crate) fn shown(&mut self, watcher: Watcher, process: u64, picture: Arc<Snapshot>) {
        let now = self.now();
        match watcher {
            Watcher::Proxy(proxy) if self.lives(proxy, process) => {
                self.proxies[proxy].saw(picture.clone(), now);
                for at in 0..picture.workloads.len() {
                    self.fail(proxy, at);
                    self.release(proxy, at);
                }
                self.report_soon(proxy);
            }
            Watcher::Scaler(scaler) if self.runs(scaler, process) => {
                let sabotage = self.sabotage;
                self.scalers[scaler].saw(picture, sabotage, now);
                self.turn(scaler);
            }
            _ => {}
        }
    }

    pub(crate) fn begin_scaler(&mut self, scaler: usize, leading: bool) {
        let (now, sabotage) = (self.now(), self.sabotage);
        let picture = self.platform.picture();
        let process = self.scalers[scaler].incarnation;
        self.scalers[scaler].saw(picture, sabotage, now);
        self.queue.put(now, Event::Listed { scaler, process });
        self.queue.put(now, Event::Lead { scaler, process, leading });
        for proxy in 0..self.proxies.len() {
            self.proxies[proxy].everything = true;
        }
    }

    pub(crate) fn turn(&mut self, scaler: usize) {
        let (now, sabotage) = (self.now(), self.sabotage);
        for action in self.scalers[scaler].turn(sabotage, now) {
            self.check_asked(scaler, &action);
            self.send(scaler, action);
        }
        self.check_budget(scaler);
        let due = self.scalers[scaler].line.next();
        self.scalers[scaler].due = due;
        if due < Moment::NEVER {
            let process = self.scalers[scaler].incarnation;
            self.queue.put(due, Event::Turn { scaler, process });
        }
    }

    pub(crate) fn send(&mut self, scaler: usize, action: Action) {
        self.writes += 1;
        let (write, now) = (self.writes, self.now());
        self.note(|world| {
            format!("a{scaler}: {action:?}{}", world.brief(world.platform.find(action.workload())))
        });
        self.check_rate(&action);
        self.scalers[scaler].last_write.insert(action.workload().clone(), now);
        let faults = if self.lively { self.setup.faults.clone() } else { Default::default() };
        let longest = |random: &mut Random| if random.chance(faults.slow) { secs(4) } else { millis(20) };
        let there = longest(&mut self.random);
        let there = self.random.spread(micros(100), there);
        let back = longest(&mut self.random);
        let back = self.random.spread(micros(100), back);
        let refused = self.random.chance(faults.refused);
        // What its caller gave up a while ago isn't done any more.
        let arrives = there <= WRITE_DEADLINE + millis(300) && now + there >= self.outage_until;
        let lost = refused && self.random.chance(500);
        let arrival = (now + there).max(self.outage_until);
        let done = arrives || self.sabotage == Some(Sabotage::LateWrites);
        if done && (!refused || lost) && !self.swallows(scaler, &action) {
            self.queue.put(arrival, Event::Apply { write, action: bent(&action, self.sabotage) });
        }
        let answered = arrives && !refused && there + back <= WRITE_DEADLINE;
        let at =
            if answered || refused { now + (there + back).min(WRITE_DEADLINE) } else { now + WRITE_DEADLINE };
        let why = if refused { "refused" } else { "no answer" };
        let result = (!answered).then(|| Err(Refusal::Failed(why.into())));
        let process = self.scalers[scaler].incarnation;
        self.sent.insert(write, Sent { scaler, process, action, result });
        self.queue.put(at, Event::Answer { write });
    }

    pub(crate) fn swallows(&self, scaler: usize, action: &Action) -> bool {
        match (self.sabotage, action) {
            (Some(Sabotage::HoldsStay), Action::Release { .. }) => true,
            (Some(Sabotage::FollowersSleep), Action::Scale { .. }) => !self.scalers[scaler].leading,
            _ => false,
        }
    }

    pub(crate) fn apply(&mut self, write: u64, action: &Action) {
        let now = self.now();
        let at = self.platform.find(action.workload());
        let before = self.platform.objects()[at].desired;
        let honest = self.sabotage != Some(Sabotage::NoPrecondition);
        let (result, moved) = self.platform.write(action, honest, now);
        self.note(|world| format!("platform: {action:?}: {result:?}{}", world.brief(at)));
        if result.is_ok() {
            self.check_written(at, before, action, &moved);
        }
        if let Some(sent) = self.sent.get_mut(&write) {
            sent.result.get_or_insert(result);
        }
        self.moved(at, moved);
    }

    /// What a change of a count brings with it.
    pub(crate) fn moved(&mut self, at: usize, moved: Moved) {
        let now = self.now();
        for uid in moved.begun {
            let (least, most) = self.setup.start;
            let delay = self.random.spread(least, most);
            let well = !(self.lively && self.random.chance(self.setup.faults.failed_starts));
            self.queue.put(now + delay, Event::Started { at, uid, well });
        }
        for uid in moved.taken {
            let busy = self.in_flight(at, Some(&uid)) > 0;
            let delay = if busy { secs(20) } else { millis(5) };
            self.queue.put(now + delay, Event::Stopped { at, uid });
        }
        self.show();
    }

    pub(crate) fn answer(&mut self, write: u64) {
        let now = self.now();
        let Some(Sent { scaler, process, action, result }) = self.sent.remove(&write) else { return };
        if !self.runs(scaler, process) {
            return;
        }
        // Swallowed on purpose: as if it were done.
        let result = result.unwrap_or(Ok(0));
        if result.is_err() {
            self.tally.refused += 1;
            self.scalers[scaler].last_write.insert(action.workload().clone(), now);
        }
        self.scalers[scaler].line.done(&action, &result, now);
        self.turn(scaler);
    }

    pub(crate) fn started(&mut self, at: usize, uid: &EndpointUid, well: bool) {
        let now = self.now();
        self.note(|_| format!("platform: {uid} of w{at} started: {well}"));
        if let Some(retry) = self.platform.started(at, uid, well, now) {
            self.tally.mark(Kind::FailedStart);
            self.queue.put(retry, Event::Fill { at });
        }
        self.show();
    }
}
