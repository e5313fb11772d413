//! Gateway API, as a real API server has it: picked up when it comes, routes to adopted and to plain backends, statuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod support;

use k8s_openapi::api::core::v1::Service;
use kaos_testbed::{ControlPlane, eventually};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::kaos::{Answer, Kaos, annotate, apply, gateway_api, gateway_class, wanted};
use support::plain::beside_plain;

const GROUP: &str = "gateway.networking.k8s.io";

/// An object of Gateway API.
fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind,
                            "metadata": {"name": name, "namespace": namespace}});
    object["spec"] = spec;
    object
}

fn gateway(namespace: &str, listeners: Value) -> Value {
    let mut spec = json!({"gatewayClassName": "kaos"});
    spec["listeners"] = listeners;
    object("Gateway", namespace, "front", spec)
}

fn route(namespace: &str, name: &str, host: &str, rules: Value) -> Value {
    let mut spec = json!({"parentRefs": [{"name": "front"}], "hostnames": [host]});
    spec["rules"] = rules;
    object("HTTPRoute", namespace, name, spec)
}

fn backend(name: &str) -> Value {
    json!({"name": name, "port": 80})
}

async fn status(client: &Client, namespace: &str, plural: &str, name: &str) -> Option<Value> {
    let path = format!("/apis/{GROUP}/v1/namespaces/{namespace}/{plural}/{name}");
    let object: Value = client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.ok()?;
    Some(object["status"].clone())
}

/// What a condition says: its status and its reason.
fn condition(conditions: &Value, kind: &str) -> Option<(String, String)> {
    let all = conditions.as_array()?;
    let found = all.iter().find(|one| one["type"] == kind)?;
    Some((found["status"].as_str()?.to_owned(), found["reason"].as_str()?.to_owned()))
}

/// Waits until a condition of the route `name` is so.
async fn says(client: &Client, namespace: &str, name: &str, kind: &str, is: (&str, &str)) {
    eventually(&format!("{name} says {kind} {is:?}"), async || {
        let status = status(client, namespace, "httproutes", name).await?;
        let said = condition(&status["parents"][0]["conditions"], kind)?;
        ((said.0.as_str(), said.1.as_str()) == is).then_some(())
    })
    .await;
}

async fn answers(kaos: &Kaos, what: &str, host: &str, path: &str, is: impl Fn(&Answer) -> bool) -> Answer {
    eventually(what, async || kaos.get(0, host, path).await.filter(|answer| is(answer))).await
}

#[tokio::test]
async fn routes_lead_to_adopted_and_to_plain_backends_once_gateway_api_is_there() {
    let plane = ControlPlane::shared().await;
    let (client, namespace, _kubelet) = beside_plain(plane, "gateway").await;
    let kaos = Kaos::start(plane, &namespace, 1, 1).await;
    let user = format!("system:serviceaccount:{}:kaos-proxy", kaos.system());
    let asked = || plane.audit(|entry| entry.user.username == user && entry.request_uri.contains(GROUP));
    eventually("it is looked for", async || (!asked().is_empty()).then_some(())).await;
    assert!(asked().iter().all(|entry| entry.request_uri.contains("gatewayclasses")), "{:?}", asked());

    gateway_api(&client).await;
    gateway_class(&client).await;
    let host = format!("app.{namespace}.test");
    let all = json!([{"name": "http", "port": 80, "protocol": "HTTP"},
                     {"name": "odd", "port": 8080, "protocol": "HTTP"}]);
    apply(&client, &gateway(&namespace, all)).await;
    let prefix = |path: &str| json!([{"path": {"type": "PathPrefix", "value": path}}]);
    let rules = json!([
        {"backendRefs": [backend("shop")]},
        {"matches": prefix("/status"), "backendRefs": [backend("plain")]},
        {"matches": [{"method": "GET", "path": {"type": "Exact", "value": "/status/418"}}], "filters": [{
            "type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]},
    ]);
    apply(&client, &route(&namespace, "app", &host, rules)).await;
    answers(&kaos, "shop is a plain backend", &host, "/", |answer| answer.status == 200).await;
    assert_eq!(kaos.get(0, &host, "/status/204").await.unwrap().status, 204);
    let redirected = kaos.get(0, &host, "/status/418").await.unwrap();
    assert_eq!(redirected.status, 301);
    assert!(redirected.head.contains(&format!("location: https://{host}/status/418\r\n")), "{redirected:?}");
    told(&client, &kaos, &namespace).await;

    annotate(&client, &namespace, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"})).await;
    let own = format!("shop.{namespace}.localhost");
    answers(&kaos, "it is adopted", &own, "/", |answer| answer.status == 200).await;
    wanted(&client, &namespace, 0).await;
    eventually("its pod is gone", async || {
        support::endpoints(&client, &namespace, true).await.is_empty().then_some(())
    })
    .await;
    let cold = kaos.get(0, &host, "/").await.unwrap();
    assert!(cold.status == 200 && cold.head.contains("x-kaos-cold-start: true"), "{cold:?}");

    refused(&client, &kaos, &namespace, &host).await;
    let path = format!("/apis/{GROUP}/v1/namespaces/{namespace}/httproutes/app");
    client.request::<Value>(http::Request::delete(path).body(Vec::new()).unwrap()).await.unwrap();
    answers(&kaos, "its routes are gone", &host, "/", |answer| answer.status == 404).await;
}

/// What the Gateway and the route say of themselves.
async fn told(client: &Client, kaos: &Kaos, namespace: &str) {
    let services: Api<Service> = Api::namespaced(client.clone(), kaos.system());
    let entry = services.get("kaos-proxy").await.unwrap().spec.unwrap().cluster_ip.unwrap();
    let is = |conditions: &Value, kind: &str| condition(conditions, kind).unwrap_or_default();
    eventually("the Gateway says where requests come in", async || {
        let status = status(client, namespace, "gateways", "front").await?;
        let [served, odd] = status["listeners"].as_array()?.as_slice() else { return None };
        let at = json!([{"type": "IPAddress", "value": entry}]);
        (status["addresses"] == at
            && is(&status["conditions"], "Programmed").0 == "True"
            && served["attachedRoutes"] == 1
            && is(&served["conditions"], "Programmed").0 == "True"
            && is(&odd["conditions"], "Accepted") == ("False".to_owned(), "PortUnavailable".to_owned()))
            .then_some(())
    })
    .await;
    says(client, namespace, "app", "Accepted", ("True", "Accepted")).await;
    says(client, namespace, "app", "ResolvedRefs", ("True", "ResolvedRefs")).await;
}

/// What can't be done is said, and nothing of it is done; what isn't there is an error.
async fn refused(client: &Client, kaos: &Kaos, namespace: &str, host: &str) {
    let other = format!("x.{host}");
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": backend("plain")}});
    let rules = json!([{"filters": [mirror], "backendRefs": [backend("plain")]}]);
    apply(client, &route(namespace, "other", &other, rules)).await;
    says(client, namespace, "other", "Accepted", ("False", "UnsupportedValue")).await;
    assert_eq!(kaos.get(0, &other, "/").await.unwrap().status, 404);
    apply(client, &route(namespace, "other", &other, json!([{"backendRefs": [backend("gone")]}]))).await;
    says(client, namespace, "other", "ResolvedRefs", ("False", "BackendNotFound")).await;
    answers(kaos, "nothing is behind it", &other, "/", |answer| {
        answer.status == 500 && answer.body.contains("no-backend")
    })
    .await;
}
