//! From objects to snapshots, as timelines: endpoints, hosts, failures, and what stays the same in memory.

use std::sync::Arc;

use kaos_core::snapshot::{Mode, Phase};
use serde_json::json;

use crate::fixture::{Scene, deployment, enabled, id, pod, service, slice};
use crate::note::Kind;
use crate::picture::Published;

fn endpoints(published: &Published) -> Vec<(String, String, Phase)> {
    let shop = published.snapshot.workload(&id("shop")).expect("adopted");
    shop.endpoints.iter().map(|it| (it.uid.to_string(), it.address.to_string(), it.phase)).collect()
}

fn one(uid: &str, address: &str, phase: Phase) -> (String, String, Phase) {
    (uid.into(), address.into(), phase)
}

#[test]
fn a_pod_is_one_endpoint_over_any_number_of_slices_and_families() {
    let mut scene = Scene::shop(&enabled());
    scene.put(slice("v6", "shop", &[("a-x-11111", "fd00::1", true)]));
    scene.put(slice("v4", "shop", &[("a-x-11111", "10.1.0.1", true), ("a-x-22222", "10.1.0.2", false)]));
    scene.put(slice("v4b", "shop", &[("a-x-22222", "10.1.0.2", false)]));
    scene.put(slice("other", "another", &[("b-x-33333", "10.1.0.3", true)]));
    let published = scene.at(1);
    let expected = [
        one("uid-a-x-11111", "10.1.0.1:8080", Phase::Ready),
        one("uid-a-x-22222", "10.1.0.2:8080", Phase::Starting),
    ];
    assert_eq!(endpoints(&published), expected);
    let shop = published.snapshot.workload(&id("shop")).unwrap();
    assert_eq!(
        (shop.replicas.desired, shop.replicas.ready, shop.replicas.starting, shop.version),
        (1, 1, 0, 100)
    );
    let entry = &published.entries[&id("shop")];
    let name = entry.pods.values().find(|pod| *pod.name == *"a-x-11111").unwrap();
    assert_eq!((entry.pods.len(), name.replica_set.as_deref()), (2, Some("a-x")));
    assert!(entry.adopted && !entry.rolling && *entry.uid == *"uid-shop");
}

#[test]
fn terminating_is_final_and_impossible_addresses_are_left_out() {
    let mut scene = Scene::shop(&enabled());
    let mut going = slice("one", "shop", &[("a", "10.1.0.1", true)]);
    going["endpoints"][0]["conditions"]["terminating"] = json!(true);
    scene.put(going);
    scene.put(slice(
        "two",
        "shop",
        &[("a", "10.1.0.1", true), ("b", "127.0.0.1", true), ("c", "169.254.169.254", true)],
    ));
    assert_eq!(endpoints(&scene.at(1)), [one("uid-a", "10.1.0.1:8080", Phase::Terminating)]);
    let mut unknown = slice("one", "shop", &[("a", "10.1.0.1", true)]);
    unknown["endpoints"][0]["conditions"] = json!({});
    scene.put(unknown);
    assert_eq!(endpoints(&scene.at(2))[0].2, Phase::Ready);
}

#[test]
fn what_a_count_of_zero_met_gets_nothing_more_unless_it_stays() {
    let mut scene = Scene::shop(&enabled());
    let count = |scene: &mut Scene, count: u32| {
        let mut shop = deployment("shop", &enabled());
        shop["spec"]["replicas"] = json!(count);
        scene.put(shop);
    };
    scene.put(slice("s", "shop", &[("a", "10.1.0.1", true)]));
    assert_eq!(endpoints(&scene.at(1)), [one("uid-a", "10.1.0.1:8080", Phase::Ready)]);
    count(&mut scene, 0);
    let condemned = one("uid-a", "10.1.0.1:8080", Phase::Terminating);
    assert_eq!(endpoints(&scene.at(2)), std::slice::from_ref(&condemned));
    // Raised again: it may be on its way out all the same, so new ones are looked for.
    count(&mut scene, 1);
    assert_eq!((endpoints(&scene.at(2)), scene.0.waking().count()), (vec![condemned.clone()], 1));
    scene.put(slice("s", "shop", &[("a", "10.1.0.1", true), ("b", "10.1.0.2", true)]));
    let new = one("uid-b", "10.1.0.2:8080", Phase::Ready);
    assert_eq!(endpoints(&scene.at(2)), [condemned, new.clone()]);
    assert_eq!(scene.0.next_due(), Some(kaos_core::Moment::from_secs(3)));
    assert_eq!(endpoints(&scene.at(3)), [one("uid-a", "10.1.0.1:8080", Phase::Ready), new]);
    assert_eq!(scene.0.waking().count(), 0);
}

