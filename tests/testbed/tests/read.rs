//! What Kaos reads from a real API server, with the rights to get, list and watch and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kaos_core::snapshot::{Mode, Phase, Probe, Workload};
use kaos_core::{Snapshot, WorkloadId};
use kaos_kubernetes::{Cluster, HostRules, ReadSettings};
use kaos_testbed::{Behaviour, ControlPlane, Fate, Kubelet, PATIENCE, eventually};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::{pods, scale, shop};
use tokio::time::timeout;

/// A namespace with `shop` in it, and a reader of it.
struct Scene {
    admin: Client,
    namespace: String,
    kubelet: Kubelet,
    cluster: Cluster,
    id: WorkloadId,
}

impl Scene {
    async fn new(plane: &ControlPlane, name: &str, replicas: u32, fate: Fate) -> Scene {
        let admin = plane.client(plane.admin()).await.unwrap();
        let namespace = plane.namespace(name).await.unwrap();
        let kubelet =
            Kubelet::start(plane, &namespace, Behaviour { fate, ..Behaviour::default() }).await.unwrap();
        let probe = json!({"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1});
        shop(&admin, &namespace, replicas, json!({"readinessProbe": probe})).await;
        let reader = reader(plane, &admin, &namespace).await;
        let hosts = HostRules {
            domain: "test".into(),
            cluster_domain: "cluster.local".into(),
            any_host: false,
            allowed: Vec::new(),
        };
        let settings = ReadSettings {
            namespaces: vec![namespace.clone()],
            hosts,
            ingress_class: Some("kaos".to_owned()),
            scalers: true,
            gateway_class: Some("kaos".to_owned()),
            entry: (namespace.clone(), "kaos-proxy".to_owned()),
            verdicts: None,
            backends: true,
            statuses: false,
            origin: Instant::now(),
            originals: None,
        };
        let cluster = Cluster::watch(&reader, settings);
        let id = WorkloadId::new(&namespace, "shop");
        Scene { admin, namespace, kubelet, cluster, id }
    }

    async fn annotate(&self, annotations: Value) {
        let deployments: Api<Deployment> = Api::namespaced(self.admin.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        deployments.patch("shop", &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until `shop` is as wanted. What it is then.
    async fn until(&self, wanted: &str, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        let mut snapshots = self.cluster.snapshots();
        let holds = |snapshot: &Arc<Snapshot>| snapshot.workload(&self.id).is_some_and(|shop| is(shop));
        let found = timeout(PATIENCE, snapshots.wait_for(holds)).await;
        let Ok(snapshot) = found else { panic!("not {wanted}: {:?}", self.cluster.snapshots().borrow()) };
        snapshot.unwrap().workload(&self.id).unwrap().clone()
    }
}

/// A client with the rights that an autoscaler has to read.
async fn reader(plane: &ControlPlane, admin: &Client, namespace: &str) -> Client {
    let token = plane.service_account(namespace, "reader").await.unwrap();
    let rule = |group: &str, resources: Value| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]});
    let role = json!({"metadata": {"name": "reader"}, "rules": [
        rule("apps", json!(["deployments", "statefulsets"])), rule("", json!(["services", "pods"])),
        rule("autoscaling", json!(["horizontalpodautoscalers"])),
        rule("discovery.k8s.io", json!(["endpointslices"])), rule("networking.k8s.io", json!(["ingresses"])),
        rule("gateway.networking.k8s.io", json!(["gateways", "httproutes", "referencegrants"]))]});
    let binding = json!({"metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}]});
    let roles: Api<Role> = Api::namespaced(admin.clone(), namespace);
    roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), namespace);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    plane.client(&token).await.unwrap()
}

fn ready(shop: &Workload) -> usize {
    shop.endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready).count()
}

#[tokio::test]
async fn a_deployment_is_read_from_adoption_to_its_last_pod() {
    let plane = ControlPlane::shared().await;
    let scene = Scene::new(plane, "read", 0, Fate::Runs).await;
    let mut synced = scene.cluster.synced();
    timeout(PATIENCE, synced.wait_for(|synced| *synced)).await.unwrap().unwrap();
    assert!(scene.cluster.snapshots().borrow().workloads.is_empty());
    assert_eq!(scene.cluster.directory().entry(&scene.id), None);

    scene.annotate(json!({"kaos.dev/enabled": "true", "kaos.dev/max-scale": "3"})).await;
    let adopted = scene.until("adopted", |_| true).await;
    let deployments: Api<Deployment> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let object = deployments.get("shop").await.unwrap();
    let newest: u64 = object.metadata.resource_version.unwrap().parse().unwrap();
    scene.until("at the newest version", |shop| shop.version >= newest).await;
    assert_eq!((adopted.replicas.desired, adopted.policy.max_scale, &adopted.mode), (0, 3, &Mode::Scale));
    let probe = Probe::Http { path: "/".into(), tls: false, headers: Vec::new() };
    assert_eq!((adopted.checks.len(), adopted.checks[0].port, &adopted.checks[0].probe), (1, 8080, &probe));
    let host = format!("shop.{}.test", scene.namespace);
    assert!(scene.cluster.snapshots().borrow().routes.find(&host, "/").is_some());
    let entry = scene.cluster.directory().entry(&scene.id).unwrap();
    assert_eq!(Some(&*entry.uid), object.metadata.uid.as_deref());

    scale(&scene.admin, &scene.namespace, 2).await;
    let woken = scene.until("serving", |shop| ready(shop) == 2).await;
    let pods = pods(&scene.admin, &scene.namespace).await;
    let entry = scene.cluster.directory().entry(&scene.id).unwrap();
    for endpoint in &woken.endpoints {
        let pod = pods.iter().find(|pod| pod.metadata.uid.as_deref() == Some(endpoint.uid.as_str())).unwrap();
        assert_eq!(pod.status.as_ref().unwrap().pod_ip.as_deref(), Some(&*endpoint.address.ip().to_string()));
        let named = &entry.pods[&endpoint.uid];
        assert_eq!(Some(&*named.name), pod.metadata.name.as_deref());
        assert_eq!(
            named.replica_set.as_deref(),
            pod.metadata.owner_references.as_ref().map(|all| &*all[0].name)
        );
    }
    scene.until("settled", |shop| shop.replicas.desired == 2 && shop.replicas.starting == 0).await;
    eventually("no update is about", async || {
        let entry = scene.cluster.directory().entry(&scene.id)?;
        (!entry.rolling).then_some(())
    })
    .await;

    scale(&scene.admin, &scene.namespace, 0).await;
    scene
        .until("at zero, without replicas", |shop| shop.replicas.desired == 0 && shop.endpoints.is_empty())
        .await;
    scene.annotate(json!({"kaos.dev/enabled": "false"})).await;
    let mut snapshots = scene.cluster.snapshots();
    let left = timeout(PATIENCE, snapshots.wait_for(|snapshot| snapshot.workloads.is_empty())).await;
    drop(left.unwrap().unwrap());
    assert!(!scene.cluster.directory().entry(&scene.id).unwrap().adopted);
}

#[tokio::test]
async fn why_a_start_fails_is_read_and_forgotten_when_it_succeeds() {
    let plane = ControlPlane::shared().await;
    for (fate, because) in [
        (Fate::ImagePullBackOff, "image-pull"),
        (Fate::Unschedulable, "unschedulable"),
        (Fate::Crashes, "crash-loop"),
    ] {
        let scene = Scene::new(plane, "fail", 1, fate).await;
        scene.annotate(json!({"kaos.dev/enabled": "true"})).await;
        let failed = scene.until(because, |shop| shop.failure.is_some()).await;
        assert_eq!(failed.failure.as_ref().unwrap().because, because, "{failed:?}");
        scene.kubelet.behave(Behaviour::default());
        let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
        pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default())
            .await
            .unwrap();
        scene.until("serving", |shop| ready(shop) == 1 && shop.failure.is_none()).await;
    }
}

