//! Watches of pods, only for workloads that wake: addresses a hop earlier than slices have them, and why starts fail.
//!
//! Bounded: with too many waking at once the one that has been watched longest is given up; slices and the Deployment's
//! own conditions still tell.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kaos_core::WorkloadId;
use kube::Client;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::follow::{Follow, Said, Which};
use crate::news::Change;
use crate::object::Pod;
use crate::pods::Pods;
use crate::task::Task;

/// Most workloads whose pods are watched at one time.
const WATCHES: usize = 128;

/// A watch begins this much later: the count of a burst is still being written, and every process of Kaos begins one. No
/// pod has an address sooner after its making: a node makes a network for it first.
const PAUSE: Duration = Duration::from_millis(100);

/// The watches that run.
pub(crate) struct Waking {
    client: Client,
    out: mpsc::Sender<Change>,
    running: HashMap<WorkloadId, Running>,
    /// Given up because there were too many, until they stop waking.
    given_up: HashSet<WorkloadId>,
    number: u64,
}

#[derive(Debug)]
struct Running {
    number: u64,
    selector: Box<str>,
    _task: Task,
}

impl Waking {
    pub(crate) fn new(client: Client, out: mpsc::Sender<Change>) -> Self {
        Waking { client, out, running: HashMap::new(), given_up: HashSet::new(), number: 0 }
    }

    /// Watches the pods of `wanted` (and their selectors) and of nobody else. Returns whose pods aren't watched any more.
    pub(crate) fn watch(&mut self, wanted: &HashMap<WorkloadId, Box<str>>) -> Vec<WorkloadId> {
        self.given_up.retain(|id| wanted.contains_key(id));
        let stays = |id: &WorkloadId, running: &Running| wanted.get(id) == Some(&running.selector);
        let mut stopped: Vec<WorkloadId> = self
            .running
            .iter()
            .filter(|(id, running)| !stays(id, running))
            .map(|(id, _)| id.clone())
            .collect();
        self.running.retain(|id, running| stays(id, running));
        for (id, selector) in wanted {
            if self.running.contains_key(id) || self.given_up.contains(id) {
                continue;
            }
            if self.running.len() >= WATCHES
                && let Some(oldest) = self.running.iter().min_by_key(|(_, running)| running.number)
            {
                let oldest = oldest.0.clone();
                self.running.remove(&oldest);
                self.given_up.insert(oldest.clone());
                stopped.push(oldest);
            }
            self.begin(id, selector);
        }
        stopped
    }

    /// Whether what the watch of this number says is still wanted.
    pub(crate) fn heeds(&self, id: &WorkloadId, number: u64) -> bool {
        self.running.get(id).is_some_and(|running| running.number == number)
    }

    fn begin(&mut self, id: &WorkloadId, selector: &str) {
        self.number += 1;
        let number = self.number;
        let workload = id.clone();
        let follow = Follow {
            what: "pods",
            client: self.client.clone(),
            namespace: Some(id.namespace().to_owned()),
            which: Which::Labels(selector.to_owned()),
            change: Box::new(move |said| Change::Pods(workload.clone(), number, pods(said))),
        };
        let out = self.out.clone();
        let task = Task::spawn(async move {
            sleep(PAUSE).await;
            follow.run(out).await;
        });
        self.running.insert(id.clone(), Running { number, selector: selector.into(), _task: task });
    }
}

fn pods(said: Said<Pod>) -> Pods {
    match said {
        Said::All(all) => Pods::All(all.into_iter().map(|((_, name), pod)| (name, pod)).collect()),
        Said::One((_, name), pod) => Pods::One(name, pod.map(Box::new)),
    }
}
