//! What a new configuration does to replicas that run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kaos_core::host::HostPattern;
use kaos_core::platform::Refusal;
use kaos_core::snapshot::Phase;

use crate::stage::{DEADLINE, FIXTURE, Stage, function, get, id, script, serving, uids, until, with_knobs};

#[tokio::test]
async fn new_functions_appear_at_zero_and_removed_ones_vanish_with_their_replicas() {
    let mut old = serving("old");
    old.hosts = vec![HostPattern::parse("old.localhost").unwrap()];
    let stage = Stage::new(vec![old.clone(), serving("kept")]).await;
    stage.started("old").await;
    stage.started("kept").await;
    let kept = uids(&stage.workload("kept"), Phase::Ready);
    stage.local.reload(vec![serving("kept"), serving("new")]).await;
    assert_eq!(stage.scale("old", 1, 2).await, Err(Refusal::Gone));
    until("the old one vanishes", || stage.now().workload(&id("old")).is_none()).await;
    assert_eq!(stage.now().routes.find("old.localhost", "/"), None);
    assert_eq!(stage.workload("new").replicas.desired, 0);
    assert_eq!(uids(&stage.workload("kept"), Phase::Ready), kept);
    stage.started("new").await;
    // And back again, with uids that never were.
    stage.local.reload(vec![old]).await;
    stage.started("old").await;
    assert!(stage.now().routes.find("old.localhost", "/").is_some());
    stage.local.shutdown().await;
}

#[tokio::test]
async fn knobs_and_hosts_leave_replicas_running() {
    let stage = Stage::new(vec![serving("app")]).await;
    stage.started("app").await;
    let before = stage.workload("app");
    let mut changed = with_knobs(serving("app"), &[("idle-timeout", "5m")]);
    changed.hosts = vec![HostPattern::parse("app.localhost").unwrap()];
    stage.local.reload(vec![changed.clone()]).await;
    let after = stage.until("app", |found| found.policy == changed.policy).await;
    assert_eq!(after.endpoints, before.endpoints);
    assert_eq!(after.hosts, changed.hosts);
    assert!(stage.now().routes.find("app.localhost", "/").is_some());
    stage.local.shutdown().await;
}

#[tokio::test]
async fn replicas_of_a_changed_command_are_replaced_without_a_moment_without_a_ready_one() {
    let stage = Stage::new(vec![serving("app")]).await;
    stage.scale("app", 0, 2).await.unwrap();
    let old = uids(&*stage.until_ready("app", 2).await, Phase::Ready);
    let mut snapshots = stage.local.snapshots();
    let bare = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&bare);
    let watch = tokio::spawn(async move {
        while snapshots.changed().await.is_ok() {
            let ready = snapshots.borrow_and_update().workloads[0].replicas.ready;
            seen.fetch_or(ready < 2, Ordering::Relaxed);
        }
    });
    let mut changed = serving("app");
    changed.env = vec![("GREETING".into(), "new".into())];
    stage.local.reload(vec![changed]).await;
    let replaced = stage
        .until("app", |found| {
            let ready = uids(found, Phase::Ready);
            found.endpoints.len() == 2 && ready.len() == 2 && ready.iter().all(|uid| !old.contains(uid))
        })
        .await;
    assert!(!bare.load(Ordering::Relaxed));
    assert_eq!(replaced.replicas.desired, 2);
    assert!(get(replaced.endpoints[0].address).contains("GREETING=new"));
    watch.abort();
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_command_that_fails_leaves_the_old_replica_serving() {
    let stage = Stage::new(vec![serving("app")]).await;
    let address = stage.started("app").await;
    stage.local.reload(vec![function("app", &["no-such-program-anywhere"])]).await;
    let failed = stage.until("app", |found| found.failure.is_some()).await;
    assert_eq!((failed.replicas.ready, failed.replicas.desired), (1, 1));
    assert!(get(address).contains("PORT"));
    // Mended: the failure of the broken form says nothing of the mended one.
    let mended = function("app", &[FIXTURE, "serve", "127.0.0.1:{port}"]);
    stage.local.reload(vec![mended]).await;
    let replaced = stage.until("app", |found| found.failure.is_none() && found.endpoints.len() == 1).await;
    assert_ne!(replaced.endpoints[0].address, address);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_that_starts_in_vain_is_replaced_at_once() {
    let stage = Stage::new(vec![script("app", "exec sleep 600")]).await;
    stage.scale("app", 0, 1).await.unwrap();
    stage.until("app", |found| found.replicas.starting == 1).await;
    stage.local.reload(vec![serving("app")]).await;
    let ready = stage.until("app", |found| found.endpoints.len() == 1 && found.replicas.ready == 1).await;
    assert_eq!(ready.failure, None);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_replaced_replica_keeps_its_requests_until_they_end() {
    let stage = Stage::new(vec![serving("app")]).await;
    stage.started("app").await;
    let old = stage.workload("app").endpoints[0].clone();
    let busy = Arc::new(AtomicBool::new(true));
    let (flag, uid) = (Arc::clone(&busy), old.uid.clone());
    let asked = Arc::new(AtomicBool::new(false));
    let (noted, snapshots) = (Arc::clone(&asked), stage.local.snapshots());
    let is_busy = Arc::new(move |found: &_| {
        // Whoever sends requests knows by now.
        let announced = uids(&snapshots.borrow().workloads[0], Phase::Terminating).contains(found);
        noted.fetch_or(announced, Ordering::Relaxed);
        *found == uid && flag.load(Ordering::Relaxed) && announced
    });
    stage.local.drain(DEADLINE, is_busy).await;
    let mut changed = serving("app");
    changed.env = vec![("GREETING".into(), "new".into())];
    stage.local.reload(vec![changed]).await;
    stage
        .until("app", |found| {
            uids(found, Phase::Terminating) == [old.uid.clone()] && uids(found, Phase::Ready).len() == 1
        })
        .await;
    until("it was asked", || asked.load(Ordering::Relaxed)).await;
    // Still there, and still answering what it has.
    assert!(get(old.address).contains(old.uid.as_str()));
    busy.store(false, Ordering::Relaxed);
    stage.until("app", |found| found.endpoints.len() == 1).await;
    stage.local.shutdown().await;
}
