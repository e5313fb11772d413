//! The Helm chart and the other manifests are the same objects: what Helm makes of one beside what kustomize and `kaos install`
//! make of the others, and what each value changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod render;

use std::collections::BTreeSet;

use render::{Objects, SYSTEM, Set, changes, chart, helm, kaos, kustomize, rendered, set, values};
use serde_json::{Value, json};

/// What Helm leaves to `--create-namespace`: a release's namespace is there before its objects.
fn without_namespace(mut objects: Objects) -> Objects {
    assert!(objects.remove(&format!("Namespace {SYSTEM}")).is_some());
    objects
}

#[test]
fn chart_and_kustomize_are_the_same_objects() {
    let objects = rendered(&[]);
    assert!(objects.len() > 40, "{:?}", objects.keys());
    assert_eq!(
        changes(&without_namespace(kustomize(&json!({"resources": ["../base"]}))), &objects),
        json!({})
    );
}

#[test]
fn for_one_namespace_too() {
    let overlay = without_namespace(kustomize(&json!({"resources": ["../namespaced"]})));
    let objects = rendered(&[set("namespaces", json!(["default"]))]);
    assert_eq!(changes(&overlay, &objects), json!({}));
    assert!(!objects.keys().any(|object| object.starts_with("ClusterRole")), "{:?}", objects.keys());
    let named = rendered(&[set("namespaces", json!(["default"])), set("ingressClass.name", json!("edge"))]);
    let read = |part: &str| field(part, "template/spec/containers/0/env/5/value", "edge");
    assert_eq!(changes(&objects, &named), all([both(read), class_called("edge")]));
}

#[test]
fn with_a_pod_monitor_too() {
    let overlay = kustomize(&json!({"resources": ["../base"], "components": ["../podmonitor"]}));
    let objects = rendered(&[set("podMonitor.enabled", json!(true))]);
    assert_eq!(changes(&without_namespace(overlay), &objects), json!({}));
}

#[test]
fn with_tls_it_is_what_install_prints() {
    assert_eq!(
        changes(&without_namespace(kaos(&["--tls"])), &rendered(&[set("tls", json!(true))])),
        json!({})
    );
    // Who names a Secret has said so.
    let secret = || set("tlsSecrets", json!(["shops/a"]));
    assert_eq!(changes(&rendered(&[secret()]), &rendered(&[set("tls", json!(true)), secret()])), json!({}));
}

#[test]
fn with_the_gate_it_is_what_install_prints() {
    let printed = without_namespace(kaos(&["--gate"]));
    assert!(printed.contains_key(&format!("Service {SYSTEM}/kaos-gate")));
    assert_eq!(changes(&printed, &rendered(&[set("gate", json!(true))])), json!({}));
}

#[test]
fn with_external_metrics_it_is_what_install_prints() {
    let printed = without_namespace(kaos(&["--external-metrics"]));
    assert!(printed.contains_key("APIService v1beta1.external.metrics.k8s.io"));
    assert_eq!(changes(&printed, &rendered(&[set("externalMetrics", json!(true))])), json!({}));
}

#[test]
fn with_secrets_for_tls_it_is_what_install_prints() {
    let secrets = ["shops/a.example.com", "shops/b", "kaos-system/1.5"];
    let flags = secrets.map(|secret| ["--tls-secret", secret]).concat();
    let printed = without_namespace(kaos(&flags));
    assert_eq!(changes(&printed, &rendered(&[set("tlsSecrets", json!(secrets))])), json!({}));
}

#[test]
fn the_other_flags_of_install_are_values_too() {
    let flags = ["--domain", "apps.example.com", "--image", "registry.example.com/kaos:1.0"];
    let image = json!({"repository": "registry.example.com/kaos", "tag": "1.0"});
    let objects = rendered(&[set("domain", json!("apps.example.com")), set("image", image)]);
    assert_eq!(changes(&without_namespace(kaos(&flags)), &objects), json!({}));
}

