//! What is remembered of one workload's replicas from picture to picture: who has been ready, who is coming, what is held.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::lease::Lease;
use kaos_core::report::{HoldAnswer, HoldState};
use kaos_core::snapshot::{Phase, Targets};
use kaos_core::{EndpointUid, Moment, Workload};

use crate::first::First;
use crate::gate::{Gate, Starts};
use crate::probe::{Target, can_be_tried};
use crate::slot::Slot;
use crate::upstream::port;

/// A start is learned from within this time.
const FRESH: Duration = Duration::from_secs(10);

/// One gate, and what has to be remembered from picture to picture to keep it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) gate: Arc<Gate>,
    pub(super) workload: Arc<Workload>,
    pub(super) listed: BTreeMap<EndpointUid, Listed>,
    pub(super) lease: Lease,
    pub(super) held: bool,
    pub(super) starts: Starts,
    /// Replicas that the platform doesn't call ready.
    pub(super) coming: BTreeMap<EndpointUid, Coming>,
}

/// A replica that the platform doesn't call ready.
#[derive(Debug)]
pub(super) struct Coming {
    pub(super) address: SocketAddr,
    /// Since when its address is known.
    pub(super) since: Moment,
    /// When it answered everything it has to.
    pub(super) answered: Option<Moment>,
    pub(super) first: Option<First>,
}

/// A replica that has been ready and isn't going away.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) slot: Arc<Slot>,
    /// It may be unready for a while: what it has in flight goes on counting.
    pub(super) ready: bool,
}

/// Keeps `first` for the replica's first request, as long as a replica may be trusted to keep it open.
pub(super) fn keep_first(slot: &Arc<Slot>, first: First, at: Moment) {
    slot.keep_first(first, at);
    let slot = Arc::downgrade(slot);
    tokio::spawn(async move {
        tokio::time::sleep(port::IDLE).await;
        if let Some(slot) = slot.upgrade() {
            slot.drop_first();
        }
    });
}

impl Coming {
    pub(super) fn new(address: SocketAddr, since: Moment) -> Self {
        Coming { address, since, answered: None, first: None }
    }
}

impl Kept {
    /// The replicas that are worth trying for those who wait.
    pub(super) fn targets(&self) -> Vec<Target> {
        if self.gate.waiting() == 0 || !can_be_tried(&self.workload.checks) {
            return Vec::new();
        }
        let unanswered = self.coming.iter().filter(|(_, coming)| coming.answered.is_none());
        let target = |(uid, coming): (&EndpointUid, &Coming)| Target {
            uid: uid.clone(),
            address: coming.address,
            since: coming.since,
            checks: self.workload.checks.clone(),
        };
        unanswered.map(target).collect()
    }

    /// Remembers how long the last start took and since when one is under way.
    pub(super) fn learn(&mut self, now: Moment) {
        // An old start says little: the replica may have been restarted in its place since it was decided.
        let took = |slot: &Slot| {
            let ready = slot.start.ready.filter(|ready| now.since(*ready) < FRESH)?;
            let span = ready.since(slot.start.decided?);
            (span <= self.workload.policy.start_timeout).then_some((ready, span))
        };
        let newest = self.listed.values().filter_map(|listed| took(&listed.slot)).max_by_key(|start| start.0);
        if let Some((_, span)) = newest {
            self.starts.took = Some(span);
        }
        let starting = self.workload.endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Starting);
        let decided = starting.clone().filter_map(|endpoint| endpoint.start.decided).min();
        let under_way = self.workload.replicas.starting > 0 || starting.count() > 0;
        self.starts.begun = under_way.then(|| decided.or(self.starts.begun).unwrap_or(now));
    }

    /// Opens the replicas that are ready and not held, closes the others.
    pub(super) fn open(&mut self, now: Moment) {
        let hold = self.lease.obeyed(now);
        self.held = hold.is_some();
        for Listed { slot, ready } in self.listed.values() {
            slot.set_open(*ready && !hold.is_some_and(|hold| hold.targets.cover(&slot.uid)));
        }
    }

    /// The answer to the hold that the snapshot shows. The slots were closed before they are counted here.
    pub(super) fn answer(&self, now: Moment) -> Option<HoldAnswer> {
        let hold = self.workload.hold.as_ref()?;
        let slots = || self.listed.values().map(|listed| &listed.slot);
        let covered = || slots().filter(|slot| hold.targets.cover(&slot.uid));
        // What was let through past us may be at any replica: while that is presumed, not all go. Which of several it is at
        // isn't known, so for some of them the platform's way to end them has to do.
        let presumed = || hold.targets == Targets::All && self.gate.presumed.until() > now;
        let idle = |slot: &&Arc<Slot>| slot.in_flight() == 0 && !presumed();
        let empty: Vec<EndpointUid> = covered().filter(idle).map(|slot| slot.uid.clone()).collect();
        let (id, state) = self.lease.answer(now, empty.len() == covered().count())?;
        let empty = if state == HoldState::Expired { Vec::new() } else { empty };
        Some(HoldAnswer { id, state, empty })
    }
}
