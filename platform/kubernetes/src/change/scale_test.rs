//! Counts and holds against a small cluster: preconditions, doing things twice, and who may do what.

use std::time::Duration;

use kaos_core::HoldId;
use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::{Hold, Mode, Targets};
use serde_json::json;
use tokio::time::sleep;

use super::testing::cluster::{CART, Stage, cart};

fn wake(to: u32) -> Scale {
    Scale { to, victims: vec![], expected: Expected::Replicas(0) }
}

fn since(version: u64) -> Scale {
    Scale { to: 0, victims: vec![], expected: Expected::Version(version) }
}

fn hold(id: &str) -> Option<Hold> {
    Some(Hold { id: HoldId::new(id), by: "a".into(), targets: Targets::All })
}

#[tokio::test(start_paused = true)]
async fn a_wake_is_one_request_and_needs_no_leader() {
    let stage = Stage::new(0);
    stage.objects().refusals = vec![("leases", 403), ("configmaps", 403)];
    stage.clock.jump(Duration::from_secs(60));
    let platform = stage.changing.platform();
    let woken = platform.scale(&cart(), wake(2)).await.unwrap();
    assert_eq!(stage.replicas(), 2);
    let version = stage.objects().object(CART).unwrap()["metadata"]["resourceVersion"].clone();
    assert_eq!(version, woken.to_string());
    let patches: Vec<_> =
        stage.log.all().into_iter().filter(|seen| seen.path.contains("deployments")).collect();
    assert_eq!(patches.len(), 1, "{patches:?}");
    assert_eq!(patches[0].path, format!("{CART}/scale?fieldManager=kaos"));
    // More replicas are the leader's to ask for.
    let more = Scale { to: 3, victims: vec![], expected: Expected::Replicas(2) };
    assert!(matches!(platform.scale(&cart(), more).await, Err(Refusal::Failed(_))));
    assert_eq!(stage.replicas(), 2);
    stage.comes("it is told", |stage| stage.reasons().contains(&"ScaledFromZero".to_owned())).await;
}

