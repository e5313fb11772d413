//! Kaos and the real controller of HorizontalPodAutoscalers on one count: zero and one are Kaos's, all above is the other's.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kaos_testbed::{ControlPlane, eventually};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use support::kaos::apply;
use support::scene::{Scene, sleepy};

/// A HorizontalPodAutoscaler `front` on the Deployment `name`, as `adjust` makes it.
async fn scaler(scene: &Scene<'_>, name: &str, adjust: impl FnOnce(&mut Value)) {
    let mut front = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "front", "namespace": scene.namespace},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                 "minReplicas": 2, "maxReplicas": 5},
    });
    adjust(&mut front);
    apply(&scene.client, &front).await;
}

fn scalers(scene: &Scene<'_>) -> Api<HorizontalPodAutoscaler> {
    Api::namespaced(scene.client.clone(), &scene.namespace)
}

async fn bounds(scene: &Scene<'_>, least: u32, most: u32) {
    let patch = Patch::Merge(json!({"spec": {"minReplicas": least, "maxReplicas": most}}));
    scalers(scene).patch("front", &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until the controller says this of its condition `ScalingActive`.
async fn inactive(scene: &Scene<'_>) {
    eventually("the autoscaler is inactive", async || {
        let status = scalers(scene).get("front").await.ok()?.status?;
        let active = status.conditions?.into_iter().find(|one| one.type_ == "ScalingActive")?;
        (active.status == "False" && active.reason.as_deref() == Some("ScalingDisabled")).then_some(())
    })
    .await;
}

/// Asks until there are so many replicas: who asks all the time keeps it awake.
async fn asked_until(scene: &Scene<'_>, name: &str, count: i32) {
    eventually(&format!("{name} has {count} replicas under requests"), async || {
        scene.get(0, name, "/").await?;
        (scene.count(name).await == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_does_all_above_one_and_kaos_zero_and_one() {
    let scene = Scene::start(ControlPlane::shared().await, "hpa", 2, 2).await;
    scaler(&scene, "shop", |_| {}).await;
    let mut annotations = sleepy();
    annotations["kaos.dev/idle-timeout"] = json!("3s");
    scene.deploy("shop", 1, annotations, |_, _| {}).await;
    asked_until(&scene, "shop", 2).await;
    let (_, note) = eventually("it is told to whom it is handed over", async || {
        let told = scene.told("shop").await;
        told.into_iter().find(|(reason, _)| reason == "HandedOver")
    })
    .await;
    assert!(note.contains("handed over to HPA front: Kaos does 0 ↔ 1"), "{note}");
    let leader = scene.leader().await;
    let path = format!("/v1/workloads/{}/shop", scene.namespace);
    let (_, body) = scene.kaos.autoscalers[leader].admin(&path).await.unwrap();
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(shown["handed_to"], "HPA front");
    assert!(shown["notes"].as_array().unwrap().iter().any(|note| note["reason"] == "HandedOver"), "{shown}");

    // Both from its least to zero and back: it is inactive there, and goes on by itself.
    scene.wanted("shop", 0).await;
    inactive(&scene).await;
    assert_eq!(scene.count("shop").await, 0);
    asked_until(&scene, "shop", 2).await;
    // Up and down above one, while Kaos would have one.
    bounds(&scene, 4, 5).await;
    asked_until(&scene, "shop", 4).await;
    bounds(&scene, 1, 3).await;
    asked_until(&scene, "shop", 3).await;
    let (_, body) =
        scene.kaos.autoscalers[leader].admin(&format!("/v1/journal/{}/shop", scene.namespace)).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()[0]["because"]["word"], "handed-over");
    scene.wanted("shop", 0).await;
    inactive(&scene).await;

    let counts = scene.written();
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    assert!(counts.windows(2).all(|pair| pair[0] != pair[1]), "{counts:?}");
    let told = scene.told("shop").await;
    assert!(told.iter().all(|(reason, _)| reason != "ReplicasContested"), "{told:?}");
    assert_eq!(counts, [0, 1, 0], "no more than there were sleeps and wakes");

    // Who leaves asleep gets one, from which the autoscaler goes on.
    bounds(&scene, 2, 5).await;
    let off = json!({"metadata": {"annotations": {"kaos.dev/enabled": "false"}}});
    scene.merge("shop", "kubectl-annotate", off).await;
    scene.wanted("shop", 2).await;
    assert_eq!(scene.written(), [0, 1, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fights_for_zero_is_named_though_an_autoscaler_is_there_too() {
    let scene = Scene::start(ControlPlane::shared().await, "gitops", 2, 2).await;
    scaler(&scene, "shop", |front| front["spec"]["minReplicas"] = json!(1)).await;
    scene.deploy("shop", 1, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    let sync = async {
        loop {
            scene.wanted("shop", 0).await;
            eventually("its pods are gone", async || {
                support::pods(&scene.client, &scene.namespace).await.is_empty().then_some(())
            })
            .await;
            scene.merge("shop", "argocd-controller", json!({"spec": {"replicas": 1}})).await;
        }
    };
    let told = eventually("the Event says who", async || {
        scene.told("shop").await.into_iter().find(|(reason, _)| reason == "ReplicasContested")
    });
    let (_, note) = tokio::select! {
        told = told => told,
        () = sync => unreachable!("it has no end"),
    };
    assert!(note.contains("argocd-controller") && note.contains("ignoreDifferences"), "{note}");
    assert_eq!(scene.written(), [0, 0, 0], "as many as it takes to know it for a contest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keda_scales_is_kedas() {
    let scene = Scene::start(ControlPlane::shared().await, "keda", 1, 2).await;
    let labels = json!({"scaledobject.keda.sh/name": "queue"});
    scaler(&scene, "shop", |front| front["metadata"]["labels"] = labels).await;
    scene.deploy("shop", 1, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    let (_, note) = eventually("people are told whose it is", async || {
        scene.told("shop").await.into_iter().find(|(reason, _)| reason == "ObserveOnly")
    })
    .await;
    assert!(note.contains("KEDA (ScaledObject queue, HPA front) decides on its count"), "{note}");
    let leader = scene.leader().await;
    let path = format!("/v1/journal/{}/shop", scene.namespace);
    eventually("a sleep is decided, and only observed", async || {
        let (_, body) = scene.kaos.autoscalers[leader].admin(&path).await?;
        let journal: Vec<Value> = serde_json::from_str(&body).ok()?;
        let observed = |entry: &Value| entry["to"] == 0 && !entry["outcome"]["observed"].is_null();
        journal.iter().any(observed).then_some(())
    })
    .await;
    assert!(scene.scalings().is_empty(), "{:?}", scene.scalings());
    // Once KEDA lets go of it, it is Kaos's.
    scalers(&scene).delete("front", &Default::default()).await.unwrap();
    scene.wanted("shop", 0).await;
}
