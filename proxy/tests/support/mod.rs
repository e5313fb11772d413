//! A proxy over replicas that the test plays itself, byte for byte.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses its part of the rig")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a rig that breaks fails the test"
)]

pub mod flood;
pub mod frames;
pub mod h2c;
pub mod http2;
mod replica;
pub mod replica_frames;
mod request;
mod sockets;
pub mod tls;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::host::HostPattern;
use kaos_core::route::{Claim, Leads, Matching, Route, RouteTable};
use kaos_core::rule::Rule;
use kaos_core::snapshot::{Hold, Phase, Replicas, StartFailure, StartTimes};
use kaos_core::{
    Endpoint, EndpointUid, Moment, Policy, ProxyId, Reading, Report, Snapshot, Workload, WorkloadId,
};
use kaos_proxy::{Access, Bound, Certificates, Config, Detail, Limits, Proxy, Totals, WorkloadTotals, bind};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

pub use replica::{Replica, Vacant};
pub use request::Request;
pub use wire::{Answer, Client};

/// Longest wait for anything that must come. Where rules are turned off it never does.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(feature = "sabotage") { 12 } else { 20 });

/// Any port of this machine.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running proxy with one workload, `local/shop`, that every host reaches.
pub struct Rig {
    pub runtime: Runtime,
    pub proxy: Option<Proxy>,
    pub address: SocketAddr,
    /// Where the same is reached over TLS.
    pub tls_address: SocketAddr,
    /// Where other proxies ask, if anywhere.
    pub gate: Option<SocketAddr>,
    pub origin: Instant,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// Which proxies are ready.
    pub peers: watch::Sender<BTreeMap<ProxyId, SocketAddr>>,
    pub reports: mpsc::Receiver<Report>,
    workload: Workload,
    /// What the route to it says of its requests.
    rule: Option<Arc<Rule>>,
    version: u64,
    replicas: Vec<u16>,
    /// What was bound to its ports when it was told to stop: whoever is given a port that it has let go of is somebody else.
    own: Option<BTreeSet<u64>>,
}

impl Rig {
    /// A proxy of two workers whose workload has `knobs` and no replica yet.
    pub fn new(knobs: &[(&str, &str)]) -> Rig {
        Rig::with(knobs, |_| {}, Limits::default())
    }

    /// One whose configuration is changed before it starts.
    pub fn with(knobs: &[(&str, &str)], change: impl FnOnce(&mut Config), limits: Limits) -> Rig {
        Rig::telling(knobs, change, limits, None)
    }

    /// One that tells of its requests.
    pub fn telling(
        knobs: &[(&str, &str)],
        change: impl FnOnce(&mut Config),
        limits: Limits,
        access: Option<Access>,
    ) -> Rig {
        Rig::bound(knobs, change, |bound| {
            let bound = bound.with_limits(limits).with_access_log(access);
            bound.with_tls(LOOPBACK, tls::certificates()).unwrap()
        })
    }

    /// One that other proxies ask, which hear of a replica so much later, or go by the answer.
    pub fn asked(knobs: &[(&str, &str)], settle: Option<Duration>) -> Rig {
        Rig::bound(
            knobs,
            |_| {},
            |bound| {
                bound
                    .with_tls(LOOPBACK, tls::certificates())
                    .and_then(|bound| bound.with_gate(LOOPBACK, settle))
                    .unwrap()
            },
        )
    }

    /// One that shows its clients these certificates.
    pub fn showing(certificates: Arc<Certificates>) -> Rig {
        Rig::bound(&[], |_| {}, |bound| bound.with_tls(LOOPBACK, certificates).unwrap())
    }

