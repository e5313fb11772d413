//! The proxy's one task beside its workers: snapshots become what admission sees, counters become reports.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kaos_core::{EndpointUid, Moment, ProxyId, Reading, Report, Snapshot, Sums, WorkloadId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::accept::{Post, work};
use crate::clients::Clients;
use crate::gate::QueueBytes;
use crate::ledger::Counts;
use crate::memory;
use crate::peers::Peers;
use crate::probe::Found;
use crate::refuse::Refusal;
use crate::report::{Ask, Brief, Notice, WorkerTotals};
use crate::standing::{Stage, Standing};
use crate::upkeep::{Gates, Replicas};
use crate::worker::{Shared, Table};
use crate::{Config, Limits};

/// What changed is reported this often, everything every tenth time.
const REPORT_EVERY: Duration = Duration::from_secs(1);
const FULL_EVERY: u64 = 10;
/// Longest wait for a worker's counters.
const PATIENCE: Duration = Duration::from_millis(500);
/// Who waits is looked after this often, beside every change.
const SETTLE_EVERY: Duration = Duration::from_millis(50);

/// Longest time for last answers to be taken.
const FAREWELL: Duration = Duration::from_secs(1);

const NOTICES: usize = 1024;
const ASKS: usize = 16;

/// The proxies that are ready, with where clients connect to them.
pub(crate) type Ready = BTreeMap<ProxyId, SocketAddr>;

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    asks: Vec<mpsc::Sender<Ask>>,
    stops: Vec<oneshot::Sender<()>>,
    ended: Vec<oneshot::Receiver<()>>,
    control: tokio::task::JoinHandle<()>,
    replicas: Arc<Replicas>,
    /// The last answer of each worker.
    answered: Mutex<Vec<Option<WorkerTotals>>>,
}

/// Everything a proxy has counted.
#[derive(Debug, Default)]
pub struct Totals {
    /// Per workload that is there now.
    pub workloads: BTreeMap<WorkloadId, WorkloadTotals>,
    /// Requests that no workload was found for.
    pub strays: Counts,
    /// Connections to replicas that nothing uses.
    pub upstream_idle: usize,
    /// Connections to replicas in use.
    pub upstream_active: usize,
    /// Client connections that speak HTTP/1.
    pub http1_connections: usize,
    /// Client connections that speak HTTP/2.
    pub http2_connections: usize,
}

/// What was counted of one workload.
#[derive(Clone, Debug, Default)]
pub struct WorkloadTotals {
    /// The counts of all workers.
    pub counts: Counts,
    /// Requests that wait now.
    pub waiting: u32,
    /// Connections to its replicas that nothing uses.
    pub upstream_idle: usize,
    /// Connections to its replicas in use.
    pub upstream_active: usize,
}

