//! The API server goes away under load and comes back: what is warm doesn't notice, what sleeps wakes afterwards.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::time::Duration;

use kaos_testbed::ControlPlane;
use serde_json::json;
use support::away::away;
use support::scene::{Scene, sleepy};

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_api_server_fails_no_request() {
    let plane = ControlPlane::start().await.unwrap();
    let scene = Scene::start(&plane, "away", 2, 2).await;
    scene
        .deploy("warm", 1, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1m"}), |_, _| {})
        .await;
    scene.deploy("cold", 1, sleepy(), |_, _| {}).await;
    scene.answers("warm").await;
    scene.answers("cold").await;
    scene.wanted("cold", 0).await;
    let away = away(&scene, "warm", "cold", Duration::from_secs(4), 50).await;
    assert_eq!(away.failed, [""; 0]);
    assert_eq!(away.fresh.len(), 4, "{away:?}");
}