#[test]
fn a_waking_pods_address_is_known_before_any_slice_has_it() {
    let mut scene = Scene::shop(&enabled());
    scene.at(1);
    assert_eq!(
        scene.0.waking().map(|(id, selector)| (id.name(), selector)).collect::<Vec<_>>(),
        [("shop", "app=shop")]
    );
    scene.pods(vec![pod("a", "1", Some("10.1.0.1"), None)]);
    assert_eq!(endpoints(&scene.at(2)), [one("uid-a", "10.1.0.1:8080", Phase::Starting)]);
    // Ready by the slice alone: the pods needn't be watched any more.
    scene.put(slice("s", "shop", &[("a", "10.1.0.1", true)]));
    assert_eq!(endpoints(&scene.at(3)), [one("uid-a", "10.1.0.1:8080", Phase::Ready)]);
    assert_eq!(scene.0.waking().count(), 0);
    scene.0.pods.clear();
    let mut zero = deployment("shop", &enabled());
    zero["spec"]["replicas"] = json!(0);
    scene.put(zero);
    scene.put(slice("s", "shop", &[]));
    assert_eq!(endpoints(&scene.at(4)), []);
    assert_eq!(scene.0.waking().count(), 0);
}

#[test]
fn hosts_are_claimed_by_age_and_only_where_allowed() {
    let claim = |name: &str, created: &str, host: &str| {
        let mut it = deployment(name, &json!({"kaos.dev/enabled": "true", "kaos.dev/host": host}));
        it["metadata"]["creationTimestamp"] = json!(created);
        it
    };
    let hosts = |published: &Published, name: &str| {
        let found = &published.snapshot.workload(&id(name)).unwrap().hosts;
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let (old, new) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let build = |flip: bool| {
        let mut scene = Scene::new();
        let mut all = vec![claim("b", old, "a.shop.test"), claim("a", new, "a.shop.test, b.shop.test")];
        if flip {
            all.reverse();
        }
        all.into_iter().for_each(|it| scene.put(it));
        ["a", "b"].into_iter().for_each(|name| scene.put(service(name, name)));
        scene
    };
    for mut scene in [build(false), build(true)] {
        let published = scene.at(1);
        assert_eq!(hosts(&published, "b"), "a.shop.test b.prod b.prod.svc b.prod.svc.cluster.local");
        assert_eq!(hosts(&published, "a"), "b.shop.test a.prod a.prod.svc a.prod.svc.cluster.local");
        let told = scene.told(Kind::HostConflict);
        assert_eq!(told, ["a.shop.test/ is prod/b's, which is older: claim another host or path"]);
        let found = published.snapshot.routes.find("a.shop.test", "/").unwrap();
        assert_eq!(published.snapshot.workloads[found].id, id("b"));
        // The winner goes: the loser has it.
        let all = crate::part::Part::All(None, vec![]);
        scene.0.state.deployments(crate::controller::Controller::Deployment, all);
        scene.put(claim("a", new, "a.shop.test, b.shop.test"));
        let published = scene.at(2);
        assert!(hosts(&published, "a").starts_with("a.shop.test b.shop.test "));
        assert_eq!(published.notes.all.iter().filter(|note| note.kind == Kind::HostConflict).count(), 0);
    }
    for (host, allowed) in [
        ("x.prod.example.com", true),
        ("*.prod.example.com", true),
        ("x.shop.test", true),
        ("shop.test", true),
        ("notshop.test", false),
        ("example.com", false),
        ("*.example.com", false),
        ("x.other.example.com", false),
        ("a.other.svc", false),
        ("a.other.svc.cluster.local", false),
    ] {
        let mut scene = Scene::new();
        scene.put(claim("a", old, host));
        scene.put(service("a", "a"));
        let published = scene.at(1);
        assert_eq!(published.snapshot.workload(&id("a")).is_some(), allowed, "{host}");
        assert_eq!(published.notes.invalid, usize::from(!allowed));
    }
}

#[test]
fn what_isnt_allowed_leaves_the_last_good_in_force() {
    let mut scene = Scene::shop(&json!({"kaos.dev/enabled": "true", "kaos.dev/max-scale": "7"}));
    let max =
        |published: &Published| published.snapshot.workload(&id("shop")).map(|shop| shop.policy.max_scale);
    assert_eq!(max(&scene.at(1)), Some(7));
    scene.put(deployment("shop", &json!({"kaos.dev/enabled": "true", "kaos.dev/max-scale": "lots"})));
    let published = scene.at(2);
    assert_eq!((max(&published), published.notes.invalid), (Some(7), 1));
    let entry = &published.entries[&id("shop")];
    assert!(entry.adopted);
    assert_eq!(
        entry.invalid[0],
        r#"kaos.dev/max-scale = "lots": allowed is a whole number, 0 to 1000000 (0: no bound)"#
    );
    // Opting out isn't undone by it, and what was good once isn't taken up again.
    scene.put(deployment("shop", &json!({"kaos.dev/enabled": "false"})));
    let published = scene.at(3);
    assert_eq!((max(&published), published.notes.invalid), (None, 0));
    assert_eq!(
        (published.entries[&id("shop")].adopted, &published.entries[&id("shop")].mode),
        (false, &Mode::Off)
    );
    scene.put(deployment("shop", &json!({"kaos.dev/enabled": "true", "kaos.dev/max-scale": "lots"})));
    assert_eq!(max(&scene.at(4)), None);
    scene.put(deployment("shop", &json!({})));
    assert!(scene.at(5).entries.is_empty());
}

#[test]
fn only_what_was_touched_is_built_again() {
    let mut scene = Scene::shop(&enabled());
    scene.put(deployment("other", &enabled()));
    scene.put(service("other", "other"));
    let before = scene.at(1).snapshot;
    scene.put(slice("s", "shop", &[("a", "10.1.0.1", true)]));
    let after = scene.at(2).snapshot;
    let same =
        |name: &str| Arc::ptr_eq(before.workload(&id(name)).unwrap(), after.workload(&id(name)).unwrap());
    assert!(same("other") && !same("shop"));
    assert!(Arc::ptr_eq(&before.routes, &after.routes));
    assert!(Arc::ptr_eq(
        &before.workload(&id("shop")).unwrap().policy,
        &after.workload(&id("shop")).unwrap().policy
    ));
    assert!(after.version > before.version);
    // The same again is no change.
    scene.put(slice("s", "shop", &[("a", "10.1.0.1", true)]));
    scene.put(deployment("shop", &enabled()));
    assert!(scene.0.state.touched.is_empty());
}

#[test]
fn a_hold_is_read_and_garbage_is_told() {
    let with = |hold: &str| json!({"kaos.dev/enabled": "true", "kaos.dev/hold": hold});
    let mut scene = Scene::shop(&with(r#"{"id": "h1", "by": "kaos-1", "targets": "all"}"#));
    let published = scene.at(1);
    let shop = published.snapshot.workload(&id("shop")).unwrap();
    assert_eq!(shop.hold.as_ref().unwrap().id.as_str(), "h1");
    assert_eq!(published.entries[&id("shop")].hold, shop.hold);
    scene.put(deployment("shop", &with("{ half")));
    let published = scene.at(2);
    assert_eq!(published.snapshot.workload(&id("shop")).unwrap().hold, None);
    assert!(published.entries[&id("shop")].marked);
    assert!(scene.told(Kind::Limited)[0].contains("isn't a hold and has no effect"));
}

#[test]
fn versions_that_cant_be_compared_adopt_nothing() {
    let mut odd = deployment("shop", &enabled());
    odd["metadata"]["resourceVersion"] = json!("abc");
    let mut scene = Scene::shop(&enabled());
    scene.put(odd);
    assert_eq!(scene.at(1).snapshot.workloads.len(), 0);
    assert!(scene.told(Kind::Invalid)[0].contains("resourceVersion"));
}

#[test]
fn the_count_found_is_the_most_by_default() {
    let mut many = deployment("shop", &enabled());
    many["spec"]["replicas"] = json!(25);
    let mut scene = Scene::shop(&json!({}));
    scene.put(many);
    let max = |scene: &mut Scene, at| scene.at(at).snapshot.workload(&id("shop")).unwrap().policy.max_scale;
    assert_eq!(max(&mut scene, 1), 25);
    scene.put(deployment("shop", &enabled()));
    assert_eq!(max(&mut scene, 2), 25);
    // Gone and come again: what is there then is what was found.
    scene.put(deployment("shop", &json!({"kaos.dev/enabled": "false"})));
    scene.at(3);
    scene.put(deployment("shop", &enabled()));
    assert_eq!(max(&mut scene, 4), 10);
    let mut restarted = Scene::shop(&enabled());
    assert_eq!(max(&mut restarted, 1), 10);
    restarted.0.originals = Arc::new([(id("shop"), 25)].into());
    restarted.0.state.touched.insert(id("shop"));
    assert_eq!(max(&mut restarted, 2), 25);
}

#[test]
fn whom_a_workload_is_to_wake_with_and_who_isnt_there_is_told() {
    let told = |published: &Published| -> Vec<String> {
        let notes = published.notes.all.iter().filter(|note| note.text.contains("wake-with"));
        notes.map(|note| format!("{} {}: {}", note.workload, note.kind.reason(), note.text)).collect()
    };
    let mut annotations = enabled();
    annotations["kaos.dev/wake-with"] = json!("cart");
    let mut scene = Scene::shop(&annotations);
    let text = "prod/shop Limited: kaos.dev/wake-with names cart, which Kaos hasn't adopted in the namespace prod: nothing wakes there";
    assert_eq!(told(&scene.at(1)), [text]);
    scene.put(service("cart", "cart"));
    scene.put(deployment("cart", &enabled()));
    assert_eq!(told(&scene.at(2)), [""; 0]);
}