#[tokio::test(start_paused = true)]
async fn waking_twice_is_waking_once_and_another_count_is_a_conflict() {
    let stage = Stage::kept(0).await;
    let platform = stage.changing.platform();
    let first = platform.scale(&cart(), wake(2)).await.unwrap();
    assert_eq!(platform.scale(&cart(), wake(2)).await, Ok(first));
    assert_eq!(platform.scale(&cart(), wake(3)).await, Err(Refusal::Conflict));
    assert_eq!(stage.replicas(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wake_whose_answer_is_lost_is_found_done() {
    let stage = Stage::kept(0).await;
    // Another autoscaler's wake arrives first.
    stage.objects().meanwhile = Some(("cart/scale", |objects| {
        objects.change(CART, |cart| cart["spec"]["replicas"] = json!(1));
    }));
    assert!(stage.changing.platform().scale(&cart(), wake(1)).await.is_ok());
    assert_eq!(stage.replicas(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_made_anew_is_another_one() {
    let stage = Stage::kept(0).await;
    stage.objects().change(CART, |cart| cart["metadata"]["uid"] = json!("u-other"));
    let platform = stage.changing.platform();
    assert_eq!(platform.scale(&cart(), wake(1)).await, Err(Refusal::Gone));
    assert_eq!(platform.hold(&cart(), hold("1")).await, Err(Refusal::Conflict));
    stage.objects().remove(CART);
    assert_eq!(platform.scale(&cart(), wake(1)).await, Err(Refusal::Gone));
    stage.show(Mode::Scale);
    assert_eq!(platform.hold(&cart(), None).await, Err(Refusal::Gone));
}

#[tokio::test(start_paused = true)]
async fn down_to_zero_goes_against_the_holds_version() {
    let stage = Stage::kept(2).await;
    let platform = stage.changing.platform();
    let held = platform.hold(&cart(), hold("a-1")).await.unwrap();
    assert_eq!(platform.hold(&cart(), hold("a-1")).await, Ok(held), "twice is once");
    let text = stage.annotations(CART)["kaos.dev/hold"].as_str().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Hold>(&text).ok(), hold("a-1"));
    assert!(platform.scale(&cart(), since(held)).await.unwrap() > held);
    assert_eq!(stage.replicas(), 0);
    platform.hold(&cart(), None).await.unwrap();
    platform.hold(&cart(), None).await.unwrap();
    assert!(stage.annotations(CART).get("kaos.dev/hold").is_none());
    stage.comes("it is told", |stage| stage.reasons().contains(&"ScaledToZero".to_owned())).await;
}

#[tokio::test(start_paused = true)]
async fn a_zero_that_comes_after_the_hold_was_taken_away_is_refused() {
    let stage = Stage::kept(1).await;
    let platform = stage.changing.platform();
    let held = platform.hold(&cart(), hold("a-1")).await.unwrap();
    // Another autoscaler heard a request.
    stage.objects().change(CART, |cart| {
        cart["metadata"]["annotations"].as_object_mut().unwrap().remove("kaos.dev/hold");
    });
    assert_eq!(platform.scale(&cart(), since(held)).await, Err(Refusal::Conflict));
    assert_eq!(stage.replicas(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_harmless_write_in_between_is_looked_through_and_a_new_spec_isnt() {
    let stage = Stage::kept(1).await;
    let platform = stage.changing.platform();
    let held = platform.hold(&cart(), hold("a-1")).await.unwrap();
    stage.objects().change(CART, |cart| cart["status"]["conditions"] = json!(["changed"]));
    assert!(platform.scale(&cart(), since(held)).await.is_ok());
    assert_eq!(stage.replicas(), 0);

    let stage = Stage::kept(1).await;
    let platform = stage.changing.platform();
    let held = platform.hold(&cart(), hold("a-1")).await.unwrap();
    stage.objects().change(CART, |cart| cart["metadata"]["generation"] = json!(9));
    assert_eq!(platform.scale(&cart(), since(held)).await, Err(Refusal::Conflict));
    assert_eq!(platform.scale(&cart(), since(held + 7)).await, Err(Refusal::Conflict), "no hold of ours");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_stopped_lowers_nothing_when_it_goes_on() {
    let stage = Stage::kept(1).await;
    let platform = stage.changing.platform();
    let held = platform.hold(&cart(), hold("a-1")).await.unwrap();
    stage.log.clear();
    stage.clock.jump(Duration::from_secs(20));
    assert!(matches!(platform.scale(&cart(), since(held)).await, Err(Refusal::Failed(_))));
    assert!(matches!(platform.hold(&cart(), hold("a-2")).await, Err(Refusal::Failed(_))));
    assert_eq!(stage.log.lines(), [""; 0], "nothing was sent");
    assert!(platform.hold(&cart(), None).await.is_ok(), "a release needs no leader");
}

#[tokio::test(start_paused = true)]
async fn it_is_known_whether_every_part_still_runs() {
    let stage = Stage::kept(1).await;
    let runs = stage.changing.runs();
    assert!(runs());
    stage.changing.stop().await;
    assert!(!runs());
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_proxies_may_have_outlived_lowers_nothing() {
    let stage = Stage::kept(1).await;
    let platform = stage.changing.platform();
    let held = platform.hold(&cart(), hold("a-1")).await.unwrap();
    // The machine sleeps twice, for less than a leadership lasts; timers don't see it.
    stage.clock.jump(Duration::from_secs(5));
    sleep(Duration::from_secs(3)).await;
    stage.clock.jump(Duration::from_secs(5));
    assert!(*stage.changing.leading().borrow());
    let refused = platform.scale(&cart(), since(held)).await;
    assert!(matches!(&refused, Err(Refusal::Failed(why)) if why.contains("too long ago")), "{refused:?}");
    assert_eq!(stage.replicas(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_before_its_count_is_kept() {
    let stage = Stage::new(3);
    stage.objects().refusals = vec![("configmaps", 404)];
    let mut leading = stage.changing.leading();
    leading.wait_for(|leads| *leads).await.unwrap();
    let platform = stage.changing.platform();
    let refused = platform.hold(&cart(), hold("a-1")).await;
    assert!(matches!(&refused, Err(Refusal::Failed(why)) if why.contains("kept")), "{refused:?}");
    stage.objects().refusals.clear();
    stage.comes("the count is kept", |stage| stage.originals().contains_key("shop.cart")).await;
    assert!(platform.hold(&cart(), hold("a-1")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_reaches_the_autoscaler_by_its_class() {
    let stage = Stage::kept(0).await;
    let platform = stage.changing.platform();
    for (code, later) in [(403, true), (429, true), (500, false), (409, false)] {
        stage.objects().refusals = vec![("cart/scale", code)];
        match platform.scale(&cart(), wake(1)).await {
            Err(Refusal::Later { after, .. }) => {
                assert!(later && after >= Duration::from_secs(1), "{code}: {after:?}");
            }
            Err(Refusal::Conflict) => assert_eq!(code, 409),
            other => assert!(matches!(other, Err(Refusal::Failed(_))) && code == 500, "{code}: {other:?}"),
        }
    }
}
