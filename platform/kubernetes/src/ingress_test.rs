//! From Ingresses to routes: classes, hosts and paths, adopted and plain backends, who has what, and what users are told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use kaos_core::snapshot::{Mode, Phase};
use serde_json::{Value, json};

use crate::fixture::{Scene, deployment, enabled, service, slice, wire};
use crate::ingress::Ingress;
use crate::kept::Stated;
use crate::note::Kind;
use crate::picture::Published;

fn class(name: &str, controller: &str, is_default: bool) -> Value {
    json!({
        "kind": "IngressClass",
        "metadata": {"name": name, "annotations": {
            "ingressclass.kubernetes.io/is-default-class": is_default.to_string()}},
        "spec": {"controller": controller},
    })
}

fn backend(service: &str, port: impl Into<Value>) -> Value {
    let port = match port.into() {
        Value::String(name) => json!({"name": name}),
        number => json!({"number": number}),
    };
    json!({"service": {"name": service, "port": port}})
}

/// An Ingress of the class `kaos` in `prod`, made in this minute of 2026.
fn ingress(name: &str, minute: u32, spec: Value) -> Value {
    let mut spec = spec;
    if spec["ingressClassName"].is_null() {
        spec["ingressClassName"] = json!("kaos");
    }
    json!({
        "kind": "Ingress",
        "metadata": {"namespace": "prod", "name": name, "uid": format!("uid-{name}"), "resourceVersion": "1",
                     "creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z")},
        "spec": spec,
    })
}

fn rule(host: &str, paths: &[(&str, &str, Value)]) -> Value {
    let path = |(path, kind, backend): &(&str, &str, Value)| json!({"path": path, "pathType": kind, "backend": backend});
    let paths: Vec<Value> = paths.iter().map(path).collect();
    json!({"host": host, "http": {"paths": paths}})
}

/// `shop` adopted, `web` not; both behind a Service, each with a pod.
fn scene() -> Scene {
    let mut scene = Scene::shop(&enabled());
    scene.put(slice("shop-1", "shop", &[("shop-a", "10.1.0.1", true)]));
    scene.put(service("web", "web"));
    scene.put(slice("web-1", "web", &[("web-a", "10.1.0.2", true), ("web-b", "10.1.0.3", false)]));
    scene.put(class("kaos", "kaos.dev/ingress", false));
    scene.put(class("nginx", "k8s.io/ingress-nginx", true));
    scene
}

/// Where a request goes.
fn found(published: &Published, host: &str, path: &str) -> Option<String> {
    let at = published.snapshot.routes.find(host, path)?;
    Some(published.snapshot.workloads[at].id.name().to_owned())
}

fn told(published: &Published) -> Vec<(Kind, String)> {
    let all = published.notes.objects.iter();
    all.map(|note| (note.kind, format!("{}: {}", note.name, note.text))).collect()
}

#[test]
fn hosts_and_paths_lead_to_adopted_and_to_plain_backends() {
    let mut scene = scene();
    scene.put(ingress(
        "front",
        1,
        json!({"rules": [
            rule("a.shop.test", &[
                ("/", "Prefix", backend("web", 80)),
                ("/cart", "Prefix", backend("shop", "web")),
                ("/cart", "Exact", backend("web", "web")),
            ]),
            rule("*.shop.test", &[("/x", "ImplementationSpecific", backend("web", 80))]),
        ]}),
    ));
    let published = scene.at(1);
    for (host, path, to) in [
        ("a.shop.test", "/", Some("web:80")),
        ("a.shop.test", "/cart", Some("web:80")),
        ("a.shop.test", "/cart/", Some("shop")),
        ("a.shop.test", "/cart/1", Some("shop")),
        ("b.shop.test", "/x/1", Some("web:80")),
        ("b.shop.test", "/", None),
        ("c.b.shop.test", "/x", None),
        ("shop.prod.example.com", "/", Some("shop")),
    ] {
        assert_eq!(found(&published, host, path).as_deref(), to, "{host}{path}");
    }
    let ids: Vec<&str> = published.snapshot.workloads.iter().map(|workload| workload.id.name()).collect();
    assert_eq!(ids, ["shop", "web:80"]);
    let web = &published.snapshot.workloads[1];
    assert_eq!((&web.mode, web.replicas.ready, web.replicas.starting), (&Mode::Plain, 1, 1));
    let ready: Vec<SocketAddr> = web
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.phase == Phase::Ready)
        .map(|endpoint| endpoint.address)
        .collect();
    assert_eq!(ready, ["10.1.0.2:8080".parse().unwrap()]);
    assert_eq!(told(&published), []);
    assert!(
        !published.entries.keys().any(|id| id.name().contains(':')),
        "nothing is written about a backend"
    );

    // Its endpoints come and go like a workload's.
    scene.put(slice("web-1", "web", &[("web-b", "10.1.0.3", true)]));
    let published = scene.at(2);
    assert_eq!(published.snapshot.workloads[1].endpoints[0].address, "10.1.0.3:8080".parse().unwrap());
    let again = scene.at(3);
    assert!(Arc::ptr_eq(&again.snapshot.workloads[1], &published.snapshot.workloads[1]));
    assert!(Arc::ptr_eq(&again.snapshot.routes, &published.snapshot.routes));
}

