//! Watches against an API server that misbehaves: timelines under paused time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::Snapshot;
use kaos_core::snapshot::Phase;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, PACE, ReadSettings};
use crate::fake::Fake;
use crate::fixture::{deployment, enabled, id, pod, rules, service, slice};
use crate::peers::{PeerService, Peers};

/// No wait in a test is longer than this, in the test's own time.
const PATIENCE: Duration = Duration::from_secs(120);

fn settings(namespaces: &[&str]) -> ReadSettings {
    ReadSettings {
        namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect(),
        hosts: rules(),
        ingress_class: None,
        gateway_class: None,
        entry: ("kaos-system".into(), "kaos-proxy".into()),
        verdicts: None,
        backends: true,
        scalers: true,
        statuses: false,
        origin: Instant::now().into_std(),
        originals: None,
    }
}

fn listed() -> Fake {
    let fake = Fake::new();
    fake.have("deployments", vec![deployment("shop", &enabled()), deployment("plain", &json!({}))]);
    fake.have("services", vec![service("shop", "shop")]);
    fake.have("endpointslices", vec![slice("s", "shop", &[("a", "10.1.0.1", true)])]);
    fake
}

async fn until(
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
    holds: impl Fn(&Snapshot) -> bool,
) -> Arc<Snapshot> {
    let found = timeout(PATIENCE, snapshots.wait_for(|snapshot| holds(snapshot))).await;
    found.expect("in time").expect("a reader").clone()
}

async fn read(fake: &Fake) -> (Cluster, watch::Receiver<Arc<Snapshot>>) {
    let cluster = Cluster::watch(&fake.client(), settings(&[]));
    let mut snapshots = cluster.snapshots();
    until(&mut snapshots, |snapshot| snapshot.version > 0).await;
    for resource in ["deployments", "services", "endpointslices"] {
        fake.until_asked(&format!("{resource}?&watch=true"), 1).await;
    }
    (cluster, snapshots)
}

fn ready(snapshot: &Snapshot) -> usize {
    let endpoints = snapshot.workload(&id("shop")).map(|shop| shop.endpoints.as_slice()).unwrap_or_default();
    endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready).count()
}

