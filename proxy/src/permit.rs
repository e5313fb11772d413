//! The place of a request on a replica, from when it has one until it ends.

use std::rc::Rc;
use std::time::Duration;

use kaos_core::Moment;

use crate::access_log::Target;
use crate::admit::{Record, Routed};
use crate::gate::Grant;
use crate::slot::Kind;
use crate::upstream::port::Port;
use crate::worker::{Seat, Worker};

/// How long a request whose end nobody tells is in the sums of what runs: with as many of them a second as the usual target of
/// `rps` has (200), as many run at once as that of `concurrency` has (100).
const UNSEEN: Duration = Duration::from_millis(500);

/// A slot on a replica, held for as long as the request runs.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) grant: Grant,
    pub(crate) port: Rc<Port>,
    pub(crate) dispatched: Moment,
    /// It is in the sums of what runs.
    counted: bool,
    /// It runs on when it isn't held any more.
    unseen: bool,
    seat: Rc<Seat>,
    worker: Rc<Worker>,
}

impl Permit {
    /// That of `grant`, from `now` on, entered in the record.
    pub(crate) fn new(routed: &mut Routed, record: &Record, grant: Grant, now: Moment) -> Permit {
        let port = record.worker.port(&grant.slot);
        routed.wait.elsewhere = grant.slot.kind == Kind::Proxy;
        port.active.set(port.active.get() + 1);
        record.note(|entry| {
            entry.replica = Some(Target { uid: grant.slot.uid.clone(), address: grant.slot.address });
            entry.cold = routed.wait.cold.is_some();
        });
        // What keeps nothing awake is no load to scale by either. The replica's own count has it, so that it is never cut.
        let counted = !routed.wait.elsewhere && routed.terms.no_wake.is_none();
        if counted {
            routed.seat.ledger.dispatched(now);
        }
        let (seat, worker) = (routed.seat.clone(), record.worker.clone());
        Permit { grant, port, dispatched: now, counted, unseen: false, seat, worker }
    }

    pub(crate) fn worker(&self) -> Rc<Worker> {
        self.worker.clone()
    }

    /// Whether it is a place at another proxy, which counts it.
    pub(crate) fn is_passed(&self) -> bool {
        self.grant.slot.kind == Kind::Proxy
    }

    /// Its request goes to a replica past us, and nobody will tell when it ends.
    pub(crate) fn let_through(&mut self) {
        if self.counted {
            let gate = &self.seat.gate;
            let until = self.worker.now() + gate.view().workload.policy.gate_request_time;
            gate.presumed.extend(until);
            self.grant.slot.presumed.extend(until);
            self.unseen = true;
        }
    }

    /// The replica's hard limit, 0 for none: with one, a place counts until the replica has let go of it too.
    pub(crate) fn hard_limit(&self) -> u32 {
        self.seat.gate.view().workload.policy.container_concurrency
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.port.active.set(self.port.active.get() - 1);
        if self.counted {
            let now = self.worker.now();
            self.seat.ledger.released(now, if self.unseen { now + UNSEEN } else { now });
        }
    }
}
