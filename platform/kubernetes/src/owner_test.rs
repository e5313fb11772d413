//! Whose count it is: HorizontalPodAutoscalers and what is left to Kaos, StatefulSets, and two kinds of one name.

use kaos_core::EndpointUid;
use kaos_core::snapshot::{HandedTo, Mode, Workload};
use serde_json::{Value, json};

use crate::controller::Controller;
use crate::fixture::{Scene, deployment, enabled, id, service, slice};
use crate::note::Kind;
use crate::object::Name;
use crate::part::Part;

/// A HorizontalPodAutoscaler on `name` of `kind`.
fn hpa(called: &str, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "prod", "name": called, "uid": "u", "resourceVersion": "1"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
                 "minReplicas": 2, "maxReplicas": 8},
    })
}

/// What is handed to that, of the name `front`.
fn above_zero() -> Option<HandedTo> {
    Some(HandedTo::above_zero("HPA front"))
}

/// A StatefulSet as the Deployment of this name would be, made some days later.
fn stateful_set(name: &str, day: u32, annotations: &Value) -> Value {
    let mut set = deployment(name, annotations);
    set["kind"] = json!("StatefulSet");
    set["metadata"]["uid"] = json!(format!("uid-set-{name}"));
    set["metadata"]["creationTimestamp"] = json!(format!("2026-01-0{day}T00:00:00Z"));
    set
}

fn shop(scene: &mut Scene) -> Workload {
    Workload::clone(scene.at(1).snapshot.workload(&id("shop")).unwrap())
}

#[test]
fn above_zero_a_count_is_its_autoscalers_as_long_as_there_is_one() {
    let mut scene = Scene::shop(&enabled());
    assert_eq!(shop(&mut scene).handed_to, None);
    for other in [hpa("a", "Deployment", "cart"), hpa("b", "StatefulSet", "shop"), {
        let mut other = hpa("c", "Deployment", "shop");
        other["spec"]["scaleTargetRef"]["apiVersion"] = json!("example.com/v1");
        other
    }] {
        scene.put(other);
        assert_eq!(shop(&mut scene).handed_to, None);
    }
    scene.put(hpa("front", "Deployment", "shop"));
    let workload = shop(&mut scene);
    assert_eq!((workload.handed_to, workload.mode), (above_zero(), Mode::Scale));
    let told = scene.told(Kind::HandedOver);
    let says = "handed over to HPA front: Kaos does 0 ↔ 1, all counts above are its own (2 to 8 replicas)";
    assert!(told.len() == 1 && told[0].starts_with(says), "{told:?}");
    assert_eq!(scene.at(2).entries[&id("shop")].handed_to, above_zero());
    // One that changes whom it scales leaves this one.
    scene.put(hpa("front", "Deployment", "cart"));
    assert_eq!(shop(&mut scene).handed_to, None);
    assert!(scene.told(Kind::HandedOver).is_empty());
    scene.put(hpa("front", "Deployment", "shop"));
    assert!(shop(&mut scene).handed_to.is_some());
    let gone: Name = ("prod".into(), "front".into());
    scene.0.state.take_scalers(Part::One(gone, None));
    assert_eq!(shop(&mut scene).handed_to, None);
    // Whoever isn't scaled is handed to nobody.
    scene.put(deployment("shop", &json!({"kaos.dev/enabled": "true", "kaos.dev/mode": "off"})));
    scene.put(hpa("front", "Deployment", "shop"));
    assert_eq!(shop(&mut scene).handed_to, None);
}

#[test]
fn who_decides_on_zero_too_leaves_nothing_to_kaos() {
    let mode = |part: &str, member: &str, value: &Value, risks: bool| {
        let mut annotations = enabled();
        if risks {
            annotations["kaos.dev/accept-risks"] = json!("bypass");
        }
        let mut scene = Scene::shop(&annotations);
        let mut front = hpa("front", "Deployment", "shop");
        front[part][member] = value.clone();
        scene.put(front);
        let workload = shop(&mut scene);
        (workload.mode, workload.handed_to, scene.told(Kind::ObserveOnly))
    };
    let owners =
        json!([{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "queue", "uid": "u"}]);
    for (part, member, value, says) in [
        ("metadata", "ownerReferences", owners, "KEDA (ScaledObject queue, HPA front) decides on its count"),
        ("spec", "minReplicas", json!(0), "HPA front (minReplicas: 0"),
    ] {
        let (mode_is, handed_to, told) = mode(part, member, &value, false);
        assert!(matches!(mode_is, Mode::Observe(_)) && handed_to.is_none(), "{says}");
        assert!(told.len() == 1 && told[0].contains(says), "{told:?}");
        let (mode_is, handed_to, told) = mode(part, member, &value, true);
        assert_eq!((mode_is, handed_to, told.len()), (Mode::Scale, above_zero(), 0), "{says}");
    }
    assert_eq!(mode("spec", "minReplicas", &json!(1), false).0, Mode::Scale);
}

