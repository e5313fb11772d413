//! The counts found at adoption, for the day a workload leaves: in a few ConfigMaps of Kaos's own namespace.
//!
//! Their names are fixed and ship with the manifests, so that no right to create any is needed. Written on transitions
//! only, by the leader, each against the version it read. Nothing is lowered before its count is kept here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use kaos_core::WorkloadId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::{Fault, cut};
use super::object::{Meta, encode, managed};
use crate::rights;

/// How many ConfigMaps there are: each may have 1 MiB, and an entry takes about 150 bytes.
pub const SHARDS: usize = 8;

/// Longest key of a ConfigMap, in bytes.
const KEY: usize = 253;

/// The ConfigMap's name of a shard.
pub fn shard_name(shard: usize) -> String {
    format!("kaos-originals-{shard}")
}

/// What a workload was at its adoption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Original {
    /// Which workload.
    pub(crate) workload: WorkloadId,
    /// Its count.
    pub(crate) replicas: u32,
    /// The Deployment's: one that was made anew under the name is another.
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
    /// Whether the count of this very object is kept.
    pub(crate) fn has(&self, workload: &WorkloadId, uid: &str) -> bool {
        self.all.load().get(workload).is_some_and(|original| original.uid == uid)
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

#[derive(Deserialize)]
struct ConfigMap {
    metadata: Meta,
    #[serde(default)]
    data: BTreeMap<String, String>,
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
                .map_err(|fault| missing(fault, shard))?;
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
                changes.iter().filter(|(workload, _)| shard_of(workload) == shard).collect();
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
        self.versions[shard] = wrote.map_err(|fault| missing(fault, shard))?.metadata.resource_version;
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
        format!("/api/v1/namespaces/{}/configmaps/{}", encode(&self.namespace), shard_name(shard))
    }
}

fn missing(fault: Fault, shard: usize) -> Fault {
    if fault == Fault::Gone {
        let name = shard_name(shard);
        return Fault::Failed(format!(
            "ConfigMap {name} isn't there; it is among what `kaos install` prints"
        ));
    }
    fault
}

fn entry(workload: &WorkloadId, change: Option<&Original>) -> (String, Value) {
    let value = change.and_then(|original| serde_json::to_string(original).ok());
    (key(workload), value.map_or(Value::Null, Value::String))
}

/// Which ConfigMap: by a hash that stays the same for ever.
fn shard_of(workload: &WorkloadId) -> usize {
    usize::try_from(fnv(workload) % SHARDS as u64).unwrap_or(0)
}

/// `namespace.name`; one that would be too long ends in its hash.
fn key(workload: &WorkloadId) -> String {
    let whole = format!("{}.{}", workload.namespace(), workload.name());
    if whole.len() <= KEY { whole } else { format!("{}.{:016x}", cut(&whole, KEY - 17), fnv(workload)) }
}

/// FNV-1a, 64 bits.
fn fnv(workload: &WorkloadId) -> u64 {
    let bytes = workload.namespace().bytes().chain([b'/']).chain(workload.name().bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_stays_in_its_shard_under_its_key() {
        let shop = WorkloadId::new("prod", "shop");
        assert_eq!((shard_of(&shop), key(&shop)), (shard_of(&shop.clone()), "prod.shop".to_owned()));
        assert_eq!(fnv(&WorkloadId::new("a", "b")), fnv(&WorkloadId::new("a", "b")));
        let long = WorkloadId::new(&"n".repeat(63), &"x".repeat(253));
        assert_eq!(key(&long).len(), KEY);
        assert_ne!(key(&long), key(&WorkloadId::new(&"n".repeat(63), &"x".repeat(252))));
    }

    #[test]
    fn shards_are_filled_alike_and_hashes_never_change() {
        let mut counts = [0; SHARDS];
        for at in 0..8000 {
            counts[shard_of(&WorkloadId::new("ns", &format!("workload-{at}")))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        // FNV-1a of "/" alone, worked out by another program.
        assert_eq!(fnv(&WorkloadId::new("", "")), 0xaf63_a24c_8601_89fe);
    }
}
