//! The world of one schedule: proxies, autoscalers and a platform, joined by messages that take time and get lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kaos_autoscaler::Action;
use kaos_core::platform::Refusal;
use kaos_core::snapshot::Phase;
use kaos_core::{EndpointUid, Moment, ProxyId, Report, Snapshot};

use crate::platform::{Moved, Platform};
use crate::proxy::{Proxy, Request};
use crate::queue::Queue;
use crate::random::Random;
use crate::sabotage::Sabotage;
use crate::scaler::Scaler;
use crate::setup::Setup;
use crate::tally::{Kind, Tally};
use crate::trouble::Trouble;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A write is given up by its caller after this.
const WRITE_DEADLINE: Duration = secs(2);

/// Something that happens. `process` numbers tell whether the one it happens to still lives.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A request for a workload comes, and the next one is on its way.
    Arrive { at: usize },
    /// A request's work is done.
    Finish { proxy: usize, process: u64, at: usize, request: Request },
    /// A replica isn't there any more: the connection is refused.
    Refused { proxy: usize, process: u64, at: usize, request: Request },
    /// A request has waited for as long as it may.
    Deadline { proxy: usize, process: u64, at: usize, request: Request },
    /// A proxy's second is over.
    Tick { proxy: usize, process: u64 },
    /// A proxy wants to report before its second is over.
    Report { proxy: usize, process: u64 },
    /// A report arrives.
    Heard { scaler: usize, process: u64, report: Arc<Report> },
    /// A picture arrives.
    Shown { watcher: Watcher, process: u64, picture: Arc<Snapshot> },
    /// An autoscaler's turn is due.
    Turn { scaler: usize, process: u64 },
    /// A write arrives at the platform.
    Apply { write: u64, action: Action },
    /// The answer to a write arrives.
    Answer { write: u64 },
    /// A start is over.
    Started { at: usize, uid: EndpointUid, well: bool },
    /// Missing starts are tried again.
    Fill { at: usize },
    /// A taken replica stops.
    Stopped { at: usize, uid: EndpointUid },
    /// An autoscaler learns whether it leads.
    Lead { scaler: usize, process: u64, leading: bool },
    /// An autoscaler learns which proxies exist.
    Listed { scaler: usize, process: u64 },
    /// A proxy takes traffic.
    Open { proxy: usize, process: u64 },
    /// Something goes wrong.
    Trouble(Trouble),
}

/// Who sees pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watcher {
    Proxy(usize),
    Scaler(usize),
}

/// A write on its way.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) scaler: usize,
    pub(crate) process: u64,
    pub(crate) action: Action,
    pub(crate) result: Option<Result<u64, Refusal>>,
}

/// One schedule under way.
#[derive(Debug)]
pub struct World {
    pub(crate) setup: Setup,
    pub(crate) random: Random,
    pub(crate) queue: Queue<Event>,
    pub(crate) platform: Platform,
    pub(crate) proxies: Vec<Proxy>,
    /// Which of them take traffic.
    pub(crate) open: Vec<bool>,
    pub(crate) scalers: Vec<Scaler>,
    pub(crate) sent: BTreeMap<u64, Sent>,
    pub(crate) processes: u64,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) tally: Tally,
    pub(crate) violation: Option<String>,
    pub(crate) outage_until: Moment,
    /// Requests still come and things still go wrong.
    pub(crate) lively: bool,
    last_shown: BTreeMap<Watcher, Moment>,
    /// When writes were sent lately, per workload.
    pub(crate) recent: Vec<VecDeque<Moment>>,
    /// The count went down under the hold in force, per workload.
    pub(crate) lowered: Vec<bool>,
    requests: Request,
    writes: u64,
    timeline: Option<Vec<String>>,
}