/// Everything that is called after the namespace is called after that of the release.
#[test]
fn the_namespace_is_that_of_the_release() {
    let made = |namespace: &str| {
        let made = helm(&["template", "kaos", &chart(), "-n", namespace]).unwrap();
        assert!(!made.contains(SYSTEM));
        render::objects(&made)
    };
    let mut printed = kaos(&["--namespace", "serverless"]);
    assert!(printed.remove("Namespace serverless").is_some());
    assert_eq!(changes(&printed, &made("serverless")), json!({}));
    // A number to YAML, and a name all the same.
    assert!(made("1e3").contains_key("Deployment 1e3/kaos-proxy"));
}

/// What a value adds to the environment of the container of the Deployment `kaos-PART`, behind the four variables that are there.
fn variable(part: &str, at: usize, name: &str, value: &str) -> Value {
    let place = format!("Deployment {SYSTEM}/kaos-{part} /spec/template/spec/containers/0/env/{at}");
    json!({ format!("{place}/name"): name, format!("{place}/value"): value })
}

/// A field of the Deployment `kaos-PART`.
fn field(part: &str, path: &str, value: impl Into<Value>) -> Value {
    json!({ format!("Deployment {SYSTEM}/kaos-{part} /spec/{path}"): value.into() })
}

/// All of them together.
fn all(parts: impl IntoIterator<Item = Value>) -> Value {
    let parts = parts.into_iter().flat_map(|part| part.as_object().unwrap().clone());
    Value::Object(parts.collect())
}

/// The same at proxies and autoscalers.
fn both(of: impl Fn(&str) -> Value) -> Value {
    all(["proxy", "autoscaler"].map(of))
}

/// The IngressClass under another name.
fn class_called(name: &str) -> Value {
    let labels = json!({"app.kubernetes.io/name": "kaos", "app.kubernetes.io/part-of": "kaos"});
    json!({ "IngressClass kaos": null, format!("IngressClass {name}"): {
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name, "labels": labels},
        "spec": {"controller": "kaos.dev/ingress"},
    }})
}

/// The GatewayClass under this name.
fn gateway_class(name: &str) -> Value {
    let labels = json!({"app.kubernetes.io/component": "proxy", "app.kubernetes.io/name": "kaos",
        "app.kubernetes.io/part-of": "kaos"});
    json!({ format!("GatewayClass {name}"): {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": name, "labels": labels}, "spec": {"controllerName": "kaos.dev/gateway"},
    }})
}

/// What is said, the value that it is about first; and what becomes otherwise, where `null` is what is gone.
type Case = (Vec<Set>, Value);

