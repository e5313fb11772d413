//! A proxy over replicas that the test plays itself, byte for byte.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of the rig")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a rig that breaks fails the test"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kaos_core::host::HostPattern;
use kaos_core::route::{Claim, RouteTable};
use kaos_core::snapshot::{Hold, Phase, Replicas, StartFailure, StartTimes};
use kaos_core::{Endpoint, EndpointUid, Moment, Policy, ProxyId, Report, Snapshot, Workload, WorkloadId};
use kaos_proxy::{Config, Detail, Proxy, Totals, WorkloadTotals, bind};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// Longest wait for anything that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy with one workload, `local/shop`, that every host reaches.
pub struct Rig {
    pub runtime: Runtime,
    pub proxy: Option<Proxy>,
    pub address: SocketAddr,
    pub origin: Instant,
    snapshots: watch::Sender<Arc<Snapshot>>,
    pub reports: mpsc::Receiver<Report>,
    workload: Workload,
    version: u64,
    descriptors: usize,
}

impl Rig {
    /// A proxy of two workers whose workload has `knobs` and no replica yet.
    pub fn new(knobs: &[(&str, &str)]) -> Rig {
        let descriptors = open_descriptors();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let origin = Instant::now();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            workers: 2,
            origin,
            id: ProxyId::new("test"),
            epoch: 1,
            error_detail: Detail::Full,
            max_header_size: 32 * 1024,
            max_connections: 20_000,
            queue_bytes: 64 * 1024 * 1024,
        };
        let workload = Workload {
            id: WorkloadId::new("local", "shop"),
            hosts: vec![HostPattern::Any],
            path: "/".into(),
            policy: Arc::new(Policy::local(4).with(knobs.iter().copied()).unwrap()),
            endpoints: Vec::new(),
            replicas: Replicas::default(),
            hold: None,
            failure: None,
            version: 1,
        };
        let (snapshots, seen) = watch::channel(picture(&workload, 0));
        let (report, reports) = mpsc::channel(100_000);
        let bound = bind(config).unwrap();
        let address = bound.address();
        let proxy = runtime.block_on(async { bound.run(seen, report).unwrap() });
        Rig {
            runtime,
            proxy: Some(proxy),
            address,
            origin,
            snapshots,
            reports,
            workload,
            version: 0,
            descriptors,
        }
    }

    /// Publishes the workload as it is now.
    pub fn show(&mut self) {
        self.version += 1;
        self.snapshots.send_replace(picture(&self.workload, self.version));
    }

    /// Changes the workload and publishes it.
    pub fn change(&mut self, change: impl FnOnce(&mut Workload)) {
        change(&mut self.workload);
        self.show();
    }

    /// Adds a ready replica at `address`.
    pub fn add(&mut self, uid: &str, address: SocketAddr) {
        let now = Moment::at(self.origin, Instant::now());
        let start = StartTimes { decided: Some(now), started: Some(now), ready: Some(now) };
        let endpoint = Endpoint { uid: EndpointUid::new(uid), address, phase: Phase::Ready, start };
        self.change(|workload| workload.endpoints.push(endpoint));
    }

    /// Takes a replica away.
    pub fn remove(&mut self, uid: &str) {
        self.change(|workload| workload.endpoints.retain(|endpoint| endpoint.uid.as_str() != uid));
    }

    pub fn hold(&mut self, hold: Option<Hold>) {
        self.change(|workload| workload.hold = hold);
    }

    pub fn fail(&mut self, failure: Option<StartFailure>) {
        self.change(|workload| workload.failure = failure);
    }

    /// A fresh connection to the proxy.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn totals(&self) -> Totals {
        self.runtime.block_on(self.proxy.as_ref().unwrap().gather())
    }

    /// What was counted of the workload; nothing before the proxy knows it.
    pub fn shop(&self) -> WorkloadTotals {
        self.totals().workloads.remove(&WorkloadId::new("local", "shop")).unwrap_or_default()
    }

    pub fn waiting(&self) -> u32 {
        self.shop().waiting
    }

    pub fn in_flight(&self) -> u64 {
        self.shop().counts.running.open()
    }

    /// How often a request ended with `code`.
    pub fn counted(&self, code: u16) -> u64 {
        let totals = self.totals();
        let counts = self.shop().counts;
        let of = |codes: &[(u16, u64)]| {
            codes.iter().find(|(known, _)| *known == code).map_or(0, |(_, count)| *count)
        };
        of(&counts.codes) + of(&totals.strays.codes)
    }

    /// Waits until nothing is in flight or waiting, stops the proxy, and checks that it has let go of everything.
    pub fn finish(mut self) {
        until("nothing is in flight", || self.in_flight() == 0);
        until("nothing waits", || self.waiting() == 0);
        let proxy = self.proxy.take().unwrap();
        self.runtime.block_on(proxy.stop(Duration::from_secs(5)));
        let Rig { runtime, descriptors, .. } = self;
        drop(runtime);
        if std::env::var_os("KAOS_ONE_TEST").is_some() {
            until("descriptors are back", || open_descriptors() <= descriptors);
        }
    }
}

