//! Prints what reading a large cluster takes, each kind of objects by itself and all of them together: 10,000 Deployments
//! of which 2,000 are adopted, as many Services, 30,000 pods in EndpointSlices. Asserts nothing.
//!
//! `cargo bench -p kaos-kubernetes --bench read`. Each row is measured in a process of its own, from the bytes of a
//! response on; the processor's time that makes the objects isn't counted.

mod objects;

use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kaos_core::WorkloadId;
use kaos_kubernetes::{Cluster, HostRules, ReadSettings};
use kube::Client;
use kube::client::Body;
use rustix::time::{ClockId, clock_gettime};
use tower::service_fn;

use objects::{ADOPTED, OBJECTS, namespace, numbered};

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KINDS: [&str; 3] = ["deployments", "services", "endpointslices"];
const CHANGES: usize = 200;

type Answer = Response<BoxBody<Bytes, Infallible>>;
type Watch = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// An API server that has objects of some kinds.
struct Server {
    has: Vec<String>,
    watches: Mutex<Vec<(String, Watch)>>,
    /// Bytes of lists, and the processor's time that making them took.
    made: Mutex<(usize, Duration)>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(query: &str, name: &str) -> Option<usize> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// The processor's time of this process.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of this process, in MB.
fn resident(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status
        .lines()
        .find_map(|it| it.strip_prefix(line)?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    found.unwrap_or(0.0) / 1024.0
}

impl Server {
    fn answer(&self, request: &Request<Body>) -> Answer {
        let resource = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let query = request.uri().query().unwrap_or_default();
        if query.contains("watch=true") {
            let (to, from) = mpsc::channel(64);
            locked(&self.watches).push((resource, to));
            return Response::new(BodyExt::boxed(StreamBody::new(from)));
        }
        let began = spent();
        let all = if self.has.contains(&resource) { OBJECTS } else { 0 };
        let from = number(query, "continue").unwrap_or(0);
        let to = (from + number(query, "limit").unwrap_or(all)).min(all);
        let more = if to < all { to.to_string() } else { String::new() };
        let (one, other) = match resource.as_str() {
            "deployments" => (objects::deployment(true), objects::deployment(false)),
            "services" => (objects::service(), objects::service()),
            _ => (objects::slice(3), objects::slice(3)),
        };
        let mut page =
            format!("{{\"metadata\":{{\"resourceVersion\":\"9\",\"continue\":\"{more}\"}},\"items\":[");
        for at in from..to {
            page.push_str(if at > from { "," } else { "" });
            page.push_str(&numbered(if at < ADOPTED { &one } else { &other }, at));
        }
        page.push_str("]}");
        let mut made = locked(&self.made);
        *made = (made.0 + page.len(), made.1 + spent().saturating_sub(began));
        Response::new(Full::new(Bytes::from(page)).boxed())
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = self.clone();
        let answer =
            move |request: Request<Body>| std::future::ready(Ok::<_, Infallible>(server.answer(&request)));
        Client::new(service_fn(answer), "default")
    }
}

fn settings() -> ReadSettings {
    let hosts = HostRules {
        domain: "example.com".into(),
        cluster_domain: "cluster.local".into(),
        any_host: false,
        allowed: vec![],
    };
    ReadSettings { namespaces: vec![], hosts, origin: Instant::now(), originals: None }
}

async fn measure(has: &[&str]) -> Result<(), Box<dyn Error>> {
    let has: Vec<String> = has.iter().map(|it| (*it).to_owned()).collect();
    let count = (OBJECTS * has.len()) as f64;
    let server = Arc::new(Server { has, watches: Mutex::default(), made: Mutex::default() });
    let (before, began, begun) = (resident("VmRSS:"), spent(), Instant::now());
    let cluster = Cluster::watch(&server.client(), settings());
    cluster.synced().wait_for(|synced| *synced).await?;
    let (took, (bytes, making)) = (begun.elapsed(), *locked(&server.made));
    let reading = spent().saturating_sub(began).saturating_sub(making).as_secs_f64();
    // The allocator gives memory back a moment after it was freed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (after, most) = (resident("VmRSS:"), resident("VmHWM:"));
    let mb = bytes as f64 / 1e6;
    println!(
        "  {mb:.1} MB of JSON: {reading:.3} s of processor, {:.0} MB/s, {:.0} objects/s; \
         first picture of {} workloads after {took:.1?}",
        mb / reading,
        count / reading,
        cluster.snapshots().borrow().workloads.len(),
    );
    println!(
        "  resident: {before:.1} MB before, {after:.1} MB after, {most:.1} MB at most; {:.0} bytes per object",
        (after - before) * 1024.0 * 1024.0 / count
    );
    if server.has.len() == KINDS.len() {
        changes(&cluster, &server).await?;
    }
    Ok(())
}

async fn changes(cluster: &Cluster, server: &Server) -> Result<(), Box<dyn Error>> {
    let mut snapshots = cluster.snapshots();
    let mut took = Vec::with_capacity(CHANGES);
    for turn in 1..=CHANGES {
        // Longer than the pace: each change is the first one after a while.
        tokio::time::sleep(Duration::from_millis(25)).await;
        let at = turn % ADOPTED;
        let line = format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", numbered(&objects::slice(2), at));
        let id = WorkloadId::new(&namespace(at), &format!("app-{at}"));
        snapshots.mark_unchanged();
        let said = Instant::now();
        let to = locked(&server.watches).iter().find(|it| it.0 == "endpointslices").map(|it| it.1.clone());
        to.ok_or("no watch")?.try_send(Ok(Frame::data(Bytes::from(line))))?;
        snapshots
            .wait_for(|snapshot| snapshot.workload(&id).is_some_and(|it| it.replicas.ready == 2))
            .await?;
        took.push(said.elapsed());
    }
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("  an endpoint's change to its snapshot: p50 {:.1?}, p99 {:.1?}", at(0.5), at(0.99));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip_while(|arg| arg != "--of").skip(1);
    if let Some(kinds) = args.next() {
        let kinds: Vec<&str> = kinds.split(',').collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(measure(&kinds));
    }
    for kinds in [KINDS[0].to_owned(), KINDS[1].to_owned(), KINDS[2].to_owned(), KINDS.join(",")] {
        println!("{kinds}");
        std::process::Command::new(std::env::current_exe()?).args(["--of", &kinds]).status()?;
    }
    Ok(())
}
