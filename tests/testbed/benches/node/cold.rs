//! A cold start: Kaos's first byte against the moment from which the pod could have answered, as others see it, and against
//! the EndpointSlice that everybody else waits for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kaos_loadtest::exchange::exchange;
use kaos_testbed::eventually;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::{Cluster, at_random, print, request};

/// Between two tries of the pod.
const TRIES: Duration = Duration::from_millis(5);

/// What an independent watch has seen of the one pod.
#[derive(Default)]
struct Seen {
    address: Option<(SocketAddr, Instant)>,
    ready: Option<Instant>,
}

/// Prints, for probes of one and of ten seconds.
pub(crate) async fn measure(cluster: &Cluster, rounds: usize) {
    for period in [1, 10] {
        let knobs = json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"});
        let namespace = cluster.adopted("cold", period, knobs).await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut watching = watch(cluster, &namespace, &seen);
        let (mut gaps, mut gains, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            cluster.asleep(&namespace).await;
            *seen.lock().unwrap() = Seen::default();
            sleep(at_random(Duration::from_secs(1))).await;
            let proxies = cluster.proxies().await;
            let head = request(&namespace, "/");
            let asked = exchange(proxies[round % proxies.len()], &head);
            let (answer, (address, good)) = tokio::join!(asked, beside(&seen));
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200);
            let ready = eventually("the slice is ready", async || seen.lock().unwrap().ready).await;
            gaps.push(since(address.max(good), answer.first_byte));
            gains.push(since(answer.first_byte, ready));
            wholes.push(since(answer.sent, answer.first_byte));
        }
        println!("cold start, probe each {period} s");
        print("  request to first byte", wholes);
        print("  first byte after the pod could answer", gaps);
        print("  first byte before the EndpointSlice said ready", gains);
        watching.abort_all();
        while watching.join_next().await.is_some() {}
    }
}

/// Seconds, below zero if `to` was first.
fn since(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() - from.saturating_duration_since(to).as_secs_f64()
}

/// Follows pods and EndpointSlices.
fn watch(cluster: &Cluster, namespace: &str, seen: &Arc<Mutex<Seen>>) -> JoinSet<()> {
    let pods = watcher(Api::<Pod>::namespaced(cluster.client.clone(), namespace), watcher::Config::default());
    let slices = Api::<EndpointSlice>::namespaced(cluster.client.clone(), namespace);
    let slices = watcher(slices, watcher::Config::default());
    let mut watching = JoinSet::new();
    let (of_pods, of_slices) = (Arc::clone(seen), Arc::clone(seen));
    watching.spawn(each(pods.applied_objects(), move |pod: Pod| {
        let goes = pod.metadata.deletion_timestamp.is_some();
        let address = pod.status.and_then(|status| status.pod_ip).filter(|_| !goes);
        see_address(&of_pods, address);
    }));
    watching.spawn(each(slices.applied_objects(), move |slice: EndpointSlice| {
        for endpoint in slice.endpoints.unwrap_or_default() {
            let conditions = endpoint.conditions.unwrap_or_default();
            if conditions.terminating == Some(true) {
                continue;
            }
            see_address(&of_slices, endpoint.addresses.into_iter().next());
            if conditions.ready == Some(true) {
                of_slices.lock().unwrap().ready.get_or_insert_with(Instant::now);
            }
        }
    }));
    watching
}

async fn each<T>(objects: impl Stream<Item = Result<T, watcher::Error>>, mut see: impl FnMut(T)) {
    let mut objects = std::pin::pin!(objects);
    while let Some(object) = objects.next().await {
        see(object.unwrap());
    }
}

fn see_address(seen: &Mutex<Seen>, address: Option<String>) {
    if let Some(address) = address {
        let address = format!("{address}:8080").parse().unwrap();
        seen.lock().unwrap().address.get_or_insert_with(|| (address, Instant::now()));
    }
}

/// When the pod's address was there for all to see, and when it answered first, tried each 5 ms.
async fn beside(seen: &Mutex<Seen>) -> (Instant, Instant) {
    let mut tick = interval(Duration::from_millis(1));
    let (address, at) = loop {
        tick.tick().await;
        if let Some(address) = seen.lock().unwrap().address {
            break address;
        }
    };
    let (mut tries, mut next) = (FuturesUnordered::new(), interval(TRIES));
    let good = loop {
        tokio::select! {
            Some(Ok(Ok(answer))) = tries.next(), if !tries.is_empty() => {
                let answer: kaos_loadtest::exchange::Exchanged = answer;
                if answer.status == 200 {
                    break Instant::now();
                }
            }
            _ = next.tick() => {
                let head = "GET /healthz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n";
                tries.push(timeout(Duration::from_secs(1), exchange(address, head)));
            }
        }
    };
    (at, good)
}
