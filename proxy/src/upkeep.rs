//! Keeps the gates as the snapshot says: which replicas may get requests, which are held, and who waits in vain.

mod kept;
mod replicas;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use kaos_core::lease::Lease;
use kaos_core::report::EndpointLoad;
use kaos_core::snapshot::{Mode, Phase};
use kaos_core::{Endpoint, Moment, ProxyId, Reading, Snapshot, Workload, WorkloadId};
use tokio::sync::mpsc;

use crate::gate::{Gate, QueueBytes, Starts, View};
use crate::peers::Peers;
use crate::probe::{Found, Prober};
use crate::slot::{Kind, Slot};
use kept::{Coming, Kept, Listed, keep_first};

pub(crate) use replicas::Replicas;

/// All gates, by workload.
#[derive(Debug)]
pub(crate) struct Gates {
    by_id: BTreeMap<WorkloadId, Kept>,
    ids: HashMap<u32, WorkloadId>,
    next_gate: u32,
    next_slot: u64,
    queue_bytes: Arc<QueueBytes>,
    origin: Instant,
    replicas: Arc<Replicas>,
    prober: Prober,
    peers: Peers,
}

impl Gates {
    /// No gates yet. Replicas that were found ready come out of the receiver, for [`Gates::answered`].
    pub(crate) fn new(
        queue_bytes: Arc<QueueBytes>,
        peers: Peers,
        origin: Instant,
    ) -> (Self, mpsc::Receiver<Found>) {
        let (by_id, ids, replicas) = (BTreeMap::new(), HashMap::new(), Arc::default());
        let (prober, found) = Prober::new(origin);
        (
            Gates { by_id, ids, next_gate: 0, next_slot: 0, queue_bytes, origin, replicas, prober, peers },
            found,
        )
    }

    /// Every replica that is listed or still has requests.
    pub(crate) fn replicas(&self) -> Arc<Replicas> {
        self.replicas.clone()
    }

    /// The key of every gate.
    pub(crate) fn keys(&self) -> Vec<u32> {
        self.by_id.values().map(|kept| kept.gate.key).collect()
    }

    /// The workload of a gate.
    pub(crate) fn id(&self, key: u32) -> Option<WorkloadId> {
        self.ids.get(&key).cloned()
    }

