//! What was learned of workloads, in ConfigMaps of Kaos's own namespace: an entry of bytes each.
//!
//! Read when others have written, which their versions tell; written by the leader alone, only where something is new, each
//! against the version it read.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use kaos_core::WorkloadId;
use kaos_core::form::Kept;
use kaos_core::platform::{Entry, Refusal, Shelf};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::Fault;
use super::lead::Leadership;
use super::object::{Meta, managed};
use super::shards::{ConfigMap, key, missing, of_key, path, shard_of};
use crate::rights;

/// How many ConfigMaps there are: each may have 1 MiB, an entry has 1 KiB at most, and a cluster some 10,000 workloads.
pub(super) const SHARDS: usize = 16;

/// The ConfigMap's name of a shard.
pub(super) fn shard_name(shard: usize) -> String {
    format!("kaos-learned-{shard}")
}

/// Where what was learned of `workload` is: the ConfigMap's name, and the key of its binary data.
pub fn place(workload: &WorkloadId) -> (String, String) {
    (shard_name(shard_of(workload, SHARDS)), key(workload))
}

/// What is to be merged into `map`, the ConfigMap of `workload` as the API server gave it, so that what was learned of it is
/// forgotten; and how often it was then. `known`: how often it was so far, as an autoscaler tells.
pub fn forget(workload: &WorkloadId, map: &Value, known: u64) -> (Value, u64) {
    let key = key(workload);
    let present: Option<ByteString> = serde_json::from_value(map["binaryData"][&key].clone()).ok();
    let kept = present.and_then(|ByteString(kept)| Kept::read(&kept).ok()).unwrap_or_default();
    let times = kept.learned.forgotten().max(u32::try_from(known).unwrap_or(u32::MAX)).saturating_add(1);
    let anew = ByteString(Kept::forgotten(times).write().into());
    let version = &map["metadata"]["resourceVersion"];
    let patch = json!({"metadata": {"resourceVersion": version}, "binaryData": {key: anew}});
    (patch, times.into())
}

/// The ConfigMaps.
pub struct Learned {
    api: Arc<Api>,
    namespace: String,
    leadership: Leadership,
    /// The versions that are known; none of those that have to be read again.
    versions: [Option<String>; SHARDS],
    /// What was read and not handed over, for something else went wrong.
    found: Vec<Entry>,
}

/// An object without its content.
#[derive(Deserialize)]
struct Head {
    metadata: Meta,
}

impl Learned {
    pub(crate) fn new(api: Arc<Api>, namespace: &str, leadership: Leadership) -> Self {
        let versions = [const { None }; SHARDS];
        Learned { api, namespace: namespace.to_owned(), leadership, versions, found: Vec::new() }
    }

    fn path(&self, shard: usize) -> String {
        path(&self.namespace, &shard_name(shard))
    }

    /// Reads a ConfigMap if it isn't as it is known.
    async fn look_at(&mut self, shard: usize) -> Result<(), Fault> {
        let (deadline, path) = (Instant::now() + DEADLINE, self.path(shard));
        if let Some(known) = &self.versions[shard] {
            let ask = Ask::head(rights::GET_CONFIGMAP, path.clone());
            let head: Head = self.api.call(&ask, Turn::Other, deadline, || true).await?;
            if head.metadata.resource_version == *known {
                return Ok(());
            }
        }
        let map: ConfigMap = self.api.read(rights::GET_CONFIGMAP, path).await?;
        self.versions[shard] = Some(map.metadata.resource_version);
        // Of a name that is too long for a key nothing is found again: it begins anew.
        let entry = |(key, ByteString(kept)): (String, ByteString)| Some((of_key(&key)?, kept.into()));
        self.found.extend(map.binary_data.into_iter().filter_map(entry));
        Ok(())
    }

    async fn put_in(&mut self, shard: usize, data: Map<String, Value>) -> Result<(), Fault> {
        let Some(version) = self.versions[shard].take() else { return Err(Fault::Conflict) };
        let body = json!({"metadata": {"resourceVersion": version}, "binaryData": data});
        let ask = Ask::merge(rights::PATCH_CONFIGMAP, managed(&self.path(shard)), &body);
        let (deadline, leadership) = (Instant::now() + DEADLINE, self.leadership.clone());
        let wrote: Head = self.api.call(&ask, Turn::Other, deadline, || leadership.leads()).await?;
        self.versions[shard] = Some(wrote.metadata.resource_version);
        Ok(())
    }
}

impl Shelf for Learned {
    async fn look(&mut self) -> Result<Vec<Entry>, Refusal> {
        for shard in 0..SHARDS {
            let looked = self.look_at(shard).await;
            looked.map_err(|fault| missing(fault, &shard_name(shard)).refusal())?;
        }
        Ok(std::mem::take(&mut self.found))
    }

    async fn put(&mut self, entries: &[(WorkloadId, Option<Arc<[u8]>>)]) -> Result<(), Refusal> {
        let mut shards: BTreeMap<usize, Map<String, Value>> = BTreeMap::new();
        for (workload, kept) in entries {
            let value = kept.as_ref().map_or(Value::Null, |kept| json!(ByteString(kept.to_vec())));
            shards.entry(shard_of(workload, SHARDS)).or_default().insert(key(workload), value);
        }
        let mut failed = None;
        // One that can't be written keeps no other from being written.
        for (shard, data) in shards {
            match self.put_in(shard, data).await {
                Err(fault) if failed != Some(Fault::Conflict) => {
                    failed = Some(missing(fault, &shard_name(shard)));
                }
                _ => {}
            }
        }
        failed.map_or(Ok(()), |fault| Err(fault.refusal()))
    }
}
