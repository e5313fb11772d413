//! Writes a body that comes in pieces to an HTTP/1 connection, either way: what comes by HTTP/2, and what is kept to be sent
//! again. Whoever sends it may send more only when what came was written.

use std::io::IoSlice;
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::buffer::{Buffers, READ_SIZE};
use crate::part::Part;
use crate::pump::{Broken, Encoding, begin_chunk, end_chunks};
use crate::socket::Socket;

/// Where a body comes from.
pub(crate) trait Parts {
    /// Takes the next piece.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Broken>>;
    /// So many bytes of content that were taken are needed no more.
    fn release(&mut self, length: usize);
}

/// Content up to this is copied, so that several pieces go out with one call.
const SMALL: usize = 4 * 1024;

/// One body under way. The head before it goes out together with the first content.
#[derive(Debug)]
pub(crate) struct Pour {
    encoding: Encoding,
    out: Vec<u8>,
    sent: usize,
    /// What goes out after `out`, as it is, and then `tail`.
    content: Bytes,
    tail: &'static [u8],
    /// Content that was taken and hasn't gone on whole.
    taken: usize,
    ended: bool,
    broken: Option<Broken>,
    moved: u64,
    /// Bytes of content that were taken up.
    content_taken: u64,
    /// What was written isn't sent yet.
    unsent: bool,
}

impl Pour {
    /// Sends `head`, then the body. `ended`: there is none.
    pub(crate) fn new(head: Vec<u8>, encoding: Encoding, ended: bool) -> Self {
        let (content, tail) = (Bytes::new(), &b""[..]);
        Pour {
            encoding,
            out: head,
            sent: 0,
            content,
            tail,
            taken: 0,
            ended,
            broken: None,
            moved: 0,
            content_taken: 0,
            unsent: false,
        }
    }

    /// Bytes that have left.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes of content that were taken up: all that have left, and what is on its way.
    pub(crate) fn content(&self) -> u64 {
        self.content_taken
    }

    /// Whether it waits for whoever receives the body: something is there for him.
    pub(crate) fn waits_for_sink(&self) -> bool {
        !self.is_flushed()
    }

    /// Whether it waits for whoever sends the body.
    pub(crate) fn waits_for_source(&self) -> bool {
        self.is_flushed() && !self.ended
    }

    /// Gives its buffer back.
    pub(crate) fn rest(&mut self, buffers: &Buffers) {
        buffers.give(mem::take(&mut self.out));
    }

    /// Moves what can be moved now, to the end of the body.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Parts,
        to: &Socket,
    ) -> Poll<Result<(), Broken>> {
        loop {
            while !self.ended && self.broken.is_none() && self.has_room() {
                match from.poll_part(cx) {
                    Poll::Ready(Ok(part)) => self.take(part),
                    // What came before goes out before the cut.
                    Poll::Ready(Err(broken)) => self.broken = Some(broken),
                    Poll::Pending if self.is_flushed() => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            ready!(self.poll_send(cx, to))?;
            from.release(mem::take(&mut self.taken));
            if let Some(broken) = self.broken.take() {
                return Poll::Ready(Err(broken));
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn has_room(&self) -> bool {
        self.content.is_empty() && self.tail.is_empty() && self.out.len() - self.sent < READ_SIZE
    }

    fn is_flushed(&self) -> bool {
        !self.unsent && self.is_written()
    }

    fn is_written(&self) -> bool {
        self.sent == self.out.len() && self.content.is_empty() && self.tail.is_empty()
    }

    fn take(&mut self, part: Part) {
        let chunked = matches!(self.encoding, Encoding::Chunked { .. });
        match part {
            Part::Data(content) if content.is_empty() => {}
            Part::Data(content) => {
                self.taken += content.len();
                self.content_taken += content.len() as u64;
                let end: &'static [u8] = if chunked { b"\r\n" } else { b"" };
                if chunked {
                    begin_chunk(&mut self.out, content.len());
                }
                if content.len() <= SMALL {
                    self.out.extend_from_slice(&content);
                    self.out.extend_from_slice(end);
                } else {
                    (self.content, self.tail) = (content, end);
                }
            }
            Part::Trailers(trailers) => {
                let wanted = matches!(self.encoding, Encoding::Chunked { trailers: true });
                self.end(if wanted { &trailers } else { &[] });
            }
            Part::End => self.end(&[]),
        }
    }

    fn end(&mut self, trailers: &[(Vec<u8>, Vec<u8>)]) {
        self.ended = true;
        if let Encoding::Chunked { .. } = self.encoding {
            end_chunks(&mut self.out, trailers);
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<Result<(), Broken>> {
        while !self.is_written() {
            let out = self.out.get(self.sent..).unwrap_or_default();
            let parts = [IoSlice::new(out), IoSlice::new(&self.content), IoSlice::new(self.tail)];
            let used = if self.content.is_empty() && self.tail.is_empty() { 1 } else { 3 };
            let sent = ready!(to.poll_write(cx, parts.get(..used).unwrap_or(&parts)));
            let mut sent = sent.map_err(|_| Broken::SinkEnded)?;
            if sent == 0 {
                return Poll::Ready(Err(Broken::SinkEnded));
            }
            self.moved += sent as u64;
            let of_out = sent.min(out.len());
            self.sent += of_out;
            sent -= of_out;
            let of_content = sent.min(self.content.len());
            self.content.advance(of_content);
            self.tail = self.tail.get(sent - of_content..).unwrap_or_default();
        }
        self.out.clear();
        self.sent = 0;
        let sent = to.poll_flush(cx);
        self.unsent = sent.is_pending();
        sent.map_err(|_| Broken::SinkEnded)
    }
}
