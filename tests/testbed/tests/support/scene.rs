//! A namespace with Deployments that Kaos scales, and Kaos itself: what the tests of faults begin with.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::events::v1::Event;
use kaos_testbed::{AuditEntry, Behaviour, ControlPlane, Kubelet, eventually};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::kaos::{Answer, Kaos, is_scaling};

/// What most of them are annotated with: asleep a second after the last request.
pub fn sleepy() -> Value {
    json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s", "kaos.dev/window": "6s"})
}

/// A namespace, its played kubelet, and a Kaos for it alone.
pub struct Scene<'a> {
    pub plane: &'a ControlPlane,
    pub client: Client,
    pub namespace: String,
    pub kubelet: Kubelet,
    pub kaos: Kaos,
}

impl<'a> Scene<'a> {
    /// So many proxies and autoscalers, nothing to scale yet.
    pub async fn start(plane: &'a ControlPlane, name: &str, proxies: usize, autoscalers: usize) -> Scene<'a> {
        let client = plane.client(plane.admin()).await.unwrap();
        let namespace = plane.namespace(name).await.unwrap();
        let kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
        let kaos = Kaos::start(plane, &namespace, proxies, autoscalers).await;
        Scene { plane, client, namespace, kubelet, kaos }
    }

    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A Deployment and its Service of this name, annotated so; `adjust` has the last word on both.
    pub async fn deploy(
        &self,
        name: &str,
        replicas: u32,
        annotations: Value,
        adjust: impl FnOnce(&mut Value, &mut Value),
    ) {
        let labels = json!({"app": name});
        let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
        let container = json!({"name": "app", "image": "registry.local/answer:1", "readinessProbe": probe,
            "ports": [{"containerPort": 8080, "name": "http"}]});
        let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}}});
        let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}});
        adjust(&mut deployment, &mut service);
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        let deployment = serde_json::from_value(deployment).unwrap();
        self.deployments().create(&PostParams::default(), &deployment).await.unwrap();
    }

    /// A StatefulSet and its Service of this name, annotated so.
    pub async fn deploy_set(&self, name: &str, replicas: u32, annotations: Value) {
        let labels = json!({"app": name});
        let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
        let container = json!({"name": "app", "image": "registry.local/answer:1", "readinessProbe": probe,
            "ports": [{"containerPort": 8080, "name": "http"}]});
        let pod = json!({"metadata": {"labels": labels},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 5}});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": labels}, "template": pod}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}});
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), &self.namespace);
        sets.create(&PostParams::default(), &serde_json::from_value(set).unwrap()).await.unwrap();
    }

    /// Merges this into the Deployment `name`, as `manager`.
    pub async fn merge(&self, name: &str, manager: &str, patch: Value) {
        let by = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.deployments().patch(name, &by, &Patch::Merge(patch)).await.unwrap();
    }

    /// Sets its count through the scale subresource, as `kubectl scale` does.
    pub async fn scale(&self, name: &str, replicas: u32) {
        let by = PatchParams { field_manager: Some("kubectl-scale".to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.deployments().patch_scale(name, &by, &patch).await.unwrap();
    }

    pub fn host(&self, name: &str) -> String {
        format!("{name}.{}.localhost", self.namespace)
    }

    pub async fn get(&self, proxy: usize, name: &str, path: &str) -> Option<Answer> {
        self.kaos.get(proxy, &self.host(name), path).await
    }

    /// Waits until the second proxy says that requests for `name` wait.
    pub async fn heard(&self, name: &str) {
        let path = format!("/v1/workloads/{}/{name}", self.namespace);
        eventually(&format!("a request for {name} is known"), async || {
            let (_, body) = self.kaos.proxies[1].admin(&path).await?;
            let body: Value = serde_json::from_str(&body).ok()?;
            (body["waiting"].as_u64()? + body["in_flight"].as_u64()? > 0).then_some(())
        })
        .await;
    }

    /// Waits until a request to `name` is answered with 200.
    pub async fn answers(&self, name: &str) {
        eventually(&format!("{name} answers"), async || {
            (self.get(0, name, "/").await?.status == 200).then_some(())
        })
        .await;
    }

    pub async fn count(&self, name: &str) -> i32 {
        self.deployments().get(name).await.unwrap().spec.replicas.unwrap()
    }

    /// Waits until so many are asked for.
    pub async fn wanted(&self, name: &str, count: i32) {
        within(Duration::from_secs(60), &format!("{count} replicas of {name} are wanted"), async || {
            let found = self.deployments().get(name).await.ok()?;
            (found.spec.replicas == Some(count)).then_some(())
        })
        .await;
    }

    /// Kaos's writes of counts so far.
    pub fn scalings(&self) -> Vec<AuditEntry> {
        self.plane.audit(|entry| is_scaling(entry, &self.namespace))
    }

    /// Counts that Kaos has written, in their order.
    pub fn written(&self) -> Vec<u64> {
        let to = |entry: AuditEntry| {
            let body = entry.request_object.unwrap();
            let merged = body.pointer("/spec/replicas").or_else(|| body.pointer("/2/value"));
            merged.and_then(Value::as_u64).unwrap()
        };
        self.scalings().into_iter().filter(|entry| entry.code() == 200).map(to).collect()
    }

    /// What Kaos has told about `name`: reasons and notes, each with how often.
    pub async fn told(&self, name: &str) -> Vec<(String, String)> {
        self.told_of("", name).await
    }

    /// The same about `name` of this kind; an empty one is every kind.
    pub async fn told_of(&self, kind: &str, name: &str) -> Vec<(String, String)> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let ours = |event: &Event| {
            event.reporting_controller.as_deref() == Some("kaos.dev/autoscaler")
                && event.regarding.as_ref().is_some_and(|of| {
                    of.name.as_deref() == Some(name) && (kind.is_empty() || of.kind.as_deref() == Some(kind))
                })
        };
        let all = events.list(&Default::default()).await.unwrap().items.into_iter().filter(ours);
        all.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// The counts that Kaos keeps for the day it leaves.
    pub async fn originals(&self) -> usize {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.kaos.system());
        let all = maps.list(&Default::default()).await.unwrap().items.into_iter();
        all.filter(|map| map.metadata.name.as_ref().is_some_and(|name| name.starts_with("kaos-originals-")))
            .map(|map| map.data.map_or(0, |data| data.len()))
            .sum()
    }

    /// What the cluster and each part of Kaos say of `name`: for whoever reads why a test failed.
    pub async fn standing(&self, name: &str) -> String {
        let mut said = Vec::new();
        let found = self
            .deployments()
            .get(name)
            .await
            .map(|found| json!([found.metadata.annotations, found.spec.replicas, found.status]));
        said.push(format!(
            "Deployment: {}",
            found.map_or_else(|why| why.to_string(), |found| found.to_string())
        ));
        for pod in super::pods(&self.client, &self.namespace).await {
            said.push(format!("pod {:?}: {}", pod.metadata.name, json!(pod.status)));
        }
        let slices = super::endpoints(&self.client, &self.namespace, true).await;
        said.push(format!("ready endpoints of shop: {slices:?}"));
        for part in self.kaos.proxies.iter().chain(&self.kaos.autoscalers) {
            for path in ["workloads", "journal"] {
                let path = format!("/v1/{path}/{}/{name}", self.namespace);
                let answer = timeout(Duration::from_secs(1), part.admin(&path)).await;
                said.push(format!("{} {path}: {answer:?}", part.name));
            }
        }
        said.join("\n")
    }

    /// Who holds the Lease.
    pub async fn holder(&self) -> String {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), self.kaos.system());
        let lease = leases.get("kaos-autoscaler").await.unwrap();
        lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
    }

    /// Which autoscaler leads; waits until one does.
    pub async fn leader(&self) -> usize {
        eventually("an autoscaler leads", async || {
            let holder = self.holder().await;
            let name = holder.rsplit_once('_')?.0;
            self.kaos.autoscalers.iter().position(|part| part.name == name)
        })
        .await
    }
}

/// As `eventually`, for what may take longer.
pub async fn within<T>(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
