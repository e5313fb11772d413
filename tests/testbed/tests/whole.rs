//! Pods that are more than one program with one probe: nobody is sent to one before all of it is ready, and it is counted
//! once however often it is listed. The kubelet's part is done by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::join;
use k8s_openapi::api::core::v1::Pod;
use kaos_testbed::{Behaviour, ControlPlane, Kubelet, eventually};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::kaos::{Kaos, annotate, apply};
use support::pods;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A program at an address, and a namespace where pods get it.
struct Scene {
    client: Client,
    namespace: String,
    address: String,
    kaos: Kaos,
    _kubelet: Kubelet,
}

impl Scene {
    /// `shop` asleep, with pods of this spec.
    async fn new(name: &str, spec: Value) -> Scene {
        let plane = ControlPlane::shared().await;
        let client = plane.client(plane.admin()).await.unwrap();
        let elsewhere = plane.namespace("program").await.unwrap();
        let kubelet = Kubelet::start(plane, &elsewhere, Behaviour::default()).await.unwrap();
        let container = json!({"name": "program", "image": "answer", "ports": [{"containerPort": 8080}]});
        let program = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "program", "namespace": elsewhere},
            "spec": {"containers": [container]}});
        apply(&client, &program).await;
        let address = eventually("the program has an address", async || {
            pods(&client, &elsewhere).await.into_iter().find_map(|pod| pod.status?.pod_ip)
        });
        let address = address.await;
        let namespace = plane.namespace(name).await.unwrap();
        let labels = json!({"app": "shop"});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": namespace},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec}}});
        apply(&client, &deployment).await;
        apply(&client, &service(&namespace, "shop")).await;
        let kaos = Kaos::start(plane, &namespace, 1, 1).await;
        annotate(
            &client,
            &namespace,
            json!({"kaos.dev/enabled": "true", "kaos.dev/container-concurrency": "1", "kaos.dev/idle-timeout": "1m"}),
        )
        .await;
        eventually("it is adopted", async || {
            kaos.proxies[0].admin(&shown(&namespace)).await.filter(|it| it.0 == 200)
        })
        .await;
        Scene { client, namespace, address, kaos, _kubelet: kubelet }
    }

    fn host(&self) -> String {
        format!("shop.{}.localhost", self.namespace)
    }

    /// Waits for the one pod, and says where it is and whether it is ready, as a kubelet would.
    async fn pod_is(&self, ready: bool) {
        let all: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let name = eventually("there is a pod", async || {
            all.list(&ListParams::default()).await.ok()?.items.pop()?.metadata.name
        });
        let ready = if ready { "True" } else { "False" };
        let status = json!({"status": {"phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}],
            "conditions": [{"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": ready}]}});
        all.patch_status(&name.await, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// What the proxy shows of `shop`.
    async fn shown(&self) -> Value {
        let (_, text) = self.kaos.proxies[0].admin(&shown(&self.namespace)).await.unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn shown(namespace: &str) -> String {
    format!("/v1/workloads/{namespace}/shop")
}

/// A Service of the pods of `shop`.
fn service(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": "shop"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
}

fn container(name: &str, port: u16) -> Value {
    json!({"name": name, "image": "answer", "ports": [{"containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": port}}})
}

/// Answers every connection with an empty 200, for ever.
async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_pod_of_two_containers_is_sent_nothing_before_the_second_is_ready() {
    let scene =
        Scene::new("two", json!({"containers": [container("shop", 8080), container("beside", 8081)]})).await;
    let second = AtomicBool::new(false);
    let request = async {
        let answer = scene.kaos.get(0, &scene.host(), "/").await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(second.load(Ordering::SeqCst), "the first container alone was sent a request");
    };
    let kubelet = async {
        scene.pod_is(false).await;
        eventually("the pod is known", async || {
            (!scene.shown().await["endpoints"].as_array()?.is_empty()).then_some(())
        })
        .await;
        // The start of the second container takes this long.
        tokio::time::sleep(Duration::from_secs(3)).await;
        second.store(true, Ordering::SeqCst);
        let listener = TcpListener::bind((scene.address.as_str(), 8081)).await.unwrap();
        tokio::spawn(serve(listener));
    };
    join!(request, kubelet);
    // The cluster still calls it unready: that it answers was found out by asking it.
    assert_eq!(support::endpoints(&scene.client, &scene.namespace, true).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_readiness_gate_is_waited_for() {
    let spec = json!({"containers": [container("shop", 8080)], "readinessGates": [{"conditionType": "example.com/gate"}]});
    let scene = Scene::new("gate", spec).await;
    let open = AtomicBool::new(false);
    let request = async {
        let answer = scene.kaos.get(0, &scene.host(), "/").await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(open.load(Ordering::SeqCst), "a pod behind a closed gate was sent a request");
    };
    let kubelet = async {
        scene.pod_is(false).await;
        eventually("the pod is known", async || {
            (!scene.shown().await["endpoints"].as_array()?.is_empty()).then_some(())
        })
        .await;
        // Long enough for many tries of a probe, were there any.
        tokio::time::sleep(Duration::from_secs(1)).await;
        open.store(true, Ordering::SeqCst);
        scene.pod_is(true).await;
    };
    join!(request, kubelet);
}

#[tokio::test]
async fn a_pod_in_many_slices_has_its_slots_once() {
    let scene = Scene::new("many", json!({"containers": [container("shop", 8080)]})).await;
    apply(&scene.client, &service(&scene.namespace, "also")).await;
    let host = scene.host();
    let (answer, ()) = join!(scene.kaos.get(0, &host, "/"), scene.pod_is(true));
    assert_eq!(answer.unwrap().status, 200);
    let pod = pods(&scene.client, &scene.namespace).await.pop().unwrap();
    let target = json!({"kind": "Pod", "namespace": scene.namespace, "name": pod.metadata.name, "uid": pod.metadata.uid});
    // As the controller writes it in a cluster of two address families.
    let other = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6",
        "metadata": {"name": "shop-six", "namespace": scene.namespace,
            "labels": {"kubernetes.io/service-name": "shop", "endpointslice.kubernetes.io/managed-by": "test"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["fd00::7"], "conditions": {"ready": true}, "targetRef": target}]});
    apply(&scene.client, &other).await;
    // A slice of another pod after it: what comes in order has come before.
    let mut last = other.clone();
    (last["metadata"]["name"], last["endpoints"][0]["addresses"]) = (json!("shop-last"), json!(["fd00::8"]));
    last["endpoints"][0]["targetRef"]["uid"] = json!("another");
    last["endpoints"][0]["conditions"]["ready"] = json!(false);
    apply(&scene.client, &last).await;
    let seen = eventually("all slices are seen", async || {
        let shown = scene.shown().await;
        (shown["endpoints"].as_array()?.len() == 2).then_some(shown)
    });
    let seen = seen.await;
    assert_eq!(seen["replicas"]["ready"], 1, "{seen}");
    let uid = pod.metadata.uid.unwrap();
    let ours = seen["endpoints"].as_array().unwrap().iter().find(|endpoint| endpoint["uid"] == *uid).unwrap();
    assert_eq!(ours["address"], format!("{}:8080", scene.address), "{seen}");
    let answers = join!(
        scene.kaos.get(0, &host, "/delay/300ms"),
        scene.kaos.get(0, &host, "/delay/300ms"),
        scene.kaos.get(0, &host, "/delay/300ms")
    );
    for answer in [answers.0, answers.1, answers.2] {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer.head.contains("x-answer-max-in-flight: 1\r\n")
                || answer.head.ends_with("x-answer-max-in-flight: 1"),
            "{answer:?}"
        );
    }
}
