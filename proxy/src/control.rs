//! The proxy's one task beside its workers: snapshots become what admission sees, counters become reports.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::{Moment, ProxyId, Reading, Report, Snapshot, Sums};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use crate::gate::ANNOUNCE_AGAIN;
use crate::peers::Peers;
use crate::probe::Found;
use crate::report::{Ask, Brief, Notice};
use crate::upkeep::{Gates, Replicas};
use crate::worker::{Shared, Table};

/// What changed is reported this often, everything every tenth time.
const REPORT_EVERY: Duration = Duration::from_secs(1);
const FULL_EVERY: u64 = 10;
/// Longest wait for a worker's counters.
const PATIENCE: Duration = Duration::from_millis(500);
/// Who waits is looked after this often, beside every change.
const SETTLE_EVERY: Duration = Duration::from_millis(50);

/// The proxies that are ready, with where clients connect to them.
pub(crate) type Ready = BTreeMap<ProxyId, SocketAddr>;

/// Asks every worker the same; the answers in their order, `None` for one that didn't answer in time.
pub(crate) async fn ask_all<T>(
    asks: &[mpsc::Sender<Ask>],
    ask: fn(oneshot::Sender<T>) -> Ask,
) -> Vec<Option<T>> {
    let deadline = Instant::now() + PATIENCE;
    let mut replies = Vec::new();
    for worker in asks {
        let (reply, answer) = oneshot::channel();
        replies.push(worker.try_send(ask(reply)).ok().map(|()| answer));
    }
    let mut answers = Vec::new();
    for reply in replies {
        answers.push(match reply {
            Some(answer) => tokio::time::timeout_at(deadline, answer).await.ok().and_then(Result::ok),
            None => None,
        });
    }
    answers
}

type Gathering = Pin<Box<dyn Future<Output = Vec<Option<Brief>>> + Send>>;

/// The control task's own state.
pub(crate) struct Control {
    shared: Arc<Shared>,
    reports: mpsc::Sender<Report>,
    workers: Vec<mpsc::Sender<Ask>>,
    gates: Gates,
    /// The last answer of each worker, by gate.
    briefs: Vec<HashMap<u32, (Sums, Option<Moment>)>>,
    /// What was last reported, by gate.
    reported: HashMap<u32, Reading>,
    /// Where requests wait: the last of a burst comes too soon after the others to be announced by itself.
    waited_at: BTreeSet<u32>,
    sequence: u64,
    ticks: u64,
    found: mpsc::Receiver<Found>,
}

impl Control {
    /// One that knows no workload and no worker yet.
    pub(crate) fn new(shared: Arc<Shared>, reports: mpsc::Sender<Report>) -> Self {
        let peers = Peers::new(shared.config.id.clone(), shared.believed.clone());
        let (gates, found) = Gates::new(shared.queue_bytes.clone(), peers, shared.config.origin);
        let (workers, briefs, reported) = (Vec::new(), Vec::new(), HashMap::new());
        let waited_at = BTreeSet::new();
        Control { shared, reports, workers, gates, briefs, reported, waited_at, sequence: 0, ticks: 0, found }
    }

    /// Puts the first pictures into force.
    pub(crate) fn begin(&mut self, ready: &Ready, snapshot: &Arc<Snapshot>) {
        let now = self.now();
        self.gates.peers_changed(ready, now);
        self.show(snapshot);
    }

    /// Every replica that is listed or still has requests.
    pub(crate) fn replicas(&self) -> Arc<Replicas> {
        self.gates.replicas()
    }

    fn now(&self) -> Moment {
        Moment::at(self.shared.config.origin, std::time::Instant::now())
    }

