//! Certificates from Secrets: taken as somebody makes and replaces them, kept whatever becomes of the Secret, and read with a
//! right to it alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use kaos_kubernetes::rights;
use kaos_testbed::{AuditEntry, Behaviour, ControlPlane, Kubelet, eventually};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::kaos::{Kaos, annotate, apply, install, printed, program};
use support::secure::{Cert, certificate::Made, certificate::made};
use support::{ready, shop};

/// The type of a Secret with a certificate.
const TLS: &str = "kubernetes.io/tls";

/// `shop` awake behind one proxy, which was told of the Secret `cert` of another namespace.
struct Scene<'a> {
    plane: &'a ControlPlane,
    client: Client,
    kaos: Kaos,
    _kubelet: Kubelet,
    host: String,
    /// Where the Secret is.
    vault: String,
    cert: Cert,
    tls: SocketAddr,
    /// What gives the right to it.
    roles: Vec<Value>,
}

impl<'a> Scene<'a> {
    /// Nobody has made the Secret; the proxy has the right to it, or hasn't yet.
    async fn start(plane: &'a ControlPlane, with_right: bool) -> Scene<'a> {
        let client = plane.client(plane.admin()).await.unwrap();
        let namespace = plane.namespace("tls").await.unwrap();
        let vault = plane.namespace("vault").await.unwrap();
        let kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
        let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
        shop(&client, &namespace, 1, json!({"readinessProbe": probe})).await;
        ready(&client, &namespace, 1).await;
        annotate(&client, &namespace, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1m"}))
            .await;

        let system = plane.namespace("kaos").await.unwrap();
        let secret = format!("{vault}/cert");
        let all = printed(&program(), &["--namespace", &system, "--tls-secret", &secret]);
        let flags = flags(&all);
        assert!(flags.contains(&format!("--tls-secret={secret}")), "{flags:?}");
        let (roles, rest) = all.into_iter().partition(|one| one["metadata"]["namespace"] == *vault);
        install(&client, rest).await;
        if with_right {
            install(&client, Vec::clone(&roles)).await;
        }
        let kaos = Kaos::start_with(plane, system, &namespace, [1, 0], flags).await;
        let (_, instance) = kaos.proxies[0].admin("/v1/instance").await.unwrap();
        let instance: Value = serde_json::from_str(&instance).unwrap();
        let tls = instance["listen_tls"].as_str().unwrap().parse().unwrap();
        let cert = Cert(Api::namespaced(client.clone(), &vault));
        let host = format!("shop.{namespace}.localhost");
        let scene = Scene { plane, client, kaos, _kubelet: kubelet, host, vault, cert, tls, roles };
        scene.answers_without_tls().await;
        scene
    }

    async fn answers_without_tls(&self) {
        eventually("shop answers over plain HTTP", async || {
            (self.kaos.get(0, &self.host, "/").await?.status == 200).then_some(())
        })
        .await;
    }

    /// A certificate for the host.
    fn made(&self) -> Made {
        made(&self.host, 4000)
    }

    async fn get(&self, made: &Made) -> Option<u16> {
        made.get(self.tls, &self.host).await
    }

    /// Waits until this certificate is shown.
    async fn shows(&self, what: &str, made: &Made) {
        eventually(what, async || (self.get(made).await? == 200).then_some(())).await;
    }

    /// Waits until so many certificates were wrong.
    async fn refused(&self, what: &str, count: u32) {
        let line = format!("kaos_tls_certificate_errors_total {count}");
        eventually(what, async || {
            let (_, metrics) = self.kaos.proxies[0].admin("/metrics").await?;
            metrics.lines().any(|told| told == line).then_some(())
        })
        .await;
    }

    /// What this Kaos's proxy has asked of Secrets.
    fn asked(&self) -> Vec<AuditEntry> {
        let user = format!("system:serviceaccount:{}:kaos-proxy", self.kaos.system());
        self.plane.audit(|entry| entry.user.username == user && entry.is_about("secrets"))
    }
}

/// What the proxies are told beside the usual, at a port of this machine.
fn flags(all: &[Value]) -> Vec<String> {
    let proxy = |one: &&Value| one["kind"] == "Deployment" && one["metadata"]["name"] == "kaos-proxy";
    let container = &all.iter().find(proxy).unwrap()["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
    let here = |flag: &String| flag.replace("=0.0.0.0:8443", "=127.0.0.1:0");
    args[1..].iter().map(here).collect()
}

#[tokio::test]
async fn a_secret_is_shown_from_its_making_on_and_kept_while_it_is_wrong_or_gone() {
    let scene = Scene::start(ControlPlane::shared().await, true).await;
    let (one, two, three) = (scene.made(), scene.made(), scene.made());
    assert_eq!(scene.get(&one).await, None, "there is no certificate");

    scene.cert.create(TLS, &one).await;
    scene.shows("the certificate is shown", &one).await;
    scene.cert.replace(&two.chain, &two.key).await;
    scene.shows("the renewed one is shown", &two).await;
    assert_eq!(scene.get(&one).await, None);
    let (_, metrics) = scene.kaos.proxies[0].admin("/metrics").await.unwrap();
    let expiry = format!("kaos_tls_certificate_expiry_timestamp_seconds{{source=\"{}/cert\"}}", scene.vault);
    assert!(metrics.contains(&expiry), "{metrics}");

    let expired = made(&scene.host, 2001);
    for (count, chain, key) in [
        (1, &one.chain, &two.key),
        (2, &"no PEM".to_owned(), &two.key),
        (3, &two.chain, &two.key.replace('\n', "")),
        (4, &two.chain, &String::new()),
        (5, &expired.chain, &expired.key),
    ] {
        scene.cert.replace(chain, key).await;
        scene.refused("what is wrong is counted", count).await;
        assert_eq!(scene.get(&two).await, Some(200), "{count}: the one that was there stays");
    }

    // What is counted next was made after it was gone.
    scene.cert.delete().await;
    scene.cert.create("Opaque", &one).await;
    scene.refused("a Secret of another type is counted", 6).await;
    assert_eq!(scene.get(&two).await, Some(200));
    scene.cert.delete().await;
    scene.cert.create(TLS, &three).await;
    scene.shows("one that was deleted and made again is shown", &three).await;
    scene.answers_without_tls().await;
    only_that_secret(&scene).await;
}

/// Every right to it is used, and there is none to another.
async fn only_that_secret(scene: &Scene<'_>) {
    let asked = scene.asked();
    let used: BTreeSet<&str> = asked.iter().map(|entry| entry.verb.as_str()).collect();
    assert_eq!(used, rights::SECRETS.iter().map(|right| right.verb).collect());
    for entry in &asked {
        let of = entry.object_ref.as_ref().unwrap();
        assert_eq!((&*of.namespace, &*of.name), (&*scene.vault, "cert"), "{entry:?}");
        assert!(!matches!(entry.code(), 401 | 403), "{entry:?}");
    }
    let token = scene.plane.service_account(scene.kaos.system(), "kaos-proxy").await.unwrap();
    let client = scene.plane.client(&token).await.unwrap();
    let namespaced = format!("/api/v1/namespaces/{}/secrets", scene.vault);
    for path in [
        namespaced.clone(),
        "/api/v1/secrets".to_owned(),
        format!("{namespaced}/other"),
        format!("{namespaced}?fieldSelector=metadata.name%3Dother"),
        format!("{namespaced}?fieldSelector=type%3Dkubernetes.io/tls"),
    ] {
        let request = http::Request::get(&path).body(Vec::new()).unwrap();
        let Err(kube::Error::Api(status)) = client.request::<Value>(request).await else { panic!("{path}") };
        assert_eq!(status.code, 403, "{path}");
    }
}

#[tokio::test]
async fn without_the_right_requests_are_taken_all_the_same_and_it_may_come_later() {
    let scene = Scene::start(ControlPlane::shared().await, false).await;
    let one = scene.made();
    scene.cert.create(TLS, &one).await;
    eventually("it was refused more than once", async || {
        (scene.asked().iter().filter(|entry| entry.code() == 403).count() > 1).then_some(())
    })
    .await;
    assert_eq!(scene.get(&one).await, None, "it can't be read");
    for role in &scene.roles {
        apply(&scene.client, role).await;
    }
    scene.shows("the certificate is shown", &one).await;
}

#[tokio::test]
async fn a_certificate_stays_while_the_api_server_is_away() {
    let plane = ControlPlane::start().await.unwrap();
    let scene = Scene::start(&plane, true).await;
    let (one, two) = (scene.made(), scene.made());
    scene.cert.create(TLS, &one).await;
    scene.shows("the certificate is shown", &one).await;
    let asked = scene.asked().len();
    plane.stop_api_server();
    assert_eq!(scene.get(&one).await, Some(200));
    plane.start_api_server().await.unwrap();
    eventually("the Secret is asked for again", async || (scene.asked().len() > asked).then_some(())).await;
    assert_eq!(scene.get(&one).await, Some(200));
    scene.cert.replace(&two.chain, &two.key).await;
    scene.shows("the renewed one is shown", &two).await;
}
