//! The live loop against a platform of this test's own, on a clock that stands still while nothing is awaited.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kaos_core::lease::Lease;
use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::report::{HoldAnswer, REPORT_VERSION};
use kaos_core::snapshot::{Hold, Replicas};
use kaos_core::{Moment, Policy, ProxyId, Reading, Report, Snapshot, Workload, WorkloadId, decide};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::journal::{Entry, Outcome};
use crate::{Inputs, Journal, Settings, run};

const START: Duration = Duration::from_secs(1);
const WRITE: Duration = Duration::from_millis(1);

/// A platform whose replicas are ready a second after they were asked for, and whose writes take a millisecond.
struct Fake {
    shown: watch::Sender<Arc<Snapshot>>,
    written: Mutex<Vec<String>>,
    /// Answers to writes that aren't given.
    stalled: Mutex<u32>,
}

impl Fake {
    fn new(workload: Workload) -> Arc<Self> {
        let workloads = Arc::from([Arc::new(workload)]);
        let shown = watch::channel(Arc::new(Snapshot { version: 1, workloads, ..Snapshot::default() })).0;
        Arc::new(Fake { shown, written: Mutex::default(), stalled: Mutex::default() })
    }

    fn workload(&self) -> Arc<Workload> {
        self.shown.borrow().workloads[0].clone()
    }

    fn change(&self, change: impl FnOnce(&mut Workload)) -> u64 {
        let mut workload = Workload::clone(&self.workload());
        workload.version += 1;
        change(&mut workload);
        let version = workload.version;
        let workloads = Arc::from([Arc::new(workload)]);
        self.shown.send_replace(Arc::new(Snapshot { version, workloads, ..Snapshot::default() }));
        version
    }

    fn log(&self, text: String) {
        self.written.lock().unwrap().push(text);
    }

    fn written(&self) -> Vec<String> {
        self.written.lock().unwrap().clone()
    }

    async fn answered(&self) {
        sleep(WRITE).await;
        let stalled = {
            let mut stalled = self.stalled.lock().unwrap();
            let was = *stalled;
            *stalled = was.saturating_sub(1);
            was > 0
        };
        if stalled {
            std::future::pending::<()>().await;
        }
    }
}

/// Shared by the test and the loop, so that a replica can become ready by itself.
struct Shared(Arc<Fake>);

impl Platform for Shared {
    async fn scale(&self, _: &WorkloadId, scale: Scale) -> Result<u64, Refusal> {
        self.0.answered().await;
        let now = self.0.workload();
        let expected = match scale.expected {
            Expected::Replicas(count) => count == now.replicas.desired,
            Expected::Version(version) => version == now.version,
        };
        if !expected {
            return Err(Refusal::Conflict);
        }
        self.0.log(format!("scale {}", scale.to));
        let version = self.0.change(|workload| {
            let ready = workload.replicas.ready.min(scale.to);
            workload.replicas = Replicas { desired: scale.to, ready, starting: scale.to - ready };
        });
        let fake = self.0.clone();
        tokio::spawn(async move {
            sleep(START).await;
            fake.change(|workload| {
                let desired = workload.replicas.desired;
                workload.replicas = Replicas { desired, ready: desired, starting: 0 };
            });
        });
        Ok(version)
    }

    async fn hold(&self, _: &WorkloadId, hold: Option<Hold>) -> Result<u64, Refusal> {
        self.0.answered().await;
        self.0.log(if hold.is_some() { "hold".into() } else { "release".into() });
        Ok(self.0.change(|workload| workload.hold = hold))
    }
}

/// A proxy that obeys holds and reports at once.
struct Proxy {
    id: ProxyId,
    reading: Reading,
    lease: Lease,
    sequence: u64,
    origin: Instant,
    reports: mpsc::Sender<Report>,
}

impl Proxy {
    fn micros(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }

    async fn report(&mut self, workload: &WorkloadId, full: bool) {
        self.sequence += 1;
        let report = Report {
            version: REPORT_VERSION,
            proxy: self.id.clone(),
            epoch: 1,
            sequence: self.sequence,
            at: self.micros(),
            full,
            workloads: vec![(workload.clone(), self.reading.clone())],
        };
        self.reports.send(report).await.unwrap();
    }

    /// Takes the hold that the platform shows, and answers it.
    fn obey(&mut self, hold: Option<&Hold>) {
        let now = Moment::from_micros(self.micros());
        self.lease.saw(hold, now);
        let empty = self.reading.running.open() == 0;
        let answer = self.lease.answer(now, empty);
        self.reading.hold = answer.map(|(id, state)| HoldAnswer { id, state, empty: Vec::new() });
    }
}

struct World {
    fake: Arc<Fake>,
    proxy: Proxy,
    journal: Arc<Journal>,
    id: WorkloadId,
}