    /// Puts `snapshot` into force. `publish` gets the gates in the snapshot's order before those who wait are told.
    /// Returns the keys of all gates, and of those whose hold has changed.
    pub(crate) fn show(
        &mut self,
        snapshot: &Snapshot,
        now: Moment,
        publish: impl FnOnce(&[Arc<Gate>]),
    ) -> (Vec<u32>, Vec<u32>) {
        let mut before = std::mem::take(&mut self.by_id);
        let (mut gates, mut changed, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for workload in snapshot.workloads.iter() {
            let kept = match before.remove(&workload.id) {
                Some(kept) if Arc::ptr_eq(&kept.workload, workload) => kept,
                Some(mut kept) => {
                    if self.update(&mut kept, workload, now) {
                        held.push(kept.gate.key);
                    }
                    changed.push(kept.gate.clone());
                    kept
                }
                None => self.adopt(workload, now),
            };
            gates.push(kept.gate.clone());
            self.by_id.insert(workload.id.clone(), kept);
        }
        for (id, kept) in before {
            tracing::debug!(workload = %id, "not adopted any more");
            kept.listed.values().for_each(|listed| listed.slot.set_gone());
            kept.gate.show(View {
                workload: kept.workload,
                slots: Box::default(),
                owners: Box::default(),
                removed: true,
                starts: kept.starts,
            });
            self.ids.remove(&kept.gate.key);
            self.prober.pursue(&kept.gate, Vec::new());
            changed.push(kept.gate);
        }
        publish(&gates);
        for gate in changed {
            gate.settle();
            self.pursue(gate.key);
        }
        (gates.iter().map(|gate| gate.key).collect(), held)
    }

    fn adopt(&mut self, workload: &Arc<Workload>, now: Moment) -> Kept {
        let starts = Starts::default();
        let view = View {
            workload: workload.clone(),
            slots: Box::default(),
            owners: Box::default(),
            removed: false,
            starts,
        };
        let gate = Arc::new(Gate::new(self.next_gate, view, self.queue_bytes.clone(), self.origin));
        self.ids.insert(self.next_gate, workload.id.clone());
        self.next_gate += 1;
        let (listed, lease) = (BTreeMap::new(), Lease::default());
        let mut kept = Kept {
            gate,
            workload: workload.clone(),
            listed,
            lease,
            held: false,
            starts,
            coming: BTreeMap::new(),
        };
        self.update(&mut kept, workload, now);
        // What is ready when it is first seen has been so for a while, for all that is known.
        kept.listed
            .values()
            .filter(|listed| listed.slot.listed().is_some())
            .for_each(|listed| listed.slot.list(Some(Moment::ZERO)));
        kept
    }

    /// Brings one gate up to date. Returns whether what is held has changed.
    fn update(&mut self, kept: &mut Kept, workload: &Arc<Workload>, now: Moment) -> bool {
        let answered = kept.workload.hold != workload.hold;
        kept.workload = workload.clone();
        kept.lease.saw(workload.hold.as_ref(), now);
        let mut slots = Vec::new();
        let (mut before, mut came) = (std::mem::take(&mut kept.listed), std::mem::take(&mut kept.coming));
        for endpoint in workload.endpoints.iter().filter(|endpoint| endpoint.phase != Phase::Terminating) {
            let mut coming = came.remove(&endpoint.uid).filter(|coming| coming.address == endpoint.address);
            if endpoint.phase == Phase::Starting {
                coming = coming.or_else(|| Some(Coming::new(endpoint.address, now)));
            }
            let answered = coming.as_ref().is_some_and(|coming| coming.answered.is_some());
            let ready = endpoint.phase == Phase::Ready || answered;
            let known = before.remove(&endpoint.uid).map(|listed| listed.slot);
            let slot =
                known.or_else(|| ready.then(|| self.slot(kept.gate.key, endpoint, coming.as_ref(), now)));
            if let (Some(slot), Some(coming)) = (&slot, &mut coming)
                && let (Some(first), Some(at)) = (coming.first.take(), coming.answered)
            {
                keep_first(slot, first, at);
            }
            if endpoint.phase == Phase::Starting {
                kept.coming.extend(coming.map(|coming| (endpoint.uid.clone(), coming)));
            }
            let Some(slot) = slot else { continue };
            slot.list((endpoint.phase == Phase::Ready).then_some(now));
            if ready {
                slots.push(slot.clone());
            }
            kept.listed.insert(endpoint.uid.clone(), Listed { slot, ready });
        }
        // Going away is final, and so is having been ready once and not being listed any more.
        before.values().for_each(|listed| listed.slot.set_gone());
        kept.learn(now);
        kept.open(now);
        let owners = self.share(&slots, workload.policy.container_concurrency);
        kept.gate.show(View {
            workload: workload.clone(),
            slots: slots.into(),
            owners,
            removed: false,
            starts: kept.starts,
        });
        answered
    }

    /// Bounds each of `slots` by our share of the hard limit. Returns who has the others, if none is ours.
    fn share(&self, slots: &[Arc<Slot>], limit: u32) -> Box<[Arc<Slot>]> {
        let mut own = 0_u32;
        for slot in slots {
            let share = self.peers.share(&slot.uid, limit);
            slot.set_share(share.usable);
            own = own.saturating_add(share.ours);
        }
        if own > 0 { Box::default() } else { self.peers.owners(slots, limit).into() }
    }

    /// Takes note of which proxies are ready.
    pub(crate) fn peers_changed(&mut self, ready: &BTreeMap<ProxyId, SocketAddr>, now: Moment) {
        let next_slot = &mut self.next_slot;
        self.peers.replace(ready, now, || {
            *next_slot += 1;
            *next_slot
        });
        self.share_anew(now);
    }

    /// Brings all shared limits up to date.
    fn share_anew(&mut self, now: Moment) {
        let limited = |kept: &&Kept| kept.workload.policy.container_concurrency > 0;
        let ids: Vec<_> = self.by_id.values().filter(limited).map(|kept| kept.workload.id.clone()).collect();
        for id in ids {
            let Some(mut kept) = self.by_id.remove(&id) else { continue };
            let workload = kept.workload.clone();
            self.update(&mut kept, &workload, now);
            kept.gate.settle();
            self.by_id.insert(id, kept);
        }
    }

    fn slot(&mut self, gate: u32, endpoint: &Endpoint, coming: Option<&Coming>, now: Moment) -> Arc<Slot> {
        self.next_slot += 1;
        let mut start = endpoint.start;
        if let Some(coming) = coming {
            start.started = start.started.or(Some(coming.since));
            start.ready = coming.answered.or(start.ready).or(Some(now));
        }
        let slot =
            Slot::new(endpoint.uid.clone(), self.next_slot, endpoint.address, start, Kind::Replica(gate));
        let slot = Arc::new(slot);
        self.replicas.add(&slot);
        slot
    }

    /// A replica has answered everything it has to. What the platform says meanwhile stands: one that goes away gets
    /// nothing.
    pub(crate) fn answered(&mut self, found: Found, now: Moment) {
        let Some(mut kept) = self.ids.get(&found.gate).and_then(|id| self.by_id.remove(id)) else { return };
        let id = kept.workload.id.clone();
        let coming = kept.coming.get_mut(&found.uid).filter(|coming| coming.address == found.address);
        if let Some(coming) = coming.filter(|coming| coming.answered.is_none()) {
            (coming.answered, coming.first) = (Some(found.at), found.first);
            let workload = kept.workload.clone();
            self.update(&mut kept, &workload, now);
            kept.gate.settle();
        }
        self.by_id.insert(id, kept);
        self.pursue(found.gate);
    }

    /// Tries the replicas that those who wait at the gate `key` wait for; none if nobody does.
    pub(crate) fn pursue(&mut self, key: u32) {
        let Some(kept) = self.ids.get(&key).and_then(|id| self.by_id.get(id)) else { return };
        if kept.gate.waiting() > 0 || self.prober.tries(key) {
            self.prober.pursue(&kept.gate, kept.targets());
        }
    }

    /// Looks after those who wait, and ends holds that have lasted too long. Returns the gates with something to report.
    pub(crate) fn settle(&mut self, now: Moment) -> Vec<u32> {
        let mut changed = Vec::new();
        if self.peers.has_settled(now) {
            self.share_anew(now);
        }
        for kept in self.by_id.values_mut() {
            if kept.held && kept.lease.obeyed(now).is_none() {
                kept.open(now);
                changed.push(kept.gate.key);
            }
            kept.gate.settle();
            if kept.gate.waiting() > 0 || self.prober.tries(kept.gate.key) {
                self.prober.pursue(&kept.gate, kept.targets());
            }
        }
        changed
    }

    /// A report has told of the gate `key`.
    pub(crate) fn reported(&self, key: u32) {
        if let Some(kept) = self.ids.get(&key).and_then(|id| self.by_id.get(id)) {
            kept.gate.reported();
        }
    }

    /// Whether more requests wait at the gate `key` than was announced; none if there are none.
    pub(crate) fn has_grown(&self, key: u32, now: Moment) -> Option<bool> {
        self.told(key)?.gate.has_grown(now)
    }

    /// The gate `key`, if somebody decides on its workload: of others nobody needs to hear.
    fn told(&self, key: u32) -> Option<&Kept> {
        self.by_id.get(self.ids.get(&key)?).filter(|kept| kept.workload.mode != Mode::Plain)
    }

    /// What is known of a gate without its workers: who waits, the hold, what each replica has in flight. `None`: nobody
    /// needs to hear.
    pub(crate) fn reading(&self, key: u32, now: Moment) -> Option<Reading> {
        let kept = self.told(key)?;
        let load = |slot: &Slot| EndpointLoad { uid: slot.uid.clone(), in_flight: slot.in_flight() };
        let loads = kept.listed.values().map(|listed| load(&listed.slot));
        let presumed = kept.gate.presumed.until();
        // It ends at a moment that is known, and nothing is news before.
        let over = (presumed > Moment::ZERO && presumed <= now).then_some(presumed);
        Some(Reading {
            waiting: kept.gate.waiting_sums(),
            presumed: presumed > now,
            last_activity: over.map(Moment::micros),
            hold: kept.answer(now),
            endpoints: loads.filter(|load| load.in_flight > 0).collect(),
            seen: kept.workload.version,
            ..Reading::default()
        })
    }
}
