//! What is inferred where annotations say nothing, as tables over objects.

use std::time::Duration;

use kaos_core::policy::Protocol;
use kaos_core::snapshot::{Check, Mode, Probe};
use serde_json::{Value, json};

use crate::fixture::{Scene, deployment, enabled, id, service};
use crate::note::Kind;

fn said(more: &Value) -> Value {
    let mut all = enabled();
    for (name, value) in more.as_object().unwrap() {
        all[format!("kaos.dev/{name}")] = value.clone();
    }
    all
}

/// The port that endpoints of `shop` would have, or why there is none.
fn way(deployment: Value, services: &[Value]) -> Result<String, String> {
    let mut scene = Scene::new();
    scene.put(deployment);
    services.iter().for_each(|service| scene.put(service.clone()));
    let wrong = scene.told(Kind::Invalid);
    match wrong.first() {
        Some(wrong) => Err(wrong.clone()),
        None => Ok(scene.told(Kind::Inferred).join("; ")),
    }
}

fn ports(ports: &Value) -> Value {
    let mut service = service("shop", "shop");
    service["spec"]["ports"] = ports.clone();
    service
}

#[test]
fn the_port_is_the_probes_else_the_only_one_else_the_one_named_http() {
    let several =
        json!([{"name": "a", "port": 1, "targetPort": 11}, {"name": "b", "port": 2, "targetPort": 22}]);
    let with_http =
        json!([{"name": "a", "port": 1, "targetPort": 11}, {"name": "http", "port": 2, "targetPort": 22}]);
    let probed =
        json!([{"name": "a", "port": 1, "targetPort": 11}, {"name": "b", "port": 2, "targetPort": "http"}]);
    let shop = || deployment("shop", &enabled());
    for (given, found) in [
        (&probed, "its port is 2 of Service shop: its readiness probe's"),
        (&json!([{"port": 1, "targetPort": 11}]), "its port is 1 of Service shop: the only one"),
        (&json!([{"port": 8080}]), "its port is 8080 of Service shop: its readiness probe's"),
        (&with_http, "its port is 2 of Service shop: the one named http"),
    ] {
        assert_eq!(way(shop(), &[ports(given)]).unwrap(), format!("its Service is shop; {found}"));
    }
    let unclear = way(shop(), &[ports(&several)]).unwrap_err();
    assert_eq!(unclear, "which port of its Service shop is meant isn't clear: say kaos.dev/port, 1, 2");
    for port in ["2", "b"] {
        let said = deployment("shop", &said(&json!({"port": port})));
        assert_eq!(way(said, &[ports(&several)]).unwrap(), "its Service is shop");
    }
    let wrong = deployment("shop", &said(&json!({"port": "3"})));
    let wrong = way(wrong, &[ports(&several)]).unwrap_err();
    assert_eq!(wrong, "kaos.dev/port = \"3\": allowed is a port of its Service shop: 1, 2");
    assert!(
        way(shop(), &[ports(&json!([{"port": 53, "protocol": "UDP"}]))]).unwrap_err().contains("no TCP port")
    );
}

#[test]
fn the_service_is_the_one_that_selects_the_pods() {
    let shop = || deployment("shop", &enabled());
    assert!(way(shop(), &[]).unwrap_err().starts_with("no Service selects its pods"));
    assert!(way(shop(), &[service("web", "other")]).unwrap_err().starts_with("no Service selects its pods"));
    assert!(way(shop(), &[service("web", "shop")]).unwrap().starts_with("its Service is web;"));
    let both = [service("api", "shop"), service("shop", "shop")];
    assert!(way(shop(), &both).unwrap().starts_with("its Service is shop, of api, shop;"));
    let mut headless = service("a", "shop");
    headless["spec"]["clusterIP"] = json!("None");
    assert!(
        way(shop(), &[headless, service("b", "shop")]).unwrap().starts_with("its Service is b, of a, b;")
    );
    let named = deployment("shop", &said(&json!({"service": "api"})));
    assert!(way(named, &both).unwrap().starts_with("its port is 80"));
    let absent = deployment("shop", &said(&json!({"service": "none"})));
    assert_eq!(way(absent, &both).unwrap_err(), "kaos.dev/service = \"none\": allowed is api, shop");
}