    fn bound(
        knobs: &[(&str, &str)],
        change: impl FnOnce(&mut Config),
        complete: impl FnOnce(Bound) -> Bound,
    ) -> Rig {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let origin = Instant::now();
        let mut config = Config {
            listen: LOOPBACK,
            workers: 2,
            origin,
            id: ProxyId::new("test"),
            epoch: 1,
            error_detail: Detail::Full,
            max_header_size: 32 * 1024,
            max_connections: 20_000,
            queue_bytes: 64 * 1024 * 1024,
        };
        change(&mut config);
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
            mode: kaos_core::snapshot::Mode::default(),
            checks: Arc::default(),
            contender: None,
            handed_to: None,
            order: None,
        };
        let (snapshots, seen) = watch::channel(picture(0, vec![workload.clone()], None));
        let (report, reports) = mpsc::channel(100_000);
        let (peers, ready) = watch::channel(BTreeMap::new());
        let bound = complete(bind(config).unwrap()).with_peers(ready);
        let (address, tls_address, gate) =
            (bound.address(), bound.tls_address().unwrap(), bound.gate_address());
        let proxy = runtime.block_on(async { bound.run(seen, report).unwrap() });
        Rig {
            runtime,
            proxy: Some(proxy),
            address,
            tls_address,
            gate,
            origin,
            snapshots,
            peers,
            reports,
            workload,
            rule: None,
            version: 0,
            replicas: Vec::new(),
            own: None,
        }
    }

    /// Publishes the workload as it is now, and waits until the proxy acts on it.
    pub fn show(&mut self) {
        self.workload.version = self.version + 1;
        self.publish(vec![self.workload.clone()]);
    }

    /// Publishes that there is no workload, and waits until the proxy knows.
    pub fn withdraw(&mut self) {
        self.publish(Vec::new());
    }

    /// Publishes `workloads` and one more that nobody can reach: the proxy counts it as soon as it acts on the picture.
    fn publish(&mut self, mut workloads: Vec<Workload>) {
        self.version += 1;
        let marker = WorkloadId::new("local", &format!("version-{}", self.version));
        workloads.push(Workload { id: marker.clone(), hosts: Vec::new(), ..self.workload.clone() });
        self.snapshots.send_replace(picture(self.version, workloads, self.rule.clone()));
        until("the proxy acts on it", || self.totals().workloads.contains_key(&marker));
    }

    /// The version of what was last published.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Changes the workload and publishes it.
    pub fn change(&mut self, change: impl FnOnce(&mut Workload)) {
        change(&mut self.workload);
        self.show();
    }

    /// Publishes that its route says this.
    pub fn rule(&mut self, rule: Rule) {
        self.rule = Some(Arc::new(rule));
        self.show();
    }

    /// Adds a ready replica at `address`.
    pub fn add(&mut self, uid: &str, address: SocketAddr) {
        let now = self.now();
        let start = StartTimes { decided: Some(now), started: Some(now), ready: Some(now) };
        self.list(uid, address, Phase::Ready, start);
    }

    /// Adds a replica in `phase` whose start went as told.
    pub fn list(&mut self, uid: &str, address: SocketAddr, phase: Phase, start: StartTimes) {
        self.replicas.push(address.port());
        let endpoint = Endpoint { uid: EndpointUid::new(uid), address, phase, start };
        self.change(|workload| workload.endpoints.push(endpoint));
    }

    pub fn now(&self) -> Moment {
        Moment::at(self.origin, Instant::now())
    }

    /// The most requests that one report since the last call said were waiting, and whether there was a report at all.
    pub fn reported_waiting(&mut self) -> Option<u64> {
        let mut most = None;
        while let Ok(report) = self.reports.try_recv() {
            for (id, reading) in &report.workloads {
                if *id == self.workload.id {
                    most = most.max(Some(reading.waiting.open()));
                }
            }
        }
        most
    }

    /// What is reported of the picture that was published last, when `wanted` likes it.
    #[track_caller]
    pub fn reported(&mut self, wanted: impl Fn(&Reading) -> bool) -> Reading {
        let version = self.version;
        let mut found = None;
        until("it is reported", || {
            while let Ok(report) = self.reports.try_recv() {
                let mut readings = report.workloads.into_iter().filter(|(id, _)| id.name() == "shop");
                if let Some((_, reading)) = readings.next()
                    && reading.seen == version
                    && wanted(&reading)
                {
                    found = Some(reading);
                    return true;
                }
            }
            false
        });
        found.unwrap()
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
        if tls::EVERYWHERE { self.connect_securely() } else { Client::connect(self.address) }
    }

    /// A fresh connection to where other proxies ask.
    pub fn connect_to_gate(&self) -> Client {
        Client::connect(self.gate.unwrap())
    }

    /// A fresh connection to the proxy over TLS.
    pub fn connect_securely(&self) -> Client {
        Client::connect(self.tls_address).secure(tls::session(&[]))
    }

    /// One from another address of loopback, whose last number is `host`.
    pub fn connect_from(&self, host: u8) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::of(socket.into())
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

    /// Whether a socket of the proxy is open: one that listens, to a client, or to a replica.
    pub fn holds_sockets(&self) -> bool {
        let mut bound = self.own_sockets();
        if let Some(own) = &self.own {
            bound.retain(|inode| own.contains(inode));
        }
        !bound.is_empty() || !sockets::connected_to(&self.replicas).is_empty()
    }

    fn own_sockets(&self) -> BTreeSet<u64> {
        let all = [Some(self.address), Some(self.tls_address), self.gate];
        sockets::bound_to(&all.into_iter().flatten().map(|address| address.port()).collect::<Vec<_>>())
    }

    /// Waits until nothing is in flight or waiting, sees that nothing has panicked, stops the proxy, and checks that it has let go of everything.
    pub fn finish(self) {
        self.finish_after(0);
    }

    /// As [`Rig::finish`], of proxies that share a replica: all have stopped before it is looked at what is still connected to it.
    pub fn finish_all(rigs: impl IntoIterator<Item = Rig>) {
        let mut rigs: Vec<_> = rigs.into_iter().collect();
        rigs.iter_mut().for_each(|rig| rig.stop(0));
        until("their sockets are closed", || rigs.iter().all(|rig| !rig.holds_sockets()));
    }

    /// As [`Rig::finish`], where so many panics were meant.
    pub fn finish_after(mut self, panics: u64) {
        self.stop(panics);
        until("its sockets are closed", || !self.holds_sockets());
    }

    fn stop(&mut self, panics: u64) {
        until("nothing is in flight", || self.in_flight() == 0);
        until("nothing waits", || self.waiting() == 0);
        until("no connection to a replica is in use", || self.totals().upstream_active == 0);
        assert_eq!(self.totals().panics, panics, "panics");
        let proxy = self.proxy.take().unwrap();
        self.own = Some(self.own_sockets());
        self.runtime.block_on(proxy.stop(Duration::from_secs(5)));
    }
}

fn picture(version: u64, workloads: Vec<Workload>, rule: Option<Arc<Rule>>) -> Arc<Snapshot> {
    let claims: Vec<_> =
        workloads.iter().map(|one| Claim { id: &one.id, hosts: &one.hosts, path: &one.path }).collect();
    let mut routes = RouteTable::build(&claims).0;
    if rule.is_some() {
        routes = RouteTable::default();
        routes.add(&HostPattern::Any, Matching::Prefix, "/", Route { leads: Leads::To(0), rule }).unwrap();
    }
    let routes = Arc::new(routes);
    let workloads = workloads.into_iter().map(Arc::new).collect();
    Arc::new(Snapshot { version, routes, workloads })
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
