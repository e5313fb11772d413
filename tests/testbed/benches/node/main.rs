//! Kaos on a real node, from its own image and manifests: what a cold start adds, how a burst is met, what is lost around
//! zero and in a rolling restart.
//!
//! `cargo bench -p kaos-testbed --features node --bench node -- [cold] [burst] [zero] [restart] [ROUNDS]`. Prints; asserts
//! nothing of time. All four take some ten minutes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a measurement")]

mod burst;
mod cold;
mod restart;
#[path = "../../tests/support/mod.rs"]
mod support;
mod zero;

use std::net::SocketAddr;
use std::time::Duration;

use kaos_testbed::{ControlPlane, Node, eventually};
use kube::Client;
use serde_json::{Value, json};
use support::installed::Installed;
use support::kaos::annotate;
use support::{pods, ready, shop};

/// A cluster with Kaos in it.
struct Cluster {
    plane: ControlPlane,
    client: Client,
    kaos: Installed,
    // Ends before the control plane does.
    _node: Node,
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok());
    let is_said = |name: &str| {
        let names = words.iter().filter(|word| word.parse::<usize>().is_err()).count();
        names == 0 || words.iter().any(|word| word == name)
    };
    let plane = ControlPlane::start_for_pods().await.unwrap();
    let client = plane.client(plane.admin()).await.unwrap();
    let node = Node::start(&plane).await.unwrap();
    let kaos = Installed::start(&plane, &node).await;
    let cluster = Cluster { plane, client, kaos, _node: node };
    if is_said("cold") {
        cold::measure(&cluster, rounds.unwrap_or(30)).await;
    }
    if is_said("burst") {
        burst::measure(&cluster, rounds.unwrap_or(3)).await;
    }
    if is_said("zero") {
        zero::measure(&cluster, rounds.unwrap_or(200)).await;
    }
    if is_said("restart") {
        restart::measure(&cluster, rounds.unwrap_or(5)).await;
    }
}

impl Cluster {
    /// A new namespace with an adopted Deployment `shop` of one pod, whose probe runs each `period` seconds. Its name.
    async fn adopted(&self, name: &str, period: u32, annotations: Value) -> String {
        let namespace = self.plane.namespace(name).await.unwrap();
        let env = json!([{"name": "HOST", "value": "0.0.0.0"}, {"name": "PORT", "value": "8080"}]);
        let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": period});
        shop(&self.client, &namespace, 1, json!({"env": env, "readinessProbe": probe})).await;
        ready(&self.client, &namespace, 1).await;
        annotate(&self.client, &namespace, annotations).await;
        let host = host(&namespace);
        eventually("it is adopted", async || (self.kaos.get(&host, "/").await?.status == 200).then_some(()))
            .await;
        namespace
    }

    /// Waits until `shop` is at zero and its pods are gone.
    async fn asleep(&self, namespace: &str) {
        support::kaos::wanted(&self.client, namespace, 0).await;
        eventually("its pods are gone", async || {
            pods(&self.client, namespace).await.is_empty().then_some(())
        })
        .await;
    }

    /// Where the proxies take requests.
    async fn proxies(&self) -> Vec<SocketAddr> {
        self.kaos.proxies().await
    }
}

/// The host that is inferred for `shop`.
fn host(namespace: &str) -> String {
    format!("shop.{namespace}.localhost")
}

/// The head of a GET on a connection that carries nothing else.
fn request(namespace: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host(namespace))
}

/// Prints milliseconds.
fn print(what: &str, mut spans: Vec<f64>) {
    spans.sort_unstable_by(f64::total_cmp);
    if spans.is_empty() {
        return println!("{what}: nothing");
    }
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share).round() as usize] * 1000.0;
    let (middle, high, most) = (at(0.5), at(0.9), at(1.0));
    println!("{what}: ms p50 {middle:.1}, p90 {high:.1}, max {most:.1}, of {}", spans.len());
}

/// Up to this long.
fn at_random(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}
