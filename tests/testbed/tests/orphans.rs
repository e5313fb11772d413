//! A test that is killed leaves nothing: no process, no folder, no route.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kaos_testbed::eventually;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use support::testbed::{Testbed, shown};

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    let mut testbed = Testbed::start(&[]);
    let kubeconfig = testbed.kubeconfig();
    let address = pod(&kubeconfig).await;
    assert!(shown(&["route", "show", "table", "local"]).contains(network(&address)));

    testbed.kill().await;
    assert!(!kubeconfig.parent().unwrap().exists());
    assert!(!shown(&["route", "show", "table", "local"]).contains(network(&address)));
}

/// Makes a pod, and waits until it has an address.
async fn pod(kubeconfig: &Path) -> String {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(Client::try_from(config).unwrap());
    let pod = json!({"metadata": {"name": "one"}, "spec": {"containers": [{"name": "one", "image": "registry.local/answer:1"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    eventually("an address", async || pods.get("one").await.unwrap().status?.pod_ip).await
}

fn network(address: &str) -> &str {
    address.rsplit_once('.').unwrap().0
}
