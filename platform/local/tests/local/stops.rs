//! How replicas are stopped: in which order, how gently, and what goes with them.

use std::time::Duration;

use kaos_core::platform::Refusal;
use kaos_core::snapshot::Phase;

use crate::stage::{
    FIXTURE, Stage, function, get, lives, processes_with, script, serving, uids, until, with_knobs,
};

/// A tree that ignores SIGTERM: a replica that serves, a child in its group, and a grandchild in a session of its own
/// that has closed its descriptors. Every one shows `mark` in its command line.
pub(crate) fn stubborn(mark: &str) -> String {
    format!(
        "trap '' TERM; sleep {mark} & setsid sh -c 'exec >&- 2>&- <&-; sleep {mark} & exec sleep {mark}' & \
         exec {FIXTURE} serve 127.0.0.1:$PORT"
    )
}

#[tokio::test]
async fn a_tree_that_ignores_sigterm_is_killed_after_its_stop_timeout() {
    let mark = format!("81{}", std::process::id());
    let app = with_knobs(script("app", &stubborn(&mark)), &[("stop-timeout", "1s")]);
    let stage = Stage::new(vec![app, serving("other")]).await;
    stage.started("other").await;
    stage.started("app").await;
    until("the tree is there", || processes_with(&mark).len() == 3).await;
    let uid = stage.workload("app").endpoints[0].uid.clone();
    let pid = stage.pid(&uid).await;
    stage.scale("app", 1, 0).await.unwrap();
    let leaving = stage.until("app", |found| !uids(found, Phase::Terminating).is_empty()).await;
    // It stays in the snapshot until it is gone.
    assert_eq!(uids(&leaving, Phase::Terminating), [uid]);
    assert_eq!((leaving.replicas.ready, leaving.replicas.desired), (0, 0));
    assert!(lives(pid), "it may finish what it has");
    stage.until_gone("app").await;
    assert!(!lives(pid));
    assert_eq!(processes_with(&mark), [] as [u32; 0]);
    assert_eq!(stage.workload("other").replicas.ready, 1);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn what_a_crashed_replica_leaves_is_killed_at_once() {
    let mark = format!("82{}", std::process::id());
    // The first crashes as soon as its tree is there; its successors only wait.
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "if mkdir {}/once; then trap '' TERM; sleep {mark} & setsid sleep {mark} & \
         setsid sh -c 'sleep {mark} & sleep {mark}' & exec {FIXTURE} once; fi; exec {FIXTURE} serve",
        folder.path().display()
    );
    // A tree with an hour to stop: nobody asked this one to.
    let stage = Stage::new(vec![with_knobs(script("app", &text), &[("stop-timeout", "1h")])]).await;
    stage.scale("app", 0, 1).await.unwrap();
    stage.until("app", |found| uids(found, Phase::Ready).len() == 1 && found.failure.is_none()).await;
    until("nothing of the first is left", || processes_with(&mark).is_empty()).await;
    stage.local.shutdown().await;
}

