//! One stream, and its two ends on our side.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::mux::block::Block;
use crate::mux::frame::{LARGEST, Reason};
use crate::mux::{Mux, OUT, wake};
use crate::part::{Part, Trailers};

/// Why a stream has ended before it was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The other end has reset it.
    Reset(Reason),
    /// It has broken the rules, and was told so.
    Fault(Reason),
    /// We have reset it.
    Dropped,
    /// The other end has ended the connection, and says that it has not looked at it.
    Unprocessed,
    /// The connection has ended.
    Closed,
}

/// What is known of a stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Bytes that may be sent; below 0 when the other end has taken back some of what it had allowed.
    pub(super) room: Cell<i64>,
    /// Bytes that may still come, and bytes that were taken and aren't allowed anew yet.
    pub(super) window: Cell<i64>,
    pub(super) taken: Cell<usize>,
    pub(super) sent_all: Cell<bool>,
    pub(super) received_all: Cell<bool>,
    /// Bytes of content that must come, if that was said.
    pub(super) length: Cell<Option<u64>>,
    /// The answer has no content, whatever it says.
    pub(super) bodiless: bool,
    /// An answer's head has come, and so many before it that weren't the last.
    pub(super) answered: Cell<bool>,
    pub(super) interim: Cell<usize>,
    pub(super) head: RefCell<Option<Block>>,
    /// Content that nobody has taken.
    come: RefCell<VecDeque<Vec<u8>>>,
    pub(super) trailers: RefCell<Option<Trailers>>,
    /// Nobody takes what comes.
    pub(super) unheard: Cell<bool>,
    pub(super) cut: Cell<Option<Cut>>,
    /// It waits for room that all streams share.
    pub(super) in_crowd: Cell<bool>,
    pub(super) reader: RefCell<Option<Waker>>,
    pub(super) writer: RefCell<Option<Waker>>,
}

impl Stream {
    pub(super) fn new(id: u32, room: i64, window: u32) -> Self {
        Stream {
            id,
            room: Cell::new(room),
            window: Cell::new(i64::from(window)),
            taken: Cell::new(0),
            sent_all: Cell::new(false),
            received_all: Cell::new(false),
            length: Cell::new(None),
            bodiless: false,
            answered: Cell::new(false),
            interim: Cell::new(0),
            head: RefCell::new(None),
            come: RefCell::default(),
            trailers: RefCell::new(None),
            unheard: Cell::new(false),
            cut: Cell::new(None),
            in_crowd: Cell::new(false),
            reader: RefCell::new(None),
            writer: RefCell::new(None),
        }
    }

    /// Ends it before it is whole. Returns the bytes of content that nobody will take. What has come whole stays.
    pub(super) fn end(&self, cut: Cut) -> usize {
        if self.cut.get().is_none() {
            self.cut.set(Some(cut));
        }
        wake(&self.reader);
        wake(&self.writer);
        if self.received_all.get() { 0 } else { self.forget() }
    }

    /// Drops the content that has come. Returns its bytes.
    pub(super) fn forget(&self) -> usize {
        self.come.take().iter().map(Vec::len).sum()
    }

    /// Keeps content until somebody takes it. However small its frames are, it takes no more room than it has bytes.
    pub(super) fn keep(&self, content: &[u8]) {
        let mut come = self.come.borrow_mut();
        match come.back_mut() {
            Some(last) if last.len() + content.len() <= LARGEST => last.extend_from_slice(content),
            _ => come.push_back(content.to_vec()),
        }
        wake(&self.reader);
    }
}

