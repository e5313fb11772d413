//! What the cluster's objects are called and how they stood when they were last seen: what a write needs to know beyond
//! the snapshot. Swapped whole, together with each snapshot; nothing here is decided.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kaos_core::annotation::ScaleTarget;
use kaos_core::snapshot::{HandedTo, Hold, Mode};
use kaos_core::{EndpointUid, WorkloadId};

use crate::controller::Controller;

/// The Deployments and StatefulSets that concern Kaos: every one that carries an annotation under `kaos.dev/`, whether adopted or not.
#[derive(Debug, Default)]
pub struct Directory {
    entries: ArcSwap<HashMap<WorkloadId, Arc<Entry>>>,
}

/// One Deployment or StatefulSet as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which of the two it is.
    pub controller: Controller,
    /// Its UID: the same name with another UID is another object.
    pub uid: Arc<str>,
    /// Its resource version.
    pub version: u64,
    /// Its generation: grows with each change of its spec.
    pub generation: i64,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Whether pods of more than one template may be about: an update isn't finished, or wasn't seen yet by its
    /// controller.
    pub rolling: bool,
    /// Whether it is in the snapshot.
    pub adopted: bool,
    /// Whether its count is Kaos's to change. [`Mode::Off`] where it isn't adopted.
    pub mode: Mode,
    /// The hold that it carries, if it can be read.
    pub hold: Option<Hold>,
    /// Whether it carries the annotation `kaos.dev/hold`, readable or not: to be removed when Kaos leaves.
    pub marked: bool,
    /// Who else last wrote its count, if it is known: `manager (subresource)`.
    pub contender: Option<String>,
    /// The object that has its count, if that is another.
    pub target: Option<Arc<ScaleTarget>>,
    /// Who decides on its count above zero, if that isn't Kaos.
    pub handed_to: Option<HandedTo>,
    /// The object of the other kind and the same name that asks to be Kaos's too, and isn't: its UID.
    pub namesake: Option<(Controller, Arc<str>)>,
    /// Annotations that aren't allowed as they are: one sentence each. The last good ones stay in force.
    pub invalid: Arc<[String]>,
    /// Its pods that have an address, by UID.
    pub pods: Arc<HashMap<EndpointUid, PodName>>,
}

/// What a pod is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// Its name; its namespace is the workload's.
    pub name: Arc<str>,
    /// The ReplicaSet that made it, where its name tells.
    pub replica_set: Option<Arc<str>>,
}

impl Directory {
    /// The object behind `workload`, if it exists and concerns Kaos.
    pub fn entry(&self, workload: &WorkloadId) -> Option<Arc<Entry>> {
        self.entries.load().get(workload).cloned()
    }

    /// All of them at one moment.
    pub fn entries(&self) -> Arc<HashMap<WorkloadId, Arc<Entry>>> {
        self.entries.load_full()
    }

    /// Puts `entries` in the place of all that was known.
    pub fn replace(&self, entries: HashMap<WorkloadId, Arc<Entry>>) {
        self.entries.store(Arc::new(entries));
    }
}
