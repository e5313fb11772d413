//! Who waits for a pod that doesn't start is told why, long before the wait for a replica is over, and served once it starts.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kaos_testbed::{Behaviour, ControlPlane, Fate, eventually};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use support::scene::{Scene, sleepy};

#[tokio::test]
async fn who_waits_for_a_start_that_fails_is_told() {
    let plane = ControlPlane::shared().await;
    let scene = Scene::start(plane, "failing", 2, 2).await;
    let fates = [
        ("image", Fate::ImagePullBackOff, "image"),
        ("unplaced", Fate::Unschedulable, "no node"),
        ("crashes", Fate::Crashes, "container"),
    ];
    for (name, fate, why) in fates {
        asleep(&scene, name).await;
        scene.kubelet.behave(Behaviour { fate, ..Behaviour::default() });
        told(&scene, name, why).await;
        scene.kubelet.behave(Behaviour::default());
        let pods: Api<Pod> = Api::namespaced(scene.client.clone(), &scene.namespace);
        pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default())
            .await
            .unwrap();
        scene.answers(name).await;
    }
    asleep(&scene, "quota").await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    let quotas: Api<ResourceQuota> = Api::namespaced(scene.client.clone(), &scene.namespace);
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually("the quota is in force", async || quotas.get("none").await.ok()?.status?.hard).await;
    told(&scene, "quota", "quota").await;
}

/// Makes the Deployment `name`, and waits until it sleeps.
async fn asleep(scene: &Scene<'_>, name: &str) {
    scene.deploy(name, 1, sleepy(), |_, _| {}).await;
    scene.answers(name).await;
    scene.wanted(name, 0).await;
}

/// A wait that ends by itself is answered 504.
async fn told(scene: &Scene<'_>, name: &str, why: &str) {
    let answer = scene.get(0, name, "/").await.unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("retry-after") && answer.body.contains(why), "{name}: {answer:?}");
}
