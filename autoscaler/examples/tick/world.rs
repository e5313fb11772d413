//! The proxies and the platform of many workloads: most asleep, some called now and then, some busy.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use kaos_autoscaler::Action;
use kaos_core::report::{HoldAnswer, HoldState, REPORT_VERSION};
use kaos_core::snapshot::{Endpoint, Hold, Phase, Replicas, StartTimes, Targets};
use kaos_core::{EndpointUid, Moment, Policy, ProxyId, Reading, Report, Snapshot, Workload, WorkloadId};

const PROXIES: usize = 2;
const MICROS: u64 = 1_000_000;

/// What becomes of a workload.
#[derive(Clone, Copy)]
enum Kind {
    /// Called once in two hours.
    Asleep,
    /// Called each so many seconds; its idle time is learned.
    Called(u64),
    /// Always busy, with so many in flight.
    Steady(u64),
    /// Ten times as busy for half a minute in each three: a panic and the way down from it.
    Bursts(u64),
}

/// Of a hundred workloads: 70 asleep, 20 called, 7 steady, 3 in bursts.
fn kind(at: usize) -> Kind {
    match at % 100 {
        0..70 => Kind::Asleep,
        70..90 => Kind::Called(30 + (at as u64 * 7919) % 571),
        90..97 => Kind::Steady(3 + at as u64 % 40),
        _ => Kind::Bursts(2 + at as u64 % 5),
    }
}

struct One {
    kind: Kind,
    shown: Workload,
    /// The number of its next replica.
    fresh: u32,
    readings: [Reading; PROXIES],
    /// Calls that wait for a replica.
    waiting: u64,
}

/// All of them.
pub(crate) struct World {
    all: Vec<One>,
    workloads: Vec<Arc<Workload>>,
    version: u64,
    sequence: u64,
    /// Those whose picture has changed, and those with news for the proxies' next reports.
    changed: BTreeSet<usize>,
    news: BTreeSet<usize>,
    full: bool,
}

impl World {
    pub(crate) fn new(count: usize) -> World {
        let knobs = [("target", "10"), ("max-scale", "100")];
        let fixed = Arc::new(Policy::default().with(knobs).unwrap_or_default());
        let learned = knobs.into_iter().chain([("idle-timeout", "learned")]);
        let learned = Arc::new(Policy::default().with(learned).unwrap_or_default());
        let one = |at: usize| {
            let policy =
                if matches!(kind(at), Kind::Called(_)) || at.is_multiple_of(2) { &learned } else { &fixed };
            let id = WorkloadId::new("local", &format!("w{at:06}"));
            let shown = Workload::new(id, policy.clone());
            One { kind: kind(at), shown, fresh: 0, readings: Default::default(), waiting: 0 }
        };
        let all: Vec<One> = (0..count).map(one).collect();
        let workloads = all.iter().map(|one| Arc::new(one.shown.clone())).collect();
        let changed = (0..count).collect();
        World { all, workloads, version: 1, sequence: 0, changed, news: BTreeSet::new(), full: true }
    }

    /// How many of each there are.
    pub(crate) fn told(&self) -> String {
        let ready = self.all.iter().map(|one| one.shown.replicas.ready);
        let awake = ready.clone().filter(|ready| *ready > 0).count();
        format!("{awake} of them awake with {} replicas", ready.sum::<u32>())
    }

    /// What the clients and the platform do up to the end of `second`.
    pub(crate) fn second(&mut self, second: u64) {
        self.full = second % 10 == 1;
        for (at, one) in self.all.iter_mut().enumerate() {
            if one.ripens(second) {
                self.changed.insert(at);
            }
            if one.is_used(at as u64, second) {
                self.news.insert(at);
            }
        }
    }

    /// The platform's picture, if it has changed.
    pub(crate) fn picture(&mut self) -> Option<Snapshot> {
        if self.changed.is_empty() {
            return None;
        }
        for at in std::mem::take(&mut self.changed) {
            self.version += 1;
            self.workloads[at] = Arc::new(self.all[at].shown.clone());
        }
        let workloads = self.workloads.clone().into();
        Some(Snapshot { version: self.version, workloads, ..Snapshot::default() })
    }

