//! Coming and leaving: the count is kept once, put back once, and nothing is done on a doubtful picture.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::{Hold, Mode, Targets};
use kaos_core::{HoldId, WorkloadId};
use serde_json::json;
use tokio::time::sleep;

use super::testing::cluster::{CART, Stage, cart};
use super::uninstall::Uninstall;
use crate::controller::Controller;
use crate::directory::Entry;
use crate::note::{Kind, Note, Notes};

fn sleeps(stage: &Stage) {
    stage.objects().change(CART, |cart| {
        cart["spec"]["replicas"] = json!(0);
        cart["metadata"]["annotations"]["kaos.dev/hold"] = json!("left behind");
    });
}

#[tokio::test(start_paused = true)]
async fn the_count_is_kept_once_and_stays_what_it_was() {
    let stage = Stage::kept(3).await;
    let kept = json!({"workload": "shop/cart", "replicas": 3, "uid": "u-cart"});
    assert_eq!(stage.originals()["shop.cart"], kept);
    sleeps(&stage);
    stage.show(Mode::Scale);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(stage.originals()["shop.cart"], kept);
    assert!(!stage.log.lines().iter().any(|line| line.contains("PATCH") && line.contains("configmaps")));
    assert_eq!(stage.reasons(), ["Adopted"]);
    assert_eq!(stage.changing.originals().borrow().values().copied().collect::<Vec<_>>(), [3]);
}