#[tokio::test]
async fn a_quota_that_refuses_pods_is_a_reason() {
    let plane = ControlPlane::shared().await;
    let scene = Scene::new(plane, "quota", 0, Fate::Runs).await;
    scene.annotate(json!({"kaos.dev/enabled": "true"})).await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    let quotas: Api<ResourceQuota> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually("the quota is in force", async || quotas.get("none").await.ok()?.status?.hard).await;
    scale(&scene.admin, &scene.namespace, 1).await;
    let failed = scene.until("refused", |shop| shop.failure.is_some()).await;
    let failure = failed.failure.as_ref().unwrap();
    assert_eq!(failure.because, "quota", "{failure:?}");
    assert!(failure.detail.contains("exceeded quota: none"), "{failure:?}");
}

#[tokio::test]
async fn who_writes_the_count_is_read_from_the_servers_own_books() {
    let plane = ControlPlane::shared().await;
    let scene = Scene::new(plane, "writers", 1, Fate::Runs).await;
    scene.annotate(json!({"kaos.dev/enabled": "true"})).await;
    scene.until("adopted", |shop| shop.mode == Mode::Scale).await;
    let deployments: Api<Deployment> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let by = async |manager: &str, replicas: u32| {
        let params = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        deployments.patch_scale("shop", &params, &patch).await.unwrap();
    };
    by("argocd-controller", 2).await;
    scene.until("contended", |shop| shop.contender.as_deref() == Some("argocd-controller (scale)")).await;
    by("kaos", 1).await;
    scene.until("Kaos's own", |shop| shop.replicas.desired == 1 && shop.contender.is_none()).await;
    by("keda", 2).await;
    scene.until("KEDA's", |shop| matches!(&shop.mode, Mode::Observe(why) if why.starts_with("KEDA"))).await;
    scene.annotate(json!({"kaos.dev/accept-risks": "bypass"})).await;
    scene.until("Kaos's all the same", |shop| shop.mode == Mode::Scale).await;
}

#[tokio::test]
async fn an_outage_keeps_the_picture_and_its_end_brings_what_was_missed() {
    let plane = ControlPlane::start_for_pods().await.unwrap();
    let scene = Scene::new(&plane, "away", 1, Fate::Runs).await;
    scene.annotate(json!({"kaos.dev/enabled": "true"})).await;
    scene.until("serving", |shop| ready(shop) == 1).await;
    // Whatever is still to be heard of the start has been.
    scene.until("settled", |shop| shop.replicas.starting == 0).await;
    plane.stop_api_server();
    let server = plane.server();
    let closed = tokio::net::TcpStream::connect(server.trim_start_matches("https://")).await;
    assert!(closed.is_err());
    assert_eq!(ready(scene.cluster.snapshots().borrow().workload(&scene.id).unwrap()), 1);
    plane.start_api_server().await.unwrap();
    scale(&scene.admin, &scene.namespace, 2).await;
    scene.until("serving twice", |shop| ready(shop) == 2).await;
}
