//! From a request for a Deployment at zero to the API server's receiving of the write that wakes it: two proxies and two
//! autoscalers as processes of their own, over HTTPS, with the rights that `kaos install` gives them.
//!
//! `cargo bench -p kaos-testbed --bench wake -- 200` after `cargo build --release -p kaos`. Prints; asserts nothing of time.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kaos_testbed::{AuditEntry, Behaviour, ControlPlane, Kubelet, eventually};
use serde_json::json;
use support::kaos::{Kaos, annotate, is_scaling, wanted};
use support::{pods, ready, shop};

#[tokio::main]
async fn main() {
    let rounds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(200);
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("wake").await.unwrap();
    let _kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    shop(&client, &namespace, 1, json!({"readinessProbe": probe})).await;
    ready(&client, &namespace, 1).await;
    annotate(&client, &namespace, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"})).await;
    let kaos = Kaos::start(plane, &namespace, 2, 2).await;
    let host = format!("shop.{namespace}.localhost");
    eventually("it is adopted", async || (kaos.get(0, &host, "/").await?.status == 200).then_some(())).await;
    let (mut heard, mut answered, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        wanted(&client, &namespace, 0).await;
        eventually("its pods are gone", async || pods(&client, &namespace).await.is_empty().then_some(()))
            .await;
        let before = scalings(plane, &namespace).len();
        tokio::time::sleep(Duration::from_secs(1).mul_f64(fastrand::f64())).await;
        let (sent, begun) = (Timestamp::now(), std::time::Instant::now());
        let answer = kaos.get(round % 2, &host, "/").await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answered.push(begun.elapsed());
        let wakes = eventually("the wake is in the log", async || {
            let wakes = scalings(plane, &namespace).split_off(before);
            wakes.iter().any(|entry| entry.code() == 200).then_some(wakes)
        });
        let wakes = wakes.await;
        let first = wakes.iter().map(|entry| entry.request_received_timestamp.0).min().unwrap();
        heard.push(Duration::try_from(first.duration_since(sent)).unwrap_or_default());
        writes.push((wakes.len(), wakes.iter().filter(|entry| entry.code() == 200).count()));
    }
    println!("{rounds} wakes; milliseconds   p50     p90     p99     max");
    print("request → write received", &mut heard);
    print("request → answer        ", &mut answered);
    let (all, done) = writes.iter().fold((0, 0), |most, one| (most.0.max(one.0), most.1.max(one.1)));
    println!("most writes for one wake: {all}, of which changed the count: {done}");
}

fn scalings(plane: &ControlPlane, namespace: &str) -> Vec<AuditEntry> {
    plane.audit(|entry| is_scaling(entry, namespace))
}

fn print(what: &str, spans: &mut [Duration]) {
    spans.sort_unstable();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0;
    println!("{what} {:>7.2} {:>7.2} {:>7.2} {:>7.2}", at(0.5), at(0.9), at(0.99), at(1.0));
}
