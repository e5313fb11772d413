//! The testbed itself: a Deployment becomes pods that answer or fail as told, and requests are audited.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

mod support;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kaos_testbed::{Behaviour, ControlPlane, Fate, Kubelet, eventually};
use kube::api::{DeleteParams, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use support::{endpoints, get, pods, ready, scale, shop, waiting};

#[tokio::test]
async fn a_deployment_becomes_pods_that_answer() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("answer").await.unwrap();
    let kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
    shop(&client, &namespace, 2, json!({"readinessProbe": probe})).await;
    for address in ready(&client, &namespace, 2).await {
        assert!(address.starts_with("10.222."), "{address}");
        assert_eq!(get(&address).await, Some(200));
    }
    assert_eq!(kubelet.processes().len(), 2);

    scale(&client, &namespace, 1).await;
    let left = ready(&client, &namespace, 1).await;
    eventually("one pod is gone", async || (pods(&client, &namespace).await.len() == 1).then_some(())).await;
    assert_eq!(kubelet.processes().len(), 1);
    assert_eq!(get(&left[0]).await, Some(200));

    let name = pods(&client, &namespace).await[0].metadata.name.clone().unwrap();
    assert!(kubelet.kill(&name));
    ready(&client, &namespace, 0).await;
    assert_eq!(get(&left[0]).await, None);
    ready(&client, &namespace, 1).await;
    let restarts = pods(&client, &namespace).await[0].status.clone().unwrap().container_statuses.unwrap()[0]
        .restart_count;
    assert_eq!(restarts, 1);

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    deployments.delete("shop", &DeleteParams::default()).await.unwrap();
    eventually("all pods are gone", async || pods(&client, &namespace).await.is_empty().then_some(())).await;
    assert!(kubelet.processes().is_empty());
}

#[tokio::test]
async fn pods_fail_as_they_are_told() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    for (fate, reason) in [(Fate::ImagePullBackOff, "ImagePullBackOff"), (Fate::Crashes, "CrashLoopBackOff")]
    {
        let namespace = plane.namespace("fail").await.unwrap();
        let _kubelet =
            Kubelet::start(plane, &namespace, Behaviour { fate, ..Behaviour::default() }).await.unwrap();
        shop(&client, &namespace, 1, json!({})).await;
        eventually(reason, async || (waiting(&client, &namespace).await? == reason).then_some(())).await;
        eventually("no endpoint is ready", async || {
            endpoints(&client, &namespace, true).await.is_empty().then_some(())
        })
        .await;
    }

    let namespace = plane.namespace("fail").await.unwrap();
    let behaviour = Behaviour { fate: Fate::Unschedulable, ..Behaviour::default() };
    let kubelet = Kubelet::start(plane, &namespace, behaviour).await.unwrap();
    shop(&client, &namespace, 1, json!({})).await;
    let reason = eventually("the pod is told why", async || {
        pods(&client, &namespace)
            .await
            .pop()?
            .status?
            .conditions?
            .into_iter()
            .find(|is| is.type_ == "PodScheduled")?
            .reason
    });
    assert_eq!(reason.await, "Unschedulable");

    // Another pod of the same Deployment meets another fate.
    kubelet.behave(Behaviour { fate: Fate::NeverReady, ..Behaviour::default() });
    scale(&client, &namespace, 2).await;
    let address =
        eventually("an address that isn't ready", async || endpoints(&client, &namespace, false).await.pop());
    let address = address.await;
    eventually("the pod answers nevertheless", async || (get(&address).await? == 200).then_some(())).await;
    assert_eq!(endpoints(&client, &namespace, true).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_service_account_may_do_what_it_is_bound_to_and_is_audited() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("account").await.unwrap();
    for object in [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "look"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "look"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "look"},
            "subjects": [{"kind": "ServiceAccount", "name": "looker", "namespace": namespace}]}),
    ] {
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}");
        let request = http::Request::post(path).header("content-type", "application/json");
        client.request::<Value>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
    }
    let token = plane.service_account(&namespace, "looker").await.unwrap();
    let looker: Api<Pod> = Api::namespaced(plane.client(&token).await.unwrap(), &namespace);
    looker.list(&ListParams::default()).await.unwrap();
    let refused = looker.delete("none", &DeleteParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));

    let user = format!("system:serviceaccount:{namespace}:looker");
    let told = eventually("both requests are in the log", async || {
        let entries = plane.audit(|entry| entry.user.username == user && entry.is_about("pods"));
        (entries.len() == 2).then_some(entries)
    });
    let told = told.await;
    let said: Vec<(&str, u16)> = told.iter().map(|entry| (entry.verb.as_str(), entry.code())).collect();
    assert_eq!(said, [("list", 200), ("delete", 403)]);
    assert!(told[0].request_received_timestamp.0 <= told[0].stage_timestamp.0);
    assert!(told[0].stage_timestamp.0 <= told[1].stage_timestamp.0);
}

#[tokio::test]
async fn its_kubeconfig_is_one() {
    let plane = ControlPlane::shared().await;
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig(plane.admin()).unwrap()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let version = Client::try_from(config).unwrap().apiserver_version().await.unwrap();
    assert_eq!(version.major, "1");
}

#[tokio::test]
async fn an_address_can_come_back_with_another_pod() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("reuse").await.unwrap();
    let behaviour = Behaviour { reuse_address: true, ..Behaviour::default() };
    let _kubelet = Kubelet::start(plane, &namespace, behaviour).await.unwrap();
    shop(&client, &namespace, 1, json!({})).await;
    let first = ready(&client, &namespace, 1).await;
    scale(&client, &namespace, 0).await;
    eventually("the pod is gone", async || pods(&client, &namespace).await.is_empty().then_some(())).await;
    scale(&client, &namespace, 1).await;
    assert_eq!(ready(&client, &namespace, 1).await, first);
}