#[test]
fn a_backend_that_is_adopted_later_is_the_workload_from_then_on() {
    let mut scene = scene();
    scene.put(deployment("web", &json!({})));
    scene.put(ingress(
        "front",
        1,
        json!({"rules": [rule("a.shop.test", &[("/", "Prefix", backend("web", 80))])]}),
    ));
    assert_eq!(found(&scene.at(1), "a.shop.test", "/").as_deref(), Some("web:80"));
    scene.put(deployment("web", &enabled()));
    let published = scene.at(2);
    assert_eq!(found(&published, "a.shop.test", "/").as_deref(), Some("web"));
    assert_eq!(published.snapshot.workloads.len(), 2);
    scene.put(deployment("web", &json!({"kaos.dev/enabled": "false"})));
    assert_eq!(found(&scene.at(3), "a.shop.test", "/").as_deref(), Some("web:80"));
}

#[test]
fn only_ingresses_of_classes_that_name_kaos_are_served() {
    let mut scene = scene();
    let of = |name: &str, class: Value| {
        let host = format!("{name}.shop.test");
        let mut object =
            ingress(name, 1, json!({"rules": [rule(&host, &[("/", "Prefix", backend("web", 80))])]}));
        object["spec"]["ingressClassName"] = class;
        object
    };
    let mut old = of("old", Value::Null);
    old["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": "kaos"});
    for object in [of("ours", json!("kaos")), of("theirs", json!("nginx")), of("nobodys", Value::Null), old] {
        scene.put(object);
    }
    let served = |published: &Published| -> BTreeSet<String> {
        published.statuses.iter().map(|status| status.wanted.name.1.to_string()).collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let published = scene.at(1);
    assert_eq!(served(&published), set(&["ours", "old"]));
    assert_eq!(found(&published, "theirs.shop.test", "/"), None);
    scene.put(class("kaos", "kaos.dev/ingress", true));
    assert_eq!(served(&scene.at(2)), set(&["ours", "old", "nobodys"]));
    scene.put(class("kaos", "somebody.else/ingress", false));
    assert_eq!(served(&scene.at(3)), set(&[]));
    // Who is told a class asks nobody what it is.
    scene.0.state.classes.only = Some("nginx".into());
    scene.0.state.rerouted = true;
    assert_eq!(served(&scene.at(4)), set(&["theirs"]));
}

#[test]
fn a_default_backend_gets_what_no_rule_is_for() {
    let mut scene = scene();
    scene.put(ingress(
        "front",
        1,
        json!({"defaultBackend": backend("web", 80), "rules": [
            rule("a.shop.test", &[("/cart", "Prefix", backend("shop", 80))]),
            json!({"host": "b.shop.test"}),
        ]}),
    ));
    let published = scene.at(1);
    for (host, path, to) in [
        ("a.shop.test", "/cart", Some("shop")),
        ("a.shop.test", "/other", Some("web:80")),
        ("b.shop.test", "/", Some("web:80")),
        // Of hosts that its namespace may not have it gets nothing.
        ("elsewhere.test", "/", None),
    ] {
        assert_eq!(found(&published, host, path).as_deref(), to, "{host}{path}");
    }
    assert_eq!(told(&published), []);
    scene.put(ingress("all", 2, json!({"defaultBackend": backend("web", 80)})));
    let [(Kind::Invalid, text)] = &*told(&scene.at(2)) else { panic!("not told") };
    assert!(text.contains("its rules for every host: allowed is a host below prod.Example.com"), "{text}");
}

