//! Sends a request to a replica and brings back the head of its answer. Tries again only what is safe to try again.

pub(crate) mod budget;
mod end;
pub(crate) mod feed;
mod http2;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kaos_core::Moment;
use kaos_core::policy::Protocol;

use crate::admit::{Record, Routed, admit};
use crate::clients::Client;
use crate::field::Name;
use crate::forward::end::LINGER;
pub(crate) use crate::forward::end::{abort, close, give_back};
use crate::forward::feed::{Feed, Upload};
use crate::head::{Head, Version};
use crate::http1::framing::Framing;
use crate::kernel::is_exhausted;
use crate::pace::{Beginning, Pace};
use crate::permit::Permit;
use crate::pump::Broken;
use crate::refuse::{Ended, Refusal};
use crate::rounds::{Alarm, Watch};
use crate::sabotage::{Rule, is_off, trip};
use crate::slot::Kind;
use crate::upstream::answer::{self, Answer, NoAnswer};
use crate::upstream::http2::inflow::Inflow;
use crate::upstream::http2::outflow::Outflow;
use crate::upstream::link::Link;
use crate::upstream::send::{self, Hop};

/// Most times that one request is sent again after a connection failed it.
const REPEATS: u32 = 2;
/// Most times that one request is passed on to a proxy that has no slot for it any more: with the pauses between, about a
/// second, in which every proxy hears of a change.
const MOVES: u32 = 10;
/// Before a request is sent again whose new connection was ended: so long after the first time, twice after the second.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// One request under way, without its body.
pub(crate) struct Trip<'a> {
    pub(crate) head: &'a Head,
    pub(crate) client: Client,
    pub(crate) record: &'a mut Record,
    pub(crate) routed: &'a mut Routed,
    pub(crate) watch: &'a Watch,
    /// Streams that the client's connection has open.
    pub(crate) streams: usize,
}

/// A request that a replica has begun to answer.
pub(crate) enum Begun {
    /// By HTTP/1.
    Link(Sent),
    /// By HTTP/2.
    Stream(Streamed),
}

/// One by HTTP/1.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) permit: Permit,
    pub(crate) link: Link,
    pub(crate) answer: Answer,
    /// When the whole exchange must be over.
    pub(crate) deadline: Moment,
}

impl Sent {
    /// Takes the content, if there is some and all of it has come.
    pub(crate) fn whole(&mut self) -> Option<Bytes> {
        let Framing::Length(length @ 1..) = self.answer.body else { return None };
        let content = self.link.input.unread().get(..usize::try_from(length).ok()?)?;
        let content = Bytes::copy_from_slice(content);
        self.link.input.consume(content.len());
        Some(content)
    }
}

/// One by HTTP/2.
pub(crate) struct Streamed {
    pub(crate) permit: Permit,
    pub(crate) outflow: Outflow,
    pub(crate) inflow: Inflow,
    pub(crate) answer: Answer,
    /// When the whole exchange must be over.
    pub(crate) deadline: Moment,
}

/// What was tried for one request.
#[derive(Default)]
struct Tries {
    repeats: u32,
    moves: u32,
    /// For whom the head was written that went out by HTTP/1 at last.
    begun_for: Option<Kind>,
}

impl Tries {
    /// The time to wait before that.
    fn pause(&self) -> Duration {
        REPEAT_PAUSE * self.repeats
    }
}

