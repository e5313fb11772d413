//! The gate: another proxy asks, before it sends a request on by itself, whether a replica is there for it.
//!
//! The answer is held as the request would be, by the same admission. What follows isn't seen: which replica gets the
//! request, and when it ends. So it is presumed to be in flight for a while, during which its workload doesn't go to zero; and in
//! the sums of what runs it is there for half a second, where the usual targets of both metrics ask for as many replicas.
//!
//! Nothing here is touched by requests that come to be forwarded.

mod subject;
mod unseen;

use std::net::SocketAddr;
use std::time::Duration;

use kaos_core::Moment;

use crate::admit::{Record, Routed, admit, route_asked};
use crate::head::Head;
use crate::ledger::Phases;
use crate::permit::Permit;
use crate::refuse::{Ended, Refusal};
use crate::rounds::{Alarm, Watch};

pub(crate) use subject::Subject;
pub(crate) use unseen::{Presumed, Settling};

/// The request may go.
pub(crate) struct Go {
    /// Held until the answer is written.
    pub(crate) _permit: Permit,
    /// The replica that it may go to.
    pub(crate) replica: SocketAddr,
    /// The steps of the start that was waited for.
    pub(crate) cold: Option<(Duration, Phases)>,
}

/// Waits until the request that `head` asks for may go, and counts it as one that goes; or says why it may not.
pub(crate) async fn decide(head: &Head, record: &mut Record, watch: &Watch) -> Result<Go, Ended> {
    let subject = Subject::of(head)?;
    let found = match &subject {
        Subject::Place(place) => {
            let host = place.routed_host().ok_or(Refusal::BadRequest("what is asked for names no host"))?;
            record.worker.find(&host, &place.routed_path(), place, &record.request_id)
        }
        Subject::Workload(id, place) => record.worker.find_workload(id, &place.routed_path()),
    };
    let mut routed = route_asked(found.ok_or(Refusal::NoRoute)?, record)?;
    let permit = match admitted(&mut routed, record, watch).await {
        Err(Ended::Refused(refusal)) => return Err(Ended::Refused(refusal.asked())),
        admitted => admitted?,
    };
    record.first_byte(&mut routed, &permit);
    record.let_through();
    Ok(Go { replica: permit.grant.slot.address, cold: routed.wait.cold, _permit: permit })
}

/// A place on a replica that others know of too, for a request that is let through to it.
async fn admitted(routed: &mut Routed, record: &Record, watch: &Watch) -> Result<Permit, Ended> {
    loop {
        let mut permit = admit(routed, record, watch, || 0).await?;
        let Some(settled) = settled(routed, &permit, record, watch).await? else { continue };
        permit.let_through();
        // Of one that has gone who holds the others doesn't look: what was presumed too late for that isn't let through.
        if permit.grant.slot.is_gone() {
            continue;
        }
        if let Some((span, _)) = &mut routed.wait.cold {
            *span += settled.since(permit.dispatched);
        }
        return Ok(permit);
    }
}

/// Waits until the one who asks can be expected to know of a replica that is ready: until when. `None`: it is gone before.
async fn settled(
    routed: &Routed,
    permit: &Permit,
    record: &Record,
    watch: &Watch,
) -> Result<Option<Moment>, Ended> {
    let (worker, gate) = (&record.worker, &routed.seat.gate);
    let Some(settle) = worker.shared.settle else { return Ok(Some(permit.dispatched)) };
    let (limit, most) = routed.policy(|policy| (policy.queue_limit, policy.queue_timeout));
    let deadline = record.arrived + most;
    let mut held = None;
    loop {
        let changed = gate.settling.changed();
        let now = worker.now();
        if permit.grant.slot.is_gone() {
            return Ok(None);
        }
        let settled = gate.view().settled(settle);
        if settled.is_some_and(|at| at <= now) {
            record.note(|entry| entry.queue_wait = now.since(record.arrived));
            return Ok(Some(now));
        }
        if held.is_none() {
            // As many as may wait for the replica.
            held = gate.settling.enter(limit);
            held.as_ref().ok_or_else(|| Refusal::QueueFull(gate.view().start_span()))?;
        }
        let span = settled.map_or(Duration::MAX, |at| at.since(now));
        watch.until(deadline);
        watch.mind_client(true);
        match watch.over(tokio::time::timeout(span, changed)).await {
            Ok(_) => {}
            Err(Alarm::ClientGone) => return Err(Ended::ClientGone),
            Err(Alarm::Deadline) => return Err(Ended::Refused(Refusal::QueueTimeout)),
        }
    }
}
