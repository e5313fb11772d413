//! Requests at random moments around the step from one to zero.

use std::time::Duration;

use futures::future::join_all;
use kaos_testbed::AuditEntry;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::scene::Scene;

/// What came of it.
#[derive(Debug, Default)]
pub struct Crossing {
    pub requests: usize,
    pub failed: Vec<String>,
    pub waits: Vec<Duration>,
    /// Answered after a start.
    pub cold: usize,
    /// Counts set to zero, starts from there, and holds that were taken away for a request.
    pub sleeps: usize,
    pub wakes: usize,
    pub released: usize,
}

/// Makes a Deployment's pods end at once, whatever they have in flight.
pub fn abrupt(deployment: &mut Value, _: &mut Value) {
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(0);
}

/// `rounds` times for each of the Deployments `names`, which sleep a second after a request: that request, and another one
/// about when it falls asleep.
pub async fn cross(scene: &Scene<'_>, names: &[String], rounds: usize) -> Crossing {
    let lanes = names.iter().map(|name| lane(scene, name, rounds));
    let mut all = Crossing::default();
    for lane in join_all(lanes).await {
        all.requests += lane.requests;
        all.failed.extend(lane.failed);
        all.waits.extend(lane.waits);
        all.cold += lane.cold;
    }
    let writes = scene.scalings();
    let done = || writes.iter().filter(|entry| entry.code() == 200);
    all.sleeps = done().filter(|entry| lowers(entry)).count();
    all.wakes = done().filter(|entry| !lowers(entry)).count();
    all.released = scene.plane.audit(|entry| releases(entry, &scene.namespace)).len();
    all
}

async fn lane(scene: &Scene<'_>, name: &str, rounds: usize) -> Crossing {
    let mut lane = Crossing::default();
    for _ in 0..rounds {
        lane.ask(scene, name).await;
        // The hold comes once both proxies have told of a second after the last byte, which they do each second; zero some ten
        // milliseconds later.
        sleep(Duration::from_millis(950 + fastrand::u64(..1300))).await;
        lane.ask(scene, name).await;
    }
    lane
}

impl Crossing {
    async fn ask(&mut self, scene: &Scene<'_>, name: &str) {
        let begun = Instant::now();
        let answer = scene.get(fastrand::usize(..scene.kaos.proxies.len()), name, "/delay/100ms").await;
        self.requests += 1;
        self.waits.push(begun.elapsed());
        match answer {
            Some(answer) if answer.status == 200 => {
                self.cold += usize::from(answer.head.contains("x-kaos-cold-start"));
            }
            other => self.failed.push(format!("{name} after {:?}: {other:?}", begun.elapsed())),
        }
    }
}

/// Whether a write of a count goes down: those that go up are JSON patches.
pub fn lowers(entry: &AuditEntry) -> bool {
    entry.request_object.as_ref().is_some_and(Value::is_object)
}

/// Whether it takes a hold away.
pub fn releases(entry: &AuditEntry, namespace: &str) -> bool {
    let of = entry.object_ref.as_ref().is_some_and(|of| of.namespace == namespace);
    let hold =
        entry.request_object.as_ref().and_then(|body| body.pointer("/metadata/annotations/kaos.dev~1hold"));
    of && entry.verb == "patch" && entry.is_about("deployments/status") && hold.is_some_and(Value::is_null)
}
