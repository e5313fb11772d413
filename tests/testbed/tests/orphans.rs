//! A test that is killed leaves nothing: no process, no folder, no route.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::Pod;
use kaos_testbed::eventually;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    let mut test = Command::new(env!("CARGO_BIN_EXE_testbed")).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(test.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let kubeconfig = Path::new(said["kubeconfig"].as_str().unwrap());
    let address = pod(kubeconfig).await;
    // The guards, too.
    let left = descendants(test.id());
    for process in said["processes"].as_array().unwrap() {
        assert!(left.contains(&process["pid"].as_u64().unwrap()), "{process} in {left:?}");
    }
    assert!(routes().contains(network(&address)), "{}", routes());

    test.kill().unwrap();
    test.wait().unwrap();
    eventually("all processes have ended", async || left.iter().all(|pid| !is_alive(*pid)).then_some(()))
        .await;
    assert!(!kubeconfig.parent().unwrap().exists());
    assert!(!routes().contains(network(&address)), "{}", routes());
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

fn routes() -> String {
    let shown = Command::new("ip").args(["route", "show", "table", "local"]).output().unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

/// Every process below this one.
fn descendants(pid: u32) -> Vec<u64> {
    let children = |pid: u64| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        lists
            .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u64>>())
            .collect::<Vec<_>>()
    };
    let mut all = children(pid.into());
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        all.extend(children(pid));
        next += 1;
    }
    all
}

fn is_alive(pid: u64) -> bool {
    // A zombie has ended; nobody has asked how.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}
