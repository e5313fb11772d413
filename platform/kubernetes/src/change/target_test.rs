//! Counts that another object has, against a small cluster: where they are written, what is waited for, what is told.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::HoldId;
use kaos_core::annotation::ScaleTarget;
use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::{Hold, Mode, Targets};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::testing::cluster::{CART, Stage, cart};
use crate::directory::Entry;

const KIND: &str = "/apis/example.com/v1";
const SEARCH: &str = "/apis/example.com/v1/namespaces/shop/searches/cart";

fn targeted(entry: &mut Entry) {
    entry.target = ScaleTarget::parse("example.com/v1/Search/cart").map(Arc::new);
}

fn hold() -> Hold {
    Hold { id: HoldId::new("a-1"), by: "a".into(), targets: Targets::All }
}

fn search(replicas: u32) -> Value {
    json!({"metadata": {"name": "cart", "uid": "u-search", "generation": 1}, "spec": {"replicas": replicas}, "status": {}})
}

fn resources(names: &[&str]) -> Value {
    let all: Vec<Value> = names.iter().map(|name| json!({"name": name, "kind": "Search"})).collect();
    json!({"metadata": {}, "resources": all})
}

/// A stage whose `cart` has its count from a Search.
async fn stage(replicas: u32) -> Stage {
    let stage = Stage::kept(replicas).await;
    stage.objects().put(KIND, resources(&["searches", "searches/status", "searches/scale"]));
    stage.objects().put(SEARCH, search(replicas));
    stage.show_as(targeted);
    let kept =
        |stage: &Stage| stage.originals().get("shop.cart").is_some_and(|kept| !kept["target"].is_null());
    stage.comes("it is kept anew", kept).await;
    stage
}

fn count(stage: &Stage) -> u64 {
    stage.objects().object(SEARCH).unwrap()["spec"]["replicas"].as_u64().unwrap()
}

/// Whether an Event says this.
fn told(stage: &Stage, part: &str) -> bool {
    stage.objects().events.iter().any(|event| event["note"].as_str().unwrap().contains(part))
}

/// As its controller does it: once the Search has `to`, `cart` gets it.
async fn follows(stage: &Stage, to: u64) {
    stage.comes("the Search has it", |stage| count(stage) == to).await;
    stage.objects().change(CART, |cart| cart["spec"]["replicas"] = json!(to));
}

