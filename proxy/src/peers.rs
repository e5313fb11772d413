//! The other proxies: what share of each replica is ours, and who has slots where we have none.
//!
//! A slot that we lose isn't used any more at once; one that we gain is used a moment later, when whoever had it has heard of
//! the change too. So while the set changes, no more is in flight than the slots that were in use when they moved.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use kaos_core::snapshot::StartTimes;
use kaos_core::{EndpointUid, Moment, ProxyId};

use crate::assign::shares;
use crate::slot::{Kind, Slot, WHOLE};

/// After a change of the set: the time until a slot that was gained is used.
const SETTLING: Duration = Duration::from_secs(1);

/// The addresses of the other proxies, for the workers: whose word about a request is believed.
#[derive(Debug, Default)]
pub(crate) struct Believed {
    any: AtomicBool,
    addresses: ArcSwap<HashSet<IpAddr>>,
}

impl Believed {
    /// Whether there is anybody to be believed.
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    /// Whether `address` is another proxy's.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        !self.is_empty() && self.addresses.load().contains(&address)
    }

    fn replace(&self, addresses: HashSet<IpAddr>) {
        self.any.store(!addresses.is_empty(), Ordering::Relaxed);
        self.addresses.store(Arc::new(addresses));
    }
}

/// What this proxy has of one replica's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) ours: u32,
    /// Those of ours that nobody else may still be using.
    pub(crate) usable: u32,
}

/// All ready proxies.
#[derive(Debug)]
pub(crate) struct Peers {
    me: ProxyId,
    /// Who is ready, and who was before that.
    ready: Vec<ProxyId>,
    before: Vec<ProxyId>,
    /// Until when gained slots aren't used.
    settled: Option<Moment>,
    /// The others, as something to send requests to.
    slots: BTreeMap<ProxyId, Arc<Slot>>,
    believed: Arc<Believed>,
}

impl Peers {
    pub(crate) fn new(me: ProxyId, believed: Arc<Believed>) -> Self {
        Peers { me, ready: Vec::new(), before: Vec::new(), settled: None, slots: BTreeMap::new(), believed }
    }

    /// Takes note of who is ready. `next_key` numbers what is new.
    pub(crate) fn replace(
        &mut self,
        ready: &BTreeMap<ProxyId, SocketAddr>,
        now: Moment,
        mut next_key: impl FnMut() -> u64,
    ) {
        let others = || ready.iter().filter(|(id, _)| **id != self.me);
        let mut slots = BTreeMap::new();
        for (id, address) in others() {
            // One that is elsewhere now stays behind, and is let go with those who have gone.
            let same = self.slots.get(id).is_some_and(|slot| slot.address == *address);
            let known = if same { self.slots.remove(id) } else { None };
            let slot = known.unwrap_or_else(|| {
                let uid = EndpointUid::new(&format!("proxy:{id}"));
                let slot = Slot::new(uid, next_key(), *address, StartTimes::default(), Kind::Proxy);
                slot.set_open(true);
                Arc::new(slot)
            });
            slots.insert(id.clone(), slot);
        }
        self.believed.replace(others().map(|(_, address)| address.ip().to_canonical()).collect());
        self.slots.values().for_each(|slot| slot.set_gone());
        self.slots = slots;
        let ready: Vec<ProxyId> = ready.keys().cloned().collect();
        if ready != self.ready {
            self.before = std::mem::replace(&mut self.ready, ready);
            self.settled = Some(now + SETTLING);
        }
    }

    /// Whether gained slots have just become ours. Says so once.
    pub(crate) fn has_settled(&mut self, now: Moment) -> bool {
        self.settled.take_if(|settled| *settled <= now).is_some()
    }

    /// How many of the `limit` slots of the replica `uid` are ours, and how many of them may be used by now.
    pub(crate) fn share(&self, uid: &EndpointUid, limit: u32) -> Share {
        let ours = self.share_among(&self.ready, uid, limit);
        match self.settled {
            Some(_) => Share { ours, usable: ours.min(self.share_among(&self.before, uid, limit)) },
            None => Share { ours, usable: ours },
        }
    }

    fn share_among(&self, proxies: &[ProxyId], uid: &EndpointUid, limit: u32) -> u32 {
        // Nobody knows of anybody: it is a proxy alone.
        if limit == 0 || proxies.is_empty() || proxies == std::slice::from_ref(&self.me) {
            return WHOLE;
        }
        let of = shares(uid, limit, proxies);
        let own = proxies.iter().position(|proxy| *proxy == self.me);
        own.and_then(|own| of.get(own).copied()).unwrap_or(0)
    }

