//! Others change the same Deployments: a script that keeps rewriting the count, a person with `kubectl scale`, a rollout, a
//! deletion while requests wait.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::time::Duration;

use kaos_testbed::{Behaviour, ControlPlane, eventually};
use serde_json::{Value, json};
use support::scene::{Scene, sleepy};

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_rewriting_the_count_is_named_and_gets_one_write_a_minute() {
    let scene = Scene::start(ControlPlane::shared().await, "contest", 2, 2).await;
    scene.deploy("shop", 1, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    let script = async {
        loop {
            scene.wanted("shop", 0).await;
            eventually("its pods are gone", async || {
                support::pods(&scene.client, &scene.namespace).await.is_empty().then_some(())
            })
            .await;
            scene.merge("shop", "nightly-script", json!({"spec": {"replicas": 1}})).await;
        }
    };
    let told = async {
        let leader = scene.leader().await;
        let path = format!("/v1/journal/{}/shop", scene.namespace);
        eventually("Kaos backs off", async || {
            let (_, body) = scene.kaos.autoscalers[leader].admin(&path).await?;
            let journal: Vec<Value> = serde_json::from_str(&body).ok()?;
            (journal.first()?["because"]["word"] == "contested").then_some(())
        })
        .await;
        eventually("the Event says who", async || {
            scene.told("shop").await.into_iter().find(|(reason, _)| reason == "ReplicasContested")
        })
        .await
    };
    let (_, note) = tokio::select! {
        told = told => told,
        () = script => unreachable!("it has no end"),
    };
    assert!(note.contains("nightly-script") && note.contains("mode: off"), "{note}");
    assert_eq!(scene.count("shop").await, 1);
    let writes = scene.scalings().iter().filter(|entry| entry.code() == 200).count();
    assert_eq!(writes, 3, "as many as it takes to know it for a contest");
    // Who waits is no part of it.
    scene.scale("shop", 0).await;
    scene.answers("shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_a_person_sets_is_where_kaos_goes_on_from() {
    let scene = Scene::start(ControlPlane::shared().await, "person", 1, 1).await;
    scene.deploy("shop", 1, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    scene.wanted("shop", 0).await;
    scene.scale("shop", 3).await;
    scene.wanted("shop", 0).await;
    scene.answers("shop").await;
    scene.scale("shop", 0).await;
    // At zero by hand is at zero: a request wakes it.
    scene.answers("shop").await;
    scene.wanted("shop", 0).await;
    let told = scene.told("shop").await;
    assert!(told.iter().all(|(reason, _)| reason != "ReplicasContested"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_goes_on_under_requests_and_wakes_nobody() {
    let scene = Scene::start(ControlPlane::shared().await, "rollout", 2, 2).await;
    scene
        .deploy("shop", 2, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "2s"}), |_, _| {})
        .await;
    scene.answers("shop").await;
    let restart = |at: u32| json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": at.to_string()}}}}});
    scene.merge("shop", "kubectl-rollout", restart(1)).await;
    let mut failed = Vec::new();
    let mut asked = 0;
    eventually("the rollout is over", async || {
        let answer = scene.get(asked % 2, "shop", "/").await;
        asked += 1;
        if answer.as_ref().is_none_or(|answer| answer.status != 200) {
            failed.push(format!("{answer:?}"));
        }
        let found = scene.deployments().get("shop").await.ok()?;
        let status = found.status?;
        let seen = status.observed_generation >= found.metadata.generation;
        let done = status.updated_replicas == status.replicas && status.replicas == found.spec.replicas;
        (seen && done && status.available_replicas == status.replicas).then_some(())
    })
    .await;
    assert_eq!(failed, [""; 0], "of {asked}");
    scene.wanted("shop", 0).await;
    let before = scene.scalings().len();
    scene.merge("shop", "kubectl-rollout", restart(2)).await;
    eventually("the controller has seen it", async || {
        let found = scene.deployments().get("shop").await.ok()?;
        (found.status?.observed_generation >= found.metadata.generation).then_some(())
    })
    .await;
    assert_eq!((scene.count("shop").await, scene.scalings().len()), (0, before));
    scene.answers("shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_what_is_deleted_are_answered_at_once() {
    let scene = Scene::start(ControlPlane::shared().await, "deleted", 2, 1).await;
    scene.deploy("shop", 1, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    scene.wanted("shop", 0).await;
    eventually("its pod is gone", async || {
        support::pods(&scene.client, &scene.namespace).await.is_empty().then_some(())
    })
    .await;
    scene.kubelet.behave(Behaviour { address_after: Duration::from_secs(600), ..Behaviour::default() });
    let waits = scene.get(1, "shop", "/");
    let deletes = async {
        scene.heard("shop").await;
        scene.wanted("shop", 1).await;
        scene.deployments().delete("shop", &Default::default()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(waits, deletes);
    let answer = answer.unwrap();
    assert!([404, 503].contains(&answer.status), "{answer:?}");
    let unknown = eventually("its host is forgotten", async || {
        let answer = scene.get(0, "shop", "/").await?;
        (answer.status == 404).then_some(answer)
    });
    unknown.await;
    // One that is made anew under the name is another: it isn't at zero, and has to earn its sleep.
    scene.kubelet.behave(Behaviour::default());
    let services =
        kube::Api::<k8s_openapi::api::core::v1::Service>::namespaced(scene.client.clone(), &scene.namespace);
    services.delete("shop", &Default::default()).await.unwrap();
    scene.deploy("shop", 2, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    scene.wanted("shop", 0).await;
    scene
        .merge("shop", "kubectl-annotate", json!({"metadata": {"annotations": {"kaos.dev/enabled": null}}}))
        .await;
    scene.wanted("shop", 2).await;
}