impl Trip<'_> {
    /// Gets a slot, sends the request, reads the head of the answer.
    pub(crate) async fn forward<U: Upload>(&mut self, feed: &mut Feed<U>) -> Result<Begun, Ended> {
        feed.upload.bound(self.most_content());
        self.routed.seat.retries.earn();
        let mut tries = Tries::default();
        let http2 = self.routed.policy(|policy| policy.protocol) == Protocol::H2c;
        if http2 && self.head.upgrade.is_some() {
            return Err(Refusal::BadRequest(
                "the workload's replicas speak HTTP/2 (its knob protocol is h2c), where nothing is upgraded",
            )
            .into());
        }
        loop {
            let permit = admit(self.routed, self.record, self.watch, || feed.upload.hold()).await?;
            self.record.pass(permit.is_passed());
            // Other proxies are spoken to by HTTP/1.
            let begun = if http2 && !permit.is_passed() {
                self.over_http2(feed, permit, &mut tries).await?
            } else {
                self.over_http1(feed, permit, &mut tries).await?
            };
            if let Some(begun) = begun {
                return Ok(begun);
            }
        }
    }

    /// Sends the request once, by HTTP/1. `None`: it is to be tried again.
    async fn over_http1<U: Upload>(
        &mut self,
        feed: &mut Feed<U>,
        permit: Permit,
        tries: &mut Tries,
    ) -> Result<Option<Begun>, Ended> {
        let retries = &self.routed.seat.retries;
        // What can't be sent again needs a connection that can be relied on.
        let repeatable = feed.is_repeatable()
            && (retries.allows(|| self.record.worker.now()) || is_off(Rule::RetryBudget));
        let Some(mut link) = self.connect(&permit, repeatable, tries.repeats > 0).await? else {
            return Ok(None);
        };
        if feed.upload.invite().await.is_err() {
            return Err(Ended::ClientGone);
        }
        if !self.begin(feed, &permit, tries) {
            return Err(Refusal::UpstreamUnreachable.into());
        }
        let deadline = self.deadline(&permit);
        match self.converse(feed, &mut link, &permit, deadline).await {
            Ok(Ok(Ok(answer))) if has_moved(&permit, &answer) && feed.is_whole() && tries.moves < MOVES => {
                tries.moves += 1;
                drop((permit, link));
                self.pause(REPEAT_PAUSE * tries.moves).await?;
                Ok(None)
            }
            Ok(Ok(Ok(answer))) => {
                feed.replay.stop();
                self.checked(Sent { permit, link, answer, deadline }).map(|sent| Some(Begun::Link(sent)))
            }
            Ok(Ok(Err(NoAnswer::Closed))) => {
                let untouched = feed.upload.is_untouched();
                let now = self.record.worker.now();
                if link.reused {
                    permit.port.note_closed(now);
                } else {
                    permit.grant.slot.doubt(now);
                }
                let safe = untouched || feed.is_repeatable() || is_off(Rule::Once);
                if !safe || is_off(Rule::Stale) {
                    return Err(Refusal::UpstreamProtocol(ENDED).into());
                }
                self.repeat(tries, !untouched)?;
                if !link.reused {
                    drop((permit, link));
                    self.pause(tries.pause()).await?;
                }
                Ok(None)
            }
            Ok(Ok(Err(NoAnswer::Broken(why)))) => {
                abort(permit, link);
                Err(Refusal::UpstreamProtocol(why).into())
            }
            Ok(Err(broken)) => {
                abort(permit, link);
                Err(broken.refusal().map_or(Ended::ClientGone, Ended::Refused))
            }
            Err(alarm) => {
                let ended = feed.ended_by(alarm, &link.socket);
                abort(permit, link);
                Err(ended)
            }
        }
    }

    /// Begins the request anew if that is needed. `false`: it is under way for somebody else.
    fn begin<U: Upload>(&self, feed: &mut Feed<U>, permit: &Permit, tries: &mut Tries) -> bool {
        let kind = permit.grant.slot.kind;
        match tries.begun_for {
            _ if feed.is_whole() => {}
            // What goes on as it was begun: its head, and what was taken of its body with it.
            Some(begun_for) if feed.upload.is_untouched() => {
                // A head for another proxy says what a replica must not hear, and the body is under way with it.
                return (begun_for == Kind::Proxy) == (kind == Kind::Proxy);
            }
            None if !feed.replay.is_untouched() => return false,
            _ => {}
        }
        feed.begin(self.serialise(permit));
        tries.begun_for = Some(kind);
        true
    }

    /// Counts one more time that the request is sent: by replicas that may have `seen` it only as far as the budget goes.
    fn repeat(&self, tries: &mut Tries, seen: bool) -> Result<(), Ended> {
        tries.repeats += 1;
        let enough = tries.repeats > REPEATS;
        let seat = &self.routed.seat;
        let too_dear = !enough && seen && !seat.retries.spend(self.record.worker.now());
        if enough || (too_dear && !is_off(Rule::RetryBudget)) {
            return Err(Refusal::UpstreamProtocol(ENDED).into());
        }
        seat.ledger.retried();
        Ok(())
    }

    /// How large its body may be.
    fn most_content(&self) -> u64 {
        match self.routed.policy(|policy| policy.max_request_body) {
            _ if is_off(Rule::BodySize) => u64::MAX,
            0 => u64::MAX,
            most => most,
        }
    }

    /// Lets a replica that is going away be gone before it is asked again.
    async fn pause(&self, span: Duration) -> Result<(), Ended> {
        self.watch.until(Moment::NEVER);
        self.watch.over(tokio::time::sleep(span)).await.map_err(|_| Ended::ClientGone)
    }

    /// A connection to the permit's replica, a new one if `fresh`: what failed on one idle connection may fail on the
    /// next. `None`: the replica can't be reached now, and is let be for a while.
    async fn connect(
        &mut self,
        permit: &Permit,
        repeatable: bool,
        fresh: bool,
    ) -> Result<Option<Link>, Ended> {
        if !fresh {
            let now = self.record.worker.now();
            let idle = permit.port.take(now, repeatable).or_else(|| permit.port.take_first(now, repeatable));
            if idle.is_some() {
                return Ok(idle);
            }
        }
        let slot = &permit.grant.slot;
        self.watch.until(Moment::NEVER);
        self.watch.mind_client(true);
        let worker = &self.record.worker;
        let connecting = async {
            worker.connects.begin().await;
            Link::connect(slot.address).await
        };
        match self.watch.over(connecting).await {
            Ok(Ok(link)) => {
                slot.trust();
                Ok(Some(link))
            }
            Ok(Err(error)) => {
                tracing::debug!(replica = %slot.uid, address = %slot.address, %error, "can't connect");
                if is_exhausted(&error) {
                    self.record.worker.free_descriptors();
                }
                slot.suspect(self.record.worker.now(), self.record.worker.turn() as u64);
                self.routed.wait.unreachable = true;
                if is_off(Rule::Refused) { Err(Refusal::UpstreamUnreachable.into()) } else { Ok(None) }
            }
            Err(_) => Err(Ended::ClientGone),
        }
    }

    fn serialise(&self, permit: &Permit) -> Vec<u8> {
        let mut bytes = self.record.worker.buffers.take();
        if send::head(self.head, &self.hop(permit), &mut bytes).is_err() {
            self.record.worker.shared.clients.warn_of_dropped_scheme(self.client);
        }
        bytes
    }

    fn hop(&self, permit: &Permit) -> Hop<'_> {
        // Another proxy does with it what its route says.
        let rule = self.routed.rule().filter(|_| !permit.is_passed());
        let target = self.routed.target.as_deref().filter(|_| !permit.is_passed());
        let host = rule.and_then(|rule| rule.host.as_ref()).map(String::as_bytes);
        Hop {
            client: self.client,
            target: target.unwrap_or(&self.head.target),
            host: host.unwrap_or(&self.head.host),
            edits: rule.map(|rule| &rule.request).filter(|edits| !edits.is_empty()),
            request_id: &self.record.request_id,
            replica: permit.grant.slot.address,
            pass: permit.is_passed().then(|| self.patience_of_queue()),
        }
    }

    /// How much longer the request may wait for a slot.
    fn patience_of_queue(&self) -> Duration {
        let most = self.routed.policy(|policy| policy.queue_timeout);
        self.routed.wait.left(most, self.record.worker.now())
    }

    /// When the whole exchange must be over. Another proxy sees to that itself.
    fn deadline(&self, permit: &Permit) -> Moment {
        if permit.is_passed() {
            return Moment::NEVER;
        }
        let total = self.routed.policy(|policy| policy.request_timeout);
        if total.is_zero() { Moment::NEVER } else { permit.dispatched + total }
    }

    /// Sends the request and reads the head of the answer, whichever comes first. The time to answer counts from the
    /// last byte that was sent.
    async fn converse<U: Upload>(
        &self,
        feed: &mut Feed<U>,
        link: &mut Link,
        permit: &Permit,
        deadline: Moment,
    ) -> Result<Result<Result<Answer, NoAnswer>, Broken>, Alarm> {
        trip(&self.head.target);
        let worker = &self.record.worker;
        let mut patience = self.routed.policy(|policy| policy.response_start_timeout);
        if is_off(Rule::AnswerTime) {
            patience = Duration::from_secs(86_400);
        }
        if permit.is_passed() {
            // It may wait there, and is told there why in vain.
            patience += self.patience_of_queue() + LINGER;
        }
        let mut socket = link.socket.clone();
        let mut until = self.until(deadline, patience, feed.upload.moved());
        let progress = |moved, waits| until.note(moved, waits);
        let answer = answer::read(link, &self.head.method, &worker.buffers);
        self.watch.over(feed.beside(&mut socket, progress, answer)).await
    }

    /// The deadlines until the answer begins; `moved` bytes have left by now.
    fn until(&self, deadline: Moment, patience: Duration, moved: u64) -> Beginning<'_> {
        let policy = self.routed.policy(Arc::clone);
        // Messages of gRPC are sent when there is one.
        let is_stream = self.head.version == Version::Http2 && self.head.is_grpc();
        let rate = if is_stream { 0 } else { policy.min_transfer_rate };
        let pace = Pace::new(rate, policy.stream_idle_timeout);
        let worker = &*self.record.worker;
        let alive = worker.now() + patience;
        self.watch.until(deadline.min(alive));
        self.watch.mind_client(!is_off(Rule::LeaveAnswer));
        let (watch, streams) = (self.watch, self.streams);
        Beginning { watch, worker, deadline, patience, alive, moved, pace, streams }
    }

    /// A change of protocol counts only if it was asked for, and is the one that was asked for.
    fn checked(&self, sent: Sent) -> Result<Sent, Ended> {
        match (&sent.answer.upgrade, &self.head.upgrade) {
            (None, _) => Ok(sent),
            (Some(got), Some(wanted)) if got.eq_ignore_ascii_case(wanted) => Ok(sent),
            (Some(_), _) => {
                abort(sent.permit, sent.link);
                Err(Refusal::UpstreamProtocol("the replica changes to a protocol that nobody asked for")
                    .into())
            }
        }
    }
}

/// Whether another proxy says that it has no slot any more.
fn has_moved(permit: &Permit, answer: &Answer) -> bool {
    permit.is_passed() && answer.fields.values(Name::Passed).next().is_some()
}

/// Said where nothing else is known.
const ENDED: &str = "the replica ended the connection before it answered";