#[test]
fn the_protocol_is_what_is_said_else_what_the_service_says() {
    let speaks = |app: Option<&str>, said_of_it: &Value| {
        let port = json!([{"port": 80, "targetPort": "http", "appProtocol": app}]);
        let mut scene = Scene::new();
        scene.put(deployment("shop", &said(said_of_it)));
        scene.put(ports(&port));
        let published = scene.at(1);
        let notes = published.notes.all.iter().filter(|note| note.text.contains("speak h2c")).count();
        (published.snapshot.workload(&id("shop")).expect("adopted").policy.protocol, notes)
    };
    let (h2c, ws) = (Some("kubernetes.io/h2c"), Some("kubernetes.io/ws"));
    for (app, of_it, spoken, noted) in [
        (None, json!({}), Protocol::Http1, 0),
        (ws, json!({}), Protocol::Http1, 0),
        (Some("http"), json!({}), Protocol::Http1, 0),
        (h2c, json!({}), Protocol::H2c, 1),
        (h2c, json!({"protocol": "http1"}), Protocol::Http1, 0),
        (None, json!({"protocol": "h2c"}), Protocol::H2c, 0),
        (h2c, json!({"protocol": "h2c"}), Protocol::H2c, 0),
    ] {
        assert_eq!(speaks(app, &of_it), (spoken, noted), "{app:?} {of_it}");
    }
    let wrong = way(deployment("shop", &said(&json!({"protocol": "grpc"}))), &[service("shop", "shop")]);
    assert_eq!(wrong.unwrap_err(), "kaos.dev/protocol = \"grpc\": allowed is http1 or h2c");
}

/// What is checked of `shop` with its pod's spec changed by `change`, or why nothing is.
fn checks(readiness: &str, change: impl Fn(&mut Value)) -> Result<Vec<Check>, String> {
    let mut shop = deployment("shop", &said(&json!({"readiness": readiness})));
    change(&mut shop["spec"]["template"]["spec"]);
    let mut scene = Scene::new();
    scene.put(shop);
    scene.put(service("shop", "shop"));
    let published = scene.at(1);
    let found = published.snapshot.workload(&id("shop")).expect("adopted").checks.to_vec();
    match published.notes.all.iter().find(|note| note.text.contains("ready only once")) {
        Some(why) if found.is_empty() => Err(why.text.clone()),
        Some(why) => panic!("{} beside {found:?}", why.text),
        None => Ok(found),
    }
}

fn http(path: &str) -> Check {
    let probe = Probe::Http { path: path.into(), tls: false, headers: Vec::new() };
    Check { port: 8080, timeout: Duration::from_secs(2), probe }
}

#[test]
fn all_probes_are_checked_those_of_the_start_first() {
    assert_eq!(checks("probe", |_| {}).unwrap(), [http("/healthz")]);
    let all = checks("probe", |spec| {
        spec["containers"][0]["startupProbe"] = json!({"tcpSocket": {"port": 9000}});
        let probe = json!({"grpc": {"port": 50, "service": "s"}});
        spec["initContainers"] = json!([
            {"name": "once", "image": "a"},
            {"name": "side", "image": "b", "restartPolicy": "Always", "readinessProbe": probe},
        ]);
    });
    let one = Duration::from_secs(1);
    let tcp = Check { port: 9000, timeout: one, probe: Probe::Tcp };
    let grpc = Check { port: 50, timeout: one, probe: Probe::Grpc { service: "s".into() } };
    assert_eq!(all.unwrap(), [tcp, grpc, http("/healthz")]);
    let tls = checks("probe", |spec| {
        spec["containers"][0]["readinessProbe"]["httpGet"] =
            json!({"port": 1, "scheme": "HTTPS", "httpHeaders": [{"name": "Host", "value": "x"}]});
    });
    let headers = vec![("Host".into(), "x".into())];
    assert_eq!(tls.unwrap()[0].probe, Probe::Http { path: "/".into(), tls: true, headers });
    assert_eq!(checks("ready", |_| {}).unwrap(), []);
    assert_eq!(checks("tcp", |_| {}).unwrap()[0].probe, Probe::Tcp);
    assert_eq!(checks("/up", |_| {}).unwrap()[0].port, 8080);
}

