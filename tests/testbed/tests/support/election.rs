//! What becomes of requests and of writes when the autoscaler that leads is killed, or stopped for a while.

use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kaos_testbed::{AuditEntry, eventually};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::crossing::{lowers, releases};
use super::scene::{Scene, within};

/// A leader's deadline after it has sent its last renewal.
const RENEWAL: SignedDuration = SignedDuration::from_secs(10);

/// Longest wait for another to lead: a Lease lasts 15 s after its last renewal, and is looked at every two.
const SUCCESSION: Duration = Duration::from_secs(40);

/// When the leader is killed.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// It is stopped before the request is sent, and killed while it waits: it can't have heard of it.
    Before,
    /// So long after the request was sent.
    After(Duration),
}

/// Sends a request for `name`, which falls asleep and is alone in its namespace, and kills the leader at `moment`; then starts it again. How long the request
/// took.
pub async fn kill_leader(scene: &mut Scene<'_>, name: &str, moment: Moment) -> Duration {
    // Until then a request may still be answered by a replica that the cluster hasn't come round to stopping.
    let gone = async || super::pods(&scene.client, &scene.namespace).await.is_empty().then_some(());
    eventually("its pods are gone", gone).await;
    let leader = scene.leader().await;
    let holder = scene.holder().await;
    let victim = &scene.kaos.autoscalers[leader];
    if matches!(moment, Moment::Before) {
        victim.signal(Signal::STOP);
    }
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(scene.get(1, name, "/").map(|answer| (answer, begun.elapsed())), async {
        match moment {
            Moment::Before => scene.heard(name).await,
            Moment::After(span) => sleep(span).await,
        }
        victim.signal(Signal::KILL);
    });
    let (answer, took) = (answer.0.unwrap(), answer.1);
    assert_eq!(answer.status, 200, "{answer:?}\n{}", scene.standing(name).await);
    assert!(answer.head.contains("x-kaos-cold-start"), "{answer:?}");
    assert_eq!(scene.holder().await, holder, "nobody else led while it waited");
    scene.kaos.restart_autoscaler(leader).await;
    took
}

/// What a stopped leader wrote after its deadline.
#[derive(Debug, Default)]
pub struct Stopped {
    /// Writes that only a leader may make, and that were done.
    pub late: Vec<String>,
    /// Those that were refused.
    pub refused: usize,
    /// What the other one lowered meanwhile.
    pub lowered: usize,
}

/// Stops the leader until `until` is over, and lets it go on; then looks at all that it has written since.
pub async fn stop_leader(scene: &Scene<'_>, until: impl Future<Output = ()>) -> Stopped {
    let leader = scene.leader().await;
    let (old, before) = (&scene.kaos.autoscalers[leader], scene.holder().await);
    let credential = scene.kaos.credential(&scene.client, &old.name).await;
    let by =
        |entry: &AuditEntry| entry.user.extra.get(CREDENTIAL).is_some_and(|ids| ids.contains(&credential));
    old.signal(Signal::STOP);
    let renewed = scene.plane.audit(|entry| by(entry) && entry.verb == "update" && entry.is_about("leases"));
    let deadline = renewed.iter().filter(|entry| entry.code() == 200).map(at).max().unwrap() + RENEWAL;
    until.await;
    within(SUCCESSION, "another leads", async || (scene.holder().await != before).then_some(())).await;
    within(SUCCESSION, "it lowers a count", async || {
        let lowered = scene.scalings();
        lowered.iter().any(|entry| at(entry) > deadline && lowers(entry) && entry.code() == 200).then_some(())
    })
    .await;
    old.signal(Signal::CONT);
    let continued = Timestamp::now();
    eventually("it has looked at the Lease twice", async || {
        let looks = scene.plane.audit(|entry| by(entry) && entry.is_about("leases") && at(entry) > continued);
        (looks.len() >= 3).then_some(())
    })
    .await;
    let writes = scene.plane.audit(|entry| at(entry) > deadline && leads(entry, &scene.namespace));
    let (own, others): (Vec<_>, Vec<_>) = writes.into_iter().partition(by);
    let (done, refused): (Vec<_>, Vec<_>) = own.into_iter().partition(|entry| entry.code() < 300);
    Stopped {
        late: done.iter().map(|entry| format!("{} {}", entry.verb, entry.request_uri)).collect(),
        refused: refused.len(),
        lowered: others.iter().filter(|entry| entry.is_about("deployments/scale")).count(),
    }
}

/// Where the audit log has the token's name.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

fn at(entry: &AuditEntry) -> Timestamp {
    entry.request_received_timestamp.0
}

/// Whether only a leader may write this: all but wakes, releases, and what people are told.
fn leads(entry: &AuditEntry, namespace: &str) -> bool {
    let writes =
        matches!(&*entry.verb, "patch" | "update" | "create" | "delete") && !entry.is_about("events");
    let wakes = entry.is_about("deployments/scale") && !lowers(entry);
    writes && entry.user.username.ends_with(":kaos-autoscaler") && !wakes && !releases(entry, namespace)
}
