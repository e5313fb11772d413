//! The first five minutes with a cluster: Kaos from its own image and its own manifests on a real node, one annotation on
//! a Deployment that knows nothing of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

mod support;

use std::time::Duration;

use kaos_testbed::{ControlPlane, Node, eventually};
use serde_json::json;
use support::installed::{Installed, SYSTEM};
use support::kaos::{annotate, wanted};
use support::{pods, ready, shop};

/// Idle for this long: zero, when nothing else is said.
const IDLE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_annotation_and_a_deployment_sleeps_and_wakes() {
    let plane = ControlPlane::start_for_pods().await.unwrap();
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("five").await.unwrap();
    let node = Node::start(&plane).await.unwrap();
    let kaos = Installed::start(&plane, &node).await;
    // Kubernetes lists a ready pod a moment after it counts it.
    eventually("both proxies are listed", async || (kaos.proxies().await.len() == 2).then_some(())).await;
    let env = json!([{"name": "HOST", "value": "0.0.0.0"}, {"name": "PORT", "value": "8080"}]);
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}});
    shop(&client, &namespace, 1, json!({"env": env, "readinessProbe": probe})).await;
    ready(&client, &namespace, 1).await;

    annotate(&client, &namespace, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1m"})).await;
    let host = format!("shop.{namespace}.localhost");
    let warm = eventually("it is adopted", async || {
        kaos.get(&host, "/").await.filter(|answer| answer.status == 200)
    });
    assert!(!warm.await.head.contains("x-kaos-cold-start"));

    // A span that is promised, not a condition: nothing sleeps before it, so nothing is asked before it.
    tokio::time::sleep(IDLE).await;
    wanted(&client, &namespace, 0).await;
    eventually("its pod is gone", async || pods(&client, &namespace).await.is_empty().then_some(())).await;
    let asleep = kaos.ask(&["ls"]);
    assert!(asleep.lines().any(|line| line.contains("shop") && line.contains("zero")), "{asleep}");

    let cold = kaos.get(&host, "/").await.unwrap();
    assert_eq!(cold.status, 200, "{cold:?}");
    assert!(cold.head.contains("x-kaos-cold-start: true"), "{cold:?}");
    let why = kaos.ask(&["explain", "shop", "-n", &namespace]);
    assert!(why.contains("[wake]"), "{why}");
    let described = kaos.ask(&["describe", "shop", "-n", &namespace]);
    assert!(described.contains(&host), "{described}");
    let pod = pods(&client, &namespace).await.pop().unwrap().metadata.name.unwrap();
    assert!(described.contains(&pod), "{pod}: {described}");
    kaos.ask(&["logs", "shop", "-n", &namespace]);

    let asked =
        plane.audit(|entry| entry.user.username.starts_with(&format!("system:serviceaccount:{SYSTEM}:")));
    for account in ["kaos-proxy", "kaos-autoscaler"] {
        assert!(asked.iter().any(|entry| entry.user.username.ends_with(account)), "{account} asked nothing");
    }
    let refused: Vec<_> = asked.iter().filter(|entry| matches!(entry.code(), 401 | 403)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