#[test]
fn what_isnt_the_whole_truth_isnt_checked() {
    let probe =
        |probe: Value| checks("probe", move |spec| spec["containers"][0]["readinessProbe"] = probe.clone());
    for (found, why) in [
        (probe(json!({"exec": {"command": ["true"]}})), "is a command"),
        (probe(json!({"tcpSocket": {"port": 1}, "successThreshold": 2})), "several successes"),
        (probe(json!({"tcpSocket": {"port": 1, "host": "10.0.0.9"}})), "another host"),
        (probe(json!({"tcpSocket": {"port": "none"}})), "a port that its container doesn't name"),
        (probe(Value::Null), "no container has a readiness probe"),
        (checks("probe", |spec| spec["readinessGates"] = json!([{"conditionType": "a"}])), "readiness gates"),
        (
            checks("probe", |spec| {
                spec["containers"][0]["startupProbe"] = json!({"exec": {"command": ["a"]}});
            }),
            "the startup probe of container app is a command",
        ),
        (checks("tcp", |spec| spec["containers"][0]["ports"] = json!([])), "no container names the port"),
    ] {
        let text = found.unwrap_err();
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn another_way_in_or_another_owner_makes_it_observe() {
    let mode = |change: &dyn Fn(&mut Value, &mut Value)| {
        let (mut shop, mut svc) = (deployment("shop", &enabled()), service("shop", "shop"));
        change(&mut shop, &mut svc);
        let mut scene = Scene::new();
        scene.put(shop);
        scene.put(svc);
        let published = scene.at(1);
        let told = published.notes.all.iter().any(|note| note.kind == Kind::ObserveOnly);
        let mode = published.snapshot.workload(&id("shop")).unwrap().mode.clone();
        assert_eq!(published.entries[&id("shop")].mode, mode);
        assert_eq!(told, matches!(mode, Mode::Observe(_)));
        match mode {
            Mode::Observe(why) => why,
            other => format!("{other:?}"),
        }
    };
    assert_eq!(mode(&|_, _| {}), "Scale");
    assert!(mode(&|_, svc| svc["spec"]["type"] = json!("LoadBalancer")).contains("of type LoadBalancer"));
    assert!(mode(&|_, svc| svc["spec"]["type"] = json!("NodePort")).contains("of type NodePort"));
    let keda = json!([{"manager": "keda", "operation": "Update", "subresource": "scale", "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}, "time": "2026-01-01T00:00:00Z"}]);
    assert!(mode(&|shop, _| shop["metadata"]["managedFields"] = keda.clone()).starts_with("KEDA"));
    let revision =
        json!([{"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "name": "r", "uid": "u"}]);
    assert!(
        mode(&|shop, _| shop["metadata"]["ownerReferences"] = revision.clone())
            .starts_with("Knative (Revision r)")
    );
    assert_eq!(
        mode(&|shop, svc| {
            svc["spec"]["type"] = json!("NodePort");
            shop["metadata"]["annotations"]["kaos.dev/accept-risks"] = json!("bypass");
        }),
        "Scale"
    );
    assert_eq!(mode(&|shop, _| shop["metadata"]["annotations"]["kaos.dev/mode"] = json!("off")), "Off");
}

#[test]
fn who_else_wrote_the_count_is_known() {
    let contender = |writers: &[(&str, &str, &str)]| {
        let fields = writers.iter().map(|(manager, subresource, time)| {
            json!({"manager": manager, "subresource": subresource, "operation": "Update", "apiVersion": "apps/v1",
                   "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}, "time": time})
        });
        let mut shop = deployment("shop", &enabled());
        shop["metadata"]["managedFields"] = fields.collect();
        let mut scene = Scene::shop(&enabled());
        scene.put(shop);
        scene.at(1).snapshot.workload(&id("shop")).unwrap().contender.clone()
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    assert_eq!(contender(&[]), None);
    assert_eq!(contender(&[("kubectl", "", early)]), Some("kubectl".into()));
    let hpa = ("kube-controller-manager", "scale", late);
    assert_eq!(contender(&[("kubectl", "", early), hpa]), Some("kube-controller-manager (scale)".into()));
    assert_eq!(contender(&[("kubectl", "", early), ("kaos", "scale", late)]), None);
    assert_eq!(contender(&[("kaos", "scale", early), hpa]), Some("kube-controller-manager (scale)".into()));
}
