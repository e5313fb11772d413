//! Kaos's rights, as `kaos install` gives them: whatever it asks for is granted, whatever is granted is asked for, and
//! with none of it can anybody change what a workload runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use kaos_kubernetes::rights::{self, Right};
use kaos_testbed::{AuditEntry, Behaviour, ControlPlane, Kubelet, eventually};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::kaos::{Kaos, annotate, apply, gateway_api, gateway_class, install, printed, program, wanted};
use support::{pods, ready, shop};

/// A namespace with `shop`, whose pods are played.
async fn scene(plane: &ControlPlane, name: &str) -> (Client, String, Kubelet) {
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace(name).await.unwrap();
    let kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    shop(&client, &namespace, 1, json!({"readinessProbe": probe})).await;
    ready(&client, &namespace, 1).await;
    (client, namespace, kubelet)
}

/// Who asks under the account `name` of the Kaos in `system`.
fn user(system: &str, name: &str) -> String {
    format!("system:serviceaccount:{system}:{name}")
}

/// A request as a role would grant it, and whether it is about something of Kaos's own namespace.
fn asked(entry: &AuditEntry, system: &str) -> (String, bool) {
    let Some(of) = &entry.object_ref else { return (format!("{} {}", entry.verb, entry.request_uri), false) };
    let part = if of.subresource.is_empty() { String::new() } else { format!("/{}", of.subresource) };
    (format!("{} {}/{}{part}", entry.verb, of.api_group, of.resource), of.namespace == system)
}

fn granted(rights: &[Right], own: bool) -> BTreeSet<(String, bool)> {
    let line = |right: &Right| (format!("{} {}/{}", right.verb, right.group, right.resource), own);
    rights.iter().map(line).collect()
}

/// A process that finds the proxies by their Service. Killed when dropped.
struct ByService(Child);

impl ByService {
    async fn start(plane: &ControlPlane, kind: &str, system: &str, namespace: &str) -> ByService {
        let token = plane.service_account(system, &format!("kaos-{kind}")).await.unwrap();
        let mut command = Command::new(program());
        command.args([kind, "--admin", "127.0.0.1:0", "--id", "another", "--namespace", namespace]);
        command.args(["--system-namespace", system, "--kubeconfig"]).arg(plane.kubeconfig(&token).unwrap());
        if kind == "proxy" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        ByService(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for ByService {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asleep and awake, up and down with a chosen replica, and left: all that Kaos does.
async fn live(kaos: &Kaos, client: &Client, namespace: &str) {
    let sleepy = json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"});
    annotate(client, namespace, sleepy.clone()).await;
    stateful_set(client, namespace, &sleepy).await;
    let hosts = ["shop", "db"].map(|name| format!("{name}.{namespace}.localhost"));
    for host in &hosts {
        eventually("it is adopted", async || (kaos.get(0, host, "/").await?.status == 200).then_some(()))
            .await;
    }
    // The second of two autoscalers that wake at once finds it done, and looks: mostly, so some times.
    for _ in 0..4 {
        wanted(client, namespace, 0).await;
        eventually("all pods are gone", async || pods(client, namespace).await.is_empty().then_some(()))
            .await;
        for host in &hosts {
            assert_eq!(kaos.get(0, host, "/").await.unwrap().status, 200);
        }
    }
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let left = Patch::Merge(json!({"metadata": {"annotations": {"kaos.dev/enabled": "false"}}}));
    sets.patch("db", &PatchParams::default(), &left).await.unwrap();
    let two = json!({"kaos.dev/min-scale": "2", "kaos.dev/window": "6s"});
    annotate(client, namespace, two).await;
    ready(client, namespace, 2).await;
    annotate(client, namespace, json!({"kaos.dev/min-scale": "1"})).await;
    ingress(client, namespace).await;
    gateway(client, namespace).await;
    wanted(client, namespace, 1).await;
    annotate(client, namespace, json!({"kaos.dev/enabled": "false"})).await;
}

/// A StatefulSet `db` with its Service.
async fn stateful_set(client: &Client, namespace: &str, annotations: &Value) {
    let (labels, meta) = (json!({"app": "db"}), json!({"name": "db", "namespace": namespace}));
    let container = json!({"name": "app", "image": "registry.local/answer:1",
        "ports": [{"containerPort": 8080, "name": "http"}]});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta,
        "spec": {"serviceName": "db", "selector": {"matchLabels": labels}, "template": pod}});
    set["metadata"]["annotations"] = annotations.clone();
    apply(client, &set).await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    apply(
        client,
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": meta,
        "spec": {"selector": labels, "ports": ports}}),
    )
    .await;
}

