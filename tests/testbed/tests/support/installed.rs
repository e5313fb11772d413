//! Kaos in a cluster as people put it there: what `kaos install` prints, applied as it is, and its pods on a real node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kaos_testbed::{ControlPlane, Node, eventually};
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::kaos::{Answer, apply, ask, printed};

/// The namespace that the manifests have.
pub const SYSTEM: &str = "kaos-system";

/// Kaos in a cluster.
pub struct Installed {
    client: Client,
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Installed {
    /// Brings the image to the node, applies the manifests, and waits until all of Kaos's pods are ready.
    pub async fn start(plane: &ControlPlane, node: &Node) -> Installed {
        node.kaos().unwrap();
        let program = kaos_testbed::kaos().unwrap();
        let client = plane.client(plane.admin()).await.unwrap();
        for object in printed(&program, &[]) {
            apply(&client, &object).await;
        }
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
        for name in ["kaos-proxy", "kaos-autoscaler"] {
            eventually(&format!("{name} is rolled out"), async || {
                rolled_out(&deployments.get(name).await.ok()?).then_some(())
            })
            .await;
        }
        let kubeconfig = asking(plane, &client).await;
        Installed { client, program, kubeconfig }
    }

    /// Where the proxies take requests: the ready endpoints of their Service.
    pub async fn proxies(&self) -> Vec<SocketAddr> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), SYSTEM);
        let of_proxies = ListParams::default().labels("kubernetes.io/service-name=kaos-proxy");
        proxies(&slices.list(&of_proxies).await.unwrap().items)
    }

    /// GET `path` of `host` at one of the proxies.
    pub async fn get(&self, host: &str, path: &str) -> Option<Answer> {
        ask(fastrand::choice(self.proxies().await)?, host, path).await
    }

    /// What the command `kaos` prints, with the rights of somebody who may only ask.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let mut kaos = Command::new(&self.program);
        let asked = kaos.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).output().unwrap();
        assert!(asked.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap()
    }

    /// The names of Kaos's own pods.
    pub async fn pods(&self) -> Vec<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), SYSTEM);
        pods.list(&ListParams::default())
            .await
            .unwrap()
            .into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect()
    }
}

/// Where the proxies in these slices take requests.
pub fn proxies(slices: &[EndpointSlice]) -> Vec<SocketAddr> {
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|one| one.conditions.as_ref().and_then(|is| is.ready) == Some(true));
    ready
        .flat_map(|one| &one.addresses)
        .map(|address| (address.parse::<Ipv4Addr>().unwrap(), 8080).into())
        .collect()
}

/// Whether every replica is of the newest template, ready, and the only one.
pub fn rolled_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.replicas;
    status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.updated_replicas, status.ready_replicas]
            .iter()
            .all(|count| *count == wanted)
}

/// A kubeconfig of somebody with the rights that docs/cluster.md says asking needs, and no others.
async fn asking(plane: &ControlPlane, client: &Client) -> PathBuf {
    let rule = |group: &str, resources: &[&str], verb: &str| json!({"apiGroups": [group], "resources": resources, "verbs": [verb]});
    let rules = json!([
        rule("coordination.k8s.io", &["leases"], "get"),
        rule("", &["pods/proxy", "pods/log"], "get"),
        rule("apps", &["deployments"], "get"),
        rule("", &["pods"], "list"),
    ]);
    let token = plane.service_account("default", "somebody").await.unwrap();
    let kind = "rbac.authorization.k8s.io/v1";
    let metadata = json!({"name": "asking"});
    let role: Value =
        json!({"apiVersion": kind, "kind": "ClusterRole", "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": kind, "kind": "ClusterRoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "asking"},
        "subjects": [{"kind": "ServiceAccount", "name": "somebody", "namespace": "default"}],
    });
    apply(client, &role).await;
    apply(client, &binding).await;
    plane.kubeconfig(&token).unwrap()
}
