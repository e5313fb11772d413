//! Ingresses, as a real API server has them: served by class, led to adopted and to plain backends, told where requests come in,
//! with certificates that their namespace brings itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod support;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kaos_testbed::{ControlPlane, eventually};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::kaos::{Answer, Kaos, annotate, apply, install, is_scaling, printed, program, wanted};
use support::plain::beside_plain;
use support::secure::{Cert, certificate::made};

fn path(path: &str, kind: &str, service: &str) -> Value {
    json!({"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}})
}

/// Applies the Ingress `front` of the class `kaos`.
async fn front(client: &Client, namespace: &str, annotations: Value, rules: Value, tls: Value) {
    apply(
        client,
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "front", "namespace": namespace, "annotations": annotations},
            "spec": {"ingressClassName": "kaos", "rules": rules, "tls": tls},
        }),
    )
    .await;
}

/// Waits for an answer that is as wanted.
async fn answers(kaos: &Kaos, what: &str, host: &str, path: &str, is: impl Fn(&Answer) -> bool) -> Answer {
    eventually(what, async || kaos.get(0, host, path).await.filter(|answer| is(answer))).await
}

#[tokio::test]
async fn an_ingress_leads_to_adopted_and_to_plain_backends() {
    let plane = ControlPlane::shared().await;
    let (client, namespace, _kubelet) = beside_plain(plane, "ingress").await;
    let (app, wild) = (format!("app.{namespace}.test"), format!("*.{namespace}.test"));
    let rules = json!([
        {"host": app, "http": {"paths": [path("/", "Prefix", "shop"), path("/status/204", "Exact", "plain")]}},
        {"host": wild, "http": {"paths": [path("/", "Prefix", "plain")]}},
    ]);
    // It is there before Kaos, which finds it in a list, and hears of the changes from a watch.
    front(&client, &namespace, json!({}), rules.clone(), json!([])).await;
    let kaos = Kaos::start(plane, &namespace, 1, 1).await;
    let other = format!("other.{namespace}.test");
    answers(&kaos, "the plain backend answers", &other, "/", |answer| answer.status == 200).await;
    answers(&kaos, "shop is a plain backend too", &app, "/", |answer| answer.status == 200).await;
    assert_eq!(kaos.get(0, &format!("a.{other}"), "/").await.unwrap().status, 404, "a wildcard is one label");
    assert_eq!(kaos.get(0, &app, "/status/204").await.unwrap().status, 204);

    told_where(&client, &kaos, &namespace).await;
    annotate(&client, &namespace, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"})).await;
    // Its host is the Ingress's as well as its own; its sleep has to be earned.
    let own = format!("shop.{namespace}.localhost");
    answers(&kaos, "it is adopted", &own, "/", |answer| answer.status == 200).await;
    wanted(&client, &namespace, 0).await;
    eventually("its pod is gone", async || {
        support::endpoints(&client, &namespace, true).await.is_empty().then_some(())
    })
    .await;
    let cold = kaos.get(0, &app, "/").await.unwrap();
    assert!(cold.status == 200 && cold.head.contains("x-kaos-cold-start: true"), "{cold:?}");

    // Of the plain one nobody but its owner changes the count; without endpoints nobody waits.
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let count = async |replicas: u32| {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        deployments.patch_scale("plain", &PatchParams::default(), &patch).await.unwrap();
    };
    count(0).await;
    answers(&kaos, "nobody is there", &other, "/", |answer| {
        answer.status == 503 && answer.body.contains("no-endpoint")
    })
    .await;
    count(1).await;
    answers(&kaos, "it is there again", &other, "/", |answer| answer.status == 200).await;
    let scaled = plane.audit(|entry| {
        is_scaling(entry, &namespace) && entry.object_ref.as_ref().is_some_and(|of| of.name == "plain")
    });
    assert!(scaled.is_empty(), "{scaled:?}");

    annotations(&client, &kaos, &namespace, &app, &rules).await;
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), &namespace);
    ingresses.delete("front", &DeleteParams::default()).await.unwrap();
    answers(&kaos, "its routes are gone", &other, "/", |answer| answer.status == 404).await;
    assert_eq!(kaos.get(0, &own, "/").await.unwrap().status, 200);
}

/// Its status says where the proxies' Service is.
async fn told_where(client: &Client, kaos: &Kaos, namespace: &str) {
    let services: Api<Service> = Api::namespaced(client.clone(), kaos.system());
    let entry = services.get("kaos-proxy").await.unwrap().spec.unwrap().cluster_ip.unwrap();
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    eventually("its status says where requests come in", async || {
        let status = ingresses.get("front").await.ok()?.status?;
        let point = status.load_balancer?.ingress?.pop()?;
        (point.ip? == entry).then_some(())
    })
    .await;
}