#[tokio::test(start_paused = true)]
async fn a_count_is_written_where_it_is_and_waited_for_where_it_shows() {
    let stage = stage(2).await;
    let (platform, cart) = (stage.changing.platform(), cart());
    assert_eq!(stage.originals()["shop.cart"]["target"], "example.com/v1/Search/cart");
    let held = platform.hold(&cart, Some(hold())).await.unwrap();
    let zero = Scale { to: 0, victims: vec![], expected: Expected::Version(held) };
    let (version, ()) = tokio::join!(platform.scale(&cart, zero), follows(&stage, 0));
    let shown = stage.objects().object(CART).unwrap()["metadata"]["resourceVersion"].clone();
    assert_eq!(shown, version.unwrap().to_string(), "that of what follows");
    let lines = stage.log.lines();
    assert!(!lines.iter().any(|line| line.contains("deployments/cart/scale")), "{lines:?}");
    stage.show_as(|entry| {
        targeted(entry);
        entry.replicas = 0;
    });
    let wake = Scale { to: 1, victims: vec![], expected: Expected::Replicas(0) };
    let (woken, ()) = tokio::join!(platform.scale(&cart, wake.clone()), follows(&stage, 1));
    assert!(woken.is_ok());
    assert!(platform.scale(&cart, wake).await.is_ok(), "twice is once");
    let other = Scale { to: 3, victims: vec![], expected: Expected::Replicas(0) };
    assert_eq!(platform.scale(&cart, other).await, Err(Refusal::Conflict));
    // Left, the Search has what it had.
    stage.show_as(|entry| {
        targeted(entry);
        entry.mode = Mode::Off;
    });
    stage.comes("it is put back", |stage| count(stage) == 2 && stage.originals().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn what_takes_the_hold_away_or_changes_the_count_is_a_conflict() {
    for change in ["hold", "count"] {
        let stage = stage(2).await;
        let platform = stage.changing.platform();
        let held = platform.hold(&cart(), Some(hold())).await.unwrap();
        match change {
            "hold" => stage.objects().change(CART, |cart| cart["metadata"]["annotations"] = json!({})),
            _ => stage.objects().change(SEARCH, |search| search["spec"]["replicas"] = json!(5)),
        }
        let before = count(&stage);
        let zero = Scale { to: 0, victims: vec![], expected: Expected::Version(held) };
        assert_eq!(platform.scale(&cart(), zero).await, Err(Refusal::Conflict), "{change}");
        assert_eq!(count(&stage), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_as_the_rule_that_it_takes_and_nothing_sleeps_without() {
    let stage = Stage::kept(2).await;
    stage.objects().put(KIND, resources(&["searches", "searches/scale"]));
    stage.objects().put(SEARCH, search(2));
    stage.objects().refusals = vec![("searches/cart/scale", 403)];
    stage.show_as(targeted);
    let note = |stage: &Stage| {
        let objects = stage.objects();
        let refused = objects.events.iter().find(|event| event["reason"] == "TargetNotScaled");
        refused.map(|event| event["note"].as_str().unwrap().to_owned())
    };
    stage.comes("it is told", |stage| note(stage).is_some()).await;
    let note = note(&stage).unwrap();
    for part in [
        "apiGroups [\"example.com\"], resources [\"searches/scale\"], verbs [get, patch]",
        "kubectl create role kaos-scale-target -n shop --verb=get,patch --resource=searches.example.com/scale",
    ] {
        assert!(note.contains(part), "{note}");
    }
    let refused = stage.changing.platform().hold(&cart(), Some(hold())).await;
    assert!(matches!(refused, Err(Refusal::Failed(_))), "{refused:?}");
    // Whatever is shown meanwhile.
    stage.log.clear();
    for _ in 0..50 {
        stage.show_as(targeted);
        sleep(Duration::from_millis(20)).await;
    }
    let tries = stage.log.lines().iter().filter(|line| line.contains("searches/cart/scale")).count();
    assert!(tries <= 1, "{tries} within a second");
    stage.objects().refusals.clear();
    let kept =
        |stage: &Stage| stage.originals().get("shop.cart").is_some_and(|kept| !kept["target"].is_null());
    stage.comes("it is kept once it may be scaled", kept).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_without_a_scale_is_told() {
    let stage = Stage::kept(1).await;
    stage.objects().put(KIND, resources(&["searches"]));
    stage.show_as(targeted);
    stage.comes("it is told", |stage| told(stage, "no Search of example.com/v1 with a scale")).await;
}

#[tokio::test(start_paused = true)]
async fn what_isnt_followed_is_put_back_before_its_hold_goes() {
    let stage = stage(2).await;
    let platform = stage.changing.platform();
    let held = platform.hold(&cart(), Some(hold())).await.unwrap();
    let zero = Scale { to: 0, victims: vec![], expected: Expected::Version(held) };
    let Err(Refusal::Failed(why)) = platform.scale(&cart(), zero).await else { panic!("it was written") };
    assert!(why.contains("hasn't followed") && why.ends_with("put back"), "{why}");
    assert_eq!(count(&stage), 2);
    stage.comes("it is told", |stage| told(stage, &why)).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_goes_away_is_told_to_who_waits_and_its_count_is_the_workloads_own() {
    let stage = stage(2).await;
    stage.objects().remove(SEARCH);
    stage.objects().change(CART, |cart| cart["spec"]["replicas"] = json!(0));
    stage.show_as(targeted);
    let wake = Scale { to: 1, victims: vec![], expected: Expected::Replicas(0) };
    let refused = stage.changing.platform().scale(&cart(), wake).await;
    let why = "not scaled: there is no example.com/v1/Search/cart in shop";
    assert_eq!(refused, Err(Refusal::Failed(why.into())));
    stage.comes("it is told", |stage| told(stage, why)).await;
    // Its kind goes, too.
    stage.objects().remove(KIND);
    stage.show_as(|entry| entry.adopted = false);
    stage.comes("it is put back", |stage| stage.replicas() == 2 && stage.originals().is_empty()).await;
}
