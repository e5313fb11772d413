//! A real node: a Deployment's containers run, answer, read their service account and go.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use kaos_testbed::{ANSWER, ControlPlane, Node, eventually};
use serde_json::json;
use support::{get, pods, ready, scale, shop};

#[tokio::test]
async fn a_deployment_runs_in_containers() {
    let plane = ControlPlane::start_for_pods().await.unwrap();
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("node").await.unwrap();
    let _node = Node::start(&plane).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    let env = json!([{"name": "HOST", "value": "0.0.0.0"}, {"name": "PORT", "value": "8080"}]);
    shop(&client, &namespace, 0, json!({"image": ANSWER, "env": env, "readinessProbe": probe})).await;
    scale(&client, &namespace, 2).await;
    for address in ready(&client, &namespace, 2).await {
        assert!(address.starts_with("10.224."), "{address}");
        assert_eq!(get(&address).await, Some(200));
    }
    scale(&client, &namespace, 0).await;
    eventually("all pods are gone", async || pods(&client, &namespace).await.is_empty().then_some(())).await;
}
