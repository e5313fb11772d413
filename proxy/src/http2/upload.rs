//! The body of an HTTP/2 request on its way to a replica.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::forward::feed::Upload;
use crate::head::Head;
use crate::http1::framing::Framing;
use crate::mux::Receiver;
use crate::part::Part;
use crate::pump::{Broken, begin_chunk, end_chunks};
use crate::socket::Socket;
use bytes::{Buf, Bytes};

/// A body that comes in frames.
#[derive(Debug)]
pub(crate) struct FromStream {
    body: Receiver,
    empty: bool,
    chunked: bool,
    /// What goes out before `content`.
    out: Bytes,
    content: Bytes,
    /// What goes out after `content`.
    tail: Bytes,
    moved: u64,
    /// Counts the content that comes, for whoever wants to know.
    meter: Option<Rc<Cell<u64>>>,
    ended: bool,
    /// Bytes of content that may still come.
    room: u64,
}

impl FromStream {
    pub(crate) fn new(head: &Head, body: Receiver, meter: Option<Rc<Cell<u64>>>) -> Self {
        FromStream {
            body,
            empty: head.body.has_ended(),
            chunked: matches!(head.body, Framing::Chunked(_)),
            out: Bytes::new(),
            content: Bytes::new(),
            tail: Bytes::new(),
            moved: 0,
            meter,
            ended: false,
            room: u64::MAX,
        }
    }

    /// So many bytes of content have come.
    fn count(&mut self, length: usize) -> Result<(), Broken> {
        if let Some(meter) = &self.meter {
            meter.set(meter.get() + length as u64);
        }
        self.room = self.room.checked_sub(length as u64).ok_or(Broken::TooLarge)?;
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<Result<(), Broken>> {
        while self.out.has_remaining() || self.content.has_remaining() || self.tail.has_remaining() {
            let parts = [IoSlice::new(&self.out), IoSlice::new(&self.content), IoSlice::new(&self.tail)];
            let mut sent = ready!(to.poll_write(cx, &parts)).map_err(|_| Broken::SinkEnded)?;
            if sent == 0 {
                return Poll::Ready(Err(Broken::SinkEnded));
            }
            self.moved += sent as u64;
            for part in [&mut self.out, &mut self.content, &mut self.tail] {
                let of_part = sent.min(part.len());
                part.advance(of_part);
                sent -= of_part;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece. The client may send more for what was taken.
    fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<Result<(Part, bool), Broken>> {
        let piece = ready!(self.body.poll_part(cx)).map_err(|_| Broken::SourceEnded)?;
        if let Part::Data(content) = &piece.0 {
            self.count(content.len())?;
            self.body.release(content.len());
        }
        Poll::Ready(Ok(piece))
    }

    /// Takes the next frame. `out` may still hold the head: the first content goes with it.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let mut framing = Vec::new();
        match ready!(self.poll_piece(cx))?.0 {
            Part::Data(data) if data.is_empty() => return Poll::Ready(Ok(())),
            Part::Data(data) => {
                if self.chunked {
                    begin_chunk(&mut framing, data.len());
                    self.tail = Bytes::from_static(b"\r\n");
                }
                self.content = data;
            }
            end => {
                self.ended = true;
                if self.chunked {
                    end_chunks(&mut framing, end.trailers());
                }
            }
        }
        if !framing.is_empty() {
            let mut out = self.out.to_vec();
            out.extend_from_slice(&framing);
            self.out = out.into();
        }
        Poll::Ready(Ok(()))
    }
}

impl Upload for FromStream {
    fn begin(&mut self, head: Vec<u8>) {
        self.out = head.into();
        self.moved = 0;
        self.ended = self.empty;
    }

    fn poll(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<Result<(), Broken>> {
        loop {
            if !self.ended && self.content.is_empty() && self.tail.is_empty() {
                // The head must not wait for the body.
                match self.poll_frame(cx) {
                    Poll::Ready(frame) => frame?,
                    Poll::Pending if self.out.is_empty() => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            ready!(self.poll_send(cx, to))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Part, bool), Broken>> {
        self.poll_piece(cx)
    }

    async fn invite(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.empty
    }

    fn is_untouched(&self) -> bool {
        self.moved == 0
    }

    fn moved(&self) -> u64 {
        self.moved
    }

    fn waits_for_client(&self) -> bool {
        !self.ended && self.out.is_empty() && self.content.is_empty() && self.tail.is_empty()
    }

    fn bound(&mut self, most: u64) {
        self.room = most;
    }

    fn hold(&mut self) -> usize {
        // What a stream holds while it waits is bounded by its window.
        1024
    }
}
