//! What belongs to one worker thread: its counters, its connections to replicas, its buffers. Nothing on the path of a
//! request is shared with other workers for writing, but one counter per replica.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use kaos_core::route::RouteTable;
use kaos_core::rule::Rule as RouteRule;
use kaos_core::{Moment, Workload, WorkloadId};
use tokio::sync::mpsc;

use crate::access_log::{Access, Book};
use crate::asked;
use crate::buffer::Buffers;
use crate::clients::Clients;
use crate::forward::budget::Budget;
use crate::gate::{Gate, QueueBytes};
use crate::head::Head;
use crate::ledger::{DURATION_BOUNDS, Histogram, Ledger};
use crate::peers::Believed;
use crate::report::{Ask, Links, Notice, WorkerTotals, WorkloadCounts};
use crate::rounds::Rounds;
use crate::sabotage::{Rule, is_off};
use crate::slot::{Kind, Slot};
use crate::standing::Standing;
use crate::tls::{Certificates, Handshakes};
use crate::turns::Turns;
use crate::upstream::port::Port;
use crate::{Config, Patience};

/// Time between two looks at idle connections to replicas.
const SWEEP: Duration = Duration::from_secs(1);
/// Idle connections that are closed at once when descriptors run out.
const SHED: usize = 32;

/// Where requests go: the routes, and each workload and its gate at its index.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) workloads: Arc<[Arc<Workload>]>,
    pub(crate) gates: Vec<Arc<Gate>>,
}

/// What all workers see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) queue_bytes: Arc<QueueBytes>,
    /// Client connections of all workers.
    pub(crate) connections: AtomicUsize,
    pub(crate) standing: Standing,
    pub(crate) clients: Arc<Clients>,
    /// What clients get that come with TLS.
    pub(crate) tls: Option<Arc<Certificates>>,
    pub(crate) access: Option<Access>,
    /// The other proxies.
    pub(crate) believed: Arc<Believed>,
    pub(crate) patience: Patience,
    /// Who asks at the gate sends requests by what the platform tells it: so long after that began to call a replica ready.
    /// `None`: it goes by what it is answered.
    pub(crate) settle: Option<Duration>,
    /// Connections and streams that a panic has ended.
    pub(crate) panics: AtomicU64,
}

/// Shares of what HTTP/2's clients have sent that are taken in one turn of the event loop, each a request at most: as many as pay
/// for the turn, which costs about 2 µs. And of what those have sent who have sent much: everybody else waits less for them.
const SHARES: [usize; 2] = [8, 1];
/// Connections to replicas that begin in one turn: making one takes as long as five requests do, about 60 µs.
const CONNECTS: usize = 2;

