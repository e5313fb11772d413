//! What Kaos must leave alone, and how it goes: what has another way in or another owner keeps its count, what leaves gets
//! back what it had, and so does everything when Kaos is taken out.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::process::Stdio;

use kaos_testbed::{ControlPlane, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::scene::{Scene, sleepy};

/// Waits until Kaos has decided on a sleep for `name` that it only observes.
async fn only_observed(scene: &Scene<'_>, name: &str) {
    let leader = scene.leader().await;
    eventually(&format!("{name} is only observed"), async || {
        let (_, body) =
            scene.kaos.autoscalers[leader].admin(&format!("/v1/journal/{}/{name}", scene.namespace)).await?;
        let journal: Vec<Value> = serde_json::from_str(&body).ok()?;
        let observed = |entry: &Value| entry["to"] == 0 && !entry["outcome"]["observed"].is_null();
        journal.iter().any(observed).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_send_to_or_scale_keeps_its_count_and_is_told_once() {
    let scene = Scene::start(ControlPlane::shared().await, "bypassed", 1, 2).await;
    let open = |_: &mut Value, service: &mut Value| service["spec"]["type"] = json!("NodePort");
    scene.deploy("open", 3, sleepy(), open).await;
    let owned = |deployment: &mut Value, _: &mut Value| {
        deployment["metadata"]["labels"] = json!({"scaledobject.keda.sh/name": "owned"});
    };
    scene.deploy("owned", 2, sleepy(), owned).await;
    // Kaos passes requests on all the same, so a sleep would be earned.
    for (name, count, says) in [("open", 3, "NodePort"), ("owned", 2, "KEDA (ScaledObject owned)")] {
        scene.answers(name).await;
        only_observed(&scene, name).await;
        assert_eq!(scene.count(name).await, count);
        let told = eventually("people are told", async || {
            let told = scene.told(name).await;
            told.iter().any(|(reason, _)| reason == "ObserveOnly").then_some(told)
        });
        let told: Vec<_> = told.await.into_iter().filter(|(reason, _)| reason == "ObserveOnly").collect();
        assert!(told.len() == 1 && told[0].1.contains(says), "{told:?}");
    }
    assert!(scene.scalings().is_empty(), "{:?}", scene.scalings());
    assert_eq!(scene.originals().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opts_out_asleep_is_put_back() {
    let scene = Scene::start(ControlPlane::shared().await, "opted", 1, 2).await;
    let leaves = [
        ("out", 3, json!({"kaos.dev/enabled": "false"})),
        ("gone", 2, json!({"kaos.dev/enabled": null})),
        ("off", 2, json!({"kaos.dev/mode": "off"})),
        ("watched", 2, json!({"kaos.dev/mode": "observe"})),
    ];
    for (name, count, _) in &leaves {
        scene.deploy(name, *count, sleepy(), |_, _| {}).await;
    }
    for (name, ..) in &leaves {
        scene.answers(name).await;
        scene.wanted(name, 0).await;
    }
    assert_eq!(scene.originals().await, leaves.len());
    for (name, _, annotations) in &leaves {
        scene.merge(name, "kubectl-annotate", json!({"metadata": {"annotations": annotations}})).await;
    }
    for (name, count, _) in &leaves {
        scene.wanted(name, i32::try_from(*count).unwrap()).await;
        is_clean(&scene, name).await;
    }
    eventually("nothing is kept any more", async || (scene.originals().await == 0).then_some(())).await;
}

/// Waits until nothing of Kaos's own hand is left on `name`.
async fn is_clean(scene: &Scene<'_>, name: &str) {
    eventually(&format!("{name} has no hold"), async || {
        let annotations = scene.deployments().get(name).await.ok()?.metadata.annotations?;
        (!annotations.contains_key("kaos.dev/hold")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uninstalling_brings_every_count_back_though_autoscalers_take_their_time() {
    let plane = ControlPlane::shared().await;
    let mut scene = Scene::start(plane, "uninstalled", 2, 2).await;
    let names: Vec<String> = (0..20).map(|at| format!("shop-{at}")).collect();
    let count = |at: usize| if at < 4 { 3 } else { 1 };
    for (at, name) in names.iter().enumerate() {
        scene.deploy(name, count(at), sleepy(), |_, _| {}).await;
    }
    for name in &names {
        scene.answers(name).await;
    }
    for name in &names {
        scene.wanted(name, 0).await;
    }
    installed(&scene).await;
    let kubeconfig = plane.kubeconfig(plane.admin()).unwrap();
    let system = scene.kaos.system().to_owned();
    let uninstall = |yes: &'static [&str]| {
        let mut command = tokio::process::Command::new(support::kaos::program());
        command.args(["uninstall", "--namespace", &system, "--kubeconfig"]);
        command.arg(&kubeconfig).args(yes).stdin(Stdio::null()).kill_on_drop(true);
        command.output()
    };
    let shown = uninstall(&[]).await.unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains(&format!("{}/shop-0: 0 to 3 replicas", scene.namespace)), "{text}");
    assert!(scene.count("shop-0").await == 0 && text.lines().count() == 21, "{text}");

    let first = scene.leader().await;
    let done = tokio::spawn(uninstall(&["--yes"]));
    eventually("the autoscalers are asked to stop", async || {
        (replicas_of_autoscalers(&scene).await == 0).then_some(())
    })
    .await;
    // One ends, and gives the Lease back, while the other goes on for a while.
    scene.kaos.autoscalers[first].signal(Signal::TERM);
    scene.kaos.autoscalers[first].ended().await;
    let other = format!("{}_", scene.kaos.autoscalers[1 - first].name);
    eventually("another has the Lease", async || {
        let holder = scene.holder().await;
        (holder.starts_with(&other) || holder.starts_with("uninstall_")).then_some(())
    })
    .await;
    scene.kaos.autoscalers[1 - first].signal(Signal::TERM);
    let done = done.await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for (at, name) in names.iter().enumerate() {
        assert_eq!(scene.count(name).await, i32::try_from(count(at)).unwrap(), "{name}");
        is_clean(&scene, name).await;
    }
    assert_eq!(scene.originals().await, 0);
    scene.kaos.autoscalers[1 - first].ended().await;
    let again = uninstall(&["--yes"]).await.unwrap();
    assert_eq!(
        String::from_utf8(again.stdout).unwrap().lines().next(),
        Some("There is nothing to put back.")
    );
}

/// The autoscalers' Deployment, as it is installed: the test runs its processes.
async fn installed(scene: &Scene<'_>) {
    let system = scene.kaos.system();
    for object in support::kaos::printed(&support::kaos::program(), &["--namespace", system]) {
        if object["kind"] == "Deployment" && object["metadata"]["name"] == "kaos-autoscaler" {
            support::kaos::apply(&scene.client, &object).await;
        }
    }
    assert_eq!(replicas_of_autoscalers(scene).await, 2);
}

async fn replicas_of_autoscalers(scene: &Scene<'_>) -> i32 {
    let all = kube::Api::<k8s_openapi::api::apps::v1::Deployment>::namespaced(
        scene.client.clone(),
        scene.kaos.system(),
    );
    all.get("kaos-autoscaler").await.unwrap().spec.replicas.unwrap()
}
