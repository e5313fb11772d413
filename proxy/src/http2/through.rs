//! A replica's answer by HTTP/2 as the body of an HTTP/2 response. It owns the permit and the record: the request ends with
//! it.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http_body::Frame;
use kaos_core::Moment;
use tokio::task::AbortHandle;

use crate::admit::{Permit, Record, Routed};
use crate::http2::download::Cut;
use crate::http2::streams::Open;
use crate::pace::Pace;
use crate::part::Part;
use crate::rounds::Watched;
use crate::upstream::http2::inflow::Inflow;

/// A body on its way from a replica. Content goes on as it came, uncopied.
pub(crate) struct Through {
    pub(crate) carried: Option<(Permit, Inflow)>,
    /// The rest of the request, on its way beside.
    pub(crate) upload: Option<AbortHandle>,
    pub(crate) watch: Watched,
    pub(crate) silence: Duration,
    pub(crate) pace: Pace,
    /// Bytes that were handed over.
    pub(crate) moved: u64,
    pub(super) open: Open,
    pub(crate) deadline: Moment,
    pub(crate) record: Record,
    pub(crate) routed: Routed,
}

impl Through {
    pub(super) fn has_ended(&self) -> bool {
        self.carried.is_none()
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.watch.poll_alarm(cx).is_ready() {
            return Poll::Ready(Some(Err(Cut::default())));
        }
        let Some((_, inflow)) = &mut self.carried else { return Poll::Ready(None) };
        let now = self.record.worker.now();
        self.watch.until(self.deadline.min(now + self.silence));
        // Whoever asks for more has taken what there was.
        self.pace.note(now, self.moved, false, self.open.among());
        let part = match ready!(inflow.poll_part(cx)) {
            Ok(part) => part,
            Err(error) => return Poll::Ready(Some(Err(Cut(told(&error))))),
        };
        self.routed.active(now);
        match part {
            Part::Data(content) => {
                // It is asked for only when the client's window has room.
                inflow.release(content.len());
                let (length, last) = (content.len() as u64, inflow.has_ended());
                self.record.note(|entry| entry.sent += length);
                if last {
                    self.finish();
                } else {
                    self.hand_over(length, now);
                }
                Poll::Ready(Some(Ok(Frame::data(content))))
            }
            Part::Trailers(trailers) => {
                self.finish();
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Part::End => {
                self.finish();
                Poll::Ready(None)
            }
        }
    }

    /// The client has this to take now.
    fn hand_over(&mut self, length: u64, now: Moment) {
        self.moved += length;
        self.open.answered();
        let slow = self.pace.note(now, self.moved, true, self.open.among());
        self.watch.until(self.deadline.min(now + self.silence).min(slow));
    }

    /// The answer is whole. What the request has left to say, nobody wants to hear.
    pub(super) fn finish(&mut self) {
        self.record.note(|entry| entry.cut = false);
        self.let_go();
    }

    fn let_go(&mut self) {
        self.carried = None;
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// What the client is told of a replica's reset. Not what would make it try again, or take the answer for whole: it began.
fn told(error: &h2::Error) -> Option<h2::Error> {
    let reason = error.reason().filter(|_| error.is_reset() && error.is_remote());
    reason.filter(|reason| !matches!(*reason, Reason::REFUSED_STREAM | Reason::NO_ERROR)).map(h2::Error::from)
}