fn picture(workload: &Workload, version: u64) -> Arc<Snapshot> {
    let claims = [Claim { id: &workload.id, hosts: &workload.hosts, path: &workload.path }];
    let (routes, _) = RouteTable::build(&claims);
    Arc::new(Snapshot {
        version,
        routes: Arc::new(routes),
        workloads: vec![Arc::new(workload.clone())].into(),
    })
}

/// Waits until `condition` holds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A client's side of a connection.
pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a field, in lower-case look-up.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The word of a problem answer.
    pub fn word(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, read: Vec::new() }
    }

    pub fn of(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads until `bytes` have come, and returns all before and with them.
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            assert!(
                self.fill() > 0,
                "ended before {:?}: {:?}",
                String::from_utf8_lossy(end),
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.fill() > 0, "ended after {:?}", String::from_utf8_lossy(&self.read));
        }
        self.read.drain(..length).collect()
    }

    fn fill(&mut self) -> usize {
        let mut bytes = [0; 65536];
        let count = self.stream.read(&mut bytes).unwrap_or(0);
        self.read.extend_from_slice(&bytes[..count]);
        count
    }

    /// Everything to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Whether the peer has ended the connection with nothing more to say.
    pub fn is_ended(&mut self) -> bool {
        self.read.is_empty() && self.fill() == 0
    }

    /// A head, as text without the empty line.
    pub fn head(&mut self) -> String {
        let head = self.read_until(b"\r\n\r\n");
        String::from_utf8_lossy(&head[..head.len() - 4]).into_owned()
    }

    /// A whole answer to a GET.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let mut answer = Answer { head, body: Vec::new() };
        if let Some(length) = answer.field("content-length") {
            let length = length.parse().unwrap();
            answer.body = self.read_exact(length);
        } else if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks();
        } else if answer.status() != 204 && answer.status() != 304 && answer.status() != 101 {
            answer.body = self.read_to_end();
        }
        answer
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n");
            let size =
                usize::from_str_radix(std::str::from_utf8(&line[..line.len() - 2]).unwrap(), 16).unwrap();
            if size == 0 {
                self.read_until(b"\r\n");
                return body;
            }
            body.extend(self.read_exact(size));
            self.read_exact(2);
        }
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        self.answer()
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A replica whose every connection is handled by `serve`, on a thread of its own.
pub struct Replica {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
}

impl Replica {
    pub fn new(serve: impl Fn(Client) + Send + Sync + 'static) -> Replica {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                count.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                std::thread::spawn(move || serve(Client::of(stream)));
            }
        });
        Replica { address, connections }
    }

    /// One that answers every request without a body with `answer`, and keeps the connection.
    pub fn answering(answer: &'static str) -> Replica {
        Replica::new(move |mut client| {
            while client.next_request().is_some() {
                client.send(answer);
            }
        })
    }

    pub fn accepted(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Client {
    /// The head of the next request, if one comes.
    pub fn next_request(&mut self) -> Option<String> {
        while !self.read.windows(4).any(|window| window == b"\r\n\r\n") {
            if self.fill() == 0 {
                return None;
            }
        }
        Some(self.head())
    }
}