    /// The other proxies that have slots on any of `replicas`.
    pub(crate) fn owners(&self, replicas: &[Arc<Slot>], limit: u32) -> Vec<Arc<Slot>> {
        let mut sums = vec![0_u32; self.ready.len()];
        for replica in replicas {
            let of = shares(&replica.uid, limit, &self.ready);
            sums.iter_mut().zip(of).for_each(|(sum, share)| *sum = sum.saturating_add(share));
        }
        let owners = self.ready.iter().zip(sums).filter(|(_, sum)| *sum > 0);
        owners.filter_map(|(id, _)| self.slots.get(id).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeMap<ProxyId, SocketAddr> {
        let address = |at: usize| SocketAddr::from(([10, 0, 0, at as u8], 8080));
        names.iter().enumerate().map(|(at, name)| (ProxyId::new(name), address(at))).collect()
    }

    #[test]
    fn what_is_lost_is_lost_at_once_and_what_is_gained_is_used_a_second_later() {
        let mut keys = 0..;
        let mut key = || keys.next().unwrap_or_default();
        let uid = EndpointUid::new("pod");
        let mut peers = Peers::new(ProxyId::new("a"), Arc::default());
        assert_eq!(peers.share(&uid, 10).usable, WHOLE);
        peers.replace(&set(&["a", "b"]), Moment::from_secs(10), &mut key);
        let share = peers.share(&uid, 10).usable;
        assert!((1..10).contains(&share), "{share}");
        assert!(!peers.has_settled(Moment::from_secs(10)) && peers.has_settled(Moment::from_secs(11)));
        assert_eq!(peers.share(&uid, 10).usable, share);
        peers.replace(&set(&["a"]), Moment::from_secs(20), &mut key);
        assert_eq!(peers.share(&uid, 10), Share { ours: WHOLE, usable: share });
        assert!(peers.has_settled(Moment::from_secs(21)) && !peers.has_settled(Moment::from_secs(22)));
        assert_eq!(peers.share(&uid, 10).usable, WHOLE);
    }

    #[test]
    fn who_goes_or_moves_is_let_go() {
        let mut keys = 0..;
        let mut peers = Peers::new(ProxyId::new("a"), Arc::default());
        let mut all = set(&["a", "b", "c"]);
        peers.replace(&all, Moment::ZERO, || keys.next().unwrap_or_default());
        let before: Vec<_> = peers.slots.values().cloned().collect();
        all.insert(ProxyId::new("b"), SocketAddr::from(([10, 9, 9, 9], 8080)));
        peers.replace(&all, Moment::ZERO, || keys.next().unwrap_or_default());
        assert_eq!([0, 1].map(|at: usize| before[at].is_gone()), [true, false]);
        peers.replace(&set(&["a"]), Moment::ZERO, || keys.next().unwrap_or_default());
        assert!(before.iter().all(|slot| slot.is_gone()) && peers.slots.is_empty());
    }

    #[test]
    fn the_others_are_believed_and_known_by_what_they_own() {
        let mut keys = 0..;
        let believed: Arc<Believed> = Arc::default();
        let mut peers = Peers::new(ProxyId::new("a"), believed.clone());
        assert!(believed.is_empty());
        peers.replace(&set(&["a", "b", "c"]), Moment::ZERO, || keys.next().unwrap_or_default());
        let is_believed = |host| believed.contains(IpAddr::from([10, 0, 0, host]));
        assert_eq!([0, 1, 2, 3].map(is_believed), [false, true, true, false]);
        let replica = |name: &str| {
            let slot = Slot::new(
                EndpointUid::new(name),
                0,
                SocketAddr::from(([10, 1, 0, 1], 80)),
                StartTimes::default(),
                Kind::Replica(0),
            );
            Arc::new(slot)
        };
        for name in ["x", "y", "z", "w"] {
            let owners = peers.owners(&[replica(name)], 1);
            assert_eq!(
                owners.len(),
                usize::from(peers.share(&EndpointUid::new(name), 1).ours == 0),
                "{name}"
            );
        }
        let many: Vec<_> = (0..50).map(|at| replica(&at.to_string())).collect();
        assert_eq!(peers.owners(&many, 1).len(), 2);
    }
}
