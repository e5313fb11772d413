//! A large cluster: 10,000 Deployments of which 2,000 are adopted, as many Services and EndpointSlices, 30,000 pods. What a
//! proxy and an autoscaler take of memory and of time until they are ready, and how long an endpoint's change takes to the
//! route.
//!
//! `cargo bench -p kaos-testbed --bench scale` after `cargo build --release -p kaos`. Prints; asserts nothing of time.
//! `-- 1000` makes a tenth of everything.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a measurement")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kaos_testbed::{Behaviour, ControlPlane, Kubelet, eventually};
use kube::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::kaos::{Kaos, Part, ask};
use support::pods;

/// Namespaces.
const NAMESPACES: usize = 100;
/// Writers at once.
const WRITERS: usize = 24;
/// Changes of an endpoint.
const CHANGES: usize = 300;
/// How long everything changes.
const STORM: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    let deployments = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(10_000);
    let adopted = deployments / 5;
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let real = plane.namespace("real").await.unwrap();
    let kubelet = Kubelet::start(plane, &real, Behaviour::default()).await.unwrap();
    let one = program(&client, &real, "one").await;
    let other = program(&client, &real, "other").await;
    // They would make ReplicaSets, and pods beyond those that are made here.
    let controllers = plane.processes().into_iter().find(|it| it.0 == "kube-controller-manager").unwrap().1;
    kill_process(Pid::from_raw(controllers.try_into().unwrap()).unwrap(), Signal::STOP).unwrap();
    let begun = Instant::now();
    fill(&client, deployments, adopted, &one.0).await;
    println!("{deployments} Deployments, {adopted} adopted: made in {:.0?}", begun.elapsed());

    let mut kaos = Kaos::start(plane, "", 2, 2).await;
    show("all at once", &kaos);
    kaos.restart_proxy(0).await;
    kaos.restart_autoscaler(0).await;
    show("the first of each again", &kaos);
    let mut took = Vec::with_capacity(CHANGES);
    for at in 0..CHANGES.min(adopted) {
        let host = format!("app-{at}.{}.localhost", namespace(at));
        let before = kaos.get(at % 2, &host, "/").await.unwrap();
        assert_eq!(pid(&before.head), Some(one.1.clone()), "{before:?}");
        // Longer than the pace of snapshots: each change is the first one after a while.
        tokio::time::sleep(Duration::from_millis(40)).await;
        took.push(change(&client, &kaos, at, &other).await);
    }
    print(
        "an endpoint's change to the route, from its writing's beginning",
        took.iter().map(|it| it.0).collect(),
    );
    print("an endpoint's change to the route, from its writing's end", took.iter().map(|it| it.1).collect());
    print("a request, nothing else happening", asking(&kaos).await);
    let (spans, updates) = storm(&client, &kaos, deployments).await;
    print("a request, while everything changes", spans);
    println!("{:.0} changes a second meanwhile", updates as f64 / STORM.as_secs_f64());
    tokio::time::sleep(Duration::from_secs(30)).await;
    show("later", &kaos);
    drop(kubelet);
}

/// Makes a pod with a program behind it. Its address, and the id by which the program is known.
async fn program(client: &Client, namespace: &str, name: &str) -> (String, String) {
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [
        {"name": "answer", "image": "answer", "ports": [{"containerPort": 8080, "name": "http"}]}]}});
    post(client, &format!("/api/v1/namespaces/{namespace}/pods"), &pod.to_string()).await;
    let address = eventually("the pod has an address", async || {
        let found = pods(client, namespace).await.into_iter();
        found.filter(|pod| pod.metadata.name.as_deref() == Some(name)).find_map(|pod| pod.status?.pod_ip)
    })
    .await;
    let at = format!("{address}:8080").parse().unwrap();
    let pid = eventually("the pod answers", async || pid(&ask(at, "any", "/").await?.head)).await;
    (address, pid)
}

/// Which program gave an answer with this head.
fn pid(head: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix("x-answer-pid: ")).map(str::to_owned)
}

async fn post(client: &Client, path: &str, body: &str) {
    send(client, http::Request::post(path).header("content-type", "application/json"), body).await;
}

async fn patch(client: &Client, path: &str, body: &Value) {
    let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
    send(client, request, &body.to_string()).await;
}

async fn send(client: &Client, request: http::request::Builder, body: &str) {
    client.request_text(request.body(body.as_bytes().to_vec()).unwrap()).await.unwrap();
}

/// `text` with the number `at` for each `@`, its namespace for each `#`, and an address for each `@@`.
fn numbered(text: &str, at: usize) -> String {
    let address = format!("{}.{}", at / 250, at % 250 + 1);
    text.replace('#', &namespace(at)).replace("@@", &address).replace('@', &at.to_string())
}

fn namespace(at: usize) -> String {
    format!("ns{}", at % NAMESPACES)
}

fn slice_path(at: usize) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices/app-{at}", namespace(at))
}

/// A usual Deployment, with what nothing is decided from.
fn deployment(adopted: bool) -> String {
    let annotations =
        if adopted { json!({"kaos.dev/enabled": "true", "kaos.dev/max-scale": "20"}) } else { json!({}) };
    let env: Vec<Value> =
        (0..20).map(|at| json!({"name": format!("VARIABLE_{at}"), "value": "x".repeat(40)})).collect();
    let container = json!({"name": "app", "image": "registry.example.com/app:1", "env": env,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}}});
    json!({"metadata": {"name": "app-@", "annotations": annotations}, "spec": {"replicas": 3,
        "selector": {"matchLabels": {"app": "app-@"}},
        "template": {"metadata": {"labels": {"app": "app-@", "team": "one"}}, "spec": {"containers": [container]}}}})
    .to_string()
}

