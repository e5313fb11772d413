//! StatefulSets sleep and wake as Deployments do; their pods go in their own order.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use k8s_openapi::api::apps::v1::StatefulSet;
use kaos_testbed::{ControlPlane, eventually};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use support::scene::{Scene, sleepy};

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_sleeps_wakes_and_lets_its_last_pods_go() {
    let scene = Scene::start(ControlPlane::shared().await, "sets", 2, 2).await;
    let mut annotations = sleepy();
    annotations["kaos.dev/max-scale"] = json!("4");
    scene.deploy_set("db", 2, annotations).await;
    let sets: Api<StatefulSet> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let wanted = async |count: i32| {
        eventually(&format!("{count} are wanted"), async || {
            (sets.get("db").await.ok()?.spec.replicas == Some(count)).then_some(())
        })
        .await;
    };
    let annotate = async |annotations| {
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        sets.patch("db", &PatchParams::default(), &patch).await.unwrap();
    };
    let names = async || {
        let pods = support::pods(&scene.client, &scene.namespace).await;
        let mut names: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.name).collect();
        names.sort();
        names
    };
    scene.answers("db").await;
    wanted(0).await;
    eventually("its pods are gone", async || names().await.is_empty().then_some(())).await;
    let generation = sets.get("db").await.unwrap().metadata.generation;
    assert_eq!(scene.get(1, "db", "/").await.unwrap().status, 200, "a request wakes it");
    let woken = sets.get("db").await.unwrap();
    assert!(woken.metadata.generation > generation, "by its count");
    annotate(json!({"kaos.dev/min-scale": "3"})).await;
    wanted(3).await;
    eventually("three are there", async || (names().await.len() == 3).then_some(())).await;
    annotate(json!({"kaos.dev/min-scale": "1"})).await;
    wanted(1).await;
    eventually("the last went first", async || (names().await == ["db-0"]).then_some(())).await;
    for reason in ["Adopted", "ScaledToZero", "ScaledFromZero", "ScaledUp", "ScaledDown"] {
        eventually(reason, async || {
            scene.told("db").await.iter().any(|(told, _)| told == reason).then_some(())
        })
        .await;
    }
    annotate(json!({"kaos.dev/min-scale": null})).await;
    wanted(0).await;
    annotate(json!({"kaos.dev/enabled": "false"})).await;
    wanted(2).await;
    eventually("nothing of Kaos's is left on it", async || {
        let annotations = sets.get("db").await.ok()?.metadata.annotations?;
        (!annotations.contains_key("kaos.dev/hold")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_kinds_of_one_name_the_younger_is_told_and_left_alone() {
    let scene = Scene::start(ControlPlane::shared().await, "namesakes", 1, 1).await;
    scene.deploy_set("db", 1, sleepy()).await;
    scene.answers("db").await;
    let sets: Api<StatefulSet> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let count = async || sets.get("db").await.unwrap().spec.replicas;
    eventually("the older sleeps", async || (count().await == Some(0)).then_some(())).await;
    // Their times of making are whole seconds.
    eventually("a second is over", async || {
        let made = sets.get("db").await.ok()?.metadata.creation_timestamp?.0;
        (made.as_second() < k8s_openapi::jiff::Timestamp::now().as_second()).then_some(())
    })
    .await;
    scene
        .deploy("db", 1, sleepy(), |deployment, service| {
            deployment["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
            deployment["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
            service["metadata"]["name"] = json!("other");
            service["spec"]["selector"] = json!({"app": "other"});
        })
        .await;
    let note = eventually("the younger is told", async || {
        let told = scene.told_of("Deployment", "db").await;
        told.into_iter().find(|(reason, _)| reason == "NameTaken").map(|(_, note)| note)
    })
    .await;
    assert!(note.contains("StatefulSet") && note.contains("which is older"), "{note}");
    scene.answers("db").await;
    eventually("the older sleeps again", async || (count().await == Some(0)).then_some(())).await;
    assert_eq!(scene.count("db").await, 1);
}
