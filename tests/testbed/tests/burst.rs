//! Many requests at once for a Deployment at zero: the count follows their number at once, not one replica after the other.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

mod support;

use futures::future::join_all;
use kaos_testbed::{Behaviour, ControlPlane, Kubelet, eventually};
use serde_json::json;
use support::kaos::{Kaos, annotate, wanted};
use support::{ready, shop};

#[tokio::test]
async fn eighty_requests_at_ten_for_a_replica_are_eight_replicas() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("burst").await.unwrap();
    let _kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    shop(&client, &namespace, 1, json!({"readinessProbe": probe})).await;
    ready(&client, &namespace, 1).await;
    let kaos = Kaos::start(plane, &namespace, 2, 2).await;
    let knobs = json!({
        "kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s", "kaos.dev/target": "10",
        "kaos.dev/target-utilization-percentage": "100",
    });
    annotate(&client, &namespace, knobs).await;
    let host = format!("shop.{namespace}.localhost");
    eventually("it is adopted", async || (kaos.get(0, &host, "/").await?.status == 200).then_some(())).await;
    wanted(&client, &namespace, 0).await;

    let asked = join_all((0..80).map(|at| kaos.get(at % 2, &host, "/delay/1s")));
    let (answers, ()) = tokio::join!(asked, wanted(&client, &namespace, 8));
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
