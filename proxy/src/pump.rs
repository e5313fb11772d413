//! Moves one body from one connection to another, either way, without holding more of it than one read.

use std::io::IoSlice;
use std::mem;
use std::task::{Context, Poll, ready};

use crate::buffer::{BODY_READ_SIZE, Buffers, Input, LARGE, READ_SIZE};
use crate::http1::framing::{Framing, Piece};
use crate::refuse::Refusal;
use crate::sabotage::{Rule, is_off};
use crate::socket::Socket;

/// Why a body did not arrive whole.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It breaks the rules of its framing.
    Malformed(&'static str),
    /// Whoever sends it has ended the connection early.
    SourceEnded,
    /// Whoever receives it takes no more.
    SinkEnded,
    /// It is larger than it may be.
    TooLarge,
}

impl Broken {
    /// What a client is told whose request it is, if it is there to be told.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Broken::Malformed(why) => Some(Refusal::BadRequest(why)),
            Broken::TooLarge => Some(Refusal::BodyTooLarge),
            Broken::SourceEnded | Broken::SinkEnded => None,
        }
    }
}

/// How the body is framed on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is: its length was said, or the end of the connection ends it.
    Identity,
    /// In chunks, with or without trailers at the end.
    Chunked { trailers: bool },
}

/// One body under way. What it begins with, a head, goes out together with the first content.
#[derive(Debug)]
pub(crate) struct Pump {
    framing: Framing,
    encoding: Encoding,
    out: Vec<u8>,
    sent: usize,
    /// Content at the start of the input that goes out as it is.
    direct: usize,
    /// The end of a chunk, once `direct` is out.
    chunk_open: bool,
    ended: bool,
    moved: u64,
    content: u64,
    /// What was written isn't sent yet.
    unsent: bool,
    /// Bytes of content that may still come.
    room: u64,
}

impl Pump {
    /// Sends `head`, then the body that `framing` finds.
    pub(crate) fn new(head: Vec<u8>, framing: Framing, encoding: Encoding) -> Self {
        Pump {
            framing,
            encoding,
            out: head,
            sent: 0,
            direct: 0,
            chunk_open: false,
            ended: false,
            moved: 0,
            content: 0,
            unsent: false,
            room: u64::MAX,
        }
    }

    /// Takes no more than `most` bytes of content.
    pub(crate) fn bounded(self, most: u64) -> Pump {
        Pump { room: most, ..self }
    }

    /// Whether nothing of what was given to it, its head first, has left.
    pub(crate) fn is_untouched(&self) -> bool {
        self.moved == 0
    }

    /// Bytes that have left.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes of content that were taken up: all that have left, and what is on its way.
    pub(crate) fn content(&self) -> u64 {
        self.content
    }

    /// Whether it waits for whoever receives the body: something is there for him.
    pub(crate) fn waits_for_sink(&self) -> bool {
        self.unsent || !self.flushed()
    }

    /// Whether it waits for whoever sends the body.
    pub(crate) fn waits_for_source(&self) -> bool {
        !self.waits_for_sink() && !self.ended
    }

    /// Whether the body was read to its end.
    pub(crate) fn has_read_all(&self) -> bool {
        self.framing.has_ended()
    }

    /// Gives its buffer back.
    pub(crate) fn rest(&mut self, buffers: &Buffers) {
        buffers.give(mem::take(&mut self.out));
    }

    fn flushed(&self) -> bool {
        self.sent == self.out.len() && self.direct == 0
    }

