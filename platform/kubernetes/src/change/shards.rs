//! What Kaos keeps of workloads is spread over a few ConfigMaps of its own namespace: which one, under which key.
//!
//! Their names are fixed and ship with the manifests, so that no right to create any is needed.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use kaos_core::WorkloadId;
use serde::Deserialize;

use super::fault::{Fault, cut};
use super::object::{Meta, encode};

/// Longest key of a ConfigMap, in bytes.
const KEY: usize = 253;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigMap {
    pub(super) metadata: Meta,
    #[serde(default)]
    pub(super) data: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) binary_data: BTreeMap<String, ByteString>,
}

/// Where the ConfigMap `name` is.
pub(super) fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{}/configmaps/{name}", encode(namespace))
}

/// The same fault, with what to do about it if the ConfigMap `name` isn't there.
pub(super) fn missing(fault: Fault, name: &str) -> Fault {
    if fault == Fault::Gone {
        return Fault::Failed(format!(
            "ConfigMap {name} isn't there; it is among what `kaos install` prints"
        ));
    }
    fault
}

/// Which one of `shards`: by a hash that stays the same for ever.
pub(super) fn shard_of(workload: &WorkloadId, shards: usize) -> usize {
    usize::try_from(fnv(workload) % shards as u64).unwrap_or(0)
}

/// `namespace.name`; one that would be too long ends in its hash.
pub(super) fn key(workload: &WorkloadId) -> String {
    let whole = format!("{}.{}", workload.namespace(), workload.name());
    if whole.len() <= KEY { whole } else { format!("{}.{:016x}", cut(&whole, KEY - 17), fnv(workload)) }
}

/// The workload whose key this is, but for one that ends in a hash.
pub(super) fn of_key(key: &str) -> Option<WorkloadId> {
    // A namespace has no dot (RFC 1123 label).
    let (namespace, name) = key.split_once('.').filter(|_| key.len() < KEY)?;
    Some(WorkloadId::new(namespace, name))
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
        let shop = WorkloadId::new("prod", "shop.v2");
        assert_eq!((shard_of(&shop, 8), key(&shop)), (shard_of(&shop.clone(), 8), "prod.shop.v2".to_owned()));
        assert_eq!(of_key(&key(&shop)), Some(shop));
        assert_eq!(fnv(&WorkloadId::new("a", "b")), fnv(&WorkloadId::new("a", "b")));
        let long = WorkloadId::new(&"n".repeat(63), &"x".repeat(253));
        assert_eq!((key(&long).len(), of_key(&key(&long))), (KEY, None));
        assert_ne!(key(&long), key(&WorkloadId::new(&"n".repeat(63), &"x".repeat(252))));
    }

    #[test]
    fn shards_are_filled_alike_and_hashes_never_change() {
        for shards in [super::super::SHARDS, super::super::shelf::SHARDS] {
            let mut counts = vec![0; shards];
            for at in 0..shards * 1000 {
                counts[shard_of(&WorkloadId::new("ns", &format!("workload-{at}")), shards)] += 1;
            }
            assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        }
        // FNV-1a of "/" alone, worked out by another program.
        assert_eq!(fnv(&WorkloadId::new("", "")), 0xaf63_a24c_8601_89fe);
    }
}