impl Proxy {
    pub(crate) fn start(
        config: Config,
        limits: Limits,
        listeners: Vec<TcpListener>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        ready: watch::Receiver<Ready>,
        reports: mpsc::Sender<Report>,
    ) -> io::Result<Proxy> {
        let queue_bytes = Arc::new(QueueBytes::new(config.queue_bytes));
        let shared = Arc::new(Shared {
            config,
            table: Arc::new(ArcSwap::from_pointee(Table::default())),
            queue_bytes,
            connections: AtomicUsize::new(0),
            standing: Standing::default(),
            believed: Arc::default(),
            clients: Arc::new(Clients::new(limits.connections_per_client, limits.trusted)),
        });
        if let Some(folder) = limits.memory {
            tokio::spawn(memory::watch(folder, Arc::downgrade(&shared)));
        }
        let (notices, heard) = mpsc::channel(NOTICES);
        let mut control = Control::new(shared.clone(), reports);
        let now = control.now();
        control.gates.peers_changed(&ready.borrow().clone(), now);
        control.show(&snapshots.borrow().clone());
        let (mut asks, mut stops, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (index, listener) in listeners.into_iter().enumerate() {
            let (ask, asked) = mpsc::channel(ASKS);
            let (stop, stopped) = oneshot::channel();
            let (end, has_ended) = oneshot::channel();
            let post = Post {
                index,
                shared: shared.clone(),
                listener,
                notices: notices.clone(),
                asks: asked,
                stop: stopped,
            };
            std::thread::Builder::new().name(format!("kaos-worker-{index}")).spawn(move || {
                if let Err(error) = work(post) {
                    tracing::error!(%error, "a worker can't run");
                }
                let _ = end.send(());
            })?;
            asks.push(ask);
            stops.push(stop);
            ended.push(has_ended);
        }
        control.workers.clone_from(&asks);
        let replicas = control.gates.replicas();
        let control = tokio::spawn(control.run(snapshots, ready, heard));
        let answered = Mutex::new(vec![None; asks.len()]);
        Ok(Proxy { shared, asks, stops, ended, control, replicas, answered })
    }

    /// What the replica `uid` has in flight, also when it isn't listed any more: whether it may be stopped.
    pub fn in_flight(&self, uid: &EndpointUid) -> u32 {
        self.replicas.in_flight(uid)
    }

    /// Asks all workers for what they have counted. Of one that doesn't answer in time its last answer counts: counters
    /// never go back.
    pub async fn gather(&self) -> Totals {
        let mut totals = Totals::default();
        for gate in &self.shared.table.load().gates {
            let entry = totals.workloads.entry(gate.id.clone()).or_default();
            entry.waiting = gate.waiting();
        }
        let answers = ask_all(&self.asks, Ask::Totals).await;
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        for (last, answer) in answered.iter_mut().zip(answers) {
            *last = answer.or(last.take());
        }
        let replies = answered.iter().flatten();
        for reply in replies {
            for of_workload in &reply.workloads {
                if let Some(entry) = totals.workloads.get_mut(&of_workload.id) {
                    entry.counts.add(&of_workload.counts);
                    entry.upstream_idle += of_workload.links.idle;
                    entry.upstream_active += of_workload.links.active;
                }
            }
            totals.strays.add(&reply.strays);
            totals.upstream_idle += reply.links.idle;
            totals.upstream_active += reply.links.active;
            totals.http1_connections += reply.connections[0];
            totals.http2_connections += reply.connections[1];
        }
        totals
    }

    /// Whether it serves and means to go on: what a readiness probe should be told.
    pub fn is_ready(&self) -> bool {
        !self.shared.standing.is_leaving()
    }

    /// Goes away so that no client sees a request fail. For `delay` it serves as before, new connections too, and asks each
    /// client with its answer to go elsewhere next: those who send clients here learn meanwhile that it isn't ready. Then it
    /// accepts nothing more, ends idle connections, and waits at most `drain` for the rest. Returns whether all have gone;
    /// who still waits for a replica then is told that the proxy goes away.
    pub async fn retire(&self, delay: Duration, drain: Duration) -> bool {
        self.shared.standing.enter(Stage::Leaving);
        tokio::time::sleep(delay).await;
        self.drain();
        if tokio::time::timeout(drain, self.emptied()).await.is_ok() {
            return true;
        }
        for gate in &self.shared.table.load().gates {
            gate.dismiss(&Refusal::Draining);
        }
        tokio::time::timeout(FAREWELL, self.emptied()).await.is_ok()
    }

    /// Begins to go away: accepts nothing more, ends idle connections, and the others after their current answer.
    pub fn drain(&self) {
        self.shared.standing.enter(Stage::Draining);
    }

    /// Waits until no client is connected.
    pub async fn emptied(&self) {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        while self.shared.connections.load(Ordering::Relaxed) > 0 {
            look.tick().await;
        }
    }

    /// Drains, waits until all connections have ended or `grace` is over, then stops.
    pub async fn stop(self, grace: Duration) {
        self.drain();
        let _ = tokio::time::timeout(grace, self.emptied()).await;
        self.control.abort();
        drop(self.stops);
        for ended in self.ended {
            let _ = ended.await;
        }
    }
}

/// Asks every worker the same; the answers in their order, `None` for one that didn't answer in time.
async fn ask_all<T>(asks: &[mpsc::Sender<Ask>], ask: fn(oneshot::Sender<T>) -> Ask) -> Vec<Option<T>> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
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
struct Control {
    shared: Arc<Shared>,
    reports: mpsc::Sender<Report>,
    workers: Vec<mpsc::Sender<Ask>>,
    gates: Gates,
    /// The last answer of each worker, by gate.
    briefs: Vec<HashMap<u32, (Sums, Option<Moment>)>>,
    /// What was last reported, by gate.
    reported: HashMap<u32, Reading>,
    sequence: u64,
    ticks: u64,
    found: mpsc::Receiver<Found>,
}

impl Control {
    fn new(shared: Arc<Shared>, reports: mpsc::Sender<Report>) -> Self {
        let peers = Peers::new(shared.config.id.clone(), shared.believed.clone());
        let (gates, found) = Gates::new(shared.queue_bytes.clone(), peers, shared.config.origin);
        let (workers, briefs, reported) = (Vec::new(), Vec::new(), HashMap::new());
        Control { shared, reports, workers, gates, briefs, reported, sequence: 0, ticks: 0, found }
    }

    fn now(&self) -> Moment {
        Moment::at(self.shared.config.origin, std::time::Instant::now())
    }

    async fn run(
        mut self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        mut ready: watch::Receiver<Ready>,
        mut notices: mpsc::Receiver<Notice>,
    ) {
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settle = tokio::time::interval(SETTLE_EVERY);
        settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathering: Option<Gathering> = None;
        let mut asked = false;
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

    /// Puts a snapshot into force. Returns the gates whose hold has changed.
    fn show(&mut self, snapshot: &Arc<Snapshot>) -> Vec<u32> {
        let now = self.now();
        let (gates, held) = self.gates.show(snapshot, now, |gates| {
            self.shared
                .table
                .store(Arc::new(Table { routes: snapshot.routes.clone(), gates: gates.to_vec() }));
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
