//! A replica's answer as the body of an HTTP/2 response. It owns the permit and the record: the request ends with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use kaos_core::Moment;
use tokio::task::AbortHandle;

use crate::admit::{Permit, Record, Routed};
use crate::buffer::READ_SIZE;
use crate::forward::{abort, give_back};
use crate::http1::framing::{Framing, Piece};
use crate::http2::streams::Open;
use crate::http2::through::Through;
use crate::pace::Pace;
use crate::part;
use crate::rounds::Watched;
use crate::sabotage::{Rule, is_off};
use crate::upstream::link::Link;

/// The body of a response.
pub(crate) enum Answer {
    /// Our own words.
    Own(Option<Bytes>),
    /// A replica's.
    Replica(Box<Download>),
    /// A replica's that comes by HTTP/2.
    Stream(Box<Through>),
}

/// A body on its way from a replica.
pub(crate) struct Download {
    pub(crate) carried: Option<(Permit, Link)>,
    pub(crate) framing: Framing,
    pub(crate) reusable: bool,
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

/// The answer isn't whole: the stream is reset, so that the client sees it. With the replica's own reset, whose code it gets.
#[derive(Debug, Default)]
pub(crate) struct Cut(pub(crate) Option<h2::Error>);

impl std::fmt::Display for Cut {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the answer was cut")
    }
}

impl std::error::Error for Cut {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|reset| reset as _)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Answer::Own(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Answer::Replica(download) => download.poll_frame(cx),
            Answer::Stream(through) => through.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Own(body) => body.is_none(),
            Answer::Replica(download) => download.carried.is_none(),
            Answer::Stream(through) => through.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Own(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Answer::Replica(download) => match download.framing {
                Framing::Length(left) => SizeHint::with_exact(left),
                _ => SizeHint::default(),
            },
            Answer::Stream(_) => SizeHint::default(),
        }
    }
}

impl Download {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let worker = self.record.worker.clone();
        loop {
            if self.watch.poll_alarm(cx).is_ready() {
                return Poll::Ready(Some(Err(Cut::default())));
            }
            let Some((_, link)) = &mut self.carried else { return Poll::Ready(None) };
            match self.framing.next(link.input.unread()) {
                Err(_) => return Poll::Ready(Some(Err(Cut::default()))),
                Ok(Piece::Data { skip, length }) => {
                    link.input.consume(skip);
                    let data = Bytes::copy_from_slice(link.input.unread().get(..length).unwrap_or_default());
                    link.input.consume(length);
                    self.record.note(|entry| entry.sent += length as u64);
                    if self.framing.has_ended() {
                        self.finish();
                    } else {
                        self.hand_over(length as u64, worker.now());
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Piece::End { skip, trailers }) => {
                    link.input.consume(skip);
                    self.finish();
                    let trailers = part::read(&trailers);
                    return Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))));
                }
                Ok(Piece::More { skip }) => link.input.consume(skip),
            }
            let now = worker.now();
            self.watch.until(self.deadline.min(now + self.silence));
            // Whoever asks for more has taken what there was.
            self.pace.note(now, self.moved, false, self.open.among());
            match ready!(link.input.poll_fill(cx, &link.socket, &worker.buffers, READ_SIZE)) {
                Ok(0) if self.framing == Framing::UntilClose || is_off(Rule::VisibleCut) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(Cut::default()))),
                Ok(_) => self.routed.active(now),
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

    /// The body was read to its end: the connection may serve another request.
    pub(crate) fn finish(&mut self) {
        let Some((permit, link)) = self.carried.take() else { return };
        self.record.note(|entry| entry.cut = false);
        let uploaded = self.upload.take().is_none_or(|upload| {
            let finished = upload.is_finished();
            upload.abort();
            finished
        });
        if uploaded {
            give_back(permit, link, self.reusable);
        } else {
            abort(permit, link);
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
        if let Some((permit, link)) = self.carried.take() {
            abort(permit, link);
        }
    }
}