#[test]
fn the_older_has_a_host_and_path_and_the_other_is_told() {
    let to =
        |service: &str| json!({"rules": [rule("a.shop.test", &[("/x", "Prefix", backend(service, 80))])]});
    for order in [["one", "two"], ["two", "one"]] {
        let mut scene = scene();
        for name in order {
            let (minute, service) = if name == "one" { (1, "web") } else { (2, "shop") };
            scene.put(ingress(name, minute, to(service)));
            scene.at(1);
        }
        let published = scene.at(2);
        assert_eq!(found(&published, "a.shop.test", "/x").as_deref(), Some("web:80"));
        let expected =
            "two: a.shop.test/x/ is Ingress prod/one's, which is older: claim another host or path";
        assert_eq!(told(&published), [(Kind::HostConflict, expected.to_owned())]);
        scene.put(ingress("one", 1, json!({"ingressClassName": "nginx"})));
        let published = scene.at(3);
        assert_eq!(found(&published, "a.shop.test", "/x").as_deref(), Some("shop"));
        assert_eq!(told(&published), []);
    }
    // An Ingress and annotations that lead to the same replicas don't contend; those that don't do.
    let mut scene = Scene::shop(
        &json!({"kaos.dev/enabled": "true", "kaos.dev/host": "a.shop.test", "kaos.dev/path": "/x"}),
    );
    scene.put(class("kaos", "kaos.dev/ingress", false));
    scene.put(ingress("same", 1, to("shop")));
    let published = scene.at(1);
    assert_eq!((told(&published), published.notes.all.iter().any(|note| note.kind.warns())), (vec![], false));
    scene.put(service("web", "web"));
    scene.put(ingress("same", 1, to("web")));
    let [(Kind::HostConflict, text)] = &*told(&scene.at(2)) else { panic!("not told") };
    assert!(text.starts_with("same: a.shop.test/x/ is prod/shop's"), "{text}");
}

#[test]
fn what_isnt_there_is_said_and_answered_in_its_place() {
    let mut scene = scene();
    scene.put(ingress(
        "front",
        1,
        json!({"rules": [rule("a.shop.test", &[
            ("/", "Prefix", backend("web", 80)),
            ("/gone", "Prefix", backend("gone", 80)),
            ("/port", "Prefix", backend("web", 81)),
            ("/bucket", "Prefix", json!({"resource": {"kind": "Bucket", "name": "b"}})),
        ])]}),
    ));
    let published = scene.at(1);
    for (path, to) in [("/gone/x", "gone:80"), ("/port", "web:81"), ("/bucket", ":Bucket")] {
        assert_eq!(found(&published, "a.shop.test", path).as_deref(), Some(to));
        let at = published.snapshot.routes.find("a.shop.test", path).unwrap();
        assert!(published.snapshot.workloads[at].endpoints.is_empty());
    }
    let texts: Vec<String> =
        told(&published).into_iter().map(|(kind, text)| format!("{kind:?} {text}")).collect();
    for part in [
        "Backend front: its backend Service gone isn't there",
        "Backend front: port 81 of its backend Service web: allowed is 80",
        "Backend front: its backend Bucket is no Service",
    ] {
        assert!(texts.iter().any(|text| text.starts_with(part)), "{part}: {texts:?}");
    }
    scene.put(service("gone", "gone"));
    scene.put(slice("gone-1", "gone", &[("g", "10.1.0.9", true)]));
    let published = scene.at(2);
    let at = published.snapshot.routes.find("a.shop.test", "/gone").unwrap();
    assert_eq!(published.snapshot.workloads[at].endpoints.len(), 1);
    assert_eq!(told(&published).len(), 2);
}

#[test]
fn addresses_that_somebody_wrote_down_are_a_backends_and_no_workloads() {
    let mut scene = scene();
    let mut outside = service("outside", "x");
    outside["spec"].as_object_mut().unwrap().remove("selector");
    scene.put(outside);
    let mut written = slice("outside-1", "outside", &[("a", "192.0.2.1", true), ("b", "127.0.0.1", true)]);
    for endpoint in written["endpoints"].as_array_mut().unwrap() {
        endpoint.as_object_mut().unwrap().remove("targetRef");
    }
    scene.put(written.clone());
    written["metadata"]["name"] = json!("shop-2");
    written["metadata"]["labels"]["kubernetes.io/service-name"] = json!("shop");
    scene.put(written);
    scene.put(ingress(
        "front",
        1,
        json!({"rules": [rule("a.shop.test", &[("/", "Prefix", backend("outside", 80))])]}),
    ));
    let published = scene.at(1);
    let endpoints = |name: &str| -> Vec<String> {
        let found = published.snapshot.workloads.iter().find(|workload| workload.id.name() == name).unwrap();
        found.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
    };
    assert_eq!(endpoints("outside:80"), ["192.0.2.1:8080"]);
    assert_eq!(endpoints("shop"), ["10.1.0.1:8080"]);
}

