//! A real node: a Deployment's containers run, answer, read their service account and go.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use kaos_testbed::{ANSWER, ControlPlane, Node, eventually};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use support::testbed::{Testbed, groups, shown};
use support::{get, pods, ready, scale, shop};

#[tokio::test]
async fn a_deployment_runs_in_containers() {
    let plane = ControlPlane::start_for_pods().await.unwrap();
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("node").await.unwrap();
    let _node = Node::start(&plane).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    let env = json!([{"name": "HOST", "value": "0.0.0.0"}, {"name": "PORT", "value": "8080"}]);
    shop(&client, &namespace, 0, json!({"image": ANSWER, "env": env, "readinessProbe": probe})).await;
    scale(&client, &namespace, 2).await;
    for address in ready(&client, &namespace, 2).await {
        assert!(address.starts_with("10.224."), "{address}");
        assert_eq!(get(&address).await, Some(200));
    }
    scale(&client, &namespace, 0).await;
    eventually("all pods are gone", async || pods(&client, &namespace).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn no_container_outlives_a_killed_test() {
    let mut testbed = Testbed::start(&["node"]);
    let config = Kubeconfig::read_from(testbed.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let env = json!([{"name": "HOST", "value": "0.0.0.0"}, {"name": "PORT", "value": "8080"}]);
    shop(&client, "default", 1, json!({"image": ANSWER, "env": env})).await;
    let address = ready(&client, "default", 1).await.remove(0);
    let programs = testbed.programs();
    // An image's one program is called `kaos`, whatever it is: here a pod's own and the one that holds its namespaces.
    for (program, least) in
        [("etcd", 1), ("kube-scheduler", 1), ("kubelet", 1), ("containerd", 1), ("kaos", 2)]
    {
        let running = programs.iter().filter(|name| *name == program).count();
        assert!(running >= least, "{program} in {programs:?}");
    }
    let number = address.split('.').nth(2).unwrap();
    let (bridge, group) = (format!("kaos-testbed{number}"), format!("kaos-testbed-{number}"));
    assert!(shown(&["link"]).contains(&bridge));
    assert!(!groups(&group).is_empty());

    testbed.kill().await;
    assert!(!testbed.kubeconfig().parent().unwrap().exists());
    assert!(!shown(&["link"]).contains(&bridge));
    assert!(!shown(&["route", "show", "table", "local"]).contains(&format!("10.223.{number}.")));
    assert_eq!(groups(&group), Vec::<std::path::PathBuf>::new());
}
