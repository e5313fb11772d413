//! Which proxy a replica's slots belong to, so that several proxies keep one hard limit without asking each other.
//!
//! Rendezvous hashing: of all proxies the one with the highest score for a slot has it. Everybody who knows the same proxies
//! comes to the same answer, and when one comes or goes only the slots that it gets or had change hands. The scores are part
//! of what proxies of different versions have to agree on: they must never change.

use kaos_core::{EndpointUid, ProxyId};

/// Slots are dealt out one by one up to so many per replica, and in so many equal parts above.
const PARTS: u32 = 256;

/// How many of the `limit` slots of the replica `uid` each of `proxies` has, in their order.
pub(crate) fn shares(uid: &EndpointUid, limit: u32, proxies: &[ProxyId]) -> Vec<u32> {
    let mut shares = vec![0; proxies.len()];
    let hashes: Vec<u64> = proxies.iter().map(|proxy| hash(proxy.as_str())).collect();
    let parts = limit.min(PARTS);
    for part in 0..parts {
        let seed = mix(hash(uid.as_str()).wrapping_add(u64::from(part).wrapping_mul(GOLDEN)));
        let score = |at: &usize| hashes.get(*at).map(|hash| (mix(seed ^ hash), proxies.get(*at)));
        let owner = (0..proxies.len()).max_by_key(score);
        if let Some(share) = owner.and_then(|owner| shares.get_mut(owner)) {
            *share += limit / parts + u32::from(part < limit % parts);
        }
    }
    shares
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// FNV-1a, 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The end of SplitMix64: neighbours share no digits.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ids(names: &BTreeSet<String>) -> Vec<ProxyId> {
        names.iter().map(|name| ProxyId::new(name)).collect()
    }

    fn proxies() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[a-z0-9-]{1,20}", 1..8)
    }

    #[test]
    fn the_answer_is_the_same_in_every_version() {
        let proxies = ["kaos-proxy-a", "kaos-proxy-b", "kaos-proxy-c"].map(ProxyId::new);
        let of = |uid: &str, limit| shares(&EndpointUid::new(uid), limit, &proxies);
        assert_eq!([of("pod-1", 1), of("pod-2", 10), of("pod-3", 1000)], FROZEN);
    }

    const FROZEN: [[u32; 3]; 3] = [[1, 0, 0], [2, 5, 3], [335, 330, 335]];

    #[test]
    fn no_proxy_has_no_slot() {
        assert!(shares(&EndpointUid::new("a"), 5, &[]).is_empty());
    }

    #[test]
    fn many_slots_are_spread() {
        let proxies: Vec<_> = (0..4).map(|at| ProxyId::new(&format!("kaos-proxy-{at}"))).collect();
        let mut sums = [0; 4];
        for replica in 0..1000 {
            let of = shares(&EndpointUid::new(&format!("pod-{replica}")), 1, &proxies);
            sums.iter_mut().zip(of).for_each(|(sum, share)| *sum += share);
        }
        assert!(sums.iter().all(|sum| (200..300).contains(sum)), "{sums:?}");
    }

    proptest! {
        #[test]
        fn every_slot_has_one_owner(uid in "[a-f0-9-]{1,36}", limit in 0u32..3000, names in proxies()) {
            let of = shares(&EndpointUid::new(&uid), limit, &ids(&names));
            prop_assert_eq!(of.iter().sum::<u32>(), limit);
        }

        #[test]
        fn the_order_of_the_proxies_says_nothing(limit in 0u32..300, names in proxies()) {
            let (uid, proxies) = (EndpointUid::new("a"), ids(&names));
            let backwards: Vec<_> = proxies.iter().rev().cloned().collect();
            let mut of = shares(&uid, limit, &backwards);
            of.reverse();
            prop_assert_eq!(of, shares(&uid, limit, &proxies));
        }

        /// Who stays keeps everything: what changes hands is what the one who goes had.
        #[test]
        fn only_the_slots_of_who_goes_move(limit in 0u32..3000, names in proxies(), gone: prop::sample::Index) {
            let (uid, before) = (EndpointUid::new("a"), ids(&names));
            let gone = gone.index(before.len());
            let mut after = before.clone();
            after.remove(gone);
            let mut kept = shares(&uid, limit, &before);
            let moved = kept.remove(gone);
            let now = shares(&uid, limit, &after);
            prop_assert!(kept.iter().zip(&now).all(|(kept, now)| kept <= now));
            let gained: u32 = now.iter().sum::<u32>() - kept.iter().sum::<u32>();
            prop_assert_eq!(gained, if after.is_empty() { 0 } else { moved });
        }
    }
}
