//! What was learned in ConfigMaps, against an API server that keeps objects and their versions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kaos_core::WorkloadId;
use kaos_core::platform::{Refusal, Shelf};
use serde_json::json;

use super::lead::Leadership;
use super::shelf::{Learned, SHARDS, forget, place, shard_name};
use super::testing::cluster::Objects;
use super::testing::{Jumping, Log, fake_api};

const MAPS: &str = "/api/v1/namespaces/kaos-system/configmaps";

struct Scene {
    objects: Arc<Mutex<Objects>>,
    log: Log,
    leads: Leadership,
    api: Arc<super::call::Api>,
}

impl Scene {
    fn new() -> Self {
        let mut objects = Objects::default();
        for shard in 0..SHARDS {
            objects.put(&format!("{MAPS}/{}", shard_name(shard)), json!({"metadata": {}}));
        }
        let objects = Arc::new(Mutex::new(objects));
        let served = objects.clone();
        let (api, log) = fake_api(move |seen| served.lock().unwrap().serve(seen));
        let clock = Jumping::new().clock();
        let leads = Leadership::new(clock.clone());
        leads.extend(clock.now() + Duration::from_secs(3600));
        Scene { objects, log, leads, api }
    }

    fn shelf(&self) -> Learned {
        Learned::new(self.api.clone(), "kaos-system", self.leads.clone())
    }

    fn writes(&self) -> usize {
        self.log.lines().iter().filter(|line| line.starts_with("PATCH")).count()
    }
}

fn shop(at: usize) -> WorkloadId {
    WorkloadId::new("prod", &format!("shop-{at}"))
}

fn kept(bytes: &[u8]) -> Option<Arc<[u8]>> {
    Some(bytes.into())
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_reads_what_the_last_one_wrote() {
    let scene = Scene::new();
    let mut first = scene.shelf();
    assert_eq!(first.look().await, Ok(Vec::new()));
    let entries: Vec<_> = (0..40).map(|at| (shop(at), kept(&[at as u8, 0xff]))).collect();
    first.put(&entries).await.unwrap();
    assert!(scene.writes() <= SHARDS, "one for each ConfigMap");
    first.put(&[(shop(7), None)]).await.unwrap();
    scene.log.clear();
    assert_eq!(first.look().await, Ok(Vec::new()), "its own writes are no news");
    assert_eq!(scene.log.all().len(), SHARDS);
    let mut read = scene.shelf().look().await.unwrap();
    read.sort();
    let mut expected: Vec<_> =
        (0..40).filter(|at| *at != 7).map(|at| (shop(at), [at as u8, 0xff].into())).collect();
    expected.sort();
    assert_eq!(read, expected);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_over_what_somebody_else_wrote() {
    let scene = Scene::new();
    let (mut first, mut second) = (scene.shelf(), scene.shelf());
    first.look().await.unwrap();
    second.look().await.unwrap();
    second.put(&[(shop(1), kept(&[2]))]).await.unwrap();
    assert_eq!(first.put(&[(shop(1), kept(&[1]))]).await, Err(Refusal::Conflict));
    assert_eq!(first.look().await, Ok(vec![(shop(1), [2].into())]), "that ConfigMap is read again");
    first.put(&[(shop(1), kept(&[3]))]).await.unwrap();
    let (name, key) = place(&shop(1));
    let map = scene.objects.lock().unwrap().object(&format!("{MAPS}/{name}")).unwrap().clone();
    assert_eq!(map["binaryData"][&key], "Aw==");
}

#[tokio::test(start_paused = true)]
async fn who_doesnt_lead_any_more_writes_nothing() {
    let scene = Scene::new();
    let mut shelf = scene.shelf();
    shelf.look().await.unwrap();
    scene.leads.extend(kaos_core::Moment::ZERO);
    assert!(shelf.put(&[(shop(1), kept(&[1]))]).await.is_err());
    assert_eq!(scene.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_missing_or_refused_is_named_and_what_was_read_isnt_lost() {
    let scene = Scene::new();
    let mut other = scene.shelf();
    other.look().await.unwrap();
    let entries: Vec<_> = (0..40).map(|at| (shop(at), kept(&[1]))).collect();
    other.put(&entries).await.unwrap();
    let last = format!("{MAPS}/{}", shard_name(SHARDS - 1));
    let map = scene.objects.lock().unwrap().object(&last).unwrap().clone();
    scene.objects.lock().unwrap().remove(&last);
    let mut shelf = scene.shelf();
    let missing = shelf.look().await.unwrap_err().to_string();
    assert!(
        missing.contains("ConfigMap kaos-learned-15 isn't there") && missing.contains("kaos install"),
        "{missing}"
    );
    scene.objects.lock().unwrap().put(&last, map);
    assert_eq!(shelf.look().await.unwrap().len(), 40);
    scene.objects.lock().unwrap().refusals.push(("kaos-learned-3", 403));
    let refused = shelf.put(&entries).await.unwrap_err().to_string();
    assert!(refused.contains("lacks a right"), "{refused}");
    assert_eq!(
        scene.log.lines().iter().filter(|line| line.starts_with("PATCH")).count(),
        2 * SHARDS,
        "all others"
    );
}

/// As `kaos forget` does it.
#[tokio::test(start_paused = true)]
async fn what_is_to_be_forgotten_is_news_and_nothing_is_written_over_it() {
    let scene = Scene::new();
    let mut shelf = scene.shelf();
    shelf.look().await.unwrap();
    let (name, path) = (place(&shop(1)).0, |name: &str| format!("{MAPS}/{name}"));
    for (known, times) in [(0, 1), (0, 2), (7, 8)] {
        let map = scene.objects.lock().unwrap().object(&path(&name)).unwrap().clone();
        let (patch, told) = forget(&shop(1), &map, known);
        assert_eq!(patch["metadata"]["resourceVersion"], map["metadata"]["resourceVersion"]);
        scene
            .objects
            .lock()
            .unwrap()
            .change(&path(&name), |map| map["binaryData"] = patch["binaryData"].clone());
        assert_eq!(shelf.put(&[(shop(1), kept(&[1]))]).await, Err(Refusal::Conflict));
        let news = shelf.look().await.unwrap();
        let read = kaos_core::form::Kept::read(&news[0].1).unwrap();
        assert_eq!((told, read.learned.forgotten(), read.learned.gaps().count()), (times, times as u32, 0));
    }
}

/// 10,000 workloads that have learned as much as can be.
#[test]
fn the_fullest_cluster_has_room() {
    let mut bytes = [0; SHARDS];
    for at in 0..10_000 {
        let (name, key) = place(&WorkloadId::new("a-usual-namespace", &format!("a-usual-deployment-{at}")));
        let shard = (0..SHARDS).find(|shard| shard_name(*shard) == name).unwrap();
        bytes[shard] += key.len() + kaos_core::form::LONGEST;
    }
    // The API server takes 1 MiB.
    assert!(bytes.iter().all(|bytes| *bytes < 768 << 10), "{bytes:?}");
}
