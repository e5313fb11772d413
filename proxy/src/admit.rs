//! The types of a request's way: `Routed → Permit → answer`. Only routing makes a [`Routed`], only admission a
//! [`Permit`], and whoever holds the permit holds the slot.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::rule::Rule as RouteRule;
use kaos_core::{Moment, Policy};

use crate::access_log::{Draft, Entry};
use crate::clients::Client;
use crate::field::Name;
use crate::gate::{Grant, Terms};
use crate::head::Head;
use crate::ledger::Phases;
use crate::permit::Permit;
use crate::refuse::{Ended, Refusal};
use crate::rounds::{Alarm, Watch};
use crate::rule::{self, Told};
use crate::sabotage::{Rule, is_off};
use crate::socket::Socket;
use crate::upstream::answer::Answer;
use crate::worker::{Found, Seat, Worker};

/// Status under which a request is counted whose client left before its answer had begun (nginx's).
const CLIENT_LEFT: u16 = 499;

/// One request's entry in the books. Written when dropped, however the request ended.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) worker: Rc<Worker>,
    pub(crate) seat: Option<Rc<Seat>>,
    pub(crate) arrived: Moment,
    pub(crate) request_id: String,
    /// It is another proxy's to count.
    passed: bool,
    /// It is no sign that anybody uses the workload.
    no_wake: bool,
    code: u16,
    /// What the access log will be told, if there is one.
    draft: Option<Box<RefCell<Draft>>>,
}

impl Wait {
    /// How much longer it may wait, of `most`.
    pub(crate) fn left(&self, most: Duration, now: Moment) -> Duration {
        self.span.map_or(most, |(began, _)| (began + most).since(now))
    }
}

impl Record {
    pub(crate) fn new(worker: Rc<Worker>, arrived: Moment, request_id: String) -> Self {
        Record {
            worker,
            seat: None,
            arrived,
            request_id,
            passed: false,
            no_wake: false,
            code: CLIENT_LEFT,
            draft: None,
        }
    }

    /// A record under the id that the client gave, if it is a sane one, else under a new id.
    pub(crate) fn for_request(worker: &Rc<Worker>, asked: Option<&[u8]>) -> Self {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~+/=:@".contains(byte);
        let sane = |id: &&[u8]| (1..=128).contains(&id.len()) && id.iter().all(plain);
        let id = asked.filter(sane).and_then(|id| std::str::from_utf8(id).ok()).map(str::to_owned);
        Record::new(worker.clone(), worker.now(), id.unwrap_or_else(|| worker.new_id()))
    }

    /// Begins what the access log will be told; without a head if that couldn't be read.
    pub(crate) fn begin_entry(&mut self, client: Client, head: Option<&Head>) {
        self.draft = self.worker.book.begin(self.arrived, client, head);
    }

    /// Notes something for the access log, if there is one.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Entry)) {
        if let Some(draft) = &self.draft {
            note(&mut draft.borrow_mut().entry);
        }
    }

    /// Something to count the content with that comes while the answer goes, if it is to be counted.
    pub(crate) fn meter(&self) -> Option<Rc<Cell<u64>>> {
        let draft = self.draft.as_ref()?;
        Some(draft.borrow_mut().meter.get_or_insert_default().clone())
    }

    /// The first byte of the answer is there: closes the phases of a cold start.
    pub(crate) fn first_byte(&self, routed: &mut Routed, permit: &Permit) {
        if let Some((span, phases)) = &mut routed.wait.cold {
            phases.first_byte = self.worker.now().since(permit.dispatched);
            routed.seat.ledger.cold(*span, *phases);
        }
    }

    /// Whether the answer is another proxy's to count, which it was passed on to.
    pub(crate) fn pass(&mut self, passed: bool) {
        self.passed = passed;
    }

    /// This answer begins.
    pub(crate) fn answered(&mut self, answer: &Answer) {
        self.code = answer.status;
        self.note(|entry| {
            // Another proxy says itself whether it was a cold start.
            entry.cold |= self.passed && answer.fields.values(Name::ColdStart).next().is_some();
        });
    }

    /// The request may go.
    pub(crate) fn let_through(&mut self) {
        self.code = 200;
        self.note(|entry| entry.cut = false);
    }

    /// Kaos answers itself.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.code = refusal.status();
        self.passed = false;
        self.note(|entry| entry.refusal = Some(refusal.word()));
        let ledger = self.seat.as_ref().map_or(&self.worker.strays, |seat| &seat.ledger);
        if *refusal == Refusal::Elsewhere {
            // It will be counted where it ends.
            self.passed = true;
            return;
        }
        ledger.rejected(refusal.word());
        if let (Some(seat), Refusal::UpstreamProtocol(why)) = (&self.seat, refusal) {
            tracing::warn!(workload = %seat.gate.id, request_id = self.request_id, "the replica's answer is unusable: {why}");
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = self.worker.now();
        let ledger = self.seat.as_ref().map_or(&self.worker.strays, |seat| &seat.ledger);
        if !self.passed {
            ledger.ended(self.code, now.since(self.arrived));
        }
        if !self.no_wake {
            ledger.active(now);
        }
        if let Some(draft) = self.draft.take() {
            let Draft { mut entry, meter } = draft.into_inner();
            entry.received = meter.map_or(entry.received, |meter| meter.get());
            entry.duration = now.since(self.arrived);
            entry.status = self.code;
            entry.cut &= self.code != CLIENT_LEFT;
            entry.request_id = mem::take(&mut self.request_id);
            entry.workload = self.seat.as_ref().map(|seat| seat.gate.id.clone());
            self.worker.book.end(entry);
        }
    }
}