#[tokio::test(start_paused = true)]
async fn an_adoption_tells_what_was_inferred() {
    let stage = Stage::new(3);
    let note = Note { workload: cart(), kind: Kind::Inferred, text: "host cart.shop.example".into() };
    stage.notes.send_replace(Notes { all: Arc::from([note]), ..Notes::default() });
    stage.comes("it is told", |stage| !stage.reasons().is_empty()).await;
    let told = stage.objects().events[0]["note"].as_str().unwrap().to_owned();
    assert_eq!(told, "adopted, with 3 replicas to come back to when it leaves; host cart.shop.example");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_made_anew_is_adopted_anew() {
    let stage = Stage::kept(3).await;
    stage.objects().change(CART, |cart| {
        cart["metadata"]["uid"] = json!("u-new");
        cart["spec"]["replicas"] = json!(5);
    });
    stage.show(Mode::Scale);
    stage.comes("the new count", |stage| stage.originals()["shop.cart"]["replicas"] == 5).await;
    assert_eq!(stage.originals()["shop.cart"]["uid"], "u-new");
}

#[tokio::test(start_paused = true)]
async fn every_way_to_leave_brings_a_sleeping_workload_back() {
    for way in ["off", "observe", "opted out", "unseen"] {
        let stage = Stage::kept(3).await;
        sleeps(&stage);
        match way {
            "off" => stage.show(Mode::Off),
            "observe" => stage.show(Mode::Observe("a NodePort Service".into())),
            "opted out" => stage.show_as(|entry| entry.adopted = false),
            _ => {
                // It left while no autoscaler ran: the directory knows nothing of it.
                let cart = stage.objects().object(CART).cloned().unwrap();
                stage.objects().remove(CART);
                stage.show(Mode::Scale);
                stage.objects().put(CART, cart);
            }
        }
        stage.comes(way, |stage| stage.replicas() == 3 && stage.originals().is_empty()).await;
        assert!(stage.annotations(CART).get("kaos.dev/hold").is_none(), "{way}");
        stage
            .comes("it is told", |stage| stage.reasons().last().is_some_and(|reason| reason == "Left"))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_has_more_replicas_by_now_keeps_them_and_one_that_is_gone_is_forgotten() {
    let stage = Stage::kept(2).await;
    stage.objects().change(CART, |cart| cart["spec"]["replicas"] = json!(7));
    stage.show(Mode::Off);
    stage.comes("it is forgotten", |stage| stage.originals().is_empty()).await;
    assert_eq!(stage.replicas(), 7);

    let stage = Stage::kept(2).await;
    stage.objects().remove(CART);
    stage.show(Mode::Scale);
    stage.comes("it is forgotten", |stage| stage.originals().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_leaves_and_comes_back_has_the_count_it_had() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    stage.show(Mode::Off);
    stage.comes("it is put back", |stage| stage.replicas() == 3 && stage.originals().is_empty()).await;
    // The directory doesn't show our own write yet.
    stage.show_as(|entry| entry.replicas = 0);
    stage.comes("it is kept", |stage| stage.originals().contains_key("shop.cart")).await;
    assert_eq!(stage.originals()["shop.cart"]["replicas"], 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_cant_be_put_back_is_in_nobodys_way() {
    let stage = Stage::new(3);
    {
        let mut objects = stage.objects();
        objects.refusals = vec![("deployments/other", 500)];
        let other = json!({"workload": "shop/other", "replicas": 1, "uid": "u-other"}).to_string();
        let path = format!("/api/v1/namespaces/kaos-system/configmaps/{}", super::shard_name(0));
        objects.change(&path, |map| map["data"]["shop.other"] = json!(other));
    }
    stage.comes("the count is kept", |stage| stage.originals().contains_key("shop.cart")).await;
    sleeps(&stage);
    stage.show(Mode::Off);
    stage.comes("it is put back", |stage| stage.replicas() == 3).await;
    stage.comes("it is forgotten", |stage| stage.originals().len() == 1).await;
    stage.objects().refusals.clear();
    stage.comes("and the other, once it can be asked for", |stage| stage.originals().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn many_that_cant_be_put_back_take_nobodys_place() {
    let stage = Stage::kept(3).await;
    let path = path_of_cart(&stage);
    {
        let mut objects = stage.objects();
        objects.refusals = vec![("deployments/other", 500)];
        objects.change(&path, |map| {
            for at in 0..300 {
                let workload = format!("shop/other-{at}");
                let other = json!({"workload": workload, "replicas": 1, "uid": "u-other"}).to_string();
                map["data"][format!("shop.other-{at}")] = json!(other);
            }
        });
    }
    // A new leader finds them all.
    stage.synced.send_replace(false);
    sleep(Duration::from_secs(1)).await;
    stage.synced.send_replace(true);
    sleeps(&stage);
    stage.show(Mode::Off);
    stage.comes("it is put back", |stage| stage.replicas() == 3).await;
    stage.comes("it is forgotten", |stage| !stage.originals().contains_key("shop.cart")).await;
    assert_eq!(stage.originals().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_configmap_that_cant_be_written_keeps_nobody_from_leaving() {
    let stage = Stage::kept(3).await;
    let own = path_of_cart(&stage);
    let maps = (0..super::SHARDS).map(super::shard_name).filter(|name| !own.ends_with(name));
    stage.objects().refusals = maps.map(|name| (&*name.leak(), 500)).collect();
    sleeps(&stage);
    stage.show(Mode::Off);
    // Others come, and most of them can't be kept.
    let mut entries = (*stage.directory.entries()).clone();
    let cart_now = entries[&cart()].clone();
    for at in 0..40 {
        let entry = Entry { uid: format!("u-{at}").into(), mode: Mode::Scale, ..(*cart_now).clone() };
        entries.insert(WorkloadId::new("shop", &format!("new-{at}")), Arc::new(entry));
    }
    stage.directory.replace(entries);
    stage.comes("it is put back", |stage| stage.replicas() == 3).await;
    stage.comes("it is forgotten", |stage| !stage.originals().contains_key("shop.cart")).await;
    // Those that could be kept are told so, and no others.
    let kept = stage.originals().len();
    assert!((1..40).contains(&kept), "{kept}");
    let adopted = |stage: &Stage| stage.reasons().iter().filter(|reason| *reason == "Adopted").count();
    stage.comes("they are told", |stage| adopted(stage) == kept + 1).await;
}

#[tokio::test(start_paused = true)]
async fn who_left_is_told_so_once_however_long_its_record_stays() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    stage.objects().refusals = vec![("PATCH /api/v1/namespaces/kaos-system/configmaps", 500)];
    stage.show(Mode::Off);
    stage.comes("it is put back", |stage| stage.replicas() == 3).await;
    sleep(Duration::from_secs(120)).await;
    stage.objects().refusals.clear();
    let left = |stage: &Stage| stage.reasons().iter().filter(|reason| *reason == "Left").count();
    stage.comes("it is told", |stage| left(stage) > 0).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!((left(&stage), stage.originals().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_at_once_has_not_left() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    stage.show(Mode::Off);
    sleep(Duration::from_secs(1)).await;
    stage.show(Mode::Scale);
    sleep(Duration::from_secs(10)).await;
    assert_eq!((stage.replicas(), stage.originals().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_typo_leaves_a_minute_to_correct_it() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    stage.show_as(|entry| {
        entry.adopted = false;
        entry.invalid = Arc::from(["kaos.dev/target = x".to_owned()]);
    });
    sleep(Duration::from_secs(50)).await;
    assert_eq!(stage.replicas(), 0);
    stage.comes("nobody else would wake it", |stage| stage.replicas() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_under_an_earlier_leadership_is_read_again_before_it_counts() {
    let stage = Stage::kept(3).await;
    let mut leading = stage.changing.leading();
    stage.objects().refusals = vec![("leases", 403)];
    leading.wait_for(|leads| !leads).await.unwrap();
    // Another leader puts it back and forgets it.
    let path = path_of_cart(&stage);
    stage.objects().change(&path, |map| map["data"] = json!({}));
    stage.objects().refusals = vec![("configmaps", 500)];
    leading.wait_for(|leads| *leads).await.unwrap();
    let hold = Hold { id: HoldId::new("a-1"), by: "a".into(), targets: Targets::All };
    let refused = stage.changing.platform().hold(&cart(), Some(hold)).await;
    assert!(matches!(&refused, Err(Refusal::Failed(why)) if why.contains("kept")), "{refused:?}");
    assert_eq!(stage.changing.originals().borrow().len(), 1, "who reads goes by what was known last");
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_isnt_whole_proves_nothing() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    stage.synced.send_replace(false);
    stage.directory.replace(Default::default());
    sleep(Duration::from_secs(60)).await;
    assert_eq!((stage.replicas(), stage.originals().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_count_that_another_wrote_meanwhile_is_read_again() {
    let stage = Stage::kept(1).await;
    // The ConfigMaps move on under us: a predecessor's late write.
    for shard in 0..super::SHARDS {
        let path = format!("/api/v1/namespaces/kaos-system/configmaps/{}", super::shard_name(shard));
        stage.objects().change(&path, |map| map["data"]["other.one"] = json!("not ours to read"));
    }
    stage.objects().change(CART, |cart| cart["metadata"]["uid"] = json!("u-new"));
    stage.show(Mode::Scale);
    let value = |stage: &Stage| {
        let path = path_of_cart(stage);
        stage.objects().object(&path).cloned().unwrap()
    };
    stage
        .comes("it is kept", |stage| {
            value(stage)["data"]["shop.cart"].as_str().is_some_and(|text| text.contains("u-new"))
        })
        .await;
    assert_eq!(value(&stage)["data"]["other.one"], "not ours to read");
}

/// The ConfigMap that has the cart.
fn path_of_cart(stage: &Stage) -> String {
    let path = |shard| format!("/api/v1/namespaces/kaos-system/configmaps/{}", super::shard_name(shard));
    let objects = stage.objects();
    let has = |shard: &usize| objects.object(&path(*shard)).unwrap()["data"].get("shop.cart").is_some();
    path((0..super::SHARDS).find(has).unwrap())
}

#[tokio::test(start_paused = true)]
async fn uninstalling_is_a_plan_that_is_shown_and_then_done() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    let objects = stage.objects.clone();
    stage.changing.stop().await;
    let (client, log) = super::testing::fake(move |seen| objects.lock().unwrap().serve(seen));
    let mut uninstall = Uninstall::new(client, "kaos-system");
    let plan = uninstall.plan().await.unwrap();
    assert_eq!(plan.to_string(), "shop/cart: 0 to 3 replicas, without its hold\n");
    assert!(log.all().iter().all(|seen| seen.method == "GET"), "nothing is changed by planning");
    uninstall.lead(Duration::from_secs(5)).await.unwrap();
    assert_eq!(uninstall.apply(&plan).await, []);
    let again = uninstall.plan().await.unwrap();
    assert!(again.restorations.is_empty() && again.gone.is_empty());
    let put_back = log.lines();
    assert!(put_back.contains(&format!("PATCH {CART}/scale")), "{put_back:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_cant_be_looked_at_keeps_no_other_from_being_put_back() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    let path = path_of_cart(&stage);
    let other = json!({"workload": "secret/other", "replicas": 1, "uid": "u-other"}).to_string();
    stage.objects().change(&path, |map| map["data"]["secret.other"] = json!(other));
    stage.objects().refusals = vec![("namespaces/secret/deployments", 403)];
    let objects = stage.objects.clone();
    stage.changing.stop().await;
    let (client, _) = super::testing::fake(move |seen| objects.lock().unwrap().serve(seen));
    let mut uninstall = Uninstall::new(client, "kaos-system");
    uninstall.lead(Duration::from_secs(5)).await.unwrap();
    let plan = uninstall.plan().await.unwrap();
    assert!(plan.to_string().contains("secret/other: can't be looked at: Kaos lacks a right"), "{plan}");
    let failed = uninstall.apply(&plan).await;
    assert_eq!(failed.iter().map(|(workload, _)| workload.name()).collect::<Vec<_>>(), ["other"]);
    let again = uninstall.plan().await.unwrap();
    assert_eq!((again.restorations.len(), again.unseen.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_put_back_under_an_autoscaler_that_leads() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    let objects = stage.objects.clone();
    let (client, log) = super::testing::fake(move |seen| objects.lock().unwrap().serve(seen));
    let mut uninstall = Uninstall::new(client, "kaos-system");
    let trouble = uninstall.lead(Duration::from_secs(20)).await.unwrap_err().to_string();
    assert!(trouble.contains("kubectl get lease -n kaos-system kaos-autoscaler"), "{trouble}");
    assert!(trouble.contains(": kaos-autoscaler-0_"), "it says who: {trouble}");
    let plan = uninstall.plan().await.unwrap();
    assert_eq!(uninstall.apply(&plan).await.len(), 1);
    assert_eq!((stage.replicas(), stage.originals().len()), (0, 1));
    assert!(log.all().iter().all(|seen| seen.method == "GET"), "{:?}", log.lines());
    // Who may not is told that, not to stop somebody.
    stage.objects().refusals = vec![("leases", 403)];
    let trouble = uninstall.lead(Duration::from_secs(20)).await.unwrap_err().to_string();
    assert!(trouble.contains("lacks a right") && !trouble.contains("holds it"), "{trouble}");
}

const SET: &str = "/apis/apps/v1/namespaces/shop/statefulsets/cart";
const SCALERS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";

#[tokio::test(start_paused = true)]
async fn what_an_autoscaler_has_above_zero_gets_one_when_it_leaves() {
    for (scales, now, then) in [("cart", 0, 1), ("cart", 2, 2), ("other", 0, 3)] {
        let stage = Stage::kept(3).await;
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": scales});
        let scaler = json!({"metadata": {"name": "front"}, "spec": {"scaleTargetRef": target}});
        stage.objects().put(SCALERS, json!({"metadata": {}, "items": [scaler]}));
        stage.objects().change(CART, |cart| cart["spec"]["replicas"] = json!(now));
        stage.show(Mode::Off);
        stage.comes("it is put back", |stage| stage.originals().is_empty()).await;
        assert_eq!(stage.replicas(), then, "{scales} from {now}");
    }
    // Who may not look finds none.
    let stage = Stage::kept(3).await;
    stage.objects().refusals = vec![("horizontalpodautoscalers", 403)];
    sleeps(&stage);
    stage.show(Mode::Off);
    stage.comes("it is put back", |stage| stage.replicas() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn who_loses_its_name_to_another_kind_is_put_back_first() {
    let stage = Stage::kept(3).await;
    sleeps(&stage);
    let mut set = stage.objects().object(CART).cloned().unwrap();
    set["metadata"]["uid"] = json!("u-set");
    set["spec"]["replicas"] = json!(2);
    stage.objects().put(SET, set);
    let taken = |entry: &mut Entry| {
        (entry.controller, entry.uid, entry.replicas) = (Controller::StatefulSet, "u-set".into(), 2);
    };
    stage.show_as(taken);
    stage.comes("it is put back", |stage| stage.replicas() == 3).await;
    stage.show_as(taken);
    let is_kept =
        |stage: &Stage| stage.originals().get("shop.cart").is_some_and(|kept| kept["uid"] == "u-set");
    stage.comes("the other is kept", is_kept).await;
    let kept = json!({"workload": "shop/cart", "controller": "StatefulSet", "replicas": 2, "uid": "u-set"});
    assert_eq!(stage.originals()["shop.cart"], kept);
    // From here on it is the other's count that is changed, and told of.
    let wake = Scale { to: 3, victims: vec![], expected: Expected::Replicas(2) };
    stage.changing.platform().scale(&cart(), wake).await.unwrap();
    assert_eq!(stage.objects().object(SET).unwrap()["spec"]["replicas"], 3);
    stage.comes("it is told", |stage| stage.reasons().contains(&"ScaledUp".to_owned())).await;
    let regarding = stage.objects().events.last().unwrap()["regarding"].clone();
    assert_eq!((&regarding["kind"], &regarding["uid"]), (&json!("StatefulSet"), &json!("u-set")));
}
