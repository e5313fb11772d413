//! Choosing who goes: the cost is written and seen before the count, and taken back when the count isn't lowered.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::{Hold, Mode, Targets};
use kaos_core::{EndpointUid, HoldId};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::patch::{COST, LEAST_COST, RETIRED};
use super::testing::cluster::{CART, Meanwhile, Objects, Stage, cart, pod};

fn uids(victims: &[&str]) -> Vec<EndpointUid> {
    victims.iter().map(|uid| EndpointUid::new(uid)).collect()
}

/// Holds `victims` and lowers the count by them.
async fn lower(stage: &Stage, victims: &[&str]) -> Result<u64, Refusal> {
    let platform = stage.changing.platform();
    let hold = Hold { id: HoldId::new("a-1"), by: "a".into(), targets: Targets::Endpoints(uids(victims)) };
    let held = platform.hold(&cart(), Some(hold)).await?;
    let to = u32::try_from(stage.replicas()).unwrap() - u32::try_from(victims.len()).unwrap();
    let scale = Scale { to, victims: uids(victims), expected: Expected::Version(held) };
    platform.scale(&cart(), scale).await
}

fn retired(stage: &Stage, name: &str) -> bool {
    stage.annotations(&pod(name)).get(RETIRED).is_some()
}

fn unready(objects: &mut Objects) {
    objects.change(&pod("cart-0"), |pod| pod["status"]["conditions"] = json!([]));
}

#[tokio::test(start_paused = true)]
async fn the_cost_is_written_and_seen_before_the_count() {
    let stage = Stage::kept(3).await;
    stage.objects().change(&pod("cart-1"), |pod| pod["metadata"]["annotations"] = json!({COST: "7"}));
    lower(&stage, &["u-1", "u-2"]).await.unwrap();
    assert_eq!(stage.replicas(), 1);
    assert_eq!(stage.annotations(&pod("cart-1")), json!({COST: LEAST_COST, RETIRED: "7"}));
    assert_eq!(stage.annotations(&pod("cart-0")), json!({}));
    let lines: Vec<String> = stage.log.lines().into_iter().filter(|line| !line.contains("leases")).collect();
    let at = |part: &str| lines.iter().rposition(|line| line.contains(part)).unwrap();
    assert!(at("pods/cart-1/status") < at("GET /api/v1/namespaces/shop/pods"), "{lines:?}");
    assert!(at("GET /api/v1/namespaces/shop/pods") < at("cart/scale"), "{lines:?}");
    let seen = stage.log.all();
    let query = &seen.iter().rfind(|seen| seen.path.contains("/pods?")).unwrap().path;
    assert!(query.contains("resourceVersionMatch=NotOlderThan"), "{query}");
}