fn service() -> String {
    json!({"metadata": {"name": "app-@"}, "spec": {"selector": {"app": "app-@"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})
    .to_string()
}

fn endpoint(address: &str, number: usize) -> Value {
    json!({"addresses": [address], "conditions": {"ready": true, "serving": true, "terminating": false},
        "nodeName": "node-1", "targetRef": {"kind": "Pod", "name": format!("app-@-6d4cf56db6-abcd{number}"),
            "namespace": "#", "uid": format!("0f0f0f0f-{number:04}-4000-8000-1234567@")}})
}

fn slice(endpoints: &[Value]) -> String {
    json!({"metadata": {"name": "app-@", "labels": {"kubernetes.io/service-name": "app-@"}}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints})
    .to_string()
}

fn pod() -> String {
    json!({"metadata": {"name": "app-@-6d4cf56db6-abcd!", "labels": {"app": "app-@", "pod-template-hash": "6d4cf56db6"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "registry.example.com/app:1"}]}})
    .to_string()
}

/// Makes everything. What is changed later has its one endpoint at `first`.
async fn fill(client: &Client, deployments: usize, adopted: usize, first: &str) {
    for at in 0..NAMESPACES {
        post(client, "/api/v1/namespaces", &json!({"metadata": {"name": namespace(at)}}).to_string()).await;
    }
    let next = AtomicUsize::new(0);
    let (with, without, service, pod) = (deployment(true), deployment(false), service(), pod());
    let three: Vec<Value> = (0..3).map(|of| endpoint(&format!("10.{}.@@", 1 + of), of)).collect();
    let (three, one) = (slice(&three), slice(&[endpoint(first, 0)]));
    let write = async || loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= deployments {
            return;
        }
        let space = namespace(at);
        let apps = format!("/apis/apps/v1/namespaces/{space}/deployments");
        post(client, &apps, &numbered(if at < adopted { &with } else { &without }, at)).await;
        if at < adopted {
            let status =
                json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3});
            patch(client, &format!("{apps}/app-{at}/status"), &json!({"status": status})).await;
        }
        post(client, &format!("/api/v1/namespaces/{space}/services"), &numbered(&service, at)).await;
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices");
        post(client, &slices, &numbered(if at < CHANGES { &one } else { &three }, at)).await;
        for of in 0..3 {
            let pod = numbered(&pod, at).replace('!', &of.to_string());
            post(client, &format!("/api/v1/namespaces/{space}/pods"), &pod).await;
        }
    };
    join_all((0..WRITERS).map(|_| write())).await;
}

/// Moves the one endpoint of a workload to another pod. How long the first answer of that one took to come through a proxy
/// from the writing's beginning, and from its end.
async fn change(client: &Client, kaos: &Kaos, at: usize, to: &(String, String)) -> (Duration, Duration) {
    let host = format!("app-{at}.{}.localhost", namespace(at));
    let endpoint = numbered(&endpoint(&to.0, 1).to_string(), at);
    let endpoint: Value = serde_json::from_str(&endpoint).unwrap();
    let begun = Instant::now();
    let (written, reached) = futures::join!(
        async {
            patch(client, &slice_path(at), &json!({"endpoints": [endpoint]})).await;
            begun.elapsed()
        },
        eventually("the route leads there", async || {
            let answer = kaos.get(at % 2, &host, "/").await?;
            (pid(&answer.head)? == to.1).then(|| begun.elapsed())
        })
    );
    (reached, reached.saturating_sub(written))
}

/// Requests one after the other for as long as a storm lasts: what each took. Those that are asked are changed by nobody.
async fn asking(kaos: &Kaos) -> Vec<Duration> {
    let (begun, mut spans) = (Instant::now(), Vec::new());
    while begun.elapsed() < STORM {
        let (at, asked) = (spans.len() % CHANGES.min(100), Instant::now());
        let answer = kaos.get(at % 2, &format!("app-{at}.{}.localhost", namespace(at)), "/").await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        spans.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    spans
}

/// The same while endpoints change as fast as the API server takes it. Also how many changes that were.
async fn storm(client: &Client, kaos: &Kaos, deployments: usize) -> (Vec<Duration>, usize) {
    let (begun, next) = (Instant::now(), AtomicUsize::new(0));
    let write = async || {
        while begun.elapsed() < STORM {
            let change = next.fetch_add(1, Ordering::Relaxed);
            let at = CHANGES + change % deployments.saturating_sub(CHANGES).max(1);
            let moved = numbered(&endpoint(&format!("10.{}.@@", 4 + change % 3), 0).to_string(), at);
            let moved: Value = serde_json::from_str(&moved).unwrap();
            patch(client, &slice_path(at), &json!({"endpoints": [moved]})).await;
        }
    };
    let (spans, _) = futures::join!(asking(kaos), join_all((0..WRITERS).map(|_| write())));
    (spans, next.into_inner())
}

fn show(when: &str, kaos: &Kaos) {
    for part in kaos.proxies.iter().chain(&kaos.autoscalers) {
        println!("{when}: {} was ready after {:.2?}; {}", part.name, part.ready_after, memory(part));
    }
}

fn memory(part: &Part) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", part.pid())).unwrap();
    let line = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    };
    let (all, most, file) = (line("VmRSS:"), line("VmHWM:"), line("RssFile:"));
    format!("{all:.1} MB (of which {file:.1} MB the program's own pages), {most:.1} MB at most")
}

fn print(what: &str, mut spans: Vec<Duration>) {
    spans.sort_unstable();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0;
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", at(0.5), at(0.99), at(1.0));
}
