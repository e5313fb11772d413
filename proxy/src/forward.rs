//! Sends a request to a replica and brings back the head of its answer. Tries again only what is safe to try again.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};
use std::time::Duration;

use kaos_core::Moment;

use crate::admit::{Ended, Permit, Record, Routed, admit};
use crate::clients::Client;
use crate::field::Name;
use crate::head::{Head, Version};
use crate::kernel::is_exhausted;
use crate::pace::Pace;
use crate::pump::Broken;
use crate::refuse::Refusal;
use crate::rounds::{Alarm, Watch};
use crate::sabotage::{Rule, is_off, trip};
use crate::slot::Kind;
use crate::socket::Socket;
use crate::upstream::answer::{self, Answer, NoAnswer};
use crate::upstream::link::Link;
use crate::upstream::send::{self, Hop};

/// Most times that one request is sent again after a connection failed it.
const REPEATS: u32 = 2;
/// Most times that one request is passed on to a proxy that has no slot for it any more: with the pauses between, about a
/// second, in which every proxy hears of a change.
const MOVES: u32 = 10;
/// Before a request is sent again whose new connection was ended: so long after the first time, twice after the second.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// The way of a request's head and body to a replica.
pub(crate) trait Upload {
    /// Begins anew with the head as the replica gets it.
    fn begin(&mut self, head: Vec<u8>);
    /// Moves what can be moved, to the end of the body.
    fn poll(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<Result<(), Broken>>;
    /// Lets the client send its body, if it waits to be told.
    fn invite(&mut self) -> impl Future<Output = std::io::Result<()>>;
    /// Whether there is no body: the request can be begun anew.
    fn is_empty(&self) -> bool;
    /// Whether nothing has left for any replica since [`Upload::begin`].
    fn is_untouched(&self) -> bool;
    /// Bytes that have left.
    fn moved(&self) -> u64;
    /// Whether the client is waited for: all that came has left, and more is to come.
    fn waits_for_client(&self) -> bool;
    /// Takes no more than `most` bytes of content.
    fn bound(&mut self, most: u64);
    /// Bytes that are held while the request waits, in as little room as they need.
    fn hold(&mut self) -> usize;
}

/// An upload and whether it is still worth feeding.
#[derive(Debug)]
pub(crate) struct Feed<U> {
    pub(crate) upload: U,
    /// The whole request has left.
    pub(crate) finished: bool,
    /// The replica takes no more.
    stopped: bool,
}

impl<U: Upload> Feed<U> {
    pub(crate) fn new(upload: U) -> Self {
        Feed { upload, finished: false, stopped: false }
    }

    /// Whose fault it is that an exchange was ended before its answer had begun.
    fn ended_by(&self, alarm: Alarm) -> Ended {
        match alarm {
            Alarm::ClientGone => Ended::ClientGone,
            Alarm::Deadline if !self.finished && self.upload.waits_for_client() => {
                Refusal::RequestTimeout.into()
            }
            Alarm::Deadline => Refusal::ResponseTimeout.into(),
        }
    }

    fn begin(&mut self, head: Vec<u8>) {
        self.upload.begin(head);
        self.finished = false;
        self.stopped = false;
    }

    /// Sends the rest of the request.
    pub(crate) async fn finish(&mut self, to: &Socket) -> Result<(), Broken> {
        poll_fn(|cx| self.upload.poll(cx, to)).await?;
        self.finished = true;
        Ok(())
    }