impl World {
    fn new(policy: &[(&str, &str)]) -> Self {
        let id = WorkloadId::new("local", "shop");
        let policy = Policy::local(4).with(policy.iter().copied()).unwrap();
        let fake = Fake::new(Workload::new(id.clone(), policy));
        let (reports, received) = mpsc::channel(16);
        let origin = Instant::now();
        let proxy_id = ProxyId::new("one");
        let inputs = Inputs::alone(fake.shown.subscribe(), received, [proxy_id.clone()], mpsc::channel(1).1);
        let journal = Arc::new(Journal::default());
        let settings = Settings {
            id: "a".into(),
            max_starting: 4,
            earn_sleep: false,
            gather: Duration::ZERO,
            origin: origin.into_std(),
        };
        tokio::spawn(run(Arc::new(Shared(fake.clone())), inputs, journal.clone(), settings));
        let proxy = Proxy {
            id: proxy_id,
            reading: Reading::default(),
            lease: Lease::default(),
            sequence: 0,
            origin,
            reports,
        };
        World { fake, proxy, journal, id }
    }

    /// Lets time pass until `done`, while the proxy reports ten times a second.
    async fn until(&mut self, what: &str, done: impl Fn(&Workload) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !done(&self.fake.workload()) {
            assert!(Instant::now() < deadline, "not within two minutes: {what}; {:?}", self.fake.written());
            self.proxy.obey(self.fake.workload().hold.as_ref());
            self.proxy.report(&self.id, true).await;
            sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_wakes_and_idle_ends_in_zero() {
    let mut world = World::new(&[("idle-timeout", "5s")]);
    world.proxy.report(&world.id, true).await;
    let asked = world.proxy.micros();
    world.proxy.reading.waiting.start(asked);
    world.proxy.report(&world.id, false).await;
    world.until("a replica", |workload| workload.replicas.ready == 1).await;
    let now = world.proxy.micros();
    world.proxy.reading.waiting.finish(now);
    world.proxy.reading.running.start(now);
    world.proxy.report(&world.id, false).await;
    sleep(Duration::from_secs(9)).await;
    world.proxy.report(&world.id, true).await;
    assert_eq!(world.fake.written(), ["scale 1"], "nothing goes down while a request runs");
    let end = world.proxy.micros();
    world.proxy.reading.running.finish(end);
    world.proxy.reading.last_activity = Some(end);
    world.proxy.report(&world.id, false).await;
    world.until("zero", |workload| workload.replicas.desired == 0).await;
    let idle = Duration::from_micros(world.proxy.micros() - end);
    assert!(idle >= Duration::from_secs(5) && idle < Duration::from_millis(5300), "idle for {idle:?}");
    world.until("no hold", |workload| workload.hold.is_none()).await;
    assert_eq!(world.fake.written(), ["scale 1", "hold", "scale 0", "release"]);
    let book = world.journal.book(&world.id).unwrap();
    let told: Vec<_> = book.entries().iter().rev().map(|entry| entry.told(Moment::secs)).collect();
    let words: Vec<_> = told.iter().map(|told| (told.because.word, told.from, told.to)).collect();
    assert!(words.contains(&("wake", 0, 1)) && words.contains(&("idle", 1, 0)), "{words:?}");
    let idle = told.iter().find(|told| told.because.word == "idle").unwrap();
    assert_eq!(idle.outcome, Outcome::Done);
    for entry in book.entries() {
        let stored = serde_json::to_string(&entry).unwrap();
        let read: Entry = serde_json::from_str(&stored).unwrap();
        let (again, _) = decide(&read.policy, &read.observation, read.memory, read.at);
        assert_eq!(again.decision, entry.decision, "{stored}");
    }
    let counts = book.counts(Moment::from_micros(world.proxy.micros()));
    assert_eq!(counts.cold_starts, 1);
    assert!(counts.busy >= Duration::from_secs(9) && counts.busy < Duration::from_secs(11), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_into_a_hold_is_served() {
    let mut world = World::new(&[("idle-timeout", "5s"), ("min-scale", "1")]);
    world.until("a replica", |workload| workload.replicas.ready == 1).await;
    world.fake.change(|workload| {
        workload.policy = Arc::new(workload.policy.with([("min-scale", "0")]).unwrap());
    });
    let held = timeout(Duration::from_secs(60), async {
        while world.fake.workload().hold.is_none() {
            world.proxy.report(&world.id, true).await;
            sleep(Duration::from_millis(100)).await;
        }
    });
    held.await.expect("an idle workload is held");
    let now = world.proxy.micros();
    world.proxy.reading.waiting.start(now);
    world.proxy.obey(world.fake.workload().hold.as_ref());
    world.proxy.report(&world.id, false).await;
    world.until("no hold", |workload| workload.hold.is_none()).await;
    assert_eq!(world.fake.workload().replicas.desired, 1);
    assert_eq!(world.fake.written(), ["scale 1", "hold", "release"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_never_answered_is_made_again() {
    let mut world = World::new(&[]);
    *world.fake.stalled.lock().unwrap() = 1;
    let now = world.proxy.micros();
    world.proxy.reading.waiting.start(now);
    world.proxy.report(&world.id, true).await;
    world.until("a replica", |workload| workload.replicas.ready == 1).await;
    assert_eq!(world.fake.written(), ["scale 1"]);
    let entries = world.journal.book(&world.id).unwrap().entries();
    assert!(entries.iter().any(|entry| entry.outcome == Outcome::Done), "{entries:#?}");
}