#[tokio::test(start_paused = true)]
async fn the_platforms_choice_is_compared_with_ours() {
    for (taken, reason) in [("cart-1", None), ("cart-0", Some("AnotherReplicaStopped"))] {
        let stage = Stage::kept(2).await;
        lower(&stage, &["u-1"]).await.unwrap();
        stage.objects().change(&pod(taken), |pod| pod["metadata"]["deletionTimestamp"] = json!("now"));
        let platform = stage.changing.platform();
        let counts = || {
            let choices = platform.choices();
            (choices.hits.load(Ordering::Relaxed), choices.misses.load(Ordering::Relaxed))
        };
        stage.comes("it is compared", |_| counts() != (0, 0)).await;
        assert_eq!(counts(), if reason.is_some() { (0, 1) } else { (1, 0) });
        if let Some(reason) = reason {
            stage.comes("it is told", |stage| stage.reasons().contains(&reason.to_owned())).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_chosen_during_a_rollout() {
    let stage = Stage::kept(2).await;
    stage.show_as(|entry| entry.rolling = true);
    let refused = lower(&stage, &["u-1"]).await;
    assert!(matches!(&refused, Err(Refusal::Failed(why)) if why.contains("rollout")), "{refused:?}");
    // Not shown yet, but the hold's own answer says so.
    stage.show(Mode::Scale);
    stage.objects().change(CART, |cart| cart["metadata"]["generation"] = json!(2));
    let refused = lower(&stage, &["u-1"]).await;
    assert!(matches!(&refused, Err(Refusal::Failed(why)) if why.contains("rollout")), "{refused:?}");
    assert_eq!(stage.replicas(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_chosen_while_another_pod_would_go_first() {
    let stage = Stage::kept(3).await;
    unready(&mut stage.objects());
    let refused = lower(&stage, &["u-1"]).await;
    assert!(matches!(&refused, Err(Refusal::Failed(why)) if why.contains("cart-0")), "{refused:?}");
    assert!(!retired(&stage, "cart-1"));
    // It may go itself.
    assert!(lower(&stage, &["u-0"]).await.is_ok());
    assert_eq!(stage.replicas(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_victim_that_is_gone_is_a_conflict() {
    let stage = Stage::kept(2).await;
    assert_eq!(lower(&stage, &["u-9"]).await, Err(Refusal::Conflict));
    stage.objects().change(&pod("cart-1"), |pod| pod["metadata"]["deletionTimestamp"] = json!("now"));
    assert_eq!(lower(&stage, &["u-1"]).await, Err(Refusal::Conflict));
    assert_eq!(stage.replicas(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cost_goes_when_the_count_isnt_lowered() {
    let cases: [Meanwhile; 2] = [
        // A pod that isn't chosen becomes unready while the cost is written.
        ("pods/cart-1/status", unready),
        // Another autoscaler takes the hold away.
        ("cart/scale", |objects| {
            objects.change(CART, |cart| cart["metadata"]["annotations"] = json!({}));
        }),
    ];
    for (line, meanwhile) in cases {
        let stage = Stage::kept(3).await;
        stage.objects().change(&pod("cart-1"), |pod| pod["metadata"]["annotations"] = json!({COST: "7"}));
        stage.objects().meanwhile = Some((line, meanwhile));
        assert!(lower(&stage, &["u-1"]).await.is_err(), "{line}");
        assert_eq!(stage.replicas(), 3);
        stage
            .comes("the cost is as it was", |stage| stage.annotations(&pod("cart-1")) == json!({COST: "7"}))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cost_goes_when_nobody_waits_for_the_write_any_more() {
    let stage = Stage::kept(3).await;
    let given_up = timeout(Duration::from_millis(50), lower(&stage, &["u-1"])).await;
    assert!(given_up.is_err() && retired(&stage, "cart-1"), "dropped between cost and count");
    stage.comes("no cost is left", |stage| stage.annotations(&pod("cart-1")) == json!({})).await;
    assert_eq!(stage.replicas(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_kubernetes_chooses() {
    let stage = Stage::kept(3).await;
    stage.objects().refusals = vec![("pods/cart-1/status", 403), ("pods/cart-2/status", 403)];
    assert!(lower(&stage, &["u-1"]).await.is_ok());
    assert_eq!(stage.replicas(), 2);
    stage.objects().change(CART, |cart| cart["status"] = json!({"observedGeneration": 9}));
    stage.log.clear();
    assert!(lower(&stage, &["u-2"]).await.is_ok());
    assert!(!stage.log.lines().iter().any(|line| line.contains("pods")), "not tried each time");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_predecessor_retired_is_taken_back_with_its_hold() {
    let stage = Stage::kept(2).await;
    let hold = Hold { id: HoldId::new("b-1"), by: "b".into(), targets: Targets::Endpoints(uids(&["u-1"])) };
    let text = serde_json::to_string(&hold).unwrap();
    let mark = |pod: &mut Value| pod["metadata"]["annotations"] = json!({COST: LEAST_COST, RETIRED: ""});
    stage.objects().change(&pod("cart-1"), mark);
    stage.objects().change(CART, |cart| cart["metadata"]["annotations"]["kaos.dev/hold"] = json!(text));
    stage.show(Mode::Scale);
    stage.changing.platform().hold(&cart(), None).await.unwrap();
    // Not while another autoscaler is at it again.
    sleep(Duration::from_secs(12)).await;
    assert!(retired(&stage, "cart-1"));
    stage.show(Mode::Scale);
    stage.comes("no cost is left", |stage| stage.annotations(&pod("cart-1")) == json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn the_cost_of_an_earlier_attempt_is_not_taken_back_under_a_later_one() {
    let stage = Stage::kept(2).await;
    stage.objects().refusals = vec![("cart/scale", 500)];
    assert!(lower(&stage, &["u-1"]).await.is_err());
    // Its cost is to go ten seconds later, which falls between the next attempt's cost and its count.
    stage.objects().refusals.clear();
    sleep(Duration::from_millis(9950)).await;
    stage.objects().meanwhile = Some(("cart/scale", |objects| {
        let cost = objects.object(&pod("cart-1")).unwrap()["metadata"]["annotations"][COST].clone();
        objects.change(CART, |cart| cart["status"]["cost"] = cost);
    }));
    lower(&stage, &["u-1"]).await.unwrap();
    let seen = stage.objects().object(CART).unwrap()["status"]["cost"].clone();
    assert_eq!(seen, LEAST_COST, "as the count was written");
    // Nor right after it: the controller may not have chosen yet. In the end it goes, if the pod is still there.
    sleep(Duration::from_secs(5)).await;
    assert!(retired(&stage, "cart-1"));
    stage.comes("it is taken back", |stage| !retired(stage, "cart-1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_cost_that_arrives_after_its_write_was_given_up_is_taken_back() {
    let stage = Stage::kept(2).await;
    stage.objects().refusals = vec![("pods/cart-1/status", 500)];
    assert!(lower(&stage, &["u-1"]).await.is_err());
    stage.objects().refusals.clear();
    sleep(Duration::from_secs(1)).await;
    stage.objects().change(&pod("cart-1"), |pod| {
        pod["metadata"]["annotations"] = json!({COST: LEAST_COST, RETIRED: ""});
    });
    stage.comes("it is taken back", |stage| !retired(stage, "cart-1")).await;
}