    /// Does `work` while the upload goes on beside it. Ends early if the client breaks its side.
    ///
    /// They take turns in going first: one that always has something to move may use up all that the runtime lets a task do
    /// before it must yield, and the other would never come to its turn.
    pub(crate) async fn beside<T>(
        &mut self,
        to: &Socket,
        mut progress: impl FnMut(&U),
        work: impl Future<Output = T>,
    ) -> Result<T, Broken> {
        let mut work = std::pin::pin!(work);
        let mut before = (self.upload.moved(), false);
        let mut work_first = true;
        poll_fn(|cx| {
            work_first = !work_first;
            if work_first && let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if !self.finished && !self.stopped {
                match self.upload.poll(cx, to) {
                    Poll::Ready(Ok(())) => self.finished = true,
                    Poll::Ready(Err(Broken::SinkEnded)) => self.stopped = true,
                    Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                    Poll::Pending => {}
                }
                let now = (self.upload.moved(), !self.finished && self.upload.waits_for_client());
                if now != before {
                    before = now;
                    progress(&self.upload);
                }
            }
            if work_first || (!self.finished && is_off(Rule::EarlyAnswer)) {
                return Poll::Pending;
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

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
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) permit: Permit,
    pub(crate) link: Link,
    pub(crate) answer: Answer,
    /// When the whole exchange must be over.
    pub(crate) deadline: Moment,
}

impl Trip<'_> {
    /// Gets a slot, sends the request, reads the head of the answer.
    pub(crate) async fn forward<U: Upload>(&mut self, feed: &mut Feed<U>) -> Result<Sent, Ended> {
        feed.upload.bound(self.most_content());
        let (mut repeats, mut moves) = (0, 0);
        let mut begun_for = Kind::Proxy;
        loop {
            let permit = admit(self.routed, self.record, self.watch, || feed.upload.hold()).await?;
            self.record.pass(permit.is_passed());
            let repeatable = self.head.is_idempotent() && feed.upload.is_empty();
            let Some(mut link) = self.connect(&permit, repeatable, repeats > 0).await? else { continue };
            if feed.upload.invite().await.is_err() {
                return Err(Ended::ClientGone);
            }
            if repeats == 0 || feed.upload.is_empty() || !feed.upload.is_untouched() {
                feed.begin(self.serialise(&permit));
                begun_for = permit.grant.slot.kind;
            } else if (begun_for == Kind::Proxy) != permit.is_passed() {
                // A head for another proxy says what a replica must not hear, and the body is under way with it.
                return Err(Refusal::UpstreamUnreachable.into());
            }
            let deadline = self.deadline(&permit);
            match self.converse(feed, &mut link, &permit, deadline).await {
                Ok(Ok(Ok(answer)))
                    if has_moved(&permit, &answer) && feed.upload.is_empty() && moves < MOVES =>
                {
                    moves += 1;
                    drop((permit, link));
                    self.pause(REPEAT_PAUSE * moves).await?;
                }
                Ok(Ok(Ok(answer))) => return self.checked(Sent { permit, link, answer, deadline }),
                Ok(Ok(Err(NoAnswer::Closed))) => {
                    let untouched = feed.upload.is_untouched();
                    let now = self.record.worker.now();
                    if link.reused {
                        permit.port.note_closed(now);
                    } else {
                        permit.grant.slot.doubt(now);
                    }
                    let safe = repeatable || untouched || is_off(Rule::Once);
                    if repeats >= REPEATS || !safe || is_off(Rule::Stale) {
                        return Err(Refusal::UpstreamProtocol(
                            "the replica ended the connection before it answered",
                        )
                        .into());
                    }
                    repeats += 1;
                    if !link.reused {
                        drop((permit, link));
                        self.pause(REPEAT_PAUSE * repeats).await?;
                    }
                }
                Ok(Ok(Err(NoAnswer::Broken(why)))) => {
                    abort(permit, link);
                    return Err(Refusal::UpstreamProtocol(why).into());
                }
                Ok(Err(broken)) => {
                    abort(permit, link);
                    return Err(broken.refusal().map_or(Ended::ClientGone, Ended::Refused));
                }
                Err(alarm) => {
                    abort(permit, link);
                    return Err(feed.ended_by(alarm));
                }
            }
        }
    }

    /// How large its body may be.
    fn most_content(&self) -> u64 {
        match self.routed.seat.gate.view().workload.policy.max_request_body {
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
        match self.watch.over(Link::connect(slot.address)).await {
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
        let hop = Hop {
            client: self.client,
            request_id: &self.record.request_id,
            replica: permit.grant.slot.address,
            pass: permit.is_passed().then(|| self.patience_of_queue()),
        };
        if send::head(self.head, &hop, &mut bytes).is_err() {
            self.record.worker.shared.clients.warn_of_dropped_scheme(self.client);
        }
        bytes
    }

    /// How much longer the request may wait for a slot.
    fn patience_of_queue(&self) -> Duration {
        let most = self.routed.seat.gate.view().workload.policy.queue_timeout;
        self.routed.wait.left(most, self.record.worker.now())
    }

    /// When the whole exchange must be over. Another proxy sees to that itself.
    fn deadline(&self, permit: &Permit) -> Moment {
        if permit.is_passed() {
            return Moment::NEVER;
        }
        let total = self.routed.seat.gate.view().workload.policy.request_timeout;
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
        let mut patience = self.routed.seat.gate.view().workload.policy.response_start_timeout;
        if is_off(Rule::AnswerTime) {
            patience = Duration::from_secs(86_400);
        }
        if permit.is_passed() {
            // It may wait there, and is told there why in vain.
            patience += self.patience_of_queue() + LINGER;
        }
        let socket = link.socket.clone();
        let begun = worker.now();
        let (mut moved, mut alive) = (feed.upload.moved(), begun + patience);
        self.watch.until(deadline.min(alive));
        self.watch.mind_client(!is_off(Rule::LeaveAnswer));
        let mut pace = self.pace();
        let progress = |upload: &U| {
            let now = worker.now();
            if upload.moved() != std::mem::replace(&mut moved, upload.moved()) {
                alive = now + patience;
            }
            let slow = pace.note(now, moved, upload.waits_for_client(), self.streams);
            self.watch.until(deadline.min(alive).min(slow));
        };
        let answer = answer::read(link, &self.head.method, &worker.buffers);
        self.watch.over(feed.beside(&socket, progress, answer)).await
    }

    /// How slowly its body may come. Messages of gRPC are sent when there is one.
    fn pace(&self) -> Pace {
        let policy = &self.routed.seat.gate.view().workload.policy;
        let is_stream = self.head.version == Version::Http2 && self.head.is_grpc();
        Pace::new(if is_stream { 0 } else { policy.min_transfer_rate }, policy.stream_idle_timeout)
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

/// Ends an exchange in its middle. The connection is reset: a plain end would wait behind what the replica hasn't read,
/// for ever if it reads no more. With a hard limit it is asked first, see [`close`].
pub(crate) fn abort(permit: Permit, link: Link) {
    link.socket.reset_on_close();
    close(permit, link);
}

/// Closes the connection of an exchange that is whole. With a hard limit the slot is given back only when the replica has
/// closed its side too, or after a second: until then it may still be at work.
pub(crate) fn close(permit: Permit, mut link: Link) {
    if permit.hard_limit() == 0 {
        return;
    }
    let worker = permit.worker();
    tokio::task::spawn_local(async move {
        link.socket.end();
        let drain = async {
            // A replica that goes on answering is read along, so that it gets to see the end; up to a bound.
            if !link.input.drain(&link.socket, &worker.buffers, LINGER_BYTES).await {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(LINGER, drain).await;
        drop(link);
        drop(permit);
    });
}

/// How long, and for how many bytes, the end of an aborted exchange is waited for.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;
