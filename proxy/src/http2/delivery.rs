//! A replica's answer on its way to an HTTP/2 client. It owns the permit and the record: the request ends with it.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use kaos_core::Moment;
use tokio::task::AbortHandle;

use crate::admit::{Record, Routed};
use crate::buffer::{LARGE, READ_SIZE};
use crate::forward::{abort, give_back};
use crate::http1::framing::{Framing, Piece};
use crate::http2::streams::Open;
use crate::mux::frame::Reason;
use crate::mux::{Cut, Sender};
use crate::pace::Pace;
use crate::part::Part;
use crate::permit::Permit;
use crate::pour::Parts;
use crate::rounds::Watched;
use crate::sabotage::{Rule, is_off};
use crate::upstream::http2::inflow::Inflow;
use crate::upstream::link::Link;

/// Where an answer comes from.
pub(super) enum Source {
    /// By HTTP/1; so many bytes of what was read are content.
    Link { permit: Permit, link: Link, framing: Framing, reusable: bool, ready: usize },
    /// By HTTP/2; what has come of it and hasn't gone on.
    Stream { carried: (Permit, Inflow), rest: Bytes },
    /// It has ended.
    Ended,
}

/// An answer under way.
pub(super) struct Delivery {
    pub(super) source: Source,
    /// The rest of the request, on its way beside.
    pub(super) upload: Option<AbortHandle>,
    pub(super) watch: Watched,
    pub(super) silence: Duration,
    pub(super) pace: Pace,
    /// Bytes that were handed over.
    pub(super) moved: u64,
    pub(super) open: Open,
    pub(super) deadline: Moment,
    pub(super) record: Record,
    pub(super) routed: Routed,
}

/// What comes next of an answer.
enum Next {
    /// Content is there.
    Content,
    /// Its end, with trailers or without.
    End(Part),
}

impl Delivery {
    /// Moves what can be moved, to the end of the answer. `Err`: it isn't whole, and the client is to be told so.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, to: &Sender) -> Poll<Result<(), Reason>> {
        loop {
            if self.watch.poll_alarm(cx).is_ready() {
                return Poll::Ready(Err(Reason::INTERNAL_ERROR));
            }
            let Ok(room) = ready!(to.poll_room(cx)) else { return Poll::Ready(Err(Reason::CANCEL)) };
            match ready!(self.poll_next(cx))? {
                Next::Content => {
                    if self.send(room, to) {
                        self.finish();
                        return Poll::Ready(Ok(()));
                    }
                }
                Next::End(end) => {
                    to.end(&end);
                    self.finish();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Waits until there is something to be sent.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Reason>> {
        let worker = self.record.worker.clone();
        loop {
            match &mut self.source {
                Source::Link { ready: 1.., .. } => return Poll::Ready(Ok(Next::Content)),
                Source::Link { link, framing, ready, .. } => {
                    let piece = framing.next(link.input.unread()).map_err(|_| Reason::INTERNAL_ERROR)?;
                    match piece {
                        Piece::Data { skip, length } => {
                            link.input.consume(skip);
                            *ready = length;
                            continue;
                        }
                        Piece::End { skip, trailers } => {
                            link.input.consume(skip);
                            return Poll::Ready(Ok(Next::End(Part::end(trailers))));
                        }
                        Piece::More { skip } => link.input.consume(skip),
                    }
                }
                Source::Stream { rest, .. } if !rest.is_empty() => return Poll::Ready(Ok(Next::Content)),
                Source::Stream { .. } => {}
                Source::Ended => return Poll::Ready(Err(Reason::INTERNAL_ERROR)),
            }
            let now = worker.now();
            self.watch.until(self.deadline.min(now + self.silence));
            // Whoever has room for more has taken what there was.
            self.pace.note(now, self.moved, false, self.open.among());
            match &mut self.source {
                Source::Link { link, framing, .. } => {
                    if framing.is_longer_than(LARGE) || self.moved > LARGE {
                        link.input.widen(&worker.buffers);
                    }
                    match ready!(link.input.poll_fill(cx, &link.socket, &worker.buffers, READ_SIZE)) {
                        Ok(0) if *framing == Framing::UntilClose || is_off(Rule::VisibleCut) => {
                            return Poll::Ready(Ok(Next::End(Part::End)));
                        }
                        Ok(0) | Err(_) => return Poll::Ready(Err(Reason::INTERNAL_ERROR)),
                        Ok(_) => {}
                    }
                }
                Source::Stream { carried: (_, inflow), rest } => {
                    match ready!(inflow.poll_next(cx)).map_err(told)? {
                        Part::Data(content) => *rest = content,
                        end => return Poll::Ready(Ok(Next::End(end))),
                    }
                }
                Source::Ended => {}
            }
            self.routed.active(now);
        }
    }

    /// Sends content of which `room` bytes may be sent. Returns whether it was the last.
    fn send(&mut self, room: usize, to: &Sender) -> bool {
        let (sent, last) = match &mut self.source {
            Source::Link { link, framing, ready, .. } => {
                let sent = room.min(*ready);
                *ready -= sent;
                let last = *ready == 0 && framing.has_ended();
                to.content(link.input.unread().get(..sent).unwrap_or_default(), last);
                link.input.consume(sent);
                (sent, last)
            }
            Source::Stream { carried: (_, inflow), rest } => {
                let sent = room.min(rest.len());
                let last = sent == rest.len() && inflow.has_ended();
                to.content(rest.get(..sent).unwrap_or_default(), last);
                rest.advance(sent);
                // The replica may send more when what came has gone on.
                inflow.release(sent);
                (sent, last)
            }
            Source::Ended => (0, true),
        };
        self.record.note(|entry| entry.sent += sent as u64);
        if !last {
            self.moved += sent as u64;
            self.open.answered();
            let now = self.record.worker.now();
            let slow = self.pace.note(now, self.moved, true, self.open.among());
            self.watch.until(self.deadline.min(now + self.silence).min(slow));
        }
        last
    }

    /// The answer is whole: the replica's connection may serve another request.
    pub(super) fn finish(&mut self) {
        self.record.note(|entry| entry.cut = false);
        let upload = self.upload.take();
        let uploaded = upload.as_ref().is_none_or(AbortHandle::is_finished);
        if let Some(upload) = upload {
            upload.abort();
        }
        match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Link { permit, link, reusable, .. } if uploaded => give_back(permit, link, reusable),
            Source::Link { permit, link, .. } => abort(permit, link),
            // What the request has left to say, nobody wants to hear.
            Source::Stream { .. } | Source::Ended => {}
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
        if let Source::Link { permit, link, .. } = std::mem::replace(&mut self.source, Source::Ended) {
            abort(permit, link);
        }
    }
}

/// What the client is told when the replica's stream is cut: the replica's own reason, but not what would make it try again, or
/// take the answer for whole: it began.
fn told(cut: Cut) -> Reason {
    match cut {
        Cut::Reset(reason) if !matches!(reason, Reason::REFUSED_STREAM | Reason::NO_ERROR) => reason,
        _ => Reason::INTERNAL_ERROR,
    }
}
