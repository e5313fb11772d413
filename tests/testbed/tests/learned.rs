//! What was learned, in a real cluster: kept by the autoscaler that leads, known to the next one, forgotten where it is kept.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kaos_core::WorkloadId;
use kaos_core::form::Kept;
use kaos_kubernetes::change::{forget, learned_place};
use kaos_testbed::ControlPlane;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::scene::{Scene, within};

/// Between two writes of the leader, or until another leads, with room.
const PATIENCE: Duration = Duration::from_secs(75);

/// What is kept of `shop`.
struct Shelf<'a> {
    scene: &'a Scene<'a>,
    maps: Api<ConfigMap>,
    id: WorkloadId,
}

impl Shelf<'_> {
    async fn kept(&self) -> Option<Kept> {
        let (name, key) = learned_place(&self.id);
        let data = self.maps.get(&name).await.unwrap().binary_data?;
        Some(Kept::read(&data.get(&key)?.0).unwrap())
    }

    /// What each autoscaler that answers tells of what was learned.
    async fn told(&self, at: usize) -> Option<Value> {
        let path = format!("/v1/workloads/{}/{}", self.id.namespace(), self.id.name());
        let (_, body) = self.scene.kaos.autoscalers[at].admin(&path).await?;
        Some(serde_json::from_str::<Value>(&body).ok()?["learned"].clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_leader_knows_what_the_last_one_has_learned_and_what_is_forgotten() {
    let mut scene = Scene::start(ControlPlane::shared().await, "learned", 1, 2).await;
    // A cold start that is worth nothing: asleep a second after each call, which makes a gap.
    let knobs = json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "learned", "kaos.dev/cold-start-cost": "0s",
        "kaos.dev/window": "6s"});
    scene.deploy("shop", 1, knobs, |_, _| {}).await;
    for _ in 0..2 {
        scene.answers("shop").await;
        scene.wanted("shop", 0).await;
    }
    scene.answers("shop").await;
    let id = WorkloadId::new(&scene.namespace, "shop");
    let maps: Api<ConfigMap> = Api::namespaced(scene.client.clone(), scene.kaos.system());
    let leader = scene.leader().await;
    {
        let seen = Shelf { scene: &scene, maps: maps.clone(), id: id.clone() };
        within(PATIENCE, "the leader keeps it", async || {
            seen.kept().await.filter(|kept| kept.learned.gaps().count() > 0)
        })
        .await;
    }
    // One that knows nothing by itself.
    scene.kaos.autoscalers[1 - leader].signal(Signal::KILL);
    scene.kaos.restart_autoscaler(1 - leader).await;
    scene.kaos.autoscalers[leader].signal(Signal::KILL);
    let seen = Shelf { scene: &scene, maps: maps.clone(), id: id.clone() };
    let known = within(PATIENCE, "the other knows it", async || {
        let gaps = seen.told(1 - leader).await?["gaps"].as_u64()?;
        (gaps > 0).then_some(gaps)
    })
    .await;
    assert!(known >= seen.kept().await.unwrap().learned.gaps().count());
    // As `kaos forget` does it, with the user's own rights.
    let (name, _) = learned_place(&id);
    within(PATIENCE, "it is written", async || {
        let map = serde_json::to_value(maps.get(&name).await.ok()?).ok()?;
        let (patch, _) = forget(&id, &map, 0);
        maps.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.ok()
    })
    .await;
    let told = within(PATIENCE, "the leader forgets it", async || {
        seen.told(1 - leader).await.filter(|told| told["forgotten"] == 1)
    })
    .await;
    assert_eq!(told["gaps"], 0, "{told}");
}