/// An Ingress that is told where requests come in.
async fn ingress(client: &Client, namespace: &str) {
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let meta = json!({"name": "front", "namespace": namespace});
    let rule = json!({"host": format!("app.{namespace}.test"),
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
    apply(
        client,
        &json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta,
        "spec": {"ingressClassName": "kaos", "rules": [rule]}}),
    )
    .await;
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    eventually("the Ingress is told where requests come in", async || {
        let told = ingresses.get("front").await.ok()?.status?.load_balancer?.ingress?;
        (!told.is_empty()).then_some(())
    })
    .await;
}

/// An HTTPRoute that is told what becomes of it.
async fn gateway(client: &Client, namespace: &str) {
    let object = |kind: &str, spec: Value| {
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "spec": spec,
            "metadata": {"name": "front", "namespace": namespace}})
    };
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    apply(client, &object("Gateway", json!({"gatewayClassName": "kaos", "listeners": listeners}))).await;
    let rules = json!([{"backendRefs": [{"name": "shop", "port": 80}]}]);
    let hosts = json!([format!("gate.{namespace}.test")]);
    let spec = json!({"parentRefs": [{"name": "front"}], "hostnames": hosts, "rules": rules});
    apply(client, &object("HTTPRoute", spec)).await;
    eventually("the HTTPRoute is told what becomes of it", async || {
        let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/front");
        let route: Value = client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.ok()?;
        (route["status"]["parents"][0]["conditions"][0]["status"] == "True").then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_right_that_is_granted_is_used_and_none_is_missing() {
    let plane = ControlPlane::shared().await;
    let (client, namespace, _kubelet) = scene(plane, "rights").await;
    gateway_api(&client).await;
    gateway_class(&client).await;
    let kaos = Kaos::start(plane, &namespace, 2, 2).await;
    let system = kaos.system();
    let _proxy = ByService::start(plane, "proxy", system, &namespace).await;
    let _autoscaler = ByService::start(plane, "autoscaler", system, &namespace).await;
    live(&kaos, &client, &namespace).await;
    let reads = granted(&rights::READ, false);
    let proxy = &(&reads | &granted(&rights::PEERS, true)) | &granted(&rights::ENTRY, true);
    let autoscaler = [&rights::READ_SCALERS[..], &rights::SCALE, &rights::CHOOSE, &rights::TELL_CLASSES];
    let autoscaler = autoscaler.map(|rights| granted(rights, false));
    let own = [&rights::LEAD, &rights::KEEP].map(|rights| granted(rights, true));
    let autoscaler = autoscaler.iter().chain(&own).fold(proxy.clone(), |all, some| &all | some);
    for (account, expected) in [("kaos-proxy", proxy), ("kaos-autoscaler", autoscaler)] {
        let user = user(system, account);
        let used = async || {
            let entries = plane.audit(|entry| entry.user.username == user);
            Some(entries.iter().map(|entry| asked(entry, system)).collect::<BTreeSet<_>>())
        };
        eventually(&format!("{account} has used {expected:?}"), async || {
            used().await.filter(|used| used.is_superset(&expected))
        })
        .await;
        assert_eq!(used().await.unwrap(), expected, "{account}");
        let refused = plane.audit(|entry| entry.user.username == user && matches!(entry.code(), 401 | 403));
        assert!(refused.is_empty(), "{refused:?}");
    }
}

/// The status of the answer to this request.
async fn send(client: &Client, method: &str, path: &str, body: &Value) -> u16 {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    match client.request::<Value>(request.body(body.to_string().into_bytes()).unwrap()).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{method} {path}: {error}"),
    }
}

#[tokio::test]
async fn what_a_workload_runs_cannot_be_changed_with_the_tokens_of_kaos() {
    let plane = ControlPlane::shared().await;
    let (client, namespace, _kubelet) = scene(plane, "image").await;
    let system = plane.namespace("kaos").await.unwrap();
    install(&client, printed(&program(), &["--namespace", &system])).await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let before = deployments.get("shop").await.unwrap();
    let pod = pods(&client, &namespace).await.pop().unwrap().metadata.name.unwrap();
    let shop = format!("/apis/apps/v1/namespaces/{namespace}/deployments/shop");
    let pod_path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
    let core = format!("/api/v1/namespaces/{namespace}");
    let bad = json!([{"name": "shop", "image": "evil", "command": ["evil"]}]);
    let template = json!({"spec": {"template": {"spec": {"containers": bad}}}});
    let containers = json!({"spec": {"containers": bad}});
    let secret = json!({"metadata": {"name": "x"}});
    for account in ["kaos-proxy", "kaos-autoscaler"] {
        let token = plane.service_account(&system, account).await.unwrap();
        let kaos = plane.client(&token).await.unwrap();
        let makes = json!({"metadata": {"name": "x"}, "spec": {"containers": bad}});
        let role = json!({"metadata": {"name": "x"}, "rules": []});
        for (method, path, body) in [
            ("PATCH", shop.clone(), &template),
            ("PUT", shop.clone(), &serde_json::to_value(&before).unwrap()),
            ("DELETE", shop.clone(), &json!({})),
            ("POST", shop.trim_end_matches("/shop").to_owned(), &serde_json::to_value(&before).unwrap()),
            ("PATCH", pod_path.clone(), &containers),
            ("PATCH", format!("{pod_path}/ephemeralcontainers"), &containers),
            ("POST", format!("{pod_path}/exec?command=sh"), &json!({})),
            ("DELETE", pod_path.clone(), &json!({})),
            ("POST", format!("{core}/pods"), &makes),
            ("GET", format!("{core}/secrets"), &json!({})),
            ("POST", format!("{core}/secrets"), &secret),
            ("POST", format!("{core}/serviceaccounts/default/token"), &json!({})),
            ("POST", format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"), &role),
        ] {
            assert_eq!(send(&kaos, method, &path, body).await, 403, "{account}: {method} {path}");
        }
        // These an autoscaler may write; whatever else is in the same patch is dropped.
        let may = if account == "kaos-proxy" { 403 } else { 200 };
        let mut marked = template.clone();
        marked["metadata"] = json!({"annotations": {"kaos.dev/hold": "x"}});
        marked["spec"]["replicas"] = json!(7);
        assert_eq!(send(&kaos, "PATCH", &format!("{shop}/status"), &marked).await, may);
        assert_eq!(send(&kaos, "PATCH", &format!("{shop}/scale"), &template).await, may);
        assert_eq!(send(&kaos, "PATCH", &format!("{pod_path}/status"), &containers).await, may);
    }
    let after = deployments.get("shop").await.unwrap();
    assert_eq!((after.spec, after.metadata.generation), (before.spec, before.metadata.generation));
    assert_eq!(after.metadata.annotations.unwrap()["kaos.dev/hold"], "x", "the patch itself was taken");
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let container = pods.get(&pod).await.unwrap().spec.unwrap().containers.pop().unwrap();
    assert_eq!((container.image.as_deref(), container.command), (Some("registry.local/answer:1"), None));
}

/// A file of the overlay, for Kaos in `system`.
fn manifest(name: &str, system: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/namespaced").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("kaos-system", system)
}

/// What the overlay for one namespace comes to, but for its patch of the two Deployments.
fn overlay(system: &str, namespace: &str) -> Vec<Value> {
    let overlay: Value = serde_saphyr::from_str(&manifest("kustomization.yaml", system)).unwrap();
    let patches = overlay["patches"].as_array().unwrap().iter().map(|patch| patch["patch"].as_str().unwrap());
    let deleted = patches.filter(|patch| patch.contains("$patch: delete"));
    let deleted: Vec<Value> = deleted.map(|patch| serde_saphyr::from_str(patch).unwrap()).collect();
    let same = |one: &Value, other: &Value| {
        one["kind"] == other["kind"] && one["metadata"]["name"] == other["metadata"]["name"]
    };
    let mut objects = printed(&program(), &["--namespace", system]);
    objects.retain(|object| !deleted.iter().any(|one| same(one, object)));
    let roles = manifest("roles.yaml", system);
    let roles = roles.replace("namespace: default", &format!("namespace: {namespace}"));
    objects.extend(serde_saphyr::from_multiple::<Value>(&roles).unwrap());
    objects
}

#[tokio::test]
async fn one_namespace_is_served_without_a_right_in_another() {
    let plane = ControlPlane::shared().await;
    let (client, namespace, _kubelet) = scene(plane, "one").await;
    let other = plane.namespace("other").await.unwrap();
    let system = plane.namespace("kaos").await.unwrap();
    let objects = overlay(&system, &namespace);
    assert!(objects.iter().all(|object| !object["kind"].as_str().unwrap().starts_with("Cluster")));
    install(&client, objects).await;
    let kaos = Kaos::start_told(plane, system.clone(), &namespace, "kaos").await;
    let host = format!("shop.{namespace}.localhost");
    annotate(&client, &namespace, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"})).await;
    eventually("it is adopted", async || (kaos.get(0, &host, "/").await?.status == 200).then_some(())).await;
    wanted(&client, &namespace, 0).await;
    assert_eq!(kaos.get(0, &host, "/").await.unwrap().status, 200);
    ingress(&client, &namespace).await;
    gateway_api(&client).await;
    gateway(&client, &namespace).await;
    let app = format!("app.{namespace}.test");
    eventually("it leads to shop", async || (kaos.get(0, &app, "/").await?.status == 200).then_some(()))
        .await;
    for account in ["kaos-proxy", "kaos-autoscaler"] {
        let user = user(&system, account);
        let refused = plane.audit(|entry| entry.user.username == user && matches!(entry.code(), 401 | 403));
        assert!(refused.is_empty(), "{refused:?}");
        let token = plane.service_account(&system, account).await.unwrap();
        let elsewhere = format!("/apis/apps/v1/namespaces/{other}/deployments");
        assert_eq!(send(&plane.client(&token).await.unwrap(), "GET", &elsewhere, &json!({})).await, 403);
    }
}
