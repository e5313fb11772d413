//! The autoscaler that leads is killed while a request waits, and stopped for longer than its Lease lasts.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::time::Duration;

use futures::future::join_all;
use kaos_testbed::ControlPlane;
use support::election::{Moment, kill_leader, stop_leader};
use support::scene::{Scene, sleepy};

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_though_the_leader_dies() {
    let mut scene = Scene::start(ControlPlane::shared().await, "killed", 2, 2).await;
    scene.deploy("shop", 1, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    for moment in [Moment::Before, Moment::After(Duration::from_millis(5))] {
        // That it falls asleep again also shows that the other one leads by then.
        scene.wanted("shop", 0).await;
        kill_leader(&mut scene, "shop", moment).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_writes_nothing_when_it_goes_on() {
    let scene = Scene::start(ControlPlane::shared().await, "stopped", 2, 2).await;
    let names: Vec<String> = (0..3).map(|at| format!("shop-{at}")).collect();
    for name in &names {
        scene.deploy(name, 1, sleepy(), |_, _| {}).await;
    }
    // Up and down all the time, so that there is something to write at every moment.
    let busy = join_all(names.iter().map(|name| async {
        loop {
            scene.answers(name).await;
            scene.wanted(name, 0).await;
        }
    }));
    let stopped = async {
        for name in &names {
            scene.wanted(name, 0).await;
        }
        stop_leader(&scene, std::future::ready(())).await
    };
    let stopped = tokio::select! {
        stopped = stopped => stopped,
        _ = busy => unreachable!("it has no end"),
    };
    assert_eq!(stopped.late, [""; 0], "{stopped:?}");
    assert!(stopped.lowered > 0, "{stopped:?}");
}