/// One workload in one worker.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) gate: Arc<Gate>,
    pub(crate) ledger: Ledger,
    pub(crate) retries: Budget,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Found {
    /// The seat of its workload. `None`: it goes to none.
    pub(crate) seat: Option<Rc<Seat>>,
    /// The status that answers it where no replica is ready, if its path wakes none.
    pub(crate) no_wake: Option<u16>,
    /// What its route says of it, if anything.
    pub(crate) rule: Option<Arc<RouteRule>>,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) buffers: Buffers,
    pub(crate) rounds: Rounds,
    /// Shares of what HTTP/2's clients have sent.
    pub(crate) shares: [Rc<Turns>; 2],
    /// Connections to replicas that begin.
    pub(crate) connects: Turns,
    /// Requests that no workload was found for.
    pub(crate) strays: Ledger,
    pub(crate) book: Book,
    /// Client connections by protocol: HTTP/1, HTTP/2.
    pub(crate) open: [Cell<usize>; 2],
    /// How late its rounds were: for so long something has kept everything else waiting.
    pub(crate) delays: RefCell<Histogram<16>>,
    /// Handshakes that have ended, and those under way.
    pub(crate) handshakes: Cell<Handshakes>,
    pub(crate) shaking: Cell<usize>,
    table: RefCell<arc_swap::Cache<Arc<ArcSwap<Table>>, Arc<Table>>>,
    seats: RefCell<HashMap<u32, Rc<Seat>, FixedState>>,
    ports: RefCell<HashMap<u64, Rc<Port>, FixedState>>,
    notices: mpsc::Sender<Notice>,
    turns: Cell<usize>,
    ids: Cell<u64>,
    id_prefix: u64,
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>, notices: mpsc::Sender<Notice>) -> Self {
        let id_prefix = RandomState::new().hash_one(index);
        Worker {
            book: Book::new(shared.access.clone(), id_prefix),
            buffers: Buffers::default(),
            rounds: Rounds::default(),
            shares: SHARES.map(|most| Rc::new(Turns::new(most))),
            connects: Turns::new(CONNECTS),
            strays: Ledger::default(),
            open: Default::default(),
            delays: RefCell::default(),
            handshakes: Cell::default(),
            shaking: Cell::new(0),
            table: RefCell::new(arc_swap::Cache::new(shared.table.clone())),
            seats: RefCell::default(),
            ports: RefCell::default(),
            notices,
            turns: Cell::new(index),
            ids: Cell::new(0),
            id_prefix,
            shared,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn patience(&self) -> Patience {
        self.shared.patience
    }

    /// Counts the end of a connection or a stream, if a panic is what ends it. What it held is given back on the way.
    pub(crate) fn note_end(&self) {
        if std::thread::panicking() && !is_off(Rule::Panics) {
            self.shared.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::at(self.shared.config.origin, Instant::now())
    }

    /// Whether a connection may be kept for another request.
    pub(crate) fn keeps_connections(&self) -> bool {
        self.shared.standing.keeps_connections()
    }

    /// Looks after deadlines and clients once, and makes room where connections become scarce. The round is so `late`.
    pub(crate) fn go_round(&self, late: Duration) {
        let now = self.now();
        if !is_off(Rule::Delays) {
            self.delays.borrow_mut().observe(&DURATION_BOUNDS, late);
        }
        self.rounds.go(now, self.shared.standing.ends_idle_before(now));
        self.book.flush();
        let over = self.shared.connections.load(Ordering::Relaxed).saturating_sub(self.most_at_rest());
        if over > 0 {
            self.rounds.shed(over.div_ceil(self.config().workers.max(1)), now);
        }
    }

    /// From this many connections on, idle ones make room: a sixteenth below the cap.
    pub(crate) fn most_at_rest(&self) -> usize {
        let most = self.config().max_connections;
        most - most / 16
    }

    /// Gives descriptors back: the clients' connections that have been idle longest, and all idle ones to replicas.
    pub(crate) fn free_descriptors(&self) {
        if is_off(Rule::Descriptors) {
            return;
        }
        self.rounds.shed(SHED, self.now());
        self.ports.borrow().values().for_each(|port| port.clear());
    }

    /// A number that differs from call to call, to spread ties.
    pub(crate) fn turn(&self) -> usize {
        let turn = self.turns.get();
        self.turns.set(turn.wrapping_add(1));
        turn
    }

    /// A new request id: 32 hexadecimal digits, unique to this worker's life.
    pub(crate) fn new_id(&self) -> String {
        let count = self.ids.get();
        self.ids.set(count + 1);
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut id = String::with_capacity(32);
        for word in [self.id_prefix, scatter(self.id_prefix, count)] {
            for shift in (0..16).rev() {
                id.push(char::from(DIGITS[(word >> (shift * 4)) as usize & 15]));
            }
        }
        id
    }

    /// What `host` and `path` of this request, of this id, belong to.
    pub(crate) fn find(&self, host: &str, path: &str, head: &Head, request_id: &str) -> Option<Found> {
        let mut cache = self.table.borrow_mut();
        let table = cache.load();
        let route = table.routes.route(host, path, head)?;
        let rule = route.rule.clone();
        match route.leads.pick(|| asked::number(request_id)) {
            Some(at) => self.seat(table, at, rule, path),
            None => Some(Found { seat: None, no_wake: None, rule }),
        }
    }

    /// The workload `id`, and what it says of `path`.
    pub(crate) fn find_workload(&self, id: &WorkloadId, path: &str) -> Option<Found> {
        let mut cache = self.table.borrow_mut();
        let table = cache.load();
        let at = table.workloads.binary_search_by(|workload| workload.id.cmp(id)).ok()?;
        self.seat(table, at, None, path)
    }

    /// This worker's seat of the workload at `at`.
    #[inline]
    fn seat(&self, table: &Table, at: usize, rule: Option<Arc<RouteRule>>, path: &str) -> Option<Found> {
        let gate = table.gates.get(at)?;
        let no_wake = table.workloads.get(at)?.policy.no_wake(path);
        if let Some(seat) = self.seats.borrow().get(&gate.key) {
            return Some(Found { seat: Some(seat.clone()), no_wake, rule });
        }
        let seat =
            Rc::new(Seat { gate: gate.clone(), ledger: Ledger::default(), retries: Budget::new(self.now()) });
        self.seats.borrow_mut().insert(gate.key, seat.clone());
        Some(Found { seat: Some(seat), no_wake, rule })
    }

    /// This worker's connections to a replica.
    pub(crate) fn port(&self, slot: &Arc<Slot>) -> Rc<Port> {
        let key = if is_off(Rule::Identity) { slot.address.port().into() } else { slot.key };
        if let Some(port) = self.ports.borrow().get(&key) {
            return port.clone();
        }
        let port = Rc::new(Port::new(slot.clone()));
        self.ports.borrow_mut().insert(key, port.clone());
        port
    }

    /// Tells the control side that requests wait. If it has no room it will hear it from the next one, or its tick.
    pub(crate) fn announce(&self, gate: &Gate) {
        let _ = self.notices.try_send(Notice { gate: gate.key });
    }

    /// Looks after idle connections, for ever.
    pub(crate) async fn sweep(&self) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            let now = self.now();
            self.ports.borrow_mut().retain(|_, port| {
                port.sweep(now);
                !port.slot.is_gone() || port.active.get() > 0
            });
            self.seats.borrow_mut().retain(|_, seat| Rc::strong_count(seat) > 1 || !seat.gate.view().removed);
        }
    }

    fn totals(&self) -> WorkerTotals {
        let mut links: HashMap<Kind, Links, FixedState> = HashMap::default();
        for port in self.ports.borrow().values() {
            let of_gate = links.entry(port.slot.kind).or_default();
            let (idle, active) = port.connections();
            of_gate.idle += idle;
            of_gate.active += active;
        }
        let all = links.values().fold(Links::default(), |sum, links| sum.plus(*links));
        let counted = |seat: &Rc<Seat>| WorkloadCounts {
            id: seat.gate.id.clone(),
            counts: seat.ledger.copy(),
            links: links.get(&Kind::Replica(seat.gate.key)).copied().unwrap_or_default(),
        };
        WorkerTotals {
            workloads: self.seats.borrow().values().map(counted).collect(),
            strays: self.strays.copy(),
            links: all,
            connections: [self.open[0].get(), self.open[1].get()],
            handshakes: self.handshakes.get(),
            delays: *self.delays.borrow(),
        }
    }

    /// Answers what the control side asks.
    pub(crate) async fn answer(&self, mut asks: mpsc::Receiver<Ask>) {
        while let Some(ask) = asks.recv().await {
            match ask {
                Ask::Brief(reply) => {
                    let seats = self.seats.borrow();
                    let brief = seats.iter().map(|(key, seat)| (*key, seat.ledger.brief())).collect();
                    let _ = reply.send(brief);
                }
                Ask::Totals(reply) => {
                    let _ = reply.send(self.totals());
                }
                Ask::Flush(reply) => {
                    self.book.flush();
                    let _ = reply.send(());
                }
            }
        }
    }
}

/// The `count`th of a series of numbers of which neighbours share no digits: the step of SplitMix64.
pub(crate) fn scatter(seed: u64, count: u64) -> u64 {
    let mut mixed = seed ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 27)
}