/// Values of the cluster and of both parts.
fn common() -> Vec<Case> {
    let pod = "template/spec";
    let container = "template/spec/containers/0";
    let digest = format!("sha256:{}", "0a".repeat(32));
    let image = |image: &str| both(|part| field(part, &format!("{container}/image"), image));
    let env = |name: &str, value: &str| both(|part| variable(part, 4, name, value));
    let any = |part: &str, name: Value, value: Value| {
        all([
            field(part, &format!("{container}/env/3/name"), name),
            field(part, &format!("{container}/env/3/value"), value),
        ])
    };
    let default = "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class";
    let service = |path: &str, value: &str| json!({ format!("Service {SYSTEM}/kaos-proxy /{path}"): value });
    vec![
        (
            vec![set("image.repository", json!("example.com:5000/a/kaos"))],
            image("example.com:5000/a/kaos:0.1.0"),
        ),
        (vec![set("image.tag", json!("1.10"))], image("kaos:1.10")),
        (vec![set("image.digest", json!(digest))], image(&format!("kaos@{digest}"))),
        (
            vec![set("image.pullPolicy", json!("Always"))],
            both(|part| field(part, &format!("{container}/imagePullPolicy"), "Always")),
        ),
        (
            vec![set("image.pullSecrets", json!(["1.5"]))],
            both(|part| field(part, &format!("{pod}/imagePullSecrets/0/name"), "1.5")),
        ),
        (
            vec![set("domain", json!("apps.example.com"))],
            both(|part| field(part, &format!("{container}/env/2/value"), "apps.example.com")),
        ),
        (vec![set("clusterDomain", json!("corp.local"))], env("KAOS_CLUSTER_DOMAIN", "corp.local")),
        (vec![set("anyHost", json!(false))], both(|part| any(part, Value::Null, Value::Null))),
        (
            vec![set("allowHosts", json!(["shops=example.com", "a=*.b.com"])), set("anyHost", json!(false))],
            both(|part| any(part, json!("KAOS_ALLOW_HOSTS"), json!("shops=example.com,a=*.b.com"))),
        ),
        (vec![set("ingressClass.enabled", json!(false))], json!({"IngressClass kaos": null})),
        (
            vec![set("ingressClass.name", json!("1.5"))],
            all([env("KAOS_INGRESS_CLASS", "1.5"), class_called("1.5")]),
        ),
        (
            vec![set("ingressClass.default", json!(true))],
            json!({ format!("IngressClass kaos {default}"): "true" }),
        ),
        (vec![set("gatewayClass.enabled", json!(true))], gateway_class("kaos")),
        (
            vec![set("gatewayClass.name", json!("edge")), set("gatewayClass.enabled", json!(true))],
            all([env("KAOS_GATEWAY_CLASS", "edge"), gateway_class("edge")]),
        ),
        (vec![set("logLevel", json!("debug"))], env("KAOS_LOG_LEVEL", "debug")),
        (vec![set("accessLog", json!("json"))], variable("proxy", 4, "KAOS_ACCESS_LOG", "json")),
        (vec![set("service.type", json!("LoadBalancer"))], service("spec/type", "LoadBalancer")),
        (
            vec![set("service.annotations", json!({"example.com/internal": "true"}))],
            service("metadata/annotations/example.com~1internal", "true"),
        ),
        (
            vec![set("proxy.terminationGracePeriodSeconds", json!(120))],
            field("proxy", &format!("{pod}/terminationGracePeriodSeconds"), 120),
        ),
    ]
}

/// Values of one part.
fn of_part(part: &str) -> Vec<Case> {
    let pod = "template/spec";
    let place = |key: &str| format!("{part}.{key}");
    let (name, value) = match part {
        "proxy" => ("KAOS_MAX_CONNECTIONS", "1000000"),
        _ => ("KAOS_MAX_STARTING", "5"),
    };
    let tolerations = format!("{pod}/tolerations/0");
    let budget = format!("PodDisruptionBudget {SYSTEM}/kaos-{part}");
    vec![
        (vec![set(&place("replicas"), json!(3))], field(part, "replicas", 3)),
        (vec![set(&place("replicas"), json!(1))], all([field(part, "replicas", 1), json!({ budget: null })])),
        (
            vec![set(&place("resources"), json!({"requests": {"cpu": "2"}, "limits": null}))],
            all([
                field(part, &format!("{pod}/containers/0/resources/requests/cpu"), "2"),
                field(part, &format!("{pod}/containers/0/resources/limits/memory"), Value::Null),
            ]),
        ),
        (
            vec![set(&place("env"), json!({ name: value, "TZ": "UTC" }))],
            all([variable(part, 4, name, value), variable(part, 5, "TZ", "UTC")]),
        ),
        (
            vec![set(&place("nodeSelector"), json!({"kubernetes.io/arch": "arm64"}))],
            field(part, &format!("{pod}/nodeSelector/kubernetes.io~1arch"), "arm64"),
        ),
        (
            vec![set(&place("tolerations"), json!([{"key": "edge", "operator": "Exists"}]))],
            all([
                field(part, &format!("{tolerations}/key"), "edge"),
                field(part, &format!("{tolerations}/operator"), "Exists"),
            ]),
        ),
        (
            vec![set(&place("affinity"), json!({"nodeAffinity": {"a": 1}}))],
            field(part, &format!("{pod}/affinity/nodeAffinity/a"), 1),
        ),
    ]
}