#[test]
fn another_port_of_an_adopted_workload_is_plain_and_said() {
    let mut scene = scene();
    let mut two = service("shop", "shop");
    two["spec"]["ports"] = json!([
        {"name": "web", "port": 80, "targetPort": "http"},
        {"name": "alias", "port": 8000, "targetPort": 8080},
        {"name": "metrics", "port": 9090, "targetPort": 9090},
    ]);
    scene.put(two);
    scene.put(ingress(
        "front",
        1,
        json!({"rules": [rule("a.shop.test", &[
            ("/", "Prefix", backend("shop", "web")),
            ("/alias", "Prefix", backend("shop", 8000)),
            ("/metrics", "Prefix", backend("shop", 9090)),
        ])]}),
    ));
    let published = scene.at(1);
    for (path, to) in [("/", "shop"), ("/alias", "shop"), ("/metrics", "shop:9090")] {
        assert_eq!(found(&published, "a.shop.test", path).as_deref(), Some(to), "{path}");
    }
    let [(Kind::Limited, text)] = &*told(&published) else { panic!("not told") };
    assert!(
        text.starts_with("front: port 9090 of Service shop isn't where prod/shop takes its requests"),
        "{text}"
    );
}

#[test]
fn where_backends_arent_wanted_what_is_adopted_is_routed_all_the_same() {
    let mut scene = scene();
    scene.0 = crate::picture::Picture::new(crate::fixture::rules(), false);
    for object in [deployment("shop", &enabled()), service("shop", "shop"), service("web", "web")] {
        scene.put(object);
    }
    scene.put(class("kaos", "kaos.dev/ingress", false));
    let paths = [("/", "Prefix", backend("web", 80)), ("/cart", "Prefix", backend("shop", 80))];
    scene.put(ingress("front", 1, json!({"rules": [rule("a.shop.test", &paths)]})));
    let published = scene.at(1);
    assert_eq!(published.snapshot.workloads.len(), 1);
    assert_eq!(found(&published, "a.shop.test", "/cart").as_deref(), Some("shop"));
    assert_eq!(found(&published, "a.shop.test", "/"), None);
}

#[test]
fn certificates_are_for_hosts_that_the_namespace_may_have() {
    let mut scene = scene();
    scene.put(ingress(
        "front",
        1,
        json!({
            "rules": [rule("a.shop.test", &[("/", "Prefix", backend("web", 80))])],
            "tls": [
                {"secretName": "one", "hosts": ["b.shop.test", "*.shop.test", "other.test"]},
                {"secretName": "two"},
                {"hosts": ["c.shop.test"]},
            ],
        }),
    ));
    let published = scene.at(1);
    let certificates: Vec<String> = published.served[0]
        .certificates
        .iter()
        .map(|(secret, hosts)| {
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            format!("{secret} {}", hosts.join(" "))
        })
        .collect();
    assert_eq!(certificates, ["prod/one b.shop.test *.shop.test", "prod/two a.shop.test"]);
}

#[test]
fn an_ingress_is_read_as_it_is_written() {
    let object = json!({
        "metadata": {"namespace": "prod", "name": "x", "uid": "u", "annotations": {
            "nginx.ingress.kubernetes.io/rewrite-target": "/", "other.example.com/x": "y"}},
        "spec": {"defaultBackend": backend("web", 80), "rules": null, "tls": null},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.test", "ip": ""}]}},
    });
    let Stated { object: read, stand } = wire::<Stated<Ingress>>(&object).kept.unwrap().unwrap();
    assert_eq!((read.class.as_deref(), read.rules.len(), read.annotations.len()), (None, 0, 1));
    assert_eq!(serde_json::from_str::<Value>(&stand.status).unwrap(), object["status"]);
    let mut going = object;
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(wire::<Ingress>(&going).kept, Ok(None));
}
