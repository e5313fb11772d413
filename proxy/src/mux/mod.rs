//! HTTP/2 itself, whichever end of it we are: frames, windows and streams of one connection (RFC 9113).
//!
//! One task drives the connection: it reads frames and writes what is to be sent. Whoever serves a stream writes its frames into
//! the same buffer and wakes the driver, so that what many streams say at once goes out with one call. All of it is on one
//! worker's thread, without locks.
//!
//! What is held is bounded: content that nobody has taken by the windows, fields by [`Limits::fields`], what is to be sent by
//! [`OUT`] for content and [`HEADS`] for all else, behind which nothing more is read. What the other end may do for nothing
//! is bounded by [`budget`].

pub(crate) mod block;
pub(crate) mod budget;
mod drive;
pub(crate) mod frame;
mod receive;
mod sections;
mod send;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use crate::mux::block::Block;
pub(crate) use crate::mux::drive::{Drive, Ended, Guard};
use crate::mux::frame::{Head, Reason};
use crate::mux::state::State;
pub(crate) use crate::mux::stream::{Cut, Receiver, Sender};

/// Most bytes of content that wait to be written, of all streams together.
const OUT: usize = 128 * 1024;
/// With so many bytes more, which are heads of answers and answers to frames, nothing more is read.
const HEADS: usize = 64 * 1024;
/// Bytes that are taken in one turn: who sends without end must not keep others waiting. A stream that the other end begins
/// is all that is taken, for it is work at once.
const SHARE: usize = 2 * 1024;
/// Streams that have ended and are still known, so that what was on its way for them isn't taken for a fault.
const REMEMBERED: usize = 256;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// What the other end may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Streams that it may have open.
    pub(crate) streams: u32,
    /// Bytes of content that a stream may have under way, and all together.
    pub(crate) stream_window: u32,
    pub(crate) window: u32,
    /// Bytes of one section of fields.
    pub(crate) fields: usize,
    /// Streams that end by its fault.
    pub(crate) faults: usize,
}

/// The connection ends, and the other end is told why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fatal(pub(crate) Reason);

/// A stream that the other end has begun, and how it begins.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) block: Block,
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Mux {
    state: RefCell<State>,
}

impl Mux {
    /// A connection that has just begun. As a client it begins with the preface.
    pub(crate) fn new(role: Role, limits: Limits) -> Rc<Mux> {
        Rc::new(Mux { state: RefCell::new(State::new(role, limits)) })
    }

    /// The next stream that the other end has begun.
    pub(crate) fn accept(self: &Rc<Self>) -> Option<Asked> {
        let (stream, block) = self.state.borrow_mut().next_opened()?;
        Some(Asked {
            block,
            sender: Sender::new(self.clone(), stream.clone()),
            receiver: Receiver::new(self.clone(), stream),
        })
    }

    /// Begins a stream with the fields that `write` writes. `ended`: there is no content. `bodiless`: there is none in the answer,
    /// whatever its length says. `None`: none can be begun any more.
    pub(crate) fn open(
        self: &Rc<Self>,
        ended: bool,
        bodiless: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<(Sender, Receiver)> {
        let stream = self.state.borrow_mut().open(ended, bodiless, write)?;
        Some((Sender::new(self.clone(), stream.clone()), Receiver::new(self.clone(), stream)))
    }

    /// How many streams the other end lets us have open; `None` before it has said so.
    pub(crate) fn most_streams(&self) -> Option<usize> {
        self.state.borrow().most_streams
    }

    /// Whether a stream may still be begun by us.
    pub(crate) fn is_open(&self) -> bool {
        self.state.borrow().is_open()
    }

    /// Lets the connection end when the streams that are open have: the other end is told at once, and may begin streams until it
    /// has heard it (RFC 9113 §6.8).
    pub(crate) fn leave(&self) {
        self.state.borrow_mut().leave();
    }

    /// Whether something has come since this was asked last.
    pub(crate) fn has_heard(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().heard)
    }

    /// Asks the other end whether it is there.
    pub(crate) fn ask_for_life(&self) {
        self.state.borrow_mut().ping();
    }

    /// Takes a share of the frames that `bytes` holds whole, as long as `pays` lets it, which hears the type of each and how many
    /// bytes it carries that anybody wants, and as long as the other end reads what it is sent. Returns the bytes that they are.
    fn take(&self, bytes: &[u8], mut pays: impl FnMut(u8, usize) -> bool) -> (usize, Result<(), Fatal>) {
        let mut state = self.state.borrow_mut();
        let (mut used, opened) = (0, state.opened.len());
        // A request ends the share, but for what takes it back at once: it would be begun only to be broken off.
        while !state.is_deaf()
            && used < SHARE
            && let Some(head) = Head::read(bytes.get(used..).unwrap_or_default())
            && (state.opened.len() <= opened || head.kind == frame::RST_STREAM)
        {
            if head.length > frame::LARGEST {
                return (used, Err(Fatal(Reason::FRAME_SIZE_ERROR)));
            }
            let start = used + frame::HEAD;
            let Some(payload) = bytes.get(start..start + head.length) else { break };
            let carried = if state.is_stray(&head) { 0 } else { head.length };
            let taken = match pays(head.kind, carried) {
                true => state.take(head, payload),
                false => Err(Fatal(Reason::ENHANCE_YOUR_CALM)),
            };
            used = start + head.length;
            if taken.is_err() {
                return (used, taken);
            }
        }
        (used, Ok(()))
    }

    /// As if `bytes` had come. Returns how many were taken; `None`: they end the connection.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn hear(&self, bytes: &[u8]) -> Option<usize> {
        let mut used = 0;
        while frame::is_whole(bytes.get(used..)?) && !self.state.borrow().is_deaf() {
            let (more, taken) = self.take(bytes.get(used..)?, |_, _| true);
            used += more;
            taken.ok()?;
        }
        Some(used)
    }

    /// As if everything that is to be sent were.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn say(&self) -> Vec<u8> {
        self.state.borrow_mut().say()
    }

    /// Ends everything that is open.
    fn end(&self) {
        self.state.borrow_mut().end();
    }
}

/// Tells whoever waits in `place`.
fn wake(place: &RefCell<Option<Waker>>) {
    if let Some(waker) = place.borrow_mut().take() {
        waker.wake();
    }
}