    /// Moves what can be moved now, to the end of the body.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &Socket,
        input: &mut Input,
        to: &Socket,
        buffers: &Buffers,
    ) -> Poll<Result<(), Broken>> {
        loop {
            // What was read goes out with the head before more is read: the first answer must not wait for the second.
            if !self.ended && self.direct == 0 && self.take_piece(input)? {
                continue;
            }
            if !self.flushed() {
                ready!(self.poll_send(cx, input, to))?;
                continue;
            }
            let sent = to.poll_flush(cx);
            self.unsent = sent.is_pending();
            ready!(sent).map_err(|_| Broken::SinkEnded)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if self.framing.is_longer_than(LARGE) || self.moved > LARGE {
                input.widen(buffers);
            }
            match ready!(input.poll_fill(cx, from, buffers, READ_SIZE)) {
                Ok(0) if self.framing == Framing::UntilClose || is_off(Rule::VisibleCut) => self.end(&[]),
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::SourceEnded)),
                Ok(_) => {}
            }
        }
    }

    /// Looks at what the next bytes are. Returns whether it is worth looking again before anything is sent.
    fn take_piece(&mut self, input: &mut Input) -> Result<bool, Broken> {
        if self.out.len() - self.sent >= BODY_READ_SIZE {
            return Ok(false);
        }
        if self.chunk_open {
            self.out.extend_from_slice(b"\r\n");
            self.chunk_open = false;
        }
        match self.framing.next(input.unread()).map_err(Broken::Malformed)? {
            Piece::More { skip } => {
                input.consume(skip);
                Ok(false)
            }
            Piece::End { skip, trailers } => {
                input.consume(skip);
                self.end(&trailers);
                Ok(false)
            }
            Piece::Data { skip, length } => {
                input.consume(skip);
                self.content += length as u64;
                self.room = self.room.checked_sub(length as u64).ok_or(Broken::TooLarge)?;
                match self.encoding {
                    Encoding::Identity => self.direct = length,
                    Encoding::Chunked { .. } if length >= READ_SIZE => {
                        begin_chunk(&mut self.out, length);
                        self.direct = length;
                        self.chunk_open = true;
                    }
                    Encoding::Chunked { .. } => {
                        begin_chunk(&mut self.out, length);
                        self.out.extend_from_slice(input.unread().get(..length).unwrap_or_default());
                        self.out.extend_from_slice(b"\r\n");
                        input.consume(length);
                    }
                }
                Ok(self.direct == 0)
            }
        }
    }

    /// The body has ended.
    fn end(&mut self, trailers: &[(Vec<u8>, Vec<u8>)]) {
        self.ended = true;
        if let Encoding::Chunked { trailers: wanted } = self.encoding {
            end_chunks(&mut self.out, if wanted { trailers } else { &[] });
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input,
        to: &Socket,
    ) -> Poll<Result<(), Broken>> {
        let head = self.out.get(self.sent..).unwrap_or_default();
        let content = input.unread().get(..self.direct).unwrap_or_default();
        let parts = [IoSlice::new(head), IoSlice::new(content)];
        let parts = match (head.is_empty(), content.is_empty()) {
            (true, _) => &parts[1..],
            (_, true) => &parts[..1],
            _ => &parts[..],
        };
        let sent = ready!(to.poll_write(cx, parts)).map_err(|_| Broken::SinkEnded)?;
        if sent == 0 {
            return Poll::Ready(Err(Broken::SinkEnded));
        }
        self.moved += sent as u64;
        let of_head = sent.min(head.len());
        self.sent += of_head;
        self.direct -= sent - of_head;
        input.consume(sent - of_head);
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// The line that begins a chunk of `length` bytes.
pub(crate) fn begin_chunk(out: &mut Vec<u8>, length: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut line = [0; 16];
    let (mut at, mut left) = (line.len(), length);
    loop {
        at -= 1;
        line[at] = DIGITS[left % 16];
        left /= 16;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&line[at..]);
    out.extend_from_slice(b"\r\n");
}

/// The last chunk, with the trailers that may stand there (RFC 9110 §6.5.1 names those that may not).
pub(crate) fn end_chunks(out: &mut Vec<u8>, trailers: &[(Vec<u8>, Vec<u8>)]) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a field may stand behind the content: not one that frames, routes, authenticates or controls.
pub(crate) fn may_trail(name: &[u8]) -> bool {
    const NEVER: [&str; 14] = [
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "max-forwards",
        "set-cookie",
        "age",
        "date",
        "expires",
        "location",
        "retry-after",
        "vary",
        "www-authenticate",
    ];
    let known = crate::field::classify(name);
    is_off(Rule::Trailers)
        || known == crate::field::Name::Other
            && !NEVER.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes()))
}