/// A request whose workload is known.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) seat: Rc<Seat>,
    pub(crate) wait: Wait,
    pub(crate) terms: Terms,
    /// What its route says of it, if anything.
    rule: Option<Arc<RouteRule>>,
    /// What the replica is asked for, where that is another target than the client's.
    pub(crate) target: Option<Vec<u8>>,
    /// What its route says in the answer, beside the replica or in its place.
    pub(crate) told: Option<Told>,
}

impl Routed {
    /// What its route says of it, if anything.
    pub(crate) fn rule(&self) -> Option<&RouteRule> {
        self.rule.as_deref()
    }

    /// Reads the policy that counts for it.
    pub(crate) fn policy<T>(&self, read: impl FnOnce(&Arc<Policy>) -> T) -> T {
        match self.rule.as_ref().and_then(|rule| rule.policy.as_ref()) {
            Some(policy) => read(policy),
            None => read(&self.seat.gate.view().workload.policy),
        }
    }

    /// Bytes have moved.
    pub(crate) fn active(&self, now: Moment) {
        if self.terms.no_wake.is_none() {
            self.seat.ledger.active(now);
        }
    }
}

/// What a request has waited for so far.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    /// When it first had to wait, and when the last wait ended.
    span: Option<(Moment, Moment)>,
    /// The steps of the start that it waited for.
    pub(crate) cold: Option<(Duration, Phases)>,
    /// Another proxy answers, and says itself whether that was a cold start.
    pub(crate) elsewhere: bool,
    /// A replica was there but couldn't be connected to.
    pub(crate) unreachable: bool,
}

/// Finds the workload of `head`, which came from `client` over `socket`, and enters it in the record.
pub(crate) fn route(
    worker: &Rc<Worker>,
    head: &Head,
    client: Client,
    socket: &Socket,
    record: &mut Record,
) -> Result<Routed, Refusal> {
    let host = head.routed_host().ok_or(Refusal::BadRequest("the Host names no host"))?;
    if !worker.shared.tls.as_ref().is_none_or(|tls| socket.covers(tls, &host)) {
        return Err(Refusal::Misdirected);
    }
    let found = worker.find(&host, &head.routed_path(), head, &record.request_id);
    if is_off(Rule::Strays) && found.is_none() {
        worker.strays.rejected(host.to_string().leak());
    }
    let Found { seat, no_wake, rule } = found.ok_or(Refusal::NoRoute)?;
    record.seat.clone_from(&seat);
    let own = rule.as_deref().filter(|_| head.passed.is_none());
    if let Some(rule) = own {
        // Who is turned away keeps nothing awake.
        record.no_wake = true;
        rule::check(rule, head, client, &worker.shared.clients)?;
    }
    let seat = seat.ok_or(Refusal::NoBackend)?;
    record.no_wake = no_wake.is_some();
    if !record.no_wake {
        seat.ledger.active(record.arrived);
    }
    let target = rule.as_deref().and_then(|rule| rule::target(rule, head));
    let told = rule.as_ref().filter(|_| head.passed.is_none()).and_then(|rule| Told::new(rule, head));
    let terms = Terms { passed: head.passed.is_some(), no_wake, asked: false };
    let mut routed = Routed { seat, wait: Wait::default(), terms, rule, target, told };
    let most = routed.policy(|policy| policy.max_request_body);
    if head.body.is_longer_than(most) && most > 0 && !is_off(Rule::BodySize) {
        return Err(Refusal::BodyTooLarge);
    }
    if let Some(left) = head.passed {
        // As if it had waited here from the start.
        let began = (record.arrived + left).before(routed.policy(|policy| policy.queue_timeout));
        routed.wait.span = Some((began.min(record.arrived), record.arrived));
    }
    Ok(routed)
}