    /// What the proxies have to say.
    pub(crate) fn reports(&mut self, now: Moment) -> Vec<Report> {
        let news = std::mem::take(&mut self.news);
        let full = std::mem::take(&mut self.full);
        if news.is_empty() && !full {
            return Vec::new();
        }
        self.sequence += 1;
        let report = |proxy: usize| {
            let reading = |at: usize| (self.all[at].shown.id.clone(), self.all[at].readings[proxy].clone());
            let workloads = if full {
                (0..self.all.len()).map(reading).collect()
            } else {
                news.iter().copied().map(reading).collect()
            };
            let (version, proxy) = (REPORT_VERSION, ProxyId::new(&format!("p{proxy}")));
            Report { version, proxy, epoch: 1, sequence: self.sequence, at: now.micros(), full, workloads }
        };
        (0..PROXIES).map(report).collect()
    }

    /// Does what was asked, at once, and what proxies do about it. Returns the version of it.
    pub(crate) fn write(&mut self, action: &Action) -> u64 {
        let place = self.all.binary_search_by(|one| one.shown.id.cmp(action.workload()));
        let Ok(at) = place else { return 0 };
        self.version += 1;
        let one = &mut self.all[at];
        one.shown.version = self.version;
        match action {
            Action::Scale { scale, .. } => one.scale(scale.to, &scale.victims),
            Action::Hold { hold, .. } => one.hold(Some(hold)),
            Action::Release { .. } => one.hold(None),
        }
        self.changed.insert(at);
        self.news.insert(at);
        self.version
    }
}

impl One {
    fn ready(&self) -> bool {
        self.shown.replicas.ready > 0
    }

    /// Whether replicas that were asked for have become ready.
    fn ripens(&mut self, second: u64) -> bool {
        let Replicas { desired, ready, .. } = self.shown.replicas;
        for _ in ready..desired {
            self.fresh += 1;
            let uid = EndpointUid::new(&format!("{}-{}", self.shown.id.name(), self.fresh));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
            let times = StartTimes { ready: Some(Moment::from_secs(second)), ..StartTimes::default() };
            self.shown.endpoints.push(Endpoint { uid, address, phase: Phase::Ready, start: times });
        }
        if ready < desired {
            self.shown.replicas = Replicas { desired, ready: desired, starting: 0 };
        }
        ready < desired
    }

    fn scale(&mut self, to: u32, victims: &[EndpointUid]) {
        let endpoints = &mut self.shown.endpoints;
        endpoints.retain(|endpoint| to > 0 && !victims.contains(&endpoint.uid));
        let ready = endpoints.len() as u32;
        self.shown.replicas = Replicas { desired: to, ready, starting: to.saturating_sub(ready) };
    }

    /// Proxies confirm what they are told.
    fn hold(&mut self, hold: Option<&Hold>) {
        self.shown.hold = hold.cloned();
        let answer = hold.map(|hold| HoldAnswer {
            id: hold.id.clone(),
            state: HoldState::Confirmed,
            empty: match &hold.targets {
                Targets::All => Vec::new(),
                Targets::Endpoints(targets) => targets.clone(),
            },
        });
        self.readings.iter_mut().for_each(|reading| reading.hold.clone_from(&answer));
    }

    /// Whether it was used in the second that ends with `second`.
    fn is_used(&mut self, at: u64, second: u64) -> bool {
        let is_due = |every: u64| (second + at * 31).is_multiple_of(every);
        let (mut calls, mut open) = (0, 0);
        match self.kind {
            Kind::Asleep => calls = u64::from(is_due(7200)),
            Kind::Called(every) => calls = u64::from(is_due(every)),
            Kind::Steady(load) => open = load + second % 2,
            Kind::Bursts(load) => open = if (second + at) % 180 < 30 { load * 10 } else { load },
        }
        let now = second * MICROS;
        let ready = self.ready();
        let reading = &mut self.readings[(second % PROXIES as u64) as usize];
        if open > 0 && ready {
            // Half of them end, and as many come as makes it the load.
            let sums = &mut reading.running;
            (0..sums.open().div_ceil(2)).for_each(|_| sums.finish(now - 500_000));
            (sums.open()..open).for_each(|_| sums.start(now - 500_000));
            reading.last_activity = Some(now - 500_000);
        } else if open > 0 {
            calls = u64::from(self.waiting == 0);
        }
        if ready && calls + self.waiting > 0 {
            let waited = &mut self.readings[0];
            (0..self.waiting).for_each(|_| waited.waiting.finish(now - 900_000));
            for _ in 0..calls + self.waiting {
                waited.running.start(now - 900_000);
                waited.running.finish(now - 600_000);
            }
            waited.last_activity = Some(now - 600_000);
            self.waiting = 0;
        } else if calls > 0 {
            (0..calls).for_each(|_| self.readings[0].waiting.start(now - 100_000));
            self.readings[0].last_activity = Some(now - 100_000);
            self.waiting += calls;
        } else {
            return open > 0;
        }
        true
    }
}
