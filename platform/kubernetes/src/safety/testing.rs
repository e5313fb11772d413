//! Objects as people have them, and what is found of them.

use kaos_core::WorkloadId;
use serde_json::{Value, json};

use super::Survey;
use super::finding::{Finding, Verdict};
use super::objects::Objects;

/// A Deployment `prod/shop` of which nothing is to be said but questions.
pub(crate) fn shop() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "namespace": "prod", "name": "shop", "uid": "5f0c", "labels": {"app": "shop"},
            "annotations": {"deployment.kubernetes.io/revision": "3"},
            "managedFields": [wrote("kubectl-create", ""), {
                "manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
                "fieldsV1": {"f:status": {"f:replicas": {}}},
            }],
        },
        "spec": {
            "replicas": 2, "strategy": {"type": "RollingUpdate"}, "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"terminationGracePeriodSeconds": 30, "containers": [{
                    "name": "web", "image": "registry.example.com/shop:1.4.2", "imagePullPolicy": "IfNotPresent",
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    "env": [{"name": "LOG_LEVEL", "value": "info"}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
                }]},
            },
        },
    })
}

/// Its Service.
pub(crate) fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "prod", "name": "shop"},
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": "shop"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    })
}

/// An entry of the API server's books: `manager` wrote the count.
pub(crate) fn wrote(manager: &str, subresource: &str) -> Value {
    json!({
        "manager": manager, "operation": "Update", "subresource": subresource, "time": "2026-11-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
    })
}

/// Any other object of the namespace.
pub(crate) fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": "prod", "name": name}, "spec": spec})
}

/// What is found of `prod/shop` among `all`.
pub(crate) fn found(all: Vec<Value>) -> Vec<Finding> {
    let mut objects = Objects::default();
    for object in all {
        objects.take(object, "default").unwrap();
    }
    examined(&objects)
}

pub(crate) fn examined(objects: &Objects) -> Vec<Finding> {
    Survey::new(objects, "kaos-system").examine(&WorkloadId::new("prod", "shop")).unwrap()
}

/// Those of `all` that matter, each as `verdict fact`.
pub(crate) fn told(all: &[Finding]) -> Vec<String> {
    let matters = |finding: &&Finding| !matches!(finding.verdict, Verdict::Fine | Verdict::Question);
    all.iter().filter(matters).map(|finding| format!("{} {}", finding.verdict.word(), finding.fact)).collect()
}

/// The one of this fact.
pub(crate) fn one<'f>(all: &'f [Finding], fact: &str) -> &'f Finding {
    let found: Vec<&Finding> = all.iter().filter(|finding| finding.fact == fact).collect();
    assert!(found.len() == 1, "{fact} in {all:#?}");
    found[0]
}

/// What to paste for the one of this fact.
pub(crate) fn paste<'f>(all: &'f [Finding], fact: &str) -> &'f str {
    &one(all, fact).fix.as_ref().unwrap().paste
}

/// A change of the Deployment at a JSON pointer.
pub(crate) fn with(pointer: &str, value: Value) -> Vec<Value> {
    let mut shop = shop();
    let (place, name) = pointer.rsplit_once('/').unwrap();
    let place = shop.pointer_mut(place).unwrap();
    match name.parse::<usize>() {
        Ok(at) => place[at] = value,
        Err(_) => place[name] = value,
    }
    vec![shop, service()]
}

/// Beside the sound Deployment and its Service, these.
pub(crate) fn beside(others: impl IntoIterator<Item = Value>) -> Vec<Value> {
    [shop(), service()].into_iter().chain(others).collect()
}

/// The pod template's spec.
pub(crate) const POD: &str = "/spec/template/spec";
/// Its container.
pub(crate) const WEB: &str = "/spec/template/spec/containers/0";