/// Enters in the record for which workload another proxy asks. That one does itself what a route says.
pub(crate) fn route_asked(
    Found { seat, no_wake, .. }: Found,
    record: &mut Record,
) -> Result<Routed, Refusal> {
    // Of a rule that leads nowhere the asking proxy knows nothing: there is nowhere to send it.
    let seat = seat.ok_or(Refusal::NoRoute)?;
    record.seat = Some(seat.clone());
    record.no_wake = no_wake.is_some();
    if !record.no_wake {
        seat.ledger.active(record.arrived);
    }
    let terms = Terms { passed: false, no_wake, asked: true };
    Ok(Routed { seat, wait: Wait::default(), terms, rule: None, target: None, told: None })
}

/// Gets a slot, now or after a wait that ends with the policy's `queue-timeout` after `record.arrived`. `held` bytes are
/// kept meanwhile.
pub(crate) async fn admit(
    routed: &mut Routed,
    record: &Record,
    watch: &Watch,
    held: impl FnOnce() -> usize,
) -> Result<Permit, Ended> {
    let worker = &record.worker;
    let gate = &routed.seat.gate;
    let now = worker.now();
    if let Some(grant) = gate.admit(now, worker.turn(), routed.terms) {
        if let (true, Some((began, _))) = (routed.terms.passed, routed.wait.span) {
            // It may have waited for the start where it came from.
            routed.wait.cold = cold(&grant, began, now);
        }
        return Ok(Permit::new(routed, record, grant, now));
    }
    let began = *routed.wait.span.get_or_insert((now, now));
    let deadline = began.0 + gate.view().workload.policy.queue_timeout;
    let mut ticket = gate.enter(now, deadline, held(), routed.terms).map_err(|turned_away| {
        if turned_away.announce {
            worker.announce(gate);
        }
        turned_away.refusal
    })?;
    if ticket.announce {
        worker.announce(gate);
    }
    watch.until(deadline);
    watch.mind_client(!is_off(Rule::LeaveQueue));
    let outcome = watch.over(ticket.wait()).await;
    if ticket.leave() {
        worker.announce(gate);
    }
    let now = worker.now();
    routed.seat.ledger.waited(now.since(began.0));
    record.note(|entry| entry.queue_wait = now.since(began.0));
    routed.wait.span = Some((began.0, now));
    match outcome {
        Ok(Ok(grant)) => {
            routed.wait.cold = cold(&grant, began.0, now);
            Ok(Permit::new(routed, record, grant, now))
        }
        Ok(Err(refusal)) => Err(Ended::Refused(refusal)),
        Err(Alarm::ClientGone) => Err(Ended::ClientGone),
        Err(Alarm::Deadline) if routed.wait.unreachable => Err(Ended::Refused(Refusal::UpstreamUnreachable)),
        Err(Alarm::Deadline) => Err(Ended::Refused(Refusal::QueueTimeout)),
    }
}

/// The steps of the start that a wait from `began` to `now` was for, if the replica became ready meanwhile.
fn cold(grant: &Grant, began: Moment, now: Moment) -> Option<(Duration, Phases)> {
    let start = &grant.slot.start;
    let ready = start.ready.filter(|ready| *ready >= began)?;
    let decided = start.decided.unwrap_or(began).max(began);
    let started = start.started.unwrap_or(decided).max(decided);
    let phases = Phases {
        decide: decided.since(began),
        start: started.since(decided),
        ready: ready.since(started),
        first_byte: Duration::ZERO,
    };
    Some((now.since(began), phases))
}
