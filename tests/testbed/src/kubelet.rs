//! A played kubelet and scheduler for the pods of one namespace: a real Node object, real addresses and processes, and
//! statuses as a kubelet patches them. No container, no image: every pod runs the program that answers as told, with its
//! container's arguments and environment.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use crate::addresses::{CAPACITY, Network};
use crate::binaries::program;
use crate::failure::{Failure, Trying};
use crate::plane::ControlPlane;
use crate::pod::{AGAIN, Behaviour, Played, Station};
use crate::process::{Undo, folder};

/// Plays the pods of one namespace until it is dropped. Its processes end with it; its pods stay as they are.
pub struct Kubelet {
    shared: Arc<Shared>,
    watching: JoinHandle<()>,
    _folder: Undo,
}

struct Shared {
    station: Arc<Station>,
    behaviour: Mutex<Behaviour>,
    // By pod UID.
    pods: Mutex<HashMap<String, Entry>>,
}

/// A pod that is played.
struct Entry {
    name: String,
    delete: watch::Sender<Option<Duration>>,
    running: watch::Receiver<Option<u32>>,
    task: AbortHandle,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Makes a Node of the namespace's name and plays the pods of `namespace` on it.
    pub async fn start(
        plane: &ControlPlane,
        namespace: &str,
        behaviour: Behaviour,
    ) -> Result<Kubelet, Failure> {
        let client = plane.client(plane.admin()).await?;
        let program = program("testbed-answer", "cargo test -p kaos-testbed builds it")?;
        let network = Network::take(222)?;
        register(&client, namespace).await?;
        let (path, undo) = folder()?;
        let pods = Api::namespaced(client, namespace);
        let station = Arc::new(Station { pods, node: namespace.to_owned(), network, program, folder: path });
        let shared = Arc::new(Shared { station, behaviour: Mutex::new(behaviour), pods: Mutex::default() });
        let watching = tokio::spawn(follow(Arc::clone(&shared)));
        Ok(Kubelet { shared, watching, _folder: undo })
    }

    /// Treats pods that appear from here on so.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// An address of the pods' network that no pod gets, for a program that the test runs where a pod would be. Only the
    /// last 50 numbers are such.
    pub fn address(&self, number: u8) -> Option<Ipv4Addr> {
        (usize::from(number) > CAPACITY).then(|| self.shared.station.network.address(number))
    }

    /// Kills the program of the pod `name`. Whether it ran.
    pub fn kill(&self, name: &str) -> bool {
        let pods = self.shared.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let running =
            pods.values().find(|entry| entry.name == name).and_then(|entry| *entry.running.borrow());
        let pid = running.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
    }

    /// The programs that run, by their process ids.
    pub fn processes(&self) -> Vec<u32> {
        let pods = self.shared.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.values().filter_map(|entry| *entry.running.borrow()).collect()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.watching.abort();
        self.shared.pods.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Shared {
    fn applied(self: &Arc<Shared>, pod: Pod) {
        let spec = pod.spec.as_ref();
        let elsewhere =
            spec.and_then(|spec| spec.node_name.as_ref()).is_some_and(|node| *node != self.station.node);
        let (Some(uid), false) = (pod.metadata.uid.clone(), elsewhere) else { return };
        let grace = pod.metadata.deletion_timestamp.is_some().then(|| {
            Duration::from_secs(pod.metadata.deletion_grace_period_seconds.map_or(0, i64::unsigned_abs))
        });
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = pods.entry(uid).or_insert_with(|| self.play(pod));
        if grace.is_some() {
            entry.delete.send_if_modified(|known| {
                known.is_none() && {
                    *known = grace;
                    true
                }
            });
        }
    }

    fn play(self: &Arc<Shared>, pod: Pod) -> Entry {
        let behaviour = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (delete, deleted) = watch::channel(None);
        let (runs, running) = watch::channel(None);
        let name = pod.metadata.name.clone().unwrap_or_default();
        let played = Played::new(Arc::clone(&self.station), pod, behaviour, runs);
        Entry { name, delete, running, task: tokio::spawn(played.play(deleted)).abort_handle() }
    }

    fn retain(&self, lives: impl Fn(&str) -> bool) {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| lives(uid));
    }
}

/// From a watch that failed to the next: always the same. A pod shouldn't wait for who plays it, however long the API server was
/// away.
struct Soon;

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(AGAIN)
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {}
}

async fn follow(shared: Arc<Shared>) {
    let events = watch_objects(shared.station.pods.clone(), watcher::Config::default()).backoff(Soon);
    pin_mut!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            // Made again by the watcher, after a while.
            Err(_) => {}
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => {
                listed.extend(pod.metadata.uid.clone());
                shared.applied(pod);
            }
            Ok(Event::InitDone) => shared.retain(|uid| listed.contains(uid)),
            Ok(Event::Apply(pod)) => shared.applied(pod),
            Ok(Event::Delete(pod)) => shared.retain(|uid| pod.metadata.uid.as_deref() != Some(uid)),
        }
    }
}

async fn register(client: &Client, name: &str) -> Result<(), Failure> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "capacity": {"pods": CAPACITY.to_string()},
            "allocatable": {"pods": CAPACITY.to_string()},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    });
    let owner = PatchParams::apply("kaos-testbed").force();
    nodes.patch(name, &owner, &Patch::Apply(&node)).await.trying("a Node")?;
    nodes.patch_status(name, &owner, &Patch::Apply(&node)).await.trying("a Node's status").map(drop)
}
