//! The counts found at adoption, for the day a workload leaves: in a few ConfigMaps of Kaos's own namespace.
//!
//! Written on transitions only, by the leader, each against the version it read. Nothing is lowered before its count is kept here.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kaos_core::WorkloadId;
use kaos_core::annotation::ScaleTarget;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::Fault;
use super::object::managed;
use super::shards::{ConfigMap, key, missing, path, shard_of};
use crate::controller::Controller;
use crate::rights;

/// How many ConfigMaps there are: each may have 1 MiB, and an entry takes about 150 bytes.
pub const SHARDS: usize = 8;

/// The ConfigMap's name of a shard.
pub fn shard_name(shard: usize) -> String {
    format!("kaos-originals-{shard}")
}

/// What a workload was at its adoption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Original {
    /// Which workload.
    pub(crate) workload: WorkloadId,
    /// What it is. Records of before there were several have none: Deployments.
    #[serde(default, skip_serializing_if = "Controller::is_usual")]
    pub(crate) controller: Controller,
    /// What has its count, if that is another object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<ScaleTarget>,
    /// Its count.
    pub(crate) replicas: u32,
    /// The object's: one that was made anew under the name is another.
    pub(crate) uid: String,
}

/// Every count that is kept. Cheap to clone and to read.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    all: Arc<ArcSwap<HashMap<WorkloadId, Original>>>,
    counts: watch::Sender<Arc<HashMap<WorkloadId, u32>>>,
}

impl Default for Kept {
    fn default() -> Self {
        Kept { all: Arc::default(), counts: watch::Sender::new(Arc::default()) }
    }
}

impl Kept {
    /// Whether the count of this very object is kept, as that of what has it: `target`, or itself.
    pub(crate) fn has(&self, workload: &WorkloadId, uid: &str, target: Option<&ScaleTarget>) -> bool {
        let all = self.all.load();
        all.get(workload).is_some_and(|kept| kept.uid == uid && kept.target.as_ref() == target)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Arc<HashMap<WorkloadId, Original>> {
        self.all.load_full()
    }

    /// From here on these.
    pub(crate) fn swap(&self, all: HashMap<WorkloadId, Original>) {
        let counts = all.iter().map(|(workload, original)| (workload.clone(), original.replicas)).collect();
        self.all.store(Arc::new(all));
        self.counts.send_replace(Arc::new(counts));
    }

    /// What is kept isn't known any more: another leader may have put back what was kept here. Nothing is until it was read
    /// again; the counts stay what they were last known to be.
    pub(crate) fn doubt(&self) {
        self.all.store(Arc::default());
    }

    /// The counts alone, as they change.
    pub(crate) fn counts(&self) -> watch::Receiver<Arc<HashMap<WorkloadId, u32>>> {
        self.counts.subscribe()
    }
}

/// A change: the count to keep, or to forget.
pub(crate) type Change = (WorkloadId, Option<Original>);

/// The ConfigMaps.
pub(crate) struct Originals {
    api: Arc<Api>,
    namespace: String,
    kept: Kept,
    versions: Vec<String>,
}

impl Originals {
    /// Those in `namespace`, shown through `kept`.
    pub(crate) fn new(api: Arc<Api>, namespace: &str, kept: Kept) -> Self {
        Originals { api, namespace: namespace.to_owned(), kept, versions: Vec::new() }
    }

    /// Reads all of them.
    pub(crate) async fn load(&mut self) -> Result<(), Fault> {
        let (mut all, mut versions) = (HashMap::new(), Vec::new());
        for shard in 0..SHARDS {
            let map: ConfigMap = self
                .api
                .read(rights::GET_CONFIGMAP, self.path(shard))
                .await
                .map_err(|fault| missing(fault, &shard_name(shard)))?;
            versions.push(map.metadata.resource_version);
            let readable = map.data.values().filter_map(|value| serde_json::from_str::<Original>(value).ok());
            all.extend(readable.map(|original| (original.workload.clone(), original)));
        }
        self.versions = versions;
        self.kept.swap(all);
        Ok(())
    }

    /// Writes `changes`, a patch per ConfigMap, and shows what was written. One that fails keeps no other from being
    /// written; after a conflict they must be loaded again.
    pub(crate) async fn write(&mut self, changes: &[Change], may: impl Fn() -> bool) -> Result<(), Fault> {
        let mut failed = None;
        for shard in 0..SHARDS {
            let ours: Vec<&Change> =
                changes.iter().filter(|(workload, _)| shard_of(workload, SHARDS) == shard).collect();
            if !ours.is_empty()
                && let Err(fault) = self.write_shard(shard, &ours, &may).await
                && failed != Some(Fault::Conflict)
            {
                failed = Some(fault);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn write_shard(
        &mut self,
        shard: usize,
        changes: &[&Change],
        may: impl Fn() -> bool,
    ) -> Result<(), Fault> {
        let version = self.versions.get(shard).ok_or_else(|| Fault::Failed("not read yet".into()))?;
        let data: Map<String, Value> =
            changes.iter().map(|(workload, change)| entry(workload, change.as_ref())).collect();
        let body = json!({"metadata": {"resourceVersion": version}, "data": data});
        let ask = Ask::merge(rights::PATCH_CONFIGMAP, managed(&self.path(shard)), &body);
        let deadline = Instant::now() + DEADLINE;
        let wrote = self.api.call::<ConfigMap>(&ask, Turn::Other, deadline, may).await;
        self.versions[shard] =
            wrote.map_err(|fault| missing(fault, &shard_name(shard)))?.metadata.resource_version;
        let mut all = (*self.kept.all()).clone();
        for (workload, change) in changes {
            match change {
                Some(original) => all.insert(workload.clone(), original.clone()),
                None => all.remove(workload),
            };
        }
        self.kept.swap(all);
        Ok(())
    }

    fn path(&self, shard: usize) -> String {
        path(&self.namespace, &shard_name(shard))
    }
}

fn entry(workload: &WorkloadId, change: Option<&Original>) -> (String, Value) {
    let value = change.and_then(|original| serde_json::to_string(original).ok());
    (key(workload), value.map_or(Value::Null, Value::String))
}
