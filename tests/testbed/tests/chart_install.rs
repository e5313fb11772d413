//! The Helm chart in a real API server: everything that it makes is taken, an upgrade leaves alone what Kaos keeps there, and
//! nothing stays behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

#[allow(dead_code, reason = "another test uses the rest")]
mod render;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kaos_testbed::{ControlPlane, eventually};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use render::{chart, helm};
use serde_json::{Value, json};

/// A namespace that isn't the usual one.
const SYSTEM: &str = "serverless";

/// Every value but those that a cluster without more than Kubernetes can't take.
fn every() -> Value {
    let part = json!({
        "replicas": 3,
        "resources": {"requests": {"cpu": "1"}, "limits": null},
        "env": {"TZ": "UTC"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "other"}},
        }]}},
    });
    json!({
        "image": {
            "repository": "registry.example.com/kaos",
            "digest": format!("sha256:{}", "0a".repeat(32)),
            "pullPolicy": "IfNotPresent",
            "pullSecrets": ["pull"],
        },
        "domain": "apps.example.com",
        "clusterDomain": "corp.local",
        "anyHost": false,
        "allowHosts": ["default=example.com"],
        "namespaces": ["default"],
        "tls": true,
        "ingressClass": {"enabled": true, "name": "edge", "default": true},
        "tlsSecrets": ["default/example.com", "default/other"],
        "logLevel": "debug",
        "accessLog": "json",
        "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
        "proxy": part,
        "autoscaler": part,
    })
}

#[tokio::test]
async fn what_kaos_keeps_outlives_an_upgrade_and_nothing_outlives_the_release() {
    let plane = ControlPlane::start().await.unwrap();
    let kubeconfig = plane.kubeconfig(plane.admin()).unwrap().display().to_string();
    let client = plane.client(plane.admin()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("values.json");
    std::fs::write(&values, every().to_string()).unwrap();
    let values = values.to_str().unwrap();
    let release = ["-n", SYSTEM, "--kubeconfig", &kubeconfig];
    let run = |arguments: &[&str]| helm(&[arguments, &release].concat()).unwrap();

    let said = run(&["install", "kaos", &chart(), "--create-namespace"]);
    assert!(said.contains("helm uninstall kaos -n serverless"), "{said}");
    let lease: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let name = format!("kaos-proxy.{SYSTEM}");
    assert!(roles.get_opt(&name).await.unwrap().is_some());
    // As Kaos writes.
    let kept = PatchParams::default();
    let count = Patch::Merge(json!({"data": {"default.shop": "3"}}));
    maps.patch("kaos-originals-0", &kept, &count).await.unwrap();
    let holder = Patch::Merge(json!({"spec": {"holderIdentity": "kaos-autoscaler-a"}}));
    lease.patch("kaos-autoscaler", &kept, &holder).await.unwrap();

    run(&["upgrade", "kaos", &chart(), "-f", values]);
    let data = maps.get("kaos-originals-0").await.unwrap().data.unwrap();
    assert_eq!(data.get("default.shop").map(String::as_str), Some("3"));
    let held = lease.get("kaos-autoscaler").await.unwrap().spec.unwrap().holder_identity;
    assert_eq!(held.as_deref(), Some("kaos-autoscaler-a"));
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    for name in ["kaos-proxy", "kaos-autoscaler"] {
        assert_eq!(deployments.get(name).await.unwrap().spec.replicas, Some(3), "{name}");
    }
    // A class can't be renamed: there is another one.
    let classes = Api::<IngressClass>::all(client.clone()).list(&ListParams::default()).await.unwrap();
    assert_eq!(
        classes.items.iter().map(|class| class.metadata.name.as_deref()).collect::<Vec<_>>(),
        [Some("edge")]
    );
    // For one namespace there is no role for all of them.
    assert!(roles.get_opt(&name).await.unwrap().is_none());
    let there: Api<Role> = Api::namespaced(client.clone(), "default");
    for name in ["kaos-proxy", "kaos-autoscaler", "kaos-proxy-tls.serverless"] {
        assert!(there.get_opt(name).await.unwrap().is_some(), "{name}");
    }

    run(&["uninstall", "kaos"]);
    eventually("nothing is left", async || left(&client).await.is_empty().then_some(())).await;
}

/// The names of what is still there of Kaos.
async fn left(client: &Client) -> Vec<String> {
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=kaos");
    let mut names = Vec::new();
    for one in Api::<Deployment>::all(client.clone()).list(&ours).await.unwrap() {
        names.extend(one.metadata.name);
    }
    for one in Api::<ConfigMap>::all(client.clone()).list(&ours).await.unwrap() {
        names.extend(one.metadata.name);
    }
    for one in Api::<IngressClass>::all(client.clone()).list(&ours).await.unwrap() {
        names.extend(one.metadata.name);
    }
    for one in Api::<Role>::all(client.clone()).list(&ours).await.unwrap() {
        names.extend(one.metadata.name);
    }
    names
}