#[tokio::test]
async fn what_outlives_its_leader_may_finish_within_the_stop_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let (set, done) = (folder.path().join("set"), folder.path().join("done"));
    // The shell dies of SIGTERM at once; its child needs a while to put things in order. It serves once that is arranged.
    let text = format!(
        "sh -c 'trap \"sleep 0.3; echo done > {done}; exit\" TERM; echo > {set}; while :; do sleep 0.05; done' & \
         until [ -e {set} ]; do sleep 0.01; done; {FIXTURE} serve",
        done = done.display(),
        set = set.display(),
    );
    let stage = Stage::new(vec![script("app", &text)]).await;
    stage.started("app").await;
    stage.scale("app", 1, 0).await.unwrap();
    stage.until_gone("app").await;
    assert_eq!(std::fs::read_to_string(&done).unwrap(), "done\n");
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_without_its_mark_is_found_by_what_it_was_below() {
    let mark = format!("83{}", std::process::id());
    let text = format!("setsid env -i sleep {mark} & exec {FIXTURE} serve");
    let app = with_knobs(script("app", &text), &[("stop-timeout", "1s")]);
    let stage = Stage::new(vec![app, serving("other")]).await;
    stage.started("other").await;
    stage.started("app").await;
    until("it is there", || processes_with(&mark).len() == 1).await;
    stage.scale("app", 1, 0).await.unwrap();
    stage.until_gone("app").await;
    assert_eq!(processes_with(&mark), [] as [u32; 0]);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn victims_go_first_then_the_newest() {
    let stage = Stage::new(vec![serving("app")]).await;
    stage.scale("app", 0, 4).await.unwrap();
    let there = uids(&*stage.until_ready("app", 4).await, Phase::Ready);
    stage.scale_without("app", 4, 3, &[&there[1]]).await.unwrap();
    let left = stage.until("app", |found| found.endpoints.len() == 3).await;
    assert_eq!(uids(&left, Phase::Ready), [there[0].clone(), there[2].clone(), there[3].clone()]);
    // In the place of one that is gone nobody else is taken.
    assert_eq!(stage.scale_without("app", 3, 2, &[&there[1]]).await, Err(Refusal::Conflict));
    stage.scale("app", 3, 1).await.unwrap();
    let left = stage.until("app", |found| found.endpoints.len() == 1).await;
    assert_eq!(uids(&left, Phase::Ready), [there[0].clone()]);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_that_is_not_ready_goes_before_one_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("mkdir {}/once && exec {FIXTURE} serve; exec sleep 600", folder.path().display());
    let stage = Stage::new(vec![script("app", &text)]).await;
    stage.started("app").await;
    let first = uids(&stage.workload("app"), Phase::Ready);
    stage.scale("app", 1, 2).await.unwrap();
    stage.until("app", |found| found.replicas.starting == 1).await;
    stage.scale("app", 2, 1).await.unwrap();
    let left = stage.until("app", |found| found.endpoints.len() == 1).await;
    assert_eq!(uids(&left, Phase::Ready), first);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_everything_and_a_second_call_does_so_at_once() {
    let mark = format!("84{}", std::process::id());
    let slow = with_knobs(script("slow", &stubborn(&mark)), &[("stop-timeout", "1h")]);
    let stage = Stage::new(vec![slow, serving("quick")]).await;
    let address = stage.started("quick").await;
    stage.started("slow").await;
    until("the tree is there", || processes_with(&mark).len() == 3).await;
    let pid = stage.pid(&stage.workload("slow").endpoints[0].uid).await;
    assert!(get(address).contains("PORT"));
    let local = stage.local.clone();
    let gentle = tokio::spawn(async move { local.shutdown().await });
    stage.until_gone("quick").await;
    assert!(lives(pid));
    stage.local.kill().await;
    gentle.await.unwrap();
    assert!(!lives(pid));
    assert_eq!(processes_with(&mark), [] as [u32; 0]);
    assert!(stage.now().workloads.iter().all(|found| found.endpoints.is_empty()));
    // Once more finds nothing to do.
    stage.local.shutdown().await;
}

#[tokio::test]
async fn dropping_the_handle_leaves_nothing() {
    let mark = format!("85{}", std::process::id());
    let stage = Stage::new(vec![script("app", &stubborn(&mark))]).await;
    stage.started("app").await;
    until("the tree is there", || processes_with(&mark).len() == 3).await;
    drop(stage);
    until("nothing is left", || processes_with(&mark).is_empty()).await;
}

#[tokio::test]
async fn a_replica_that_is_stopped_before_it_is_ready_is_gone_too() {
    let stage = Stage::new(vec![function("app", &["sleep", "600"])]).await;
    for _ in 0..20 {
        stage.scale("app", 0, 3).await.unwrap();
        stage.scale("app", 3, 0).await.unwrap();
    }
    let gone = stage.until_gone("app").await;
    assert_eq!(gone.failure, None);
    assert_eq!(stage.local.pids().await.len(), 0);
    tokio::time::timeout(Duration::from_secs(30), stage.local.shutdown()).await.unwrap();
}