    /// Runs for `workers` until nobody says any more what there is to serve.
    pub(crate) async fn run(
        mut self,
        workers: Vec<mpsc::Sender<Ask>>,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        mut ready: watch::Receiver<Ready>,
        mut notices: mpsc::Receiver<Notice>,
    ) {
        self.workers = workers;
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settle = tokio::time::interval(SETTLE_EVERY);
        settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathering: Option<Gathering> = None;
        let (mut asked, mut look) = (false, Instant::now());
        loop {
            let gathered = async {
                match &mut gathering {
                    Some(gathering) => gathering.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let snapshot = snapshots.borrow_and_update().clone();
                    let held = self.show(&snapshot);
                    self.send_some(&held).await;
                }
                Ok(()) = ready.changed() => {
                    let now = self.now();
                    self.gates.peers_changed(&ready.borrow_and_update().clone(), now);
                }
                Some(notice) = notices.recv() => {
                    let mut gates = vec![notice.gate];
                    while let Ok(notice) = notices.try_recv() {
                        gates.push(notice.gate);
                    }
                    gates.sort_unstable();
                    gates.dedup();
                    self.send(&gates, false).await;
                    gates.iter().for_each(|gate| self.gates.pursue(*gate));
                    if self.waited_at.is_empty() {
                        look = Instant::now() + ANNOUNCE_AGAIN;
                    }
                    self.waited_at.extend(gates);
                }
                () = sleep_until(look), if !self.waited_at.is_empty() => {
                    look = Instant::now() + ANNOUNCE_AGAIN;
                    let grown = self.grown();
                    self.send_some(&grown).await;
                }
                Some(found) = self.found.recv() => {
                    let now = self.now();
                    self.gates.answered(found, now);
                }
                briefs = gathered => {
                    (gathering, asked) = (None, false);
                    self.tick(briefs).await;
                }
                _ = report.tick(), if !asked => {
                    asked = true;
                    let workers = self.workers.clone();
                    gathering = Some(Box::pin(async move { ask_all(&workers, Ask::Brief).await }));
                }
                _ = settle.tick() => {
                    let now = self.now();
                    let changed = self.gates.settle(now);
                    self.send_some(&changed).await;
                }
            }
        }
    }

    /// The gates where more wait than was announced.
    fn grown(&mut self) -> Vec<u32> {
        let (now, mut grown) = (self.now(), Vec::new());
        self.waited_at.retain(|gate| {
            let has_grown = self.gates.has_grown(*gate, now);
            grown.extend(has_grown.filter(|grown| *grown).map(|_| *gate));
            has_grown.is_some()
        });
        grown
    }

    /// Puts a snapshot into force. Returns the gates whose hold has changed.
    fn show(&mut self, snapshot: &Arc<Snapshot>) -> Vec<u32> {
        let now = self.now();
        let (gates, held) = self.gates.show(snapshot, now, |gates| {
            let (routes, workloads) = (snapshot.routes.clone(), snapshot.workloads.clone());
            self.shared.table.store(Arc::new(Table { routes, workloads, gates: gates.to_vec() }));
        });
        let known = |key: &u32| gates.iter().any(|gate| gate == key);
        self.reported.retain(|key, _| known(key));
        held
    }

    /// Reports what has changed since the last time; everything now and then.
    async fn tick(&mut self, briefs: Vec<Option<Brief>>) {
        self.briefs.resize_with(briefs.len(), HashMap::new);
        for (known, brief) in self.briefs.iter_mut().zip(briefs) {
            if let Some(brief) = brief {
                *known = brief.into_iter().collect();
            }
        }
        let full = self.ticks.is_multiple_of(FULL_EVERY);
        self.ticks += 1;
        let now = self.now();
        let gates = self.gates.keys();
        let changed: Vec<u32> = gates
            .into_iter()
            .filter(|key| full || self.reported.get(key) != self.reading(*key, now).as_ref())
            .collect();
        self.send(&changed, full).await;
    }

    fn reading(&self, key: u32, now: Moment) -> Option<Reading> {
        let mut reading = self.gates.reading(key, now)?;
        for known in &self.briefs {
            if let Some((running, last_activity)) = known.get(&key) {
                reading.running = reading.running.plus(running);
                reading.last_activity = reading.last_activity.max(last_activity.map(Moment::micros));
            }
        }
        if reading.waiting.open() > 0 {
            reading.last_activity = Some(now.micros());
        }
        Some(reading)
    }

    async fn send_some(&mut self, gates: &[u32]) {
        if !gates.is_empty() {
            self.send(gates, false).await;
        }
    }

    /// Sends a report about `gates`. An empty one says that the proxy lives.
    async fn send(&mut self, gates: &[u32], full: bool) {
        let now = self.now();
        let mut workloads = Vec::with_capacity(gates.len());
        for key in gates {
            if let (Some(id), Some(reading)) = (self.gates.id(*key), self.reading(*key, now)) {
                self.gates.reported(*key);
                self.reported.insert(*key, reading.clone());
                workloads.push((id, reading));
            }
        }
        self.sequence += 1;
        let config = &self.shared.config;
        let report = Report {
            version: kaos_core::report::REPORT_VERSION,
            proxy: config.id.clone(),
            epoch: config.epoch,
            sequence: self.sequence,
            at: now.micros(),
            full,
            workloads,
        };
        // Nobody listens any more: the process is ending.
        let _ = self.reports.send(report).await;
    }
}
