//! People who ask a real API server: their rights, their kubeconfig, what they paste, and the kinds that others have installed.

use std::path::PathBuf;

use kaos_testbed::{ControlPlane, eventually};
use kube::Client;
use serde_json::{Value, json};

use super::kaos::apply;
use super::rules::create;

/// Makes a kind that somebody else brings, in the version `GROUP/VERSION`, whatever is in its objects.
pub async fn kind(client: &Client, version: &str, kind: &str) {
    let (group, version) = version.split_once('/').unwrap();
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": singular},
            "versions": [{"name": version, "served": true, "storage": true, "schema": schema}]}});
    create(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await;
    eventually(&format!("{plural} are served"), async || {
        let request =
            http::Request::get(format!("/apis/{group}/{version}/{plural}")).body(Vec::new()).unwrap();
        client.request::<Value>(request).await.ok()
    })
    .await;
}

/// Does what a line says that is to be pasted, as `kubectl` would; nothing if it is a comment.
pub async fn follow(client: &Client, line: &str) {
    if line.starts_with('#') {
        return;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let ["kubectl", verb, kind, name, "-n", namespace, rest @ ..] = &words[..] else { panic!("{line}") };
    let collection = match *kind {
        "deployment" => "/apis/apps/v1",
        "hpa" => "/apis/autoscaling/v2",
        "httpscaledobject" => "/apis/http.keda.sh/v1alpha1",
        "scaledobject" => "/apis/keda.sh/v1alpha1",
        "ingress" => "/apis/networking.k8s.io/v1",
        _ => "/api/v1",
    };
    let plural = match *kind {
        "hpa" => "horizontalpodautoscalers".to_owned(),
        "ingress" => "ingresses".to_owned(),
        kind => format!("{kind}s"),
    };
    let path = format!("{collection}/namespaces/{namespace}/{plural}/{name}");
    let (content, body) = match *verb {
        "delete" => ("", String::new()),
        "scale" => {
            let count = rest.iter().find_map(|word| word.strip_prefix("--replicas=")).unwrap();
            let count: u32 = count.parse().unwrap();
            ("application/merge-patch+json", json!({"spec": {"replicas": count}}).to_string())
        }
        "annotate" => {
            let all = rest.iter().filter_map(|word| word.split_once('='));
            let all: serde_json::Map<String, Value> =
                all.map(|(name, value)| (name.to_owned(), json!(value))).collect();
            ("application/merge-patch+json", json!({"metadata": {"annotations": all}}).to_string())
        }
        _ => {
            let patch = line.split_once("-p '").unwrap().1.trim_end_matches('\'').to_owned();
            let form = rest.iter().find_map(|word| word.strip_prefix("--type=")).unwrap_or("strategic");
            let content = match form {
                "json" => "application/json-patch+json",
                "merge" => "application/merge-patch+json",
                _ => "application/strategic-merge-patch+json",
            };
            (content, patch)
        }
    };
    let request = match *verb {
        "delete" => http::Request::delete(&path),
        "scale" => {
            http::Request::patch(format!("{path}/scale?fieldManager=kubectl")).header("content-type", content)
        }
        _ => http::Request::patch(&path).header("content-type", content),
    };
    client.request::<Value>(request.body(body.into_bytes()).unwrap()).await.unwrap();
}

/// A control plane's namespace, and a kubeconfig of somebody who may do everything.
pub async fn place(name: &str) -> (&'static ControlPlane, Client, String, PathBuf) {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace(name).await.unwrap();
    let kubeconfig = plane.kubeconfig(plane.admin()).unwrap();
    (plane, client, namespace, kubeconfig)
}

/// A user with these rules in the namespace: their kubeconfig.
pub async fn user(
    plane: &ControlPlane,
    client: &Client,
    namespace: &str,
    name: &str,
    rules: Value,
) -> PathBuf {
    let token = plane.service_account(namespace, name).await.unwrap();
    let group = "rbac.authorization.k8s.io";
    let meta = json!({"name": name, "namespace": namespace});
    apply(
        client,
        &json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": meta, "rules": rules}),
    )
    .await;
    apply(
        client,
        &json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]}),
    )
    .await;
    plane.kubeconfig(&token).unwrap()
}
