//! What is known of a connection, and what is to be sent on it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use foldhash::fast::RandomState;

use crate::hpack::{Decoder, encode};
use crate::mux::block::Block;
use crate::mux::frame::{self, Reason};
use crate::mux::stream::{Cut, Stream};
use crate::mux::{HEADS, Limits, OUT, Role, wake};
use crate::socket::Socket;

/// What every connection allows before anybody says more (RFC 9113 §6.5.2, §6.9.2).
const WINDOW: u32 = 65_535;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The streams that may have been begun by who hasn't heard yet that none may (§6.8).
const ALL: u32 = 0x7fff_ffff;
/// Room that what is to be sent begins with.
const ROOM: usize = 4 * 1024;
/// What our PINGs say: whether the other end is there, and whether it has heard that we leave.
const LIFE: [u8; 8] = *b"kaos-lif";
pub(super) const HEARD: [u8; 8] = *b"kaos-bye";

/// How far we have said that the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The other end may still begin streams.
    Said,
    /// It has heard it, and begins none.
    Heard,
}

/// A section of fields of which more is to come.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) stream: u32,
    pub(super) ended: bool,
    pub(super) depends_on: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) frames: usize,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) role: Role,
    pub(super) limits: Limits,
    /// Those that haven't ended in both directions.
    pub(super) streams: HashMap<u32, Rc<Stream>, RandomState>,
    /// The last that have, and whether it was by our reset.
    pub(super) closed: VecDeque<(u32, bool)>,
    /// Streams that the other end has begun and nobody has taken, and those of them that it has reset.
    pub(super) opened: VecDeque<(Rc<Stream>, Block)>,
    pub(super) stillborn: usize,
    /// The last stream that the other end has begun, and the next that we begin.
    pub(super) last: u32,
    pub(super) next: u32,
    pub(super) decoder: Decoder,
    /// A section of fields that isn't whole.
    pub(super) partial: Option<Partial>,
    /// Bytes of content that may be sent in all, and with which room a stream begins.
    pub(super) room: i64,
    pub(super) first_room: i64,
    /// Bytes that may come in all, and bytes that aren't allowed anew yet.
    pub(super) window: i64,
    pub(super) taken: usize,
    /// Streams that wait for room that all share.
    pub(super) crowd: Vec<Rc<Stream>>,
    /// What is to be sent, how much of it was, and how much was in all.
    out: Vec<u8>,
    written: usize,
    pub(super) sent: u64,
    /// Room for a block that is written.
    pub(super) block: Vec<u8>,
    pub(super) driver: Option<Waker>,
    /// How many streams the other end's settings allow us, once they have come.
    pub(super) most_streams: Option<usize>,
    pub(super) faults: usize,
    pub(super) leaving: Leaving,
    /// The last of our streams that the other end will look at: it leaves.
    pub(super) left: Option<u32>,
    ended: bool,
    /// Something has come since this was asked last.
    pub(super) heard: bool,
}

impl State {
    pub(super) fn new(role: Role, limits: Limits) -> Self {
        let mut out = Vec::new();
        let mut settings = vec![
            (frame::INITIAL_WINDOW_SIZE, limits.stream_window),
            (frame::MAX_HEADER_LIST_SIZE, limits.fields as u32),
        ];
        match role {
            Role::Server => settings.push((frame::MAX_CONCURRENT_STREAMS, limits.streams)),
            Role::Client => {
                out.extend_from_slice(PREFACE);
                settings.push((frame::ENABLE_PUSH, 0));
            }
        }
        frame::settings(&mut out, &settings);
        frame::numbers(&mut out, frame::WINDOW_UPDATE, 0, &[limits.window - WINDOW]);
        State {
            role,
            limits,
            streams: HashMap::default(),
            closed: VecDeque::new(),
            opened: VecDeque::new(),
            stillborn: 0,
            last: 0,
            next: 1,
            decoder: Decoder::default(),
            partial: None,
            room: i64::from(WINDOW),
            first_room: i64::from(WINDOW),
            window: i64::from(limits.window),
            taken: 0,
            crowd: Vec::new(),
            out,
            written: 0,
            sent: 0,
            block: vec![encode::NO_TABLE],
            driver: None,
            most_streams: None,
            faults: 0,
            leaving: Leaving::No,
            left: None,
            ended: false,
            heard: false,
        }
    }

