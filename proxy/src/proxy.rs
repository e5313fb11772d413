//! A running proxy as its owner sees it: started, asked what it has counted, and sent away.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kaos_core::{EndpointUid, Moment, Report, Snapshot, WorkloadId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::accept::{Post, work};
use crate::clients::Clients;
use crate::control::{Control, Ready, ask_all};
use crate::door::Doors;
use crate::gate::QueueBytes;
use crate::ledger::{Counts, Histogram};
use crate::memory;
use crate::refuse::Refusal;
use crate::report::{Ask, WorkerTotals};
use crate::standing::{Stage, Standing};
use crate::tls::Handshakes;
use crate::upkeep::Replicas;
use crate::worker::{Shared, Table};
use crate::{Config, Limits};

/// Longest time for last answers to be taken.
const FAREWELL: Duration = Duration::from_secs(1);

const NOTICES: usize = 1024;
const ASKS: usize = 16;

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
    /// Handshakes of TLS that have ended.
    pub handshakes: Handshakes,
    /// How late each worker came to look after its clients, twenty times a second: for so long something has kept everything else
    /// waiting.
    pub delays: Histogram<16>,
    /// Requests that the access log had no room for.
    pub access_log_dropped: u64,
    /// Connections and streams that a bug of ours has ended.
    pub panics: u64,
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
        doors: Doors,
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
            access: doors.access,
            believed: Arc::default(),
            tls: doors.certificates,
            clients: Arc::new(Clients::new(
                limits.connections_per_client,
                limits.trusted,
                limits.proxy_protocol,
            )),
            patience: limits.patience,
            settle: doors.settle,
            panics: AtomicU64::new(0),
        });
        if let Some(folder) = limits.memory {
            tokio::spawn(memory::watch(folder, Arc::downgrade(&shared)));
        }
        let (notices, heard) = mpsc::channel(NOTICES);
        let mut control = Control::new(shared.clone(), reports);
        control.begin(&ready.borrow(), &snapshots.borrow());
        let (mut asks, mut stops, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (index, listeners) in doors.listeners.into_iter().enumerate() {
            let (ask, asked) = mpsc::channel(ASKS);
            let (stop, stopped) = oneshot::channel();
            let (end, has_ended) = oneshot::channel();
            let post = Post {
                index,
                shared: shared.clone(),
                listeners,
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
        let replicas = control.replicas();
        let control = tokio::spawn(control.run(asks.clone(), snapshots, ready, heard));
        let answered = Mutex::new(vec![None; asks.len()]);
        Ok(Proxy { shared, asks, stops, ended, control, replicas, answered })
    }

    /// What the replica `uid` has in flight, also when it isn't listed any more: whether it may be stopped.
    pub fn in_flight(&self, uid: &EndpointUid) -> u32 {
        let now = Moment::at(self.shared.config.origin, std::time::Instant::now());
        self.replicas.in_flight(uid, now)
    }

    /// Asks all workers for what they have counted. Of one that doesn't answer in time its last answer counts: counters
    /// never go back.
    pub async fn gather(&self) -> Totals {
        let panics = self.shared.panics.load(Ordering::Relaxed);
        let mut totals = Totals { panics, ..Totals::default() };
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
            totals.handshakes = totals.handshakes.plus(reply.handshakes);
            totals.delays.add(&reply.delays);
        }
        totals.access_log_dropped = self.shared.access.as_ref().map_or(0, |access| access.log.dropped());
        totals
    }

    /// Tells the access log of all requests that have ended by now.
    pub async fn flush(&self) {
        ask_all(&self.asks, Ask::Flush).await;
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
