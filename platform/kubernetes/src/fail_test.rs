//! Starts that fail, as timelines: whose fault is told, when, and who is still waited for.

use kaos_core::Moment;
use serde_json::{Value, json};

use crate::fixture::{Scene, deployment, enabled, id, pod, slice};
use crate::picture::Published;

#[test]
fn failed_starts_are_told_with_their_reason_and_back_off() {
    let mut scene = Scene::shop(&enabled());
    let failure = |published: &Published| {
        let failure = published.snapshot.workload(&id("shop")).unwrap().failure.clone();
        failure.map(|it| (it.because, it.attempts, it.retry_at.secs()))
    };
    assert_eq!(failure(&scene.at(1)), None);
    scene.pods(vec![pod("a", "1", None, Some("ContainerCreating"))]);
    assert_eq!(failure(&scene.at(2)), None);
    scene.pods(vec![pod("a", "1", None, Some("ImagePullBackOff"))]);
    let told = scene.at(10);
    assert_eq!(failure(&told), Some(("image-pull".into(), 1, 15)));
    let shop = told.snapshot.workload(&id("shop")).unwrap().failure.clone().unwrap();
    assert_eq!(shop.detail, "container app (app:1): ImagePullBackOff: Back-off pulling image \"app:1\"");
    assert!(shop.known);
    // It is looked at again though nothing changes: what still fails has failed once more.
    assert_eq!(scene.0.next_due().map(Moment::secs), Some(15));
    assert_eq!(failure(&scene.at(12)), Some(("image-pull".into(), 1, 15)));
    assert_eq!(failure(&scene.at(15)), Some(("image-pull".into(), 2, 25)));
    // A pod of a newer template is what counts.
    scene.pods(vec![
        pod("a", "1", None, Some("ImagePullBackOff")),
        pod("b", "22", None, Some("CrashLoopBackOff")),
    ]);
    assert_eq!(failure(&scene.at(16)), Some(("crash-loop".into(), 2, 25)));
    // At zero nothing fails, and what was learned stays.
    let mut zero = deployment("shop", &enabled());
    zero["spec"]["replicas"] = json!(0);
    scene.put(zero);
    assert_eq!(failure(&scene.at(26)), Some(("crash-loop".into(), 2, 25)));
    assert_eq!(scene.0.next_due(), None);
    // A ready replica clears it, and so does another template.
    scene.put(deployment("shop", &enabled()));
    assert_eq!(failure(&scene.at(27)), Some(("crash-loop".into(), 3, 47)));
    scene.put(slice("s", "shop", &[("c", "10.1.0.1", true)]));
    assert_eq!(failure(&scene.at(28)), None);
}

#[test]
fn quota_deadline_and_placement_are_reasons_too() {
    let because = |conditions: &Value, pods: Vec<Value>, generation: i64| {
        let mut shop = deployment("shop", &enabled());
        shop["status"]["conditions"] = conditions.clone();
        shop["metadata"]["generation"] = json!(generation);
        let mut scene = Scene::shop(&enabled());
        scene.put(shop);
        scene.pods(pods);
        let failure = scene.at(1).snapshot.workload(&id("shop")).unwrap().failure.clone();
        failure.map(|failure| failure.because)
    };
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!([{"type": kind, "status": status, "reason": reason, "message": message}]);
    let quota =
        condition("ReplicaFailure", "True", "FailedCreate", "pods \"a\" is forbidden: exceeded quota: q");
    assert_eq!(because(&quota, vec![], 1).as_deref(), Some("quota"));
    // Said of an earlier spec.
    assert_eq!(because(&quota, vec![], 2), None);
    let refused = condition("ReplicaFailure", "True", "FailedCreate", "admission webhook denied the request");
    assert_eq!(because(&refused, vec![], 1).as_deref(), Some("refused"));
    let late = condition(
        "Progressing",
        "False",
        "ProgressDeadlineExceeded",
        "ReplicaSet has timed out progressing.",
    );
    assert_eq!(because(&late, vec![], 1).as_deref(), Some("progress-deadline"));
}