impl World {
    /// The schedule of `seed`, at its beginning. With `told` it keeps a timeline.
    pub fn new(seed: u64, sabotage: Option<Sabotage>, told: bool) -> Self {
        let mut random = Random::new(seed);
        let mut setup = Setup::draw(&mut random);
        if sabotage == Some(Sabotage::LateWrites) {
            // Without an outage no write is late.
            setup.faults.outages = 3;
        }
        let mut platform = Platform::new(&setup.policies, setup.phases_count);
        let picture = platform.picture();
        let mut world = World {
            random,
            queue: Queue::default(),
            proxies: Vec::new(),
            open: vec![true; setup.proxies],
            scalers: (0..setup.autoscalers).map(|at| Scaler::new(at, 0, setup.max_starting)).collect(),
            sent: BTreeMap::new(),
            processes: 0,
            sabotage,
            tally: Tally::default(),
            violation: None,
            outage_until: Moment::ZERO,
            lively: true,
            last_shown: BTreeMap::new(),
            recent: vec![VecDeque::new(); setup.policies.len()],
            lowered: vec![true; setup.policies.len()],
            requests: 0,
            writes: 0,
            timeline: told.then(Vec::new),
            platform,
            setup,
        };
        world.note(|world| format!("{:#?}", world.setup));
        for at in 0..world.setup.proxies {
            let process = world.process();
            let id = ProxyId::new(&format!("p{at}"));
            world.proxies.push(Proxy::new(
                id,
                process,
                picture.clone(),
                sabotage == Some(Sabotage::LeaseForever),
                Moment::ZERO,
            ));
            world.queue.put(Moment::ZERO, Event::Tick { proxy: at, process });
        }
        for scaler in 0..world.scalers.len() {
            world.begin_scaler(scaler, scaler == 0);
        }
        for at in 0..world.setup.policies.len() {
            world.queue.put(Moment::ZERO + millis(200), Event::Arrive { at });
        }
        world.plan_troubles();
        world
    }

    pub(crate) fn process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    pub(crate) fn now(&self) -> Moment {
        self.queue.now()
    }

