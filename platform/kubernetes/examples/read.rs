//! Prints what reading a large cluster takes: 10,000 Deployments of which 2,000 are adopted, as many Services, 30,000
//! pods. `cargo run --example read -p kaos-kubernetes`; asserts nothing.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
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
use serde_json::{Value, json};
use tower::service_fn;

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEPLOYMENTS: usize = 10_000;
const ADOPTED: usize = 2_000;
const CHANGES: usize = 200;

type Answer = Response<BoxBody<Bytes, Infallible>>;
type Watch = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// The namespace of the object of this number.
fn namespace(at: usize) -> String {
    format!("ns{}", at % 100)
}

/// `text` with the number `at` for each `@`, and its namespace for each `#`. Trees of JSON would take more memory than
/// what is measured.
fn numbered(text: &str, at: usize) -> String {
    text.replace('#', &namespace(at))
        .replace("@@", &format!("{}.{}", at / 250, at % 250 + 1))
        .replace('@', &at.to_string())
}

fn meta() -> Value {
    json!({"namespace": "#", "name": "app-@", "uid": "0f0f0f0f-0000-4000-8000-1234567@",
           "resourceVersion": "@", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"})
}

fn deployment(adopted: bool) -> String {
    let mut meta = meta();
    if adopted {
        meta["annotations"] = json!({"kaos.dev/enabled": "true", "kaos.dev/max-scale": "20"});
    }
    // What a usual object carries beside what is read: its writers' books and its variables.
    let fields: Value = (0..60).map(|at| (format!("f:field{at}"), json!({"f:a": {}, "f:b": {}}))).collect();
    meta["managedFields"] = json!([{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-01-01T00:00:00Z"}]);
    let env: Vec<Value> =
        (0..20).map(|at| json!({"name": format!("VARIABLE_{at}"), "value": "x".repeat(40)})).collect();
    let object = json!({"metadata": meta, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "app-@"}},
        "template": {"metadata": {"labels": {"app": "app-@", "team": "one"}},
            "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1", "env": env,
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}}}]}}},
        "status": {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}});
    object.to_string()
}

fn service() -> String {
    json!({"metadata": meta(), "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": "app-@"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})
    .to_string()
}

fn slice(ready: usize) -> String {
    let mut meta = meta();
    meta["labels"] = json!({"kubernetes.io/service-name": "app-@"});
    let pod = |of: usize| {
        json!({"addresses": [format!("10.{}.@@", 1 + of)],
               "conditions": {"ready": of < ready, "serving": true, "terminating": false},
               "nodeName": "node-1", "zone": "a",
               "targetRef": {"kind": "Pod", "name": format!("app-@-6d4cf56db6-abcd{of}"), "namespace": "#",
                             "uid": format!("0f0f0f0f-000{of}-4000-8000-1234567@")}})
    };
    let object = json!({"metadata": meta, "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
                        "endpoints": (0..3).map(pod).collect::<Vec<_>>()});
    object.to_string()
}

fn number(query: &str, name: &str) -> Option<usize> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

fn answer(request: &Request<Body>, watches: &Mutex<Vec<(String, Watch)>>) -> Answer {
    let resource = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let query = request.uri().query().unwrap_or_default();
    if query.contains("watch=true") {
        let (to, from) = mpsc::channel(64);
        watches.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((resource, to));
        return Response::new(BodyExt::boxed(StreamBody::new(from)));
    }
    let from = number(query, "continue").unwrap_or(0);
    let to = (from + number(query, "limit").unwrap_or(DEPLOYMENTS)).min(DEPLOYMENTS);
    let more = if to < DEPLOYMENTS { to.to_string() } else { String::new() };
    let (one, other) = match resource.as_str() {
        "deployments" => (deployment(true), deployment(false)),
        "services" => (service(), service()),
        _ => (slice(3), slice(3)),
    };
    let mut page =
        format!("{{\"metadata\":{{\"resourceVersion\":\"9\",\"continue\":\"{more}\"}},\"items\":[");
    for at in from..to {
        page.push_str(if at > from { "," } else { "" });
        page.push_str(&numbered(if at < ADOPTED { &one } else { &other }, at));
    }
    page.push_str("]}");
    Response::new(Full::new(Bytes::from(page)).boxed())
}

/// Resident memory of this process, in MB.
fn resident(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status
        .lines()
        .find_map(|it| it.strip_prefix(line)?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    found.unwrap_or(0.0) / 1024.0
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let watches: Arc<Mutex<Vec<(String, Watch)>>> = Arc::default();
    let known = watches.clone();
    let client = Client::new(
        service_fn(move |request: Request<Body>| {
            std::future::ready(Ok::<_, Infallible>(answer(&request, &known)))
        }),
        "default",
    );
    let hosts = HostRules {
        domain: "example.com".into(),
        cluster_domain: "cluster.local".into(),
        any_host: false,
        allowed: vec![],
    };
    let (before, begun) = (resident("VmRSS:"), Instant::now());
    let cluster =
        Cluster::watch(&client, ReadSettings { namespaces: vec![], hosts, origin: begun, originals: None });
    cluster.synced().wait_for(|synced| *synced).await?;
    let mut snapshots = cluster.snapshots();
    println!("first picture of {} workloads after {:?}", snapshots.borrow().workloads.len(), begun.elapsed());
    println!(
        "memory: {before:.1} MB before, {:.1} MB after, {:.1} MB at most",
        resident("VmRSS:"),
        resident("VmHWM:")
    );
    let mut took = Vec::with_capacity(CHANGES);
    for turn in 1..=CHANGES {
        // Longer than the pace: each change is the first one after a while.
        tokio::time::sleep(Duration::from_millis(25)).await;
        let at = turn % ADOPTED;
        let line = format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", numbered(&slice(2), at));
        let id = WorkloadId::new(&namespace(at), &format!("app-{at}"));
        snapshots.mark_unchanged();
        let said = Instant::now();
        let to = watches
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .iter()
            .find(|it| it.0 == "endpointslices")
            .map(|it| it.1.clone());
        to.ok_or("no watch")?.try_send(Ok(Frame::data(Bytes::from(line))))?;
        snapshots
            .wait_for(|snapshot| snapshot.workload(&id).is_some_and(|it| it.replicas.ready == 2))
            .await?;
        took.push(said.elapsed());
    }
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "an endpoint's change to its snapshot: p50 {:?}, p99 {:?}, most {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}