/// A pod that no node takes, after `name`.
fn unplaced(name: &str) -> Value {
    let mut unplaced = pod(name, "1", None, None);
    unplaced["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                                               "message": "0/3 nodes are available"}]);
    unplaced
}

/// Why a start of `shop` fails, and how many replicas are on their way.
fn failing(scene: &mut Scene, at: u64) -> (Option<String>, u32) {
    let shop = scene.at(at).snapshot.workload(&id("shop")).unwrap().clone();
    (shop.failure.as_ref().map(|failure| failure.because.clone()), shop.replicas.starting)
}

#[test]
fn a_pod_has_a_moment_to_find_a_node() {
    let mut scene = Scene::shop(&enabled());
    scene.pods(vec![unplaced("a")]);
    assert_eq!(failing(&mut scene, 10), (None, 1));
    assert_eq!(scene.0.next_due().map(Moment::secs), Some(13));
    assert_eq!(failing(&mut scene, 12), (None, 1));
    assert_eq!(failing(&mut scene, 13), (Some("unschedulable".into()), 0));
    assert_eq!(scene.0.next_due().map(Moment::secs), Some(18));
    // It has found one: whoever comes then waits for it.
    scene.pods(vec![pod("a", "1", None, Some("ContainerCreating"))]);
    assert_eq!(failing(&mut scene, 14).1, 1);
    // A room that is being cleared for it, or a node that is on its way, is waited for.
    let mut promised = unplaced("a");
    promised["status"]["nominatedNodeName"] = json!("node-7");
    let mut scene = Scene::shop(&enabled());
    scene.pods(vec![promised]);
    assert_eq!(failing(&mut scene, 10), (None, 1));
    assert_eq!(scene.0.next_due(), None);
    // Another that was just without one begins its own moment.
    scene.pods(vec![unplaced("a")]);
    assert_eq!(failing(&mut scene, 20), (None, 1));
    scene.pods(vec![pod("a", "1", None, Some("ContainerCreating"))]);
    assert_eq!(failing(&mut scene, 22), (None, 1));
    scene.pods(vec![unplaced("a")]);
    assert_eq!(failing(&mut scene, 24), (None, 1));
    assert_eq!(failing(&mut scene, 27), (Some("unschedulable".into()), 0));
}

#[test]
fn what_fails_isnt_on_its_way_and_what_doesnt_is() {
    let of = |replicas: u32, conditions: &Value, updated: u32| {
        let mut shop = deployment("shop", &enabled());
        shop["spec"]["replicas"] = json!(replicas);
        shop["status"] =
            json!({"observedGeneration": 1, "updatedReplicas": updated, "conditions": conditions});
        shop
    };
    let mut scene = Scene::shop(&enabled());
    scene.put(of(3, &json!([]), 3));
    let broken = |name: &str| pod(name, "1", None, Some("ImagePullBackOff"));
    let starts = |name: &str| pod(name, "1", None, Some("ContainerCreating"));
    assert_eq!(failing(&mut scene, 1), (None, 3));
    scene.pods(vec![broken("a"), starts("b"), starts("c")]);
    assert_eq!(failing(&mut scene, 2), (Some("image-pull".into()), 2));
    // One that has ended and one that goes won't come, and an older template's neither.
    let newer = |name: &str, waits: &str| pod(name, "22", None, Some(waits));
    let (mut ended, mut goes) = (newer("d", "ContainerCreating"), newer("e", "ContainerCreating"));
    ended["status"]["phase"] = json!("Failed");
    goes["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:09Z");
    scene.pods(vec![newer("c", "ErrImagePull"), ended, goes, starts("b")]);
    assert_eq!(failing(&mut scene, 3), (Some("image-pull".into()), 0));
    // Refused: those that were made before are on their way, watched or not.
    let refused = json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}]);
    scene.put(of(3, &refused, 1));
    scene.pods(vec![starts("a")]);
    assert_eq!(failing(&mut scene, 4), (Some("quota".into()), 1));
    scene.0.pods.clear();
    for made in [1, 0] {
        scene.put(of(3, &refused, made));
        assert_eq!(failing(&mut scene, 5), (Some("quota".into()), made));
    }
    // The cluster itself waits no longer.
    let late = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    scene.put(of(3, &late, 3));
    scene.pods(vec![starts("a"), starts("b"), starts("c")]);
    assert_eq!(failing(&mut scene, 6), (Some("progress-deadline".into()), 0));
    // Ready replicas: what isn't ready is on its way as before.
    scene.put(slice("s", "shop", &[("x", "10.1.0.1", true)]));
    assert_eq!(failing(&mut scene, 7), (None, 2));
}
