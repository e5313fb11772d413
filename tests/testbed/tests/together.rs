//! `kaos.dev/wake-with` in a cluster: a Deployment that nobody asks for through Kaos, and never did, wakes and sleeps with the one that
//! names it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

mod support;

use kaos_testbed::{ControlPlane, eventually};
use support::scene::{Scene, sleepy};

#[tokio::test(flavor = "multi_thread")]
async fn those_that_are_named_wake_and_sleep_with_whom_names_them() {
    let scene = Scene::start(ControlPlane::shared().await, "together", 1, 2).await;
    let mut web = sleepy();
    web["kaos.dev/wake-with"] = "api,cart".into();
    scene.deploy("api", 1, sleepy(), |_, _| {}).await;
    scene.deploy("web", 1, web, |_, _| {}).await;
    // Whoever isn't there is told with the adoption, as all that is true from its beginning, and keeps nobody.
    eventually("an Event names who isn't there", async || {
        let mut told = scene.told("web").await.into_iter();
        told.find(|(reason, note)| reason == "Adopted" && note.contains("wake-with names cart"))
    })
    .await;
    scene.answers("web").await;
    // A request has reached it, and the other through it.
    for name in ["web", "api"] {
        scene.wanted(name, 0).await;
    }
    scene.answers("web").await;
    scene.wanted("api", 1).await;
    let leader = scene.leader().await;
    let path = format!("/v1/journal/{}/api", scene.namespace);
    eventually("the journal says with whom it woke", async || {
        let (_, journal) = scene.kaos.autoscalers[leader].admin(&path).await?;
        journal.contains(&format!("{}/web is awake, and this", scene.namespace)).then_some(())
    })
    .await;
    for name in ["web", "api"] {
        scene.wanted(name, 0).await;
    }
}