/// Keeps the waker of whoever polls.
fn wait(place: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    match &mut *place.borrow_mut() {
        Some(known) => known.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// The sending side of a stream. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub(crate) struct Sender {
    mux: Rc<Mux>,
    stream: Rc<Stream>,
}

impl Sender {
    pub(super) fn new(mux: Rc<Mux>, stream: Rc<Stream>) -> Self {
        Sender { mux, stream }
    }

    /// Sends a head with the fields that `write` writes. `ended`: nothing follows.
    pub(crate) fn head(&self, ended: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.mux.state.borrow_mut().send_head(&self.stream, ended, write);
    }

    /// Ready when content can be sent: how many bytes. `Err`: it has ended.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<usize, Cut>> {
        if let Some(cut) = self.stream.cut.get() {
            return Poll::Ready(Err(cut));
        }
        let mut state = self.mux.state.borrow_mut();
        let shared = state.room.min(OUT as i64 - state.unwritten() as i64);
        let room = shared.min(self.stream.room.get()).min(LARGEST as i64);
        if room > 0 {
            return Poll::Ready(Ok(room as usize));
        }
        wait(&self.stream.writer, cx);
        if shared <= 0 && !self.stream.in_crowd.replace(true) {
            state.crowd.push(self.stream.clone());
        }
        Poll::Pending
    }

    /// Sends content for which there is room. `ended`: nothing follows.
    pub(crate) fn content(&self, content: &[u8], ended: bool) {
        self.mux.state.borrow_mut().send_content(&self.stream, content, ended);
    }

    /// Ends it, with trailers if `end` is those.
    pub(crate) fn end(&self, end: &Part) {
        match end {
            Part::Trailers(trailers) => self.mux.state.borrow_mut().send_trailers(&self.stream, trailers),
            Part::Data(_) | Part::End => self.content(&[], true),
        }
    }

    /// Ends it before it is whole.
    pub(crate) fn reset(&self, reason: Reason) {
        self.mux.state.borrow_mut().reset(&self.stream, reason);
    }

    /// Ready when it has ended without us.
    pub(crate) fn poll_cut(&self, cx: &Context<'_>) -> Poll<Cut> {
        match self.stream.cut.get() {
            Some(cut) => Poll::Ready(cut),
            None => {
                wait(&self.stream.writer, cx);
                Poll::Pending
            }
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !self.stream.sent_all.get() {
            self.reset(Reason::CANCEL);
        }
    }
}

/// The receiving side of a stream. What is dropped before its end isn't wanted.
#[derive(Debug)]
pub(crate) struct Receiver {
    mux: Rc<Mux>,
    stream: Rc<Stream>,
}

impl Receiver {
    pub(super) fn new(mux: Rc<Mux>, stream: Rc<Stream>) -> Self {
        Receiver { mux, stream }
    }

    /// Ready when an answer's head has come. Says too how many have come that weren't the last.
    pub(crate) fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<Block, Cut>> {
        if let Some(head) = self.stream.head.borrow_mut().take() {
            return Poll::Ready(Ok(head));
        }
        if let Some(cut) = self.stream.cut.get() {
            return Poll::Ready(Err(cut));
        }
        wait(&self.stream.reader, cx);
        Poll::Pending
    }

    /// Heads that have come before the last.
    pub(crate) fn interim(&self) -> usize {
        self.stream.interim.get()
    }

    /// Takes what comes next, and whether nothing comes behind it. The other end may send more when content was
    /// [`Receiver::release`]d.
    pub(crate) fn poll_part(&self, cx: &Context<'_>) -> Poll<Result<(Part, bool), Cut>> {
        let next = self.stream.come.borrow_mut().pop_front();
        if let Some(content) = next {
            return Poll::Ready(Ok((Part::Data(Bytes::from(content)), self.has_ended())));
        }
        if self.stream.received_all.get() {
            let trailers = self.stream.trailers.take();
            return Poll::Ready(Ok((trailers.map_or(Part::End, Part::end), true)));
        }
        if let Some(cut) = self.stream.cut.get() {
            return Poll::Ready(Err(cut));
        }
        wait(&self.stream.reader, cx);
        Poll::Pending
    }

    /// Whether everything was taken.
    pub(crate) fn has_ended(&self) -> bool {
        let stream = &self.stream;
        stream.received_all.get() && stream.come.borrow().is_empty() && stream.trailers.borrow().is_none()
    }

    /// So many bytes of content have gone on.
    pub(crate) fn release(&self, count: usize) {
        self.mux.state.borrow_mut().release(&self.stream, count);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.mux.state.borrow_mut().leave_unheard(&self.stream);
    }
}
