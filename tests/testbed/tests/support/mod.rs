//! What the tests of the testbed share: one Deployment with its Service, what became of it, and one HTTP request.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

pub mod ask;
pub mod away;
pub mod crossing;
pub mod election;
pub mod installed;
pub mod kaos;
pub mod people;
pub mod plain;
pub mod rules;
pub mod scene;
pub mod secure;
pub mod testbed;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kaos_testbed::eventually;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A Deployment and its Service, both named `shop`.
pub async fn shop(client: &Client, namespace: &str, replicas: u32, container: Value) {
    let mut container = container;
    container["name"] = json!("shop");
    container["image"] = json!("registry.local/answer:1");
    container["ports"] = json!([{"containerPort": 8080, "name": "http"}]);
    let labels = json!({"app": "shop"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
}

/// Asks for this many replicas of `shop`.
pub async fn scale(client: &Client, namespace: &str, replicas: u32) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let patch = json!({"spec": {"replicas": replicas}});
    deployments.patch_scale("shop", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// The addresses in the EndpointSlices of `shop`, those that are ready or those that aren't.
pub async fn endpoints(client: &Client, namespace: &str, ready: bool) -> Vec<String> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let slices = slices.list(&ListParams::default().labels("kubernetes.io/service-name=shop")).await.unwrap();
    let endpoints = slices.items.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default());
    let wanted =
        endpoints.filter(|endpoint| endpoint.conditions.as_ref().and_then(|is| is.ready) == Some(ready));
    wanted.flat_map(|endpoint| endpoint.addresses).collect()
}

/// The pods of the namespace.
pub async fn pods(client: &Client, namespace: &str) -> Vec<Pod> {
    Api::<Pod>::namespaced(client.clone(), namespace).list(&ListParams::default()).await.unwrap().items
}

/// The reason why the only container of a pod waits.
pub async fn waiting(client: &Client, namespace: &str) -> Option<String> {
    let status = pods(client, namespace).await.pop()?.status?;
    status.container_statuses?.pop()?.state?.waiting?.reason
}

/// The status of the answer to GET / at port 8080 of `address`.
pub async fn get(address: &str) -> Option<u16> {
    let mut stream = TcpStream::connect((address, 8080)).await.ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Waits until this many endpoints of `shop` are ready. Their addresses.
pub async fn ready(client: &Client, namespace: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} ready endpoints"), async || {
        let ready = endpoints(client, namespace, true).await;
        (ready.len() == count).then_some(ready)
    })
    .await
}
