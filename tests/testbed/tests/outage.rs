//! The API server goes away and comes back: what runs goes on, and what was asked for is still there.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use kaos_testbed::{Behaviour, ControlPlane, Kubelet, eventually};
use serde_json::json;
use support::{get, pods, ready, scale, shop};

#[tokio::test]
async fn an_outage_ends_where_it_began() {
    let plane = ControlPlane::start().await.unwrap();
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("outage").await.unwrap();
    let kubelet = Kubelet::start(&plane, &namespace, Behaviour::default()).await.unwrap();
    shop(&client, &namespace, 1, json!({})).await;
    let address = ready(&client, &namespace, 1).await.remove(0);
    let name = pods(&client, &namespace).await[0].metadata.name.clone();

    plane.stop_api_server();
    assert_eq!(
        plane.processes().iter().map(|(name, ..)| *name).collect::<Vec<_>>(),
        ["etcd", "kube-controller-manager"]
    );
    // A connection of its own: kube's client asks again for a while before it gives up.
    let server = plane.server();
    let refused = tokio::net::TcpStream::connect(server.trim_start_matches("https://")).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    eventually("the pod answers", async || (get(&address).await? == 200).then_some(())).await;

    plane.start_api_server().await.unwrap();
    assert_eq!(plane.server(), server);
    assert_eq!(pods(&client, &namespace).await[0].metadata.name, name);
    // Controllers and kubelet watch again.
    scale(&client, &namespace, 2).await;
    ready(&client, &namespace, 2).await;
    assert_eq!(kubelet.processes().len(), 2);
}

#[tokio::test]
async fn a_paused_api_server_answers_late() {
    let plane = ControlPlane::start().await.unwrap();
    let client = plane.client(plane.admin()).await.unwrap();
    let namespace = plane.namespace("paused").await.unwrap();
    plane.pause_api_server();
    let asked = tokio::spawn(async move { pods(&client, &namespace).await });
    // Accepted by the kernel, and not answered.
    tokio::net::TcpStream::connect(plane.server().trim_start_matches("https://")).await.unwrap();
    assert!(!asked.is_finished());
    plane.resume_api_server();
    assert!(asked.await.unwrap().is_empty());
}
