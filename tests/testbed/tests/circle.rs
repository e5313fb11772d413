//! The whole circle in a cluster: a request wakes a Deployment, silence puts it to sleep, every part being a process of
//! its own with the rights that `kaos install` gives.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

mod support;

use std::time::Duration;

use kaos_testbed::{AuditEntry, Behaviour, ControlPlane, Kubelet, eventually};
use serde_json::json;
use support::kaos::{Kaos, annotate, is_scaling, wanted};
use support::{ready, shop};

/// The answers to Kaos's writes to the count of `shop`.
fn scaled(plane: &ControlPlane, namespace: &str) -> Vec<u16> {
    plane.audit(|entry| is_scaling(entry, namespace)).iter().map(AuditEntry::code).collect()
}

#[tokio::test]
async fn a_request_wakes_a_deployment_and_silence_puts_it_to_sleep() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("circle").await.unwrap();
    let _kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    shop(&client, &namespace, 1, json!({"readinessProbe": probe})).await;
    ready(&client, &namespace, 1).await;
    let kaos = Kaos::start(plane, &namespace, 2, 2).await;
    let host = format!("shop.{namespace}.localhost");

    let unknown = kaos.get(0, &host, "/").await.unwrap();
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let knobs = json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "2s",
        "kaos.dev/no-wake-paths": "/healthz=204"});
    annotate(&client, &namespace, knobs).await;
    let warm = eventually("it is adopted", async || {
        let answer = kaos.get(0, &host, "/").await?;
        (answer.status == 200).then_some(answer)
    });
    assert!(!warm.await.head.contains("x-kaos-cold-start"));
    // Somebody looks all the time whether it lives; that keeps it from nothing.
    let looking = async {
        loop {
            let seen = kaos.get(0, &host, "/healthz").await.unwrap().status;
            assert!(matches!(seen, 200 | 204), "{seen}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let gone = async {
        wanted(&client, &namespace, 0).await;
        let gone = async || support::pods(&client, &namespace).await.is_empty().then_some(());
        eventually("its pod is gone", gone).await;
    };
    tokio::select! {
        () = gone => {}
        () = looking => unreachable!("it has no end"),
    }
    let asleep = kaos.get(1, &host, "/healthz").await.unwrap();
    assert_eq!(asleep.status, 204, "{asleep:?}");

    let before = scaled(plane, &namespace).len();
    let cold = kaos.get(1, &host, "/").await.unwrap();
    assert_eq!(cold.status, 200, "{cold:?}");
    assert!(cold.head.contains("x-kaos-cold-start: true"), "{cold:?}");
    let wakes = scaled(plane, &namespace).split_off(before);
    assert_eq!(wakes.iter().filter(|code| **code == 200).count(), 1, "{wakes:?}");
    assert!(wakes.len() <= 2, "{wakes:?}");
    wanted(&client, &namespace, 0).await;
}