fn pods(count: usize) -> Value {
    let names: Vec<(String, String)> =
        (1..=count).map(|at| (format!("p{at}"), format!("10.1.{}.{}", at / 250, at % 250 + 1))).collect();
    let pods: Vec<_> = names.iter().map(|(name, ip)| (name.as_str(), ip.as_str(), true)).collect();
    slice("s", "shop", &pods)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_everything_was_listed_once() {
    let fake = listed();
    fake.stall("services", true);
    let cluster = Cluster::watch(&fake.client(), settings(&[]));
    fake.until_asked("deployments?&watch=true", 1).await;
    fake.until_asked("endpointslices?&watch=true", 1).await;
    // A list that stands still is begun again.
    fake.until_asked("/services?", 3).await;
    assert_eq!((*cluster.synced().borrow(), cluster.snapshots().borrow().version), (false, 0));
    fake.stall("services", false);
    let snapshot = until(&mut cluster.snapshots(), |snapshot| snapshot.version > 0).await;
    assert_eq!((ready(&snapshot), snapshot.workloads.len()), (1, 1));
    timeout(PATIENCE, cluster.synced().wait_for(|synced| *synced)).await.unwrap().unwrap();
    assert!(cluster.directory().entry(&id("shop")).unwrap().adopted);
    assert!(cluster.directory().entry(&id("plain")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_class_of_gateways_that_goes_again_is_waited_for_no_more() {
    let fake = listed();
    let class = json!({"metadata": {"name": "kaos", "uid": "c", "resourceVersion": "8"},
                       "spec": {"controllerName": "kaos.dev/gateway"}});
    fake.have("gatewayclasses", vec![class.clone()]);
    fake.stall("services", true);
    fake.stall("gateways", true);
    let cluster = Cluster::watch(&fake.client(), settings(&[]));
    fake.until_asked("/gateways?", 1).await;
    fake.until_asked("gatewayclasses?&watch=true", 1).await;
    fake.say("gatewayclasses", "DELETED", &class);
    fake.stall("services", false);
    timeout(PATIENCE, cluster.synced().wait_for(|synced| *synced)).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_change_goes_at_once_and_the_rest_together() {
    let fake = listed();
    let (_cluster, mut snapshots) = read(&fake).await;
    sleep(PACE).await;
    let begun = Instant::now();
    fake.say("endpointslices", "MODIFIED", &pods(2));
    let first = until(&mut snapshots, |snapshot| ready(snapshot) == 2).await;
    assert!(begun.elapsed() < PACE);
    for count in 3..=100 {
        fake.say("endpointslices", "MODIFIED", &pods(count));
    }
    let last = until(&mut snapshots, |snapshot| ready(snapshot) == 100).await;
    assert!(last.version <= first.version + 2, "{} after {}", last.version, first.version);
}

#[tokio::test(start_paused = true)]
async fn a_relist_swaps_whole_and_never_shows_an_empty_picture() {
    let fake = listed();
    let (_cluster, mut snapshots) = read(&fake).await;
    fake.have("endpointslices", vec![pods(3)]);
    fake.have("deployments", vec![deployment("shop", &enabled()), deployment("late", &enabled())]);
    let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"});
    for resource in ["deployments", "services", "endpointslices"] {
        fake.say(resource, "ERROR", &gone);
    }
    let mut seen = snapshots.borrow_and_update().clone();
    while ready(&seen) != 3 {
        assert!(ready(&seen) > 0, "{seen:?}");
        timeout(PATIENCE, snapshots.changed()).await.unwrap().unwrap();
        seen = snapshots.borrow_and_update().clone();
    }
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_read_stays_as_it_was_and_others_go_on() {
    let fake = listed();
    let (_cluster, mut snapshots) = read(&fake).await;
    let count = |replicas: Value| {
        let mut shop = deployment("shop", &enabled());
        shop["spec"]["replicas"] = replicas;
        shop
    };
    let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"});
    let desired =
        |snapshot: &Snapshot, name: &str| snapshot.workload(&id(name)).map(|it| it.replicas.desired);
    // In a watch.
    fake.say("services", "ADDED", &service("late", "late"));
    fake.say("deployments", "MODIFIED", &count(json!("three")));
    fake.say("deployments", "ADDED", &deployment("late", &enabled()));
    let both = until(&mut snapshots, |snapshot| desired(snapshot, "late").is_some()).await;
    assert_eq!(desired(&both, "shop"), Some(1));
    // In a list: what isn't there is gone, what can't be read isn't.
    fake.have("deployments", vec![count(json!({})), deployment("last", &enabled())]);
    fake.have("services", vec![service("shop", "shop"), service("last", "last")]);
    fake.say("deployments", "ERROR", &gone);
    fake.say("services", "ERROR", &gone);
    let found =
        |snapshot: &Snapshot| desired(snapshot, "last").is_some() && desired(snapshot, "late").is_none();
    let relisted = until(&mut snapshots, found).await;
    assert_eq!(desired(&relisted, "shop"), Some(1));
    fake.until_asked("deployments?&watch=true", 2).await;
    fake.say("deployments", "MODIFIED", &count(json!(3)));
    until(&mut snapshots, |snapshot| desired(snapshot, "shop") == Some(3)).await;
    // What is gone is gone, whatever is wrong with it.
    fake.say("deployments", "DELETED", &count(json!("three")));
    until(&mut snapshots, |snapshot| desired(snapshot, "shop").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_of_several_pages_is_one_and_begins_again_if_it_expires() {
    let fake = Fake::new();
    let names = ["a", "b", "c", "d", "e"];
    fake.have("deployments", names.map(|name| deployment(name, &enabled())).into());
    fake.have("services", names.map(|name| service(name, name)).into());
    fake.page(2);
    fake.refuse("deployments?&limit=500&continue=4", 410);
    let (_cluster, snapshots) = read(&fake).await;
    let snapshot = snapshots.borrow().clone();
    // The first picture that is shown is whole.
    assert_eq!((snapshot.version, snapshot.workloads.len()), (1, 5));
    assert_eq!(
        (fake.asked("deployments?&limit=500&continue=4"), fake.asked("deployments?&limit=500")),
        (2, 6)
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_as_too_old_is_listed_again() {
    let fake = listed();
    let (_cluster, mut snapshots) = read(&fake).await;
    fake.have("endpointslices", vec![pods(2)]);
    fake.refuse("endpointslices?&watch=true", 410);
    fake.cut("endpointslices");
    until(&mut snapshots, |snapshot| ready(snapshot) == 2).await;
    // The first, the one that was refused, and one from the new list on.
    fake.until_asked("endpointslices?&watch=true", 3).await;
    let lists = fake.asked("endpointslices?&limit");
    // Refused for another reason it is only tried again.
    fake.refuse("endpointslices?&watch=true", 429);
    fake.cut("endpointslices");
    fake.until_asked("endpointslices?&watch=true", 5).await;
    fake.say("endpointslices", "MODIFIED", &pods(3));
    until(&mut snapshots, |snapshot| ready(snapshot) == 3).await;
    assert_eq!(fake.asked("endpointslices?&limit"), lists);
}

#[tokio::test(start_paused = true)]
async fn a_first_list_is_whole_though_one_of_it_cant_be_read() {
    let fake = listed();
    let mut odd = deployment("odd", &enabled());
    odd["spec"] = json!("none");
    let mut nameless = deployment("x", &enabled());
    nameless["metadata"] = json!([]);
    fake.have("deployments", vec![odd, nameless, deployment("shop", &enabled())]);
    let (cluster, snapshots) = read(&fake).await;
    assert_eq!((ready(&snapshots.borrow()), snapshots.borrow().workloads.len()), (1, 1));
    assert!(cluster.directory().entry(&id("odd")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_a_node_fails_those_who_wait_within_5_s() {
    let fake = listed();
    fake.have("endpointslices", vec![]);
    let mut unplaced = pod("a", "1", None, None);
    unplaced["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]);
    fake.have("pods", vec![unplaced]);
    let begun = Instant::now();
    let (_cluster, mut snapshots) = read(&fake).await;
    let shop = |snapshot: &Snapshot| snapshot.workload(&id("shop")).cloned();
    let told =
        until(&mut snapshots, |snapshot| shop(snapshot).is_some_and(|shop| shop.failure.is_some())).await;
    assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
    let told = shop(&told).unwrap();
    assert_eq!(
        (told.failure.as_ref().unwrap().because.as_str(), told.replicas.starting),
        ("unschedulable", 0)
    );
}

#[tokio::test(start_paused = true)]
async fn half_written_json_and_ended_watches_are_gone_on_from() {
    let fake = listed();
    let (_cluster, mut snapshots) = read(&fake).await;
    fake.raw("endpointslices", "{\"type\": \"MODIFIED\", \"obj");
    fake.cut("endpointslices");
    fake.have("endpointslices", vec![pods(4)]);
    fake.until_asked("endpointslices?&watch=true", 2).await;
    fake.say("endpointslices", "MODIFIED", &pods(5));
    until(&mut snapshots, |snapshot| ready(snapshot) == 5).await;
    // What was said may have been a change: everything is listed again.
    fake.have("endpointslices", vec![pods(7)]);
    fake.raw("endpointslices", "no json at all\n");
    until(&mut snapshots, |snapshot| ready(snapshot) == 7).await;
    fake.until_asked("endpointslices?&watch=true", 3).await;
    fake.say("endpointslices", "MODIFIED", &pods(6));
    until(&mut snapshots, |snapshot| ready(snapshot) == 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stands_still_is_begun_again() {
    let fake = listed();
    let (_cluster, mut snapshots) = read(&fake).await;
    let begun = Instant::now();
    timeout(PATIENCE, fake.until_asked("endpointslices?&watch=true", 2)).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(70), "{:?}", begun.elapsed());
    fake.say("endpointslices", "MODIFIED", &pods(2));
    until(&mut snapshots, |snapshot| ready(snapshot) == 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_away_for_an_hour_changes_nothing_and_is_seen_again_within_5_s() {
    let fake = listed();
    let (cluster, mut snapshots) = read(&fake).await;
    let before = snapshots.borrow_and_update().clone();
    fake.down(true);
    sleep(Duration::from_secs(3600)).await;
    assert!(!snapshots.has_changed().unwrap());
    assert!(*cluster.synced().borrow());
    assert_eq!(ready(&before), 1);
    // Tried every 1 to 2 s by each of nine watches.
    let tries = fake.asked("");
    assert!((9 * 1800..9 * 3700).contains(&tries), "{tries}");
    fake.down(false);
    let back = Instant::now();
    let watches = fake.asked("endpointslices?&watch=true");
    fake.until_asked("endpointslices?&watch=true", watches + 1).await;
    fake.say("endpointslices", "MODIFIED", &pods(2));
    until(&mut snapshots, |snapshot| ready(snapshot) == 2).await;
    assert!(back.elapsed() <= Duration::from_secs(5), "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pods_are_watched_while_their_workload_wakes_and_only_then() {
    let fake = listed();
    fake.have("endpointslices", vec![]);
    fake.have("pods", vec![pod("a", "1", Some("10.1.0.1"), Some("ImagePullBackOff"))]);
    let (_cluster, mut snapshots) = read(&fake).await;
    let failed = until(&mut snapshots, |snapshot| {
        snapshot.workload(&id("shop")).is_some_and(|shop| shop.failure.is_some())
    })
    .await;
    let shop = failed.workload(&id("shop")).unwrap();
    assert_eq!((shop.endpoints.len(), shop.endpoints[0].phase), (1, Phase::Starting));
    assert_eq!(shop.failure.as_ref().unwrap().because, "image-pull");
    assert!(fake.asked("/api/v1/namespaces/prod/pods?") > 0 && fake.asked("labelSelector=app%3Dshop") > 0);
    // What still fails has failed once more, though nothing is heard.
    until(&mut snapshots, |snapshot| {
        let failure = snapshot.workload(&id("shop")).and_then(|shop| shop.failure.clone());
        failure.is_some_and(|failure| failure.attempts == 2)
    })
    .await;
    fake.say("endpointslices", "ADDED", &slice("s", "shop", &[("a", "10.1.0.1", true)]));
    let woken = until(&mut snapshots, |snapshot| ready(snapshot) == 1).await;
    assert_eq!(woken.workload(&id("shop")).unwrap().failure, None);
    // Nobody's pods: a watch that stands still would be begun again by then.
    sleep(Duration::from_secs(5)).await;
    let asked = fake.asked("/pods?");
    sleep(Duration::from_secs(300)).await;
    assert_eq!(fake.asked("/pods?"), asked);
}

#[tokio::test(start_paused = true)]
async fn only_the_namespaces_that_were_named_are_read() {
    let fake = listed();
    let cluster = Cluster::watch(&fake.client(), settings(&["prod", "other", "prod"]));
    until(&mut cluster.snapshots(), |snapshot| ready(snapshot) == 1).await;
    for path in ["/apis/apps/v1/namespaces/prod/deployments?", "/api/v1/namespaces/other/services?"] {
        assert!(fake.asked(path) > 0, "{path}");
    }
    assert_eq!(fake.asked("/apis/apps/v1/deployments?"), 0);
}

#[tokio::test(start_paused = true)]
async fn peers_are_the_pods_of_one_service() {
    let fake = Fake::new();
    let mut peers = slice("s", "kaos-proxy-peers", &[("one", "10.1.0.1", true), ("two", "10.1.0.2", false)]);
    peers["ports"] = json!([{"name": "http", "port": 8080}, {"name": "admin", "port": 9090}]);
    fake.have("endpointslices", vec![peers]);
    let watched = Peers::watch(
        &fake.client(),
        PeerService {
            namespace: "kaos-system".into(),
            name: "kaos-proxy-peers".into(),
            data_port: "http".into(),
            admin_port: "admin".into(),
        },
    );
    let (mut data, mut admin) = (watched.data(), watched.admin());
    timeout(PATIENCE, admin.wait_for(|all| all.len() == 2)).await.unwrap().unwrap();
    let data = timeout(PATIENCE, data.wait_for(|all| !all.is_empty())).await.unwrap().unwrap();
    let found: Vec<(&str, SocketAddr)> = data.iter().map(|(id, at)| (id.as_str(), *at)).collect();
    assert_eq!(found, [("one", "10.1.0.1:8080".parse().unwrap())]);
    assert!(fake.asked("labelSelector=kubernetes.io%2Fservice-name%3Dkaos-proxy-peers") > 0);
}