#[test]
fn one_that_goes_to_zero_by_the_load_of_the_workload_has_all_counts() {
    let seen = |metric: &Value| {
        let mut scene = Scene::shop(&enabled());
        let mut front = hpa("front", "Deployment", "shop");
        front["spec"]["minReplicas"] = json!(0);
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}});
        front["spec"]["metrics"] = json!([cpu, metric]);
        scene.put(front);
        let workload = shop(&mut scene);
        (workload.mode, workload.handed_to, scene.told(Kind::HandedOver))
    };
    let load = |name: &str, selector: Value| {
        json!({"type": "External", "external": {"metric": {"name": name, "selector": selector},
            "target": {"type": "AverageValue", "averageValue": "10"}}})
    };
    let (mode, handed_to, told) = seen(&load("kaos_load", json!({"matchLabels": {"workload": "shop"}})));
    assert_eq!((mode, handed_to), (Mode::Scale, Some(HandedTo { who: "HPA front".into(), zero: true })));
    let says = "handed over to HPA front: by the load that Kaos tells it; all counts are its own, and Kaos wakes it (0 to 8 \
                replicas)";
    assert!(told.len() == 1 && told[0].starts_with(says), "{told:?}");
    let one_more = json!([{"key": "workload", "operator": "Exists"}]);
    for other in [
        load("queue_length", json!({"matchLabels": {"workload": "shop"}})),
        load("kaos_load", json!({"matchLabels": {"workload": "cart"}})),
        load("kaos_load", json!({"matchLabels": {"workload": "shop", "app": "shop"}})),
        load("kaos_load", json!({"matchLabels": {"workload": "shop"}, "matchExpressions": one_more})),
        load("kaos_load", json!({})),
        load("kaos_load", Value::Null),
        json!({"type": "Pods", "pods": {"metric": {"name": "kaos_load"}}}),
    ] {
        let (mode, handed_to, _) = seen(&other);
        assert!(matches!(mode, Mode::Observe(_)) && handed_to.is_none(), "{other}");
    }
}

#[test]
fn knatives_class_says_the_same_though_there_is_no_autoscaler_yet() {
    let mut scene = Scene::shop(&json!({
        "kaos.dev/enabled": "true", "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev",
    }));
    let workload = shop(&mut scene);
    assert_eq!(workload.mode, Mode::Scale);
    assert!(workload.handed_to.unwrap().who.contains("autoscaling.knative.dev/class"));
}

#[test]
fn a_stateful_set_is_a_workload_and_its_highest_ordinals_go_first() {
    let mut scene = Scene::new();
    scene.put(stateful_set("shop", 1, &enabled()));
    scene.put(service("shop", "shop"));
    let pods = [
        ("shop-0", "10.1.0.1", true),
        ("shop-2", "10.1.0.3", true),
        ("shop-10", "10.1.0.4", true),
        ("shop-3", "10.1.0.5", false),
        ("other-1", "10.1.0.6", true),
    ];
    scene.put(slice("s", "shop", &pods));
    let workload = shop(&mut scene);
    let order: Vec<&str> = workload.order.as_deref().unwrap().iter().map(EndpointUid::as_str).collect();
    assert_eq!(order, ["uid-shop-10", "uid-shop-2", "uid-shop-0"]);
    let entry = scene.at(2).entries[&id("shop")].clone();
    assert_eq!(
        (entry.controller, entry.rolling, &*entry.uid),
        (Controller::StatefulSet, false, "uid-set-shop")
    );
    let mut scene = Scene::shop(&enabled());
    assert_eq!(shop(&mut scene).order, None, "of a Deployment Kaos chooses");
}

#[test]
fn of_two_kinds_of_one_name_one_has_it_and_the_other_is_told() {
    let has = |scene: &mut Scene| scene.at(1).entries[&id("shop")].controller;
    let mut scene = Scene::shop(&enabled());
    scene.put(stateful_set("shop", 2, &enabled()));
    assert_eq!(has(&mut scene), Controller::Deployment, "the older");
    let told = scene.told(Kind::NameTaken);
    let says =
        "StatefulSet prod/shop isn't adopted: under this name Kaos has Deployment prod/shop, which is older";
    assert!(told.len() == 1 && told[0].starts_with(says), "{told:?}");
    let namesake = scene.at(2).entries[&id("shop")].namesake.clone().unwrap();
    assert_eq!((namesake.0, &*namesake.1), (Controller::StatefulSet, "uid-set-shop"));
    // In whatever order they come.
    let mut scene = Scene::new();
    scene.put(stateful_set("shop", 2, &enabled()));
    scene.put(service("shop", "shop"));
    assert_eq!(has(&mut scene), Controller::StatefulSet);
    scene.put(deployment("shop", &enabled()));
    assert_eq!(has(&mut scene), Controller::Deployment);
    // Who doesn't ask for it doesn't have it.
    scene.put(deployment("shop", &json!({"kaos.dev/enabled": "false"})));
    assert_eq!(has(&mut scene), Controller::StatefulSet);
    assert!(scene.told(Kind::NameTaken).is_empty());
    scene.put(deployment("shop", &enabled()));
    // A whole list of one kind says nothing of the other.
    scene.0.state.deployments(Controller::Deployment, Part::All(None, Vec::new()));
    assert_eq!(has(&mut scene), Controller::StatefulSet);
    scene.0.state.deployments(Controller::StatefulSet, Part::All(None, Vec::new()));
    assert!(scene.at(3).entries.is_empty());
}