#[test]
fn every_value_changes_what_it_says_and_nothing_else() {
    let usual = rendered(&[]);
    // What is tried above, against other programs.
    let mut tried = BTreeSet::from(
        [
            "namespaces",
            "tls",
            "tlsSecrets",
            "gate",
            "externalMetrics",
            "podMonitor.enabled",
            "podMonitor.labels",
        ]
        .map(str::to_owned),
    );
    for (said, becomes) in [common(), of_part("proxy"), of_part("autoscaler")].concat() {
        assert_eq!(changes(&usual, &rendered(&said)), becomes, "{said:?}");
        tried.insert(said[0].0.clone());
    }
    let monitored = rendered(&[set("podMonitor.enabled", json!(true))]);
    let labelled =
        rendered(&[set("podMonitor", json!({"enabled": true, "labels": {"release": "prometheus"}}))]);
    let label = format!("PodMonitor {SYSTEM}/kaos /metadata/labels/release");
    assert_eq!(changes(&monitored, &labelled), json!({ label: "prometheus" }));
    assert_eq!(tried, values());
}

#[test]
fn what_is_no_value_is_refused() {
    let shops = json!(["shops=example.com"]);
    for (path, value, said) in [
        ("colour", json!("red"), "additional properties 'colour' not allowed"),
        ("proxy.replica", json!(3), "additional properties 'replica' not allowed"),
        ("proxy.replicas", json!("3"), "got string, want integer"),
        ("proxy.replicas", json!(0), "minimum: got 0, want 1"),
        ("proxy.replicas", json!(null), "missing property 'replicas'"),
        ("proxy.resources", json!({"limit": {}}), "additional properties 'limit' not allowed"),
        (
            "proxy.env",
            json!({"KAOS_MAX_CONECTIONS": "1"}),
            "additional properties 'KAOS_MAX_CONECTIONS' not allowed",
        ),
        ("proxy.env", json!({"KAOS_DOMAIN": "a"}), "additional properties 'KAOS_DOMAIN' not allowed"),
        ("proxy.env", json!({"KAOS_MAX_CONNECTIONS": 1}), "got number, want string"),
        (
            "autoscaler.env",
            json!({"KAOS_MAX_CONNECTIONS": "1"}),
            "additional properties 'KAOS_MAX_CONNECTIONS' not allowed",
        ),
        ("image.tag", json!(1.1), "got number, want string"),
        ("accessLog", json!(false), "value must be one of '', 'json', 'combined'"),
        ("tlsSecrets", json!(["a"]), "does not match pattern"),
        ("domain", json!("Example.com"), "does not match pattern"),
        ("namespaces", json!("shops"), "got string, want array"),
        ("allowHosts", shops, "set anyHost to false"),
        ("namespaces", json!([SYSTEM]), "install it into another one"),
        ("ingressClass.name", json!("Edge"), "does not match pattern"),
        (
            "ingressClass",
            json!({"enabled": false, "default": true}),
            "ingressClass.default has no effect without an IngressClass",
        ),
        ("podMonitor.labels", json!({"a": "b"}), "set podMonitor.enabled to true"),
    ] {
        let set = format!("{path}={value}");
        let error = helm(&["template", "kaos", &chart(), "-n", SYSTEM, "--set-json", &set]).unwrap_err();
        assert!(error.contains(said), "{set}: {error}");
    }
}

#[test]
fn helm_itself_finds_nothing_wrong() {
    helm(&["lint", "--strict", &chart()]).unwrap();
}

/// A chart of others may have it among its own, and tell all of these something.
#[test]
fn a_chart_above_it_sets_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("charts")).unwrap();
    std::fs::write(at("Chart.yaml"), "apiVersion: v2\nname: platform\nversion: 1.0.0\n").unwrap();
    std::fs::write(at("values.yaml"), "global: {region: a}\nkaos: {domain: example.com}\n").unwrap();
    helm(&["package", &chart(), "-d", at("charts").to_str().unwrap()]).unwrap();
    let above = helm(&["template", "platform", folder.path().to_str().unwrap(), "-n", SYSTEM]).unwrap();
    let objects = rendered(&[set("domain", json!("example.com"))]);
    assert_eq!(changes(&objects, &render::objects(&above)), json!({}));
}