    /// Writes a line of the timeline, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if let Some(mut timeline) = self.timeline.take() {
            timeline.push(format!("{:>12.6} {}", self.now().micros() as f64 / 1e6, line(self)));
            self.timeline = Some(timeline);
        }
    }

    /// The timeline so far.
    pub fn timeline(&self) -> &[String] {
        self.timeline.as_deref().unwrap_or_default()
    }

    /// Handles events until `end`, or until a rule is broken.
    pub(crate) fn until(&mut self, end: Moment) {
        while self.violation.is_none() {
            let Some(event) = self.queue.take(end) else { return };
            self.tally.events += 1;
            self.happen(event);
            self.check_always();
        }
    }

    fn lives(&self, proxy: usize, process: u64) -> bool {
        self.proxies[proxy].epoch == process
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { at } => self.arrive(at),
            Event::Finish { proxy, process, at, request } if self.lives(proxy, process) => {
                let now = self.now();
                if self.proxies[proxy].finish(at, request, now) {
                    self.tally.served += 1;
                    self.release(proxy, at);
                    self.report_soon(proxy);
                }
            }
            Event::Refused { proxy, process, at, request } if self.lives(proxy, process) => {
                let now = self.now();
                self.proxies[proxy].refuse(at, request, now);
                self.wait(proxy, at, request);
                self.release(proxy, at);
            }
            Event::Deadline { proxy, process, at, request } if self.lives(proxy, process) => {
                let now = self.now();
                if self.proxies[proxy].give_up(at, request, now) {
                    self.tally.late += 1;
                    self.note(|world| {
                        format!("p{proxy}: request {request} to w{at} waited too long{}", world.brief(at))
                    });
                    self.check_late(at);
                }
            }
            Event::Tick { proxy, process } if self.lives(proxy, process) => self.tick(proxy),
            Event::Report { proxy, process } if self.lives(proxy, process) => self.report(proxy),
            Event::Heard { scaler, process, report } if self.runs(scaler, process) => {
                self.heard(scaler, &report);
            }
            Event::Shown { watcher, process, picture } => self.shown(watcher, process, picture),
            Event::Turn { scaler, process }
                if self.runs(scaler, process) && self.scalers[scaler].due <= self.now() =>
            {
                self.turn(scaler);
            }
            Event::Apply { write, action } => self.apply(write, &action),
            Event::Answer { write } => self.answer(write),
            Event::Started { at, uid, well } => self.started(at, &uid, well),
            Event::Fill { at } => {
                let begun = self.platform.fill(at, self.queue.now());
                self.moved(at, Moved { begun, taken: Vec::new() });
            }
            Event::Stopped { at, uid } => {
                self.platform.stopped(at, &uid);
                self.show();
            }
            Event::Lead { scaler, process, leading } if self.runs(scaler, process) => {
                self.scalers[scaler].leading = leading;
                self.scalers[scaler].line.lead(leading);
                self.note(|_| format!("a{scaler}: leads: {leading}"));
                self.turn(scaler);
            }
            Event::Listed { scaler, process } if self.runs(scaler, process) => {
                let proxies: BTreeSet<ProxyId> = self.proxies.iter().map(|proxy| proxy.id.clone()).collect();
                self.scalers[scaler].line.proxies(&proxies);
                self.turn(scaler);
            }
            Event::Open { proxy, process } if self.lives(proxy, process) => self.open[proxy] = true,
            Event::Trouble(trouble) => self.trouble(trouble),
            // It happens to a process that is gone.
            _ => {}
        }
    }

    fn runs(&self, scaler: usize, process: u64) -> bool {
        self.scalers[scaler].up && self.scalers[scaler].incarnation == process
    }

    // Requests.

    fn arrive(&mut self, at: usize) {
        if !self.lively {
            return;
        }
        let idle = self.setup.policies[at].idle_timeout;
        let random = &mut self.random;
        let gap = match random.below(100) {
            0..80 => random.spread(micros(500), millis(400)),
            // About when the workload is held.
            80..93 => (idle + random.between(Duration::ZERO, secs(4))).saturating_sub(millis(500)),
            _ => random.spread(secs(2), secs(25)),
        };
        self.queue.put(self.now() + gap, Event::Arrive { at });
        let proxy = self.random.below(self.proxies.len() as u64) as usize;
        if self.open[proxy] {
            self.request(proxy, at);
        }
    }

    /// A request comes to `proxy`.
    pub(crate) fn request(&mut self, proxy: usize, at: usize) {
        self.requests += 1;
        let (request, now) = (self.requests, self.now());
        self.tally.requests += 1;
        if let Some(uid) = self.proxies[proxy].arrive(at, request, now) {
            self.note(|_| format!("p{proxy}: request {request} to w{at} on {uid}"));
            self.begin(proxy, at, request, &uid);
        } else {
            self.note(|world| format!("p{proxy}: request {request} to w{at} waits{}", world.brief(at)));
            self.tally.waited += 1;
            self.wait(proxy, at, request);
            self.fail(proxy, at);
        }
        self.report_soon(proxy);
    }

    fn begin(&mut self, proxy: usize, at: usize, request: Request, uid: &EndpointUid) {
        let process = self.proxies[proxy].epoch;
        let gone =
            !matches!(self.platform.objects()[at].replicas.get(uid), Some(Phase::Ready | Phase::Terminating));
        if gone {
            self.queue.put(self.now() + millis(1), Event::Refused { proxy, process, at, request });
            return;
        }
        let random = &mut self.random;
        let work = match random.below(10) {
            0..6 => random.spread(millis(1), millis(200)),
            6..9 => random.spread(millis(100), secs(3)),
            _ => random.spread(secs(1), secs(12)),
        };
        self.queue.put(self.now() + work, Event::Finish { proxy, process, at, request });
    }

    fn wait(&mut self, proxy: usize, at: usize, request: Request) {
        let process = self.proxies[proxy].epoch;
        let deadline = self.now() + self.setup.policies[at].queue_timeout;
        self.queue.put(deadline, Event::Deadline { proxy, process, at, request });
    }

    fn release(&mut self, proxy: usize, at: usize) {
        let now = self.now();
        for (request, uid) in self.proxies[proxy].release(at, now) {
            self.note(|_| format!("p{proxy}: request {request} to w{at} released to {uid}"));
            self.begin(proxy, at, request, &uid);
        }
    }

    /// All who wait for a workload that can't start are told so; from the moment on at which another start may be tried,
    /// they wait for it.
    fn fail(&mut self, proxy: usize, at: usize) {
        let now = self.now();
        let failure = self.proxies[proxy].shown.workloads[at].failure.as_ref();
        if !failure.is_some_and(|failure| failure.known && failure.retry_at > now) {
            return;
        }
        for request in self.proxies[proxy].posts[at].queue.clone() {
            if self.proxies[proxy].give_up(at, request, now) {
                self.tally.failed += 1;
            }
        }
    }

    // Reports.

    fn tick(&mut self, proxy: usize) {
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
    fn report_soon(&mut self, proxy: usize) {
        let now = self.now();
        let waits = self.proxies[proxy].posts.iter().any(|post| !post.queue.is_empty());
        if waits || self.proxies[proxy].has_answer(now) {
            let process = self.proxies[proxy].epoch;
            self.queue.put(now, Event::Report { proxy, process });
        }
    }

    fn report(&mut self, proxy: usize) {
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

    fn heard(&mut self, scaler: usize, report: &Report) {
        let (now, sabotage) = (self.now(), self.sabotage);
        let new = self.scalers[scaler].heard(report, sabotage, now);
        self.turn(scaler);
        if new {
            self.check_wake(scaler, report);
        }
    }

    // Pictures.

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

    fn shown(&mut self, watcher: Watcher, process: u64, picture: Arc<Snapshot>) {
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

    // Autoscalers.

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

    fn turn(&mut self, scaler: usize) {
        let (now, sabotage) = (self.now(), self.sabotage);
        for action in self.scalers[scaler].turn(sabotage, now) {
            self.check_asked(scaler, &action);
            self.send(scaler, action);
        }
        let due = self.scalers[scaler].line.next();
        self.scalers[scaler].due = due;
        if due < Moment::NEVER {
            let process = self.scalers[scaler].incarnation;
            self.queue.put(due, Event::Turn { scaler, process });
        }
    }

    fn send(&mut self, scaler: usize, action: Action) {
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
            self.queue.put(arrival, Event::Apply { write, action: action.clone() });
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

    fn swallows(&self, scaler: usize, action: &Action) -> bool {
        match (self.sabotage, action) {
            (Some(Sabotage::HoldsStay), Action::Release { .. }) => true,
            (Some(Sabotage::FollowersSleep), Action::Scale { .. }) => !self.scalers[scaler].leading,
            _ => false,
        }
    }

    fn apply(&mut self, write: u64, action: &Action) {
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

    fn answer(&mut self, write: u64) {
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

    fn started(&mut self, at: usize, uid: &EndpointUid, well: bool) {
        let now = self.now();
        self.note(|_| format!("platform: {uid} of w{at} started: {well}"));
        if let Some(retry) = self.platform.started(at, uid, well, now) {
            self.tally.mark(Kind::FailedStart);
            self.queue.put(retry, Event::Fill { at });
        }
        self.show();
    }

    /// Requests in flight for a workload, or on one of its replicas, over all proxies.
    pub(crate) fn in_flight(&self, at: usize, on: Option<&EndpointUid>) -> usize {
        let posts = self.proxies.iter().map(|proxy| &proxy.posts[at]);
        posts.map(|post| post.running.values().filter(|uid| on.is_none_or(|on| on == *uid)).count()).sum()
    }

    /// The state of a workload, for the timeline.
    pub(crate) fn brief(&self, at: usize) -> String {
        let object = &self.platform.objects()[at];
        let waiting: usize = self.proxies.iter().map(|proxy| proxy.posts[at].queue.len()).sum();
        format!(
            "   [w{at}: desired {}, ready {}, in flight {}, waiting {waiting}, hold {:?}]",
            object.desired,
            object.count(Phase::Ready),
            self.in_flight(at, None),
            object.hold.as_ref().map(|hold| hold.id.as_str()),
        )
    }
}