/// What ingress-nginx's annotations ask for is done, and what Kaos doesn't have is named.
async fn annotations(client: &Client, kaos: &Kaos, namespace: &str, app: &str, rules: &Value) {
    const NGINX: &str = "nginx.ingress.kubernetes.io";
    let said = json!({format!("{NGINX}/force-ssl-redirect"): "true", format!("{NGINX}/server-snippet"): "x"});
    front(client, namespace, said, rules.clone(), json!([])).await;
    let redirected = answers(kaos, "it is sent to https", app, "/a?b", |answer| answer.status == 308).await;
    assert!(redirected.head.contains(&format!("location: https://{app}/a?b\r\n")), "{redirected:?}");
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    eventually("the annotation that has no effect is named", async || {
        let all = events.list(&ListParams::default()).await.ok()?;
        let named =
            all.items.iter().find(|event| event.reason.as_deref() == Some("UnsupportedAnnotation"))?;
        let regarding = named.regarding.as_ref()?;
        assert_eq!((regarding.kind.as_deref(), regarding.name.as_deref()), (Some("Ingress"), Some("front")));
        assert!(named.note.as_deref()?.ends_with(&format!("{NGINX}/server-snippet")), "{named:?}");
        Some(())
    })
    .await;
    let said = json!({format!("{NGINX}/rewrite-target"): "/$2", format!("{NGINX}/enable-cors"): "true"});
    let paths = json!([path("/app(/|$)(.*)", "ImplementationSpecific", "plain")]);
    front(client, namespace, said, json!([{"host": app, "http": {"paths": paths}}]), json!([])).await;
    let rewritten =
        answers(kaos, "the path is rewritten", app, "/app/status/418", |answer| answer.status == 418).await;
    assert!(rewritten.head.contains("access-control-allow-origin: *\r\n"), "{rewritten:?}");
    let said = json!({format!("{NGINX}/whitelist-source-range"): "192.0.2.0/24"});
    front(client, namespace, said, rules.clone(), json!([])).await;
    answers(kaos, "nobody else may ask", app, "/", |answer| answer.status == 403).await;
    front(client, namespace, json!({}), rules.clone(), json!([])).await;
    answers(kaos, "everybody may", app, "/", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn a_namespace_brings_its_certificate_and_gives_the_right_to_it() {
    let plane = ControlPlane::shared().await;
    let (client, namespace, _kubelet) = beside_plain(plane, "certified").await;
    let system = plane.namespace("kaos").await.unwrap();
    install(&client, printed(&program(), &["--namespace", &system, "--tls"])).await;
    let flags = vec!["--listen-tls=127.0.0.1:0".to_owned()];
    let kaos = Kaos::start_with(plane, system.clone(), &namespace, [1, 0], flags).await;
    let (_, instance) = kaos.proxies[0].admin("/v1/instance").await.unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    let tls = instance["listen_tls"].as_str().unwrap().parse().unwrap();

    let host = format!("app.{namespace}.test");
    let rules = json!([{"host": host, "http": {"paths": [path("/", "Prefix", "plain")]}}]);
    let (one, two) = (made(&host, 4000), made(&host, 4000));
    let cert = Cert(Api::namespaced(client.clone(), &namespace));
    cert.create("kubernetes.io/tls", &one).await;
    let certified = json!([{"hosts": [host], "secretName": "cert"}]);
    front(&client, &namespace, json!({}), rules.clone(), certified).await;
    let user = format!("system:serviceaccount:{system}:kaos-proxy");
    let asked = || plane.audit(|entry| entry.user.username == user && entry.is_about("secrets"));
    eventually("it was refused", async || asked().iter().any(|entry| entry.code() == 403).then_some(()))
        .await;
    assert_eq!(one.get(tls, &host).await, None, "nobody has given the right to it");

    let meta = json!({"name": "kaos-proxy-tls", "namespace": namespace});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["cert"], "verbs": ["list", "watch"]}]});
    apply(&client, &role).await;
    apply(
        &client,
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "kaos-proxy-tls"},
            "subjects": [{"kind": "ServiceAccount", "name": "kaos-proxy", "namespace": system}],
        }),
    )
    .await;
    let shows = async |what: &str, made: &support::secure::certificate::Made| {
        eventually(what, async || (made.get(tls, &host).await? == 200).then_some(())).await;
    };
    shows("the certificate is shown", &one).await;
    cert.replace(&two.chain, &two.key).await;
    shows("the renewed one is shown", &two).await;
    for entry in asked() {
        let of = entry.object_ref.as_ref().unwrap();
        assert_eq!((&*of.namespace, &*of.name), (&*namespace, "cert"), "{entry:?}");
    }
    // A certificate is for the hosts that the Ingress names it for.
    let elsewhere = json!([{"hosts": [format!("b.{host}")], "secretName": "cert"}]);
    front(&client, &namespace, json!({}), rules.clone(), elsewhere).await;
    eventually("what is wrong is counted", async || {
        let (_, metrics) = kaos.proxies[0].admin("/metrics").await?;
        metrics.lines().any(|line| line == "kaos_tls_certificate_errors_total 1").then_some(())
    })
    .await;
    front(&client, &namespace, json!({}), rules, json!([])).await;
    eventually("it isn't shown any more", async || two.get(tls, &host).await.is_none().then_some(())).await;
}
