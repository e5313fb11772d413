//! From a change of an Ingress, beside thousands of others, until requests are led by it: a proxy as a process of its own, over
//! HTTPS, with the rights that `kaos install` gives it. Or from a change of an HTTPRoute, or of a Deployment's annotations.
//!
//! `cargo bench -p kaos-testbed --bench ingress -- 2000 300` (Ingresses, changes; with `routes` behind it HTTPRoutes, with `annotations`
//! Deployments) after `cargo build --release -p kaos`. Prints; asserts nothing of time.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kaos_testbed::{ControlPlane, eventually};
use kube::Client;
use serde_json::{Value, json};
use support::kaos::{Kaos, apply, gateway_api, gateway_class};

/// Objects that are made at one time.
const AT_ONCE: usize = 16;

fn ingress(namespace: &str, at: usize, path: &str) -> Value {
    let backend = json!({"service": {"name": format!("web-{at}"), "port": {"number": 80}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": format!("web-{at}"), "namespace": namespace},
        "spec": {"ingressClassName": "kaos", "rules": [{
            "host": format!("web-{at}.{namespace}.test"),
            "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}]},
    })
}

fn route(namespace: &str, at: usize, path: &str) -> Value {
    let backend = json!({"name": format!("web-{at}"), "port": 80});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": format!("web-{at}"), "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "front"}], "hostnames": [format!("web-{at}.{namespace}.test")],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [backend]}]},
    })
}

/// Under which host a Deployment is that claims no path: none of them is replaced by another's of the same workload.
fn host(namespace: &str, at: usize, path: &str) -> String {
    match path.trim_matches('/') {
        "" => format!("web-{at}.{namespace}.test"),
        change => format!("{change}.web-{at}.{namespace}.test"),
    }
}

/// A Deployment whose requests wake nothing, under a host for each path.
fn deployment(namespace: &str, at: usize, path: &str) -> Value {
    let (name, labels) = (format!("web-{at}"), json!({"app": format!("web-{at}")}));
    let container =
        json!({"name": "app", "image": "registry.local/answer:1", "ports": [{"containerPort": 80}]});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "annotations": {
            "kaos.dev/enabled": "true", "kaos.dev/no-wake-paths": "/=204", "kaos.dev/host": host(namespace, at, path)}},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
    })
}

/// The Gateway that the routes are attached to.
async fn gateway(client: &Client, namespace: &str) {
    gateway_api(client).await;
    gateway_class(client).await;
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    apply(
        client,
        &json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "front", "namespace": namespace},
            "spec": {"gatewayClassName": "kaos", "listeners": listeners},
        }),
    )
    .await;
}

/// What leads to one Service, by its number and path.
type Made = fn(&str, usize, &str) -> Value;

async fn make(client: &Client, namespace: &str, at: usize, made: Made) {
    apply(
        client,
        &json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("web-{at}"), "namespace": namespace},
            "spec": {"clusterIP": "None", "selector": {"app": format!("web-{at}")}, "ports": [{"port": 80}]},
        }),
    )
    .await;
    apply(client, &made(namespace, at, "/")).await;
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().filter_map(|word| word.parse().ok());
    let (count, changes) = (numbers.next().unwrap_or(2000), numbers.next().unwrap_or(300));
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("routes").await.unwrap();
    let asked = |what: &str| std::env::args().any(|word| word == what);
    let routes = asked("routes");
    let (made, kind, led): (Made, &str, u16) = match (routes, asked("annotations")) {
        (true, _) => (route, "HTTPRoutes", 503),
        (false, true) => (deployment, "Deployments", 204),
        (false, false) => (ingress, "Ingresses", 503),
    };
    if routes {
        gateway(&client, &namespace).await;
    }
    stream::iter(0..count).for_each_concurrent(AT_ONCE, |at| make(&client, &namespace, at, made)).await;
    // With routes somebody writes their statuses, as in a cluster.
    let kaos = Kaos::start(plane, &namespace, 1, usize::from(routes)).await;
    // Nobody is behind any of them: what is led somewhere is answered 503, or 204 if it is a Deployment's; what isn't 404.
    let status = async |at: usize, path: &str| {
        let by_host = led == 204;
        let host = host(&namespace, at, if by_host { path } else { "/" });
        Some(kaos.get(0, &host, if by_host { "/" } else { path }).await?.status)
    };
    eventually("all are known", async || (status(count - 1, "/").await? == led).then_some(())).await;
    if routes {
        let path =
            format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/web-{}", count - 1);
        eventually("the last is told", async || {
            let route: Value =
                client.request(http::Request::get(&path).body(Vec::new()).unwrap()).await.ok()?;
            (route["status"]["parents"][0]["conditions"][0]["status"] == "True").then_some(())
        })
        .await;
    }
    let (mut sent, mut written) = (Vec::new(), Vec::new());
    for change in 0..changes {
        let (at, path) = (fastrand::usize(..count), format!("/change-{change}"));
        let begun = Instant::now();
        apply(&client, &made(&namespace, at, &path)).await;
        let done = Instant::now();
        // What was there before is left no more.
        while status(at, "/").await != Some(404) || status(at, &path).await != Some(led) {}
        sent.push(begun.elapsed());
        written.push(done.elapsed());
    }
    println!("{changes} changes among {count} {kind}; milliseconds   p50     p90     p99     max");
    print("change sent → requests are led by it     ", &mut sent);
    print("change answered → requests are led by it ", &mut written);
}

fn print(what: &str, spans: &mut [Duration]) {
    spans.sort_unstable();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0;
    println!("{what} {:>7.2} {:>7.2} {:>7.2} {:>7.2}", at(0.5), at(0.9), at(0.99), at(1.0));
}
