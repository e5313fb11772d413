//! Bodies of answers: made while they are taken, so that neither a large nor a slow one costs memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::stamp::Open;

/// A body is told to end badly.
#[derive(Debug)]
pub(super) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("told to break off here")
    }
}

impl std::error::Error for Broken {}

/// What the body holds.
pub(super) enum Payload {
    /// All of it.
    Text(Bytes),
    /// So many bytes more.
    Filler(u64),
    /// Pieces, one after the other.
    Pieces(Pieces),
    /// The request's own body.
    Echo(Incoming),
}

/// Pieces of a body, with a pause between them.
pub(super) struct Pieces {
    left: u64,
    sent: u64,
    make: fn(u64, &Bytes) -> Bytes,
    piece: Bytes,
    every: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    end: Option<End>,
}

/// How a body in pieces ends.
pub(super) enum End {
    /// As it should.
    Clean,
    /// With these trailers.
    Trailers(HeaderMap),
    /// By an error: the connection (HTTP/2: the stream) is cut.
    Cut,
    /// By the end of the process.
    Crash,
}

impl Pieces {
    /// `count` pieces of `size` bytes.
    pub(super) fn new(count: u64, size: usize, every: Duration, end: End) -> Pieces {
        Pieces::made(count, Bytes::from(vec![b'x'; size]), |_, piece| piece.clone(), every, end)
    }

    /// `count` server-sent events whose data is their number.
    pub(super) fn events(count: u64, every: Duration) -> Pieces {
        let event = |sent, _: &Bytes| Bytes::from(format!("id: {sent}\ndata: {sent}\n\n"));
        Pieces::made(count, Bytes::new(), event, every, End::Clean)
    }

    fn made(left: u64, piece: Bytes, make: fn(u64, &Bytes) -> Bytes, every: Duration, end: End) -> Pieces {
        // An empty chunk would be the end of a chunked body.
        let left = if piece.is_empty() && matches!(end, End::Cut) { 0 } else { left };
        Pieces { left, sent: 0, make, piece, every, pause: None, end: Some(end) }
    }

    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        open: Option<&Open>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.left == 0 {
            return self.poll_end(open);
        }
        let piece = (self.make)(self.sent, &self.piece);
        (self.left, self.sent) = (self.left - 1, self.sent + 1);
        // The pause also lets what came before it be written out before a bad end.
        let bad_end = self.left == 0 && matches!(self.end, Some(End::Cut | End::Crash));
        let pause = if bad_end { self.every.max(Duration::from_millis(2)) } else { self.every };
        if !pause.is_zero() && (self.left > 0 || bad_end) {
            self.pause = Some(Box::pin(sleep_until(Instant::now() + pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn poll_end(&mut self, open: Option<&Open>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.end.take() {
            Some(End::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(End::Cut) => Poll::Ready(Some(Err(Broken))),
            Some(End::Crash) => {
                if let Some(open) = open {
                    open.crash();
                }
                // The process is about to end. Until then nothing more may be said, however often this is asked.
                self.end = Some(End::Crash);
                Poll::Pending
            }
            Some(End::Clean) | None => Poll::Ready(None),
        }
    }
}

/// The body of an answer, which keeps its request open until it is dropped.
pub(super) struct Answer {
    payload: Payload,
    open: Option<Open>,
}

impl Answer {
    pub(super) fn new(payload: Payload, open: Option<Open>) -> Answer {
        Answer { payload, open }
    }
}

static FILLER: [u8; 65_536] = [b'x'; 65_536];

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Answer { payload, open } = &mut *self;
        match payload {
            Payload::Text(text) if text.is_empty() => Poll::Ready(None),
            Payload::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Payload::Filler(0) => Poll::Ready(None),
            Payload::Filler(left) => {
                let size = (*left).min(FILLER.len() as u64);
                *left -= size;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&FILLER[..size as usize])))))
            }
            Payload::Pieces(pieces) => pieces.poll_piece(context, open.as_ref()),
            Payload::Echo(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|_| Broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Text(text) => text.is_empty(),
            Payload::Filler(left) => *left == 0,
            Payload::Pieces(_) => false,
            Payload::Echo(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::Text(text) => SizeHint::with_exact(text.len() as u64),
            Payload::Filler(left) => SizeHint::with_exact(*left),
            Payload::Pieces(_) => SizeHint::default(),
            Payload::Echo(incoming) => incoming.size_hint(),
        }
    }
}