    /// The next stream that the other end has begun, and that it still wants.
    pub(super) fn next_opened(&mut self) -> Option<(Rc<Stream>, Block)> {
        while self.opened.front().is_some_and(|(stream, _)| stream.cut.get().is_some()) {
            self.opened.pop_front();
        }
        if self.opened.is_empty() {
            self.stillborn = 0;
        }
        self.opened.pop_front()
    }

    /// Bytes that are to be written.
    pub(super) fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Whether the other end doesn't read what it is sent: nothing more is to be read from it either, or answers would pile up.
    pub(super) fn is_deaf(&self) -> bool {
        self.unwritten() >= OUT + HEADS
    }

    /// Writes what is to be written. Ready when nothing is left.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, socket: &Socket) -> Poll<io::Result<()>> {
        while self.unwritten() > 0 {
            let left = self.out.get(self.written..).unwrap_or_default();
            let sent = ready!(socket.poll_write(cx, &[IoSlice::new(left)]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += sent;
            self.sent += sent as u64;
            // Where there is always something left, what was written goes before it is all.
            if self.written >= OUT {
                self.out.drain(..self.written);
                self.written = 0;
            }
            if self.unwritten() * 2 <= OUT {
                self.call_crowd();
            }
        }
        self.out.clear();
        self.written = 0;
        if self.streams.is_empty() {
            self.out = Vec::new();
        }
        socket.poll_flush(cx)
    }

    /// Bytes that what is to be sent has room for.
    #[cfg(test)]
    pub(super) fn room_taken(&self) -> usize {
        self.out.capacity()
    }

    /// Takes what is to be sent.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn say(&mut self) -> Vec<u8> {
        self.call_crowd();
        std::mem::take(&mut self.out)
    }

    /// The buffer of what is to be sent, with room.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
        if self.out.capacity() == 0 {
            self.out.reserve(ROOM);
        }
        &mut self.out
    }

    pub(super) fn call_crowd(&mut self) {
        for stream in self.crowd.drain(..) {
            stream.in_crowd.set(false);
            wake(&stream.writer);
        }
    }

    /// Whether we may begin streams.
    pub(super) fn is_open(&self) -> bool {
        !self.ended && self.left.is_none() && self.leaving == Leaving::No && self.next <= ALL
    }

    /// Says that no streams are to be begun.
    pub(super) fn leave(&mut self) {
        if self.leaving != Leaving::No {
            return;
        }
        self.leaving = Leaving::Said;
        if self.role == Role::Client {
            // It begins none.
            self.go_away(0, Reason::NO_ERROR);
            return;
        }
        self.go_away(ALL, Reason::NO_ERROR);
        self.say_ping(HEARD);
    }

    /// The other end has heard it.
    pub(super) fn heard(&mut self) {
        if self.leaving == Leaving::Said && self.role == Role::Server {
            self.leaving = Leaving::Heard;
            self.go_away(self.last, Reason::NO_ERROR);
        }
    }

    pub(super) fn go_away(&mut self, last: u32, reason: Reason) {
        frame::numbers(self.out(), frame::GOAWAY, 0, &[last, reason.0]);
    }

    pub(super) fn ping(&mut self) {
        self.say_ping(LIFE);
    }

    fn say_ping(&mut self, what: [u8; 8]) {
        let out = self.out();
        frame::head(out, what.len(), frame::PING, 0, 0);
        out.extend_from_slice(&what);
    }

    /// Whether nothing more is to happen.
    pub(super) fn is_over(&self) -> bool {
        let leaving = match self.role {
            Role::Server => self.leaving == Leaving::Heard || self.left.is_some(),
            Role::Client => self.leaving != Leaving::No || self.left.is_some(),
        };
        leaving && self.streams.is_empty()
    }

    /// The connection has ended.
    pub(super) fn end(&mut self) {
        self.ended = true;
        for stream in std::mem::take(&mut self.streams).into_values() {
            stream.end(Cut::Closed);
        }
        self.opened.clear();
        self.call_crowd();
    }
}
