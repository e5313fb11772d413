//! A small cluster for tests: Deployments, pods, ConfigMaps, the Lease and Events, with the rules of the API server that
//! our writes rely on. `tests/` checks the same rules against a real one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kaos_core::snapshot::Mode;
use kaos_core::{Snapshot, WorkloadId};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Answer, Jumping, Log, Seen, fake, no, ok};
use crate::change::{Changing, Settings, Sources, shard_name};
use crate::controller::Controller;
use crate::directory::{Directory, Entry};
use crate::note::Notes;
use crate::status::Status;

/// Something that is done to the objects when a line that contains this comes in.
pub(crate) type Meanwhile = (&'static str, fn(&mut Objects));

/// Objects by path, and who refuses what.
#[derive(Default)]
pub(crate) struct Objects {
    by_path: BTreeMap<String, Value>,
    version: u64,
    /// Events written.
    pub(crate) events: Vec<Value>,
    /// A line that contains this is answered with that.
    pub(crate) refusals: Vec<(&'static str, u16)>,
    /// The next line that contains this has this done first.
    pub(crate) meanwhile: Option<Meanwhile>,
}

impl Objects {
    /// Writes the object at `path`, with a version.
    pub(crate) fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!((100 + self.version).to_string());
        self.by_path.insert(path.to_owned(), object.clone());
        object
    }

    pub(crate) fn object(&self, path: &str) -> Option<&Value> {
        self.by_path.get(path)
    }

    /// Changes the object at `path`.
    pub(crate) fn change(&mut self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.by_path[path].clone();
        change(&mut object);
        self.put(path, object);
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.by_path.remove(path);
    }

    pub(crate) fn serve(&mut self, seen: &Seen) -> Answer {
        let line = seen.line();
        if let Some((_, change)) = self.meanwhile.take_if(|(part, _)| line.contains(*part)) {
            change(self);
        }
        if let Some((_, code)) = self.refusals.iter().find(|(part, _)| line.contains(part)) {
            return no(*code);
        }
        let path = seen.path.split('?').next().unwrap().to_owned();
        if seen.method == "POST" {
            self.events.push(seen.body.clone());
            return ok(&seen.body);
        }
        if path.ends_with("/pods") {
            let prefix = format!("{path}/");
            let items: Vec<&Value> = self
                .by_path
                .iter()
                .filter(|(path, _)| path.starts_with(&prefix))
                .map(|(_, pod)| pod)
                .collect();
            return ok(&json!({"metadata": {}, "items": items}));
        }
        let (path, part) = ["/scale", "/status"]
            .iter()
            .find_map(|part| Some((path.strip_suffix(part)?.to_owned(), *part)))
            .unwrap_or((path.clone(), ""));
        let Some(found) = self.by_path.get(&path).cloned() else { return no(404) };
        match (&*seen.method, part) {
            ("GET", "/scale") => ok(&scale_of(&found)),
            ("GET", _) => ok(&found),
            (_, "/scale") => self.scale(&path, found, seen),
            (_, "/status") => self.annotate(&path, found, seen),
            ("PUT", _) if is_stale(&found, &seen.body) => no(409),
            ("PUT", _) => ok(&self.put(&path, seen.body.clone())),
            _ => self.merge(&path, found, seen),
        }
    }

    fn scale(&mut self, path: &str, mut found: Value, seen: &Seen) -> Answer {
        let scale = scale_of(&found);
        let to = if seen.content_type == "application/json-patch+json" {
            let tests = seen.body.as_array().unwrap().iter().filter(|step| step["op"] == "test");
            for test in tests {
                let there = scale.pointer(test["path"].as_str().unwrap()).unwrap_or(&Value::Null);
                if *there != test["value"] {
                    return no(422);
                }
            }
            let mut steps = seen.body.as_array().unwrap().iter();
            steps.find(|step| step["op"] == "add").unwrap()["value"].clone()
        } else if is_stale(&found, &seen.body) {
            return no(409);
        } else {
            seen.body["spec"]["replicas"].clone()
        };
        if seen.path.contains("dryRun=All") {
            return ok(&scale_of(&found));
        }
        if found["spec"]["replicas"] != to {
            found["spec"]["replicas"] = to;
            let generation = found["metadata"]["generation"].as_i64().unwrap();
            found["metadata"]["generation"] = json!(generation + 1);
            found["status"]["observedGeneration"] = json!(generation + 1);
        }
        ok(&scale_of(&self.put(path, found)))
    }

    fn annotate(&mut self, path: &str, mut found: Value, seen: &Seen) -> Answer {
        if is_stale(&found, &seen.body) {
            return no(409);
        }
        for (key, value) in seen.body["metadata"]["annotations"].as_object().into_iter().flatten() {
            let annotations = found["metadata"]["annotations"].as_object_mut().unwrap();
            if value.is_null() {
                annotations.remove(key);
            } else {
                annotations.insert(key.clone(), value.clone());
            }
        }
        if self.by_path[path] == found {
            return ok(&found);
        }
        ok(&self.put(path, found))
    }

    fn merge(&mut self, path: &str, mut found: Value, seen: &Seen) -> Answer {
        if is_stale(&found, &seen.body) {
            return no(409);
        }
        for part in ["data", "binaryData"] {
            let Some(changes) = seen.body[part].as_object() else { continue };
            if found[part].is_null() {
                found[part] = json!({});
            }
            let data = found[part].as_object_mut().unwrap();
            for (key, value) in changes {
                match value.is_null() {
                    true => drop(data.remove(key)),
                    false => drop(data.insert(key.clone(), value.clone())),
                }
            }
        }
        ok(&self.put(path, found))
    }
}

/// As the server makes it: no `replicas` when there are none.
fn scale_of(deployment: &Value) -> Value {
    let meta = &deployment["metadata"];
    let count = &deployment["spec"]["replicas"];
    let spec = if *count == 0 { json!({}) } else { json!({"replicas": count}) };
    json!({
        "metadata": {"name": meta["name"], "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
        "spec": spec,
    })
}

fn is_stale(found: &Value, sent: &Value) -> bool {
    let differs = |key: &str| {
        let sent = &sent["metadata"][key];
        !sent.is_null() && *sent != found["metadata"][key]
    };
    differs("resourceVersion") || differs("uid")
}

/// One autoscaler's writing side in front of such a cluster.
pub(crate) struct Stage {
    pub(crate) objects: Arc<Mutex<Objects>>,
    pub(crate) changing: Changing,
    pub(crate) directory: Arc<Directory>,
    pub(crate) log: Log,
    pub(crate) clock: Jumping,
    snapshots: watch::Sender<Arc<Snapshot>>,
    pub(crate) synced: watch::Sender<bool>,
    pub(crate) notes: watch::Sender<Notes>,
    pub(crate) statuses: watch::Sender<Arc<[Status]>>,
}

/// The workload of most tests.
pub(crate) fn cart() -> WorkloadId {
    WorkloadId::new("shop", "cart")
}

pub(crate) const CART: &str = "/apis/apps/v1/namespaces/shop/deployments/cart";

/// A pod's path.
pub(crate) fn pod(name: &str) -> String {
    format!("/api/v1/namespaces/shop/pods/{name}")
}

impl Stage {
    /// A cluster with `cart` at `replicas`, each with a ready pod, and an autoscaler that leads once it has the Lease.
    pub(crate) fn new(replicas: u32) -> Stage {
        let mut objects = Objects::default();
        for name in crate::change::configmaps() {
            let path = format!("/api/v1/namespaces/kaos-system/configmaps/{name}");
            objects.put(&path, json!({"metadata": {}, "data": {}}));
        }
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kaos-system/leases/kaos-autoscaler";
        objects.put(lease, json!({"metadata": {}, "spec": {}}));
        objects.put(
            CART,
            json!({
                "metadata": {"name": "cart", "namespace": "shop", "uid": "u-cart", "generation": 1,
                    "annotations": {"kaos.dev/enabled": "true"}},
                "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "cart"}}},
                "status": {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas},
            }),
        );
        for at in 0..replicas {
            let name = format!("cart-{at}");
            objects.put(
                &pod(&name),
                json!({
                    "metadata": {"name": name, "namespace": "shop", "uid": format!("u-{at}"), "annotations": {}},
                    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
                }),
            );
        }
        let objects = Arc::new(Mutex::new(objects));
        let served = objects.clone();
        let (client, log) = fake(move |seen| served.lock().unwrap().serve(seen));
        let (directory, clock) = (Arc::new(Directory::default()), Jumping::new());
        let (snapshots, shown) = watch::channel(Arc::default());
        let (synced, whole) = watch::channel(true);
        let (notes, noted) = watch::channel(Notes::default());
        let (statuses, stated) = watch::channel(Arc::default());
        let sources = Sources {
            directory: directory.clone(),
            snapshots: shown,
            synced: whole,
            notes: noted,
            statuses: stated,
        };
        let settings = Settings {
            namespace: "kaos-system".into(),
            lease: "kaos-autoscaler".into(),
            pod: "kaos-autoscaler-0".into(),
            clock: clock.clock(),
        };
        let changing = Changing::start(client, sources, settings);
        let stage = Stage { objects, changing, directory, log, clock, snapshots, synced, notes, statuses };
        stage.show(Mode::Scale);
        stage
    }

    /// A stage whose count is kept already: what is lowered may be.
    pub(crate) async fn kept(replicas: u32) -> Stage {
        let stage = Stage::new(replicas);
        stage.comes("the count is kept", |stage| stage.originals().contains_key("shop.cart")).await;
        stage.log.clear();
        stage
    }

    pub(crate) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    /// The directory as the reading side would have it; `cart` is adopted in `mode`.
    pub(crate) fn show(&self, mode: Mode) {
        self.show_as(|entry| entry.mode = mode);
    }

    pub(crate) fn show_as(&self, change: impl FnOnce(&mut Entry)) {
        let cart_now = self.objects().object(CART).cloned();
        let mut entries = HashMap::new();
        if let Some(found) = cart_now {
            let meta = &found["metadata"];
            let hold = meta["annotations"]["kaos.dev/hold"].as_str();
            let mut entry = Entry {
                controller: Controller::Deployment,
                uid: meta["uid"].as_str().unwrap().into(),
                version: meta["resourceVersion"].as_str().unwrap().parse().unwrap(),
                generation: meta["generation"].as_i64().unwrap(),
                replicas: u32::try_from(found["spec"]["replicas"].as_u64().unwrap()).unwrap(),
                rolling: false,
                adopted: true,
                mode: Mode::Scale,
                hold: hold.and_then(|hold| serde_json::from_str(hold).ok()),
                marked: hold.is_some(),
                contender: None,
                target: None,
                handed_to: None,
                namesake: None,
                invalid: Arc::default(),
                pods: Arc::default(),
            };
            change(&mut entry);
            entries.insert(cart(), Arc::new(entry));
        }
        self.directory.replace(entries);
        self.snapshots.send_modify(|snapshot| {
            let version = snapshot.version + 1;
            *snapshot = Arc::new(Snapshot { version, ..Snapshot::default() });
        });
    }

    /// What the ConfigMaps say.
    pub(crate) fn originals(&self) -> BTreeMap<String, Value> {
        let objects = self.objects();
        let maps = (0..crate::change::SHARDS).filter_map(|shard| {
            objects.object(&format!("/api/v1/namespaces/kaos-system/configmaps/{}", shard_name(shard)))
        });
        let data = maps.flat_map(|map| map["data"].as_object().unwrap().clone());
        data.map(|(key, value)| (key, serde_json::from_str(value.as_str().unwrap()).unwrap())).collect()
    }

    pub(crate) fn replicas(&self) -> u64 {
        self.objects().object(CART).unwrap()["spec"]["replicas"].as_u64().unwrap()
    }

    pub(crate) fn annotations(&self, path: &str) -> Value {
        self.objects().object(path).unwrap()["metadata"]["annotations"].clone()
    }

    /// The reasons of the events so far.
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.objects().events.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until `there`, with a deadline that only a test that fails meets.
    pub(crate) async fn comes(&self, what: &str, there: impl Fn(&Stage) -> bool) {
        let look = async {
            while !there(self) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(180), look).await.unwrap_or_else(|_| {
            panic!("{what}: {:?}", self.log.lines().iter().rev().take(20).collect::<Vec<_>>())
        });
    }
}
