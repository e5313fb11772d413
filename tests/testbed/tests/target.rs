//! `scale-target`: the count of a Deployment that another object has, of a kind of its own, with a controller that passes it on.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use kaos_testbed::{ControlPlane, eventually};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::kaos::apply;
use support::scene::{Scene, sleepy};

/// The kind Search, which has a scale.
async fn kind(client: &Client) {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}});
    let scale = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale}});
    let names =
        json!({"plural": "searches", "singular": "search", "kind": "Search", "listKind": "SearchList"});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "searches.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}});
    apply(client, &crd).await;
}

fn searches(scene: &Scene<'_>) -> Api<DynamicObject> {
    let kind =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", "v1", "Search"), "searches");
    Api::namespaced_with(scene.client.clone(), &scene.namespace, &kind)
}

async fn count(searches: &Api<DynamicObject>) -> Option<i64> {
    searches.get("shop").await.ok()?.data.pointer("/spec/replicas").and_then(Value::as_i64)
}

/// Gives the right that the Event asks for.
async fn allow(scene: &Scene<'_>) {
    let name = json!({"name": "kaos-scale-target", "namespace": scene.namespace});
    let rule =
        json!({"apiGroups": ["example.com"], "resources": ["searches/scale"], "verbs": ["get", "patch"]});
    let rbac = "rbac.authorization.k8s.io";
    apply(
        &scene.client,
        &json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": name, "rules": [rule]}),
    )
    .await;
    let account =
        json!({"kind": "ServiceAccount", "name": "kaos-autoscaler", "namespace": scene.kaos.system()});
    apply(
        &scene.client,
        &json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": name,
        "subjects": [account], "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "kaos-scale-target"}}),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_custom_object_scales_sleeps_by_its_scale_once_there_is_the_right() {
    let plane = ControlPlane::shared().await;
    let scene = Scene::start(plane, "target", 1, 2).await;
    kind(&scene.client).await;
    let all = searches(&scene);
    let made: DynamicObject =
        serde_json::from_value(json!({"apiVersion": "example.com/v1", "kind": "Search",
        "metadata": {"name": "shop"}, "spec": {"replicas": 2}}))
        .unwrap();
    eventually("there is a Search", async || match all.create(&Default::default(), &made).await {
        Ok(_) => Some(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Some(()),
        Err(_) => None,
    })
    .await;
    let mut annotations = sleepy();
    annotations["kaos.dev/scale-target"] = json!("example.com/v1/Search/shop");
    scene.deploy("shop", 2, annotations, |_, _| {}).await;
    let controller = async {
        loop {
            if let Some(wanted) = count(&all).await
                && wanted != i64::from(scene.count("shop").await)
            {
                let count = json!({"spec": {"replicas": wanted}});
                scene.merge("shop", "search-operator", count).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let story = async {
        scene.answers("shop").await;
        let (_, note) = eventually("the missing right is told", async || {
            scene.told("shop").await.into_iter().find(|(reason, _)| reason == "TargetNotScaled")
        })
        .await;
        assert!(note.contains("resources [\"searches/scale\"], verbs [get, patch]"), "{note}");
        allow(&scene).await;
        eventually("the Search has none", async || (count(&all).await == Some(0)).then_some(())).await;
        scene.wanted("shop", 0).await;
        eventually("its pods are gone", async || {
            support::pods(&scene.client, &scene.namespace).await.is_empty().then_some(())
        })
        .await;
        assert_eq!(scene.get(0, "shop", "/").await.unwrap().status, 200, "a request wakes it");
        eventually("the Search has some", async || (count(&all).await >= Some(1)).then_some(())).await;
        scene.wanted("shop", 0).await;
        let off = Patch::Merge(json!({"metadata": {"annotations": {"kaos.dev/enabled": "false"}}}));
        scene.deployments().patch("shop", &PatchParams::default(), &off).await.unwrap();
        eventually("the Search has what it had", async || (count(&all).await == Some(2)).then_some(())).await;
        let own = scene.scalings().into_iter().filter(|entry| entry.is_about("deployments/scale")).count();
        assert_eq!(own, 0, "the Deployment's own scale is its controller's");
    };
    tokio::select! {
        () = story => {}
        () = controller => unreachable!("it has no end"),
    }
}
