//! A HorizontalPodAutoscaler that goes to zero itself, by the load that Kaos tells it through the real API server: all counts are
//! its own, and Kaos wakes.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use kaos_kubernetes::rights;
use kaos_testbed::{AuditEntry, ControlPlane, ObjectReference, eventually};
use kube::Client;
use serde_json::{Value, json};
use support::kaos::{apply, printed, program};
use support::scene::{Scene, sleepy};

/// What `kaos install --external-metrics` adds, for an autoscaler at `listen` in the place of a Service's pods.
async fn install(scene: &Scene<'_>, listen: SocketAddr) {
    let arguments = ["--namespace", scene.kaos.system(), "--external-metrics"];
    for mut object in printed(&program(), &arguments) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        match object["kind"].as_str().unwrap() {
            "APIService" => object["spec"]["service"]["port"] = json!(listen.port()),
            // Nothing stands for a Service's pods here: a name leads to this machine.
            "Service" if name == "kaos-external-metrics" => {
                object["spec"] = json!({"type": "ExternalName", "externalName": "localhost"});
            }
            "RoleBinding" if name.starts_with("kaos-external-metrics") => {}
            _ => continue,
        }
        apply(&scene.client, &object).await;
    }
}

/// What the API server answers whoever asks it for the load of `shop`.
async fn load(client: &Client, namespace: &str) -> Result<Value, kube::Error> {
    let path = format!(
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/kaos_load?labelSelector=workload%3Dshop"
    );
    client.request::<Value>(http::Request::get(path).body(Vec::new()).unwrap()).await
}

/// Whether it is a write of the autoscaler's to a count here.
fn is_autoscalers(entry: &AuditEntry, namespace: &str) -> bool {
    let scale = |of: &ObjectReference| of.namespace == namespace && of.subresource == "scale";
    entry.verb == "update" && entry.code() == 200 && entry.object_ref.as_ref().is_some_and(scale)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_goes_to_zero_by_the_load_that_kaos_tells_it() {
    let mut scene = Scene::start(ControlPlane::shared().await, "external", 2, 1).await;
    // The one that follows is asked: whoever leads, all know the load.
    scene.leader().await;
    let listen = scene.kaos.join_asked(scene.plane, &scene.namespace).await;
    install(&scene, listen).await;
    let mut annotations = sleepy();
    annotations["kaos.dev/idle-timeout"] = json!("3s");
    scene.deploy("shop", 1, annotations, |_, _| {}).await;
    scene.answers("shop").await;
    eventually("the API server passes its load on", async || {
        let told = load(&scene.client, &scene.namespace).await.ok()?;
        (told["items"][0]["metricLabels"]["workload"] == "shop").then_some(())
    })
    .await;
    let nobody = scene.plane.service_account(&scene.namespace, "nobody").await.unwrap();
    let nobody = scene.plane.client(&nobody).await.unwrap();
    let refused = load(&nobody, &scene.namespace).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused}");

    let selector = json!({"matchLabels": {"workload": "shop"}});
    let metric = json!({"type": "External", "external": {
        "metric": {"name": "kaos_load", "selector": selector}, "target": {"type": "AverageValue", "averageValue": "1"}}});
    apply(
        &scene.client,
        &json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "front", "namespace": scene.namespace},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
                     "minReplicas": 0, "maxReplicas": 3, "metrics": [metric],
                     "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}},
        }),
    )
    .await;
    let (_, note) = eventually("it is told whose the count is", async || {
        scene.told("shop").await.into_iter().find(|(reason, _)| reason == "HandedOver")
    })
    .await;
    assert!(note.contains("handed over to HPA front: by the load that Kaos tells it"), "{note}");

    // As often as would make a contest, if these were two who don't know of each other.
    for round in 1..=4 {
        scene.wanted("shop", 0).await;
        assert_eq!(load(&scene.client, &scene.namespace).await.unwrap()["items"][0]["value"], "0m");
        let woken = scene.get(0, "shop", "/").await.unwrap();
        assert_eq!((woken.status, scene.written()), (200, vec![1; round]), "{woken:?}");
    }
    // Six at a time are more than it has for one.
    eventually("the autoscaler makes three of it", async || {
        let asked = (0..6).map(|at| scene.get(at % 2, "shop", "/delay/500ms"));
        futures::future::join_all(asked).await;
        (scene.count("shop").await == 3).then_some(())
    })
    .await;
    scene.wanted("shop", 0).await;

    assert_eq!(scene.written(), [1; 4], "wakes alone");
    let autoscalers = scene.plane.audit(|entry| is_autoscalers(entry, &scene.namespace));
    assert!(autoscalers.len() >= 6, "to zero and up again, all its own: {autoscalers:?}");
    let known = scene.plane.audit(|entry| {
        let there = |of: &ObjectReference| (&*of.namespace, &*of.resource) == ("kube-system", "configmaps");
        entry.object_ref.as_ref().is_some_and(there) && entry.user.username.ends_with(":kaos-autoscaler")
    });
    let (asked, refused): (Vec<_>, Vec<_>) = known.iter().partition(|entry| entry.code() == 200);
    let verbs: BTreeSet<&str> = asked.iter().map(|entry| entry.verb.as_str()).collect();
    assert_eq!(verbs, rights::FRONT.iter().map(|right| right.verb).collect(), "{refused:?}");
    let told = scene.told("shop").await;
    assert!(told.iter().all(|(reason, _)| reason != "ReplicasContested"), "{told:?}");
}
