//! A Deployment and a Service in place of a Service of Knative.

use serde_json::{Map, Value, json};

use crate::safety::look;

/// The port of a container that names none.
const PORT: i64 = 8080;
/// What a pod's spec has for Knative alone.
const KNATIVE: [&str; 5] = [
    "containerConcurrency",
    "timeoutSeconds",
    "responseStartTimeoutSeconds",
    "idleTimeoutSeconds",
    "enableServiceLinks",
];

/// What the Service is called: its own name is Knative's for now.
pub(super) fn front(name: &str) -> String {
    format!("{name}-app")
}

/// The Deployment, then its Service.
pub(super) fn objects(service: &Value) -> Vec<Value> {
    let (namespace, name) = (look::namespace(service), look::name(service));
    let labels = json!({"app": name});
    let mut pod_labels = members(service, "/spec/template/metadata/labels");
    pod_labels.insert("app".into(), name.into());
    let mut spec = members(service, "/spec/template/spec");
    spec.retain(|member, _| !KNATIVE.contains(&member.as_str()));
    if let Some(containers) = spec.get_mut("containers").and_then(Value::as_array_mut) {
        let serving = serving(containers);
        if let Some(container) = containers.get_mut(serving) {
            dress(container);
        }
    }
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": pod_labels}, "spec": spec}},
    });
    let mut port = json!({"name": "http", "port": 80, "targetPort": port(service)});
    if is_h2c(service) {
        port["appProtocol"] = "kubernetes.io/h2c".into();
    }
    let front = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": front(name), "namespace": namespace, "labels": labels},
        "spec": {"selector": labels, "ports": [port]},
    });
    vec![deployment, front]
}

/// Whether the name of its port says HTTP/2 without TLS.
pub(super) fn is_h2c(service: &Value) -> bool {
    container(service).is_some_and(|container| look::text(container, "/ports/0/name") == "h2c")
}

fn port(service: &Value) -> i64 {
    container(service).and_then(|container| look::whole(container, "/ports/0/containerPort")).unwrap_or(PORT)
}

fn container(service: &Value) -> Option<&Value> {
    let containers = look::list(service, "/spec/template/spec/containers");
    containers.get(serving(containers))
}

/// The one that takes requests: of several, the one that names a port.
fn serving(containers: &[Value]) -> usize {
    containers.iter().position(|one| !look::list(one, "/ports").is_empty()).unwrap_or(0)
}

/// What Knative adds to a container.
fn dress(container: &mut Value) {
    let port = look::whole(container, "/ports/0/containerPort").unwrap_or(PORT);
    if look::text(container, "/name").is_empty() {
        container["name"] = "user-container".into();
    }
    container["ports"] = json!([{"containerPort": port}]);
    let mut env = look::list(container, "/env").to_vec();
    if !env.iter().any(|one| look::text(one, "/name") == "PORT") {
        env.push(json!({"name": "PORT", "value": port.to_string()}));
    }
    container["env"] = env.into();
    let probe = container.as_object_mut().map(|parts| parts.entry("readinessProbe").or_insert(Value::Null));
    let Some(probe) = probe else { return };
    let Some(parts) = probe.as_object_mut() else {
        *probe = json!({"tcpSocket": {"port": port}});
        return;
    };
    // Of a probe that names no port the container's is meant; Kubernetes wants it said.
    for action in ["httpGet", "tcpSocket", "grpc"] {
        if let Some(action) = parts.get_mut(action).and_then(Value::as_object_mut)
            && action.get("port").is_none_or(|port| port == 0)
        {
            action.insert("port".into(), port.into());
        }
    }
}

fn members(object: &Value, pointer: &str) -> Map<String, Value> {
    object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default()
}
