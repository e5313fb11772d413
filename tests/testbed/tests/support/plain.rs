//! A workload, and one beside it that nobody adopts.

use kaos_testbed::{Behaviour, ControlPlane, Kubelet};
use kube::Client;
use serde_json::json;

use super::kaos::apply;
use super::{ready, shop};

/// `shop`, and `plain` beside it, which nobody adopts; each awake behind its Service.
pub async fn beside_plain(plane: &ControlPlane, name: &str) -> (Client, String, Kubelet) {
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace(name).await.unwrap();
    let kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    shop(&client, &namespace, 1, json!({"readinessProbe": probe})).await;
    let labels = json!({"app": "plain"});
    let container = json!({"name": "plain", "image": "registry.local/answer:1", "readinessProbe": probe,
        "ports": [{"containerPort": 8080, "name": "http"}]});
    let meta = json!({"name": "plain", "namespace": namespace});
    apply(
        &client,
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}},
        }),
    )
    .await;
    apply(
        &client,
        &json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {"selector": labels, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
        }),
    )
    .await;
    ready(&client, &namespace, 1).await;
    (client, namespace, kubelet)
}
