//! No request fails for its moment: not before, not while, not after its Deployment falls asleep.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use kaos_testbed::ControlPlane;
use support::crossing::{abrupt, cross};
use support::scene::{Scene, sleepy};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_at_any_moment_around_the_last_replicas_end_is_answered() {
    let scene = Scene::start(ControlPlane::shared().await, "crossing", 2, 2).await;
    let names: Vec<String> = (0..5).map(|at| format!("shop-{at}")).collect();
    for name in &names {
        scene.deploy(name, 1, sleepy(), abrupt).await;
    }
    for name in &names {
        scene.answers(name).await;
    }
    let crossing = cross(&scene, &names, 8).await;
    assert_eq!(crossing.failed, [""; 0]);
    assert!(crossing.sleeps > 0 && crossing.cold > 0, "{crossing:?}");
}
