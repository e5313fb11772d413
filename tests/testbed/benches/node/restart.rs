//! Rolling restarts of the proxies under load. Clients choose a proxy from the EndpointSlices as they were three seconds
//! ago, and never try again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kaos_loadtest::exchange::exchange;
use kaos_testbed::eventually;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::support::installed::{SYSTEM, proxies, rolled_out};
use crate::{Cluster, at_random, host, request};

/// Clients of each kind: half keep their connection, half don't.
const CLIENTS: usize = 25;

/// Between two requests of a client: 500 requests a second in all.
const PACE: Duration = Duration::from_millis(100);

/// How old the list of proxies is that clients choose from.
const LATE: Duration = Duration::from_secs(3);

/// What clients have counted.
#[derive(Default)]
struct Tally {
    answered: usize,
    failed: Vec<String>,
}

/// What all clients share.
struct Shared {
    namespace: String,
    /// The proxies, each time they changed.
    views: Mutex<Vec<(Instant, Vec<SocketAddr>)>>,
    tally: Mutex<Tally>,
    began: Instant,
}

/// Prints what failed.
pub(crate) async fn measure(cluster: &Cluster, restarts: usize) {
    let knobs = json!({"kaos.dev/enabled": "true", "kaos.dev/min-scale": "1"});
    let namespace = cluster.adopted("restart", 1, knobs).await;
    let (views, tally) = (Mutex::new(vec![(Instant::now(), cluster.proxies().await)]), Mutex::default());
    let shared = Arc::new(Shared { namespace, views, tally, began: Instant::now() });
    sleep(LATE).await;
    let mut clients = JoinSet::new();
    clients.spawn(view(cluster.client.clone(), Arc::clone(&shared)));
    for _ in 0..CLIENTS {
        clients.spawn(keeps(Arc::clone(&shared)));
        clients.spawn(connects(Arc::clone(&shared)));
    }
    for restart in 0..restarts {
        let begun = shared.began.elapsed().as_secs_f64();
        let mut streams = JoinSet::new();
        for _ in 0..2 * CLIENTS {
            streams.spawn(stream(Arc::clone(&shared)));
        }
        sleep(Duration::from_secs(2)).await;
        roll(cluster, restart).await;
        streams.join_all().await;
        let tally = shared.tally.lock().unwrap();
        println!(
            "restart {restart} at {begun:.0} s: {} answered so far, {} failed {:?}",
            tally.answered,
            tally.failed.len(),
            &tally.failed[..tally.failed.len().min(10)],
        );
    }
    clients.shutdown().await;
    let (tally, took) = (shared.tally.lock().unwrap(), shared.began.elapsed().as_secs_f64());
    println!(
        "{} requests, {:.0} a second, {} failed",
        tally.answered,
        tally.answered as f64 / took,
        tally.failed.len()
    );
}

/// Restarts the proxies as `kubectl rollout restart` does.
async fn roll(cluster: &Cluster, restart: usize) {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let mark = json!({"kubectl.kubernetes.io/restartedAt": restart.to_string()});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": mark}}}});
    deployments.patch("kaos-proxy", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    eventually("the proxies are rolled out", async || {
        rolled_out(&deployments.get("kaos-proxy").await.ok()?).then_some(())
    })
    .await;
}

/// Keeps what the EndpointSlices say.
async fn view(client: kube::Client, shared: Arc<Shared>) {
    let slices = Api::<EndpointSlice>::namespaced(client, SYSTEM);
    let of_proxies = watcher::Config::default().labels("kubernetes.io/service-name=kaos-proxy");
    let mut slices = std::pin::pin!(watcher(slices, of_proxies).applied_objects());
    while let Some(slice) = slices.next().await {
        shared.views.lock().unwrap().push((Instant::now(), proxies(&[slice.unwrap()])));
    }
}

impl Shared {
    /// A proxy by a list that is three seconds old.
    fn choose(&self) -> SocketAddr {
        let views = self.views.lock().unwrap();
        let (_, then) = views.iter().rfind(|(at, _)| at.elapsed() >= LATE).unwrap();
        fastrand::choice(then).copied().unwrap()
    }

    fn count(&self, proxy: SocketAddr, what: &str, outcome: Result<(), String>) {
        let mut tally = self.tally.lock().unwrap();
        match outcome {
            Ok(()) => tally.answered += 1,
            Err(why) => {
                let at = self.began.elapsed().as_secs_f64();
                tally.failed.push(format!("{at:.1} s: {what} at {proxy}: {why}"));
            }
        }
    }
}

/// A client that makes a connection for each request.
async fn connects(shared: Arc<Shared>) {
    let head = request(&shared.namespace, "/");
    sleep(at_random(PACE)).await;
    let mut pace = interval(PACE);
    loop {
        pace.tick().await;
        let proxy = shared.choose();
        shared.count(proxy, "a new connection", whole(proxy, &head, "").await);
    }
}

/// A stream of 20 s.
async fn stream(shared: Arc<Shared>) {
    sleep(at_random(Duration::from_secs(4))).await;
    let (proxy, head) = (shared.choose(), request(&shared.namespace, "/sse?count=200&every=100ms"));
    shared.count(proxy, "a stream", whole(proxy, &head, "data: 199\n").await);
}

/// One exchange whose body ends with `last`, or at least comes whole.
async fn whole(proxy: SocketAddr, head: &str, last: &str) -> Result<(), String> {
    let answer = exchange(proxy, head).await.map_err(|failure| format!("{failure:?}"))?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status == 200 && body.trim_end().ends_with(last.trim_end()) {
        return Ok(());
    }
    Err(format!("{} {body}", answer.status))
}

/// A client that keeps its connection until it is told to go, or sees its end before it sends.
async fn keeps(shared: Arc<Shared>) {
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(&shared.namespace));
    sleep(at_random(PACE)).await;
    let (mut pace, mut kept) = (interval(PACE), None);
    loop {
        pace.tick().await;
        let is_open = |stream: &TcpStream| matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        let (proxy, stream) = match kept.take() {
            Some((proxy, stream)) if is_open(&stream) => (proxy, Ok(stream)),
            _ => {
                let proxy = shared.choose();
                (proxy, TcpStream::connect(proxy).await)
            }
        };
        let outcome = match stream {
            Ok(mut stream) => next(&mut stream, &head).await.map(|stays| stays.then_some(stream)),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(stream) => {
                shared.count(proxy, "a kept connection", Ok(()));
                kept = stream.map(|stream| (proxy, stream));
            }
            Err(why) => shared.count(proxy, "a kept connection", Err(why)),
        }
    }
}

/// One exchange on a connection. Whether the connection stays.
async fn next(stream: &mut TcpStream, head: &str) -> Result<bool, String> {
    let failed = |error: std::io::Error| error.to_string();
    stream.write_all(head.as_bytes()).await.map_err(failed)?;
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.map_err(failed)? == 0 {
            return Err(format!("closed after {} bytes", bytes.len()));
        }
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length = field("content-length:").and_then(|length| length.parse::<usize>().ok());
        if body.len() < length.ok_or("an answer without a length")? {
            continue;
        }
        return if head.starts_with("http/1.1 200") {
            Ok(field("connection:") != Some("close"))
        } else {
            Err(text)
        };
    }
}
