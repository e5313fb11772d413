//! Reads and writes for one connection.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::buffer::{Buffers, Input, READ_SIZE};
use crate::mux::budget::Budget;
use crate::mux::frame::{self, Reason};
use crate::mux::{Fatal, Mux};
use crate::socket::Socket;
use crate::turns::{Place, Turns};

/// Least room to read into: for a whole frame.
const ROOM: usize = frame::HEAD + frame::LARGEST;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was said.
    Over,
    /// The other end is gone.
    Gone,
    /// The other end is at fault, and was told so.
    Fault(Reason),
}

/// More than so many bytes that came and weren't taken are much: a dozen requests.
const MUCH: usize = 512;

/// What keeps others from suffering by the other end.
#[derive(Debug)]
pub(crate) struct Guard {
    /// What it may still do for nothing.
    budget: Budget,
    /// A share is taken in each of these: while little has come, and while [`MUCH`] has.
    turns: [Rc<Turns>; 2],
    places: [Place; 2],
}

impl Guard {
    pub(crate) fn new(budget: Budget, turns: [Rc<Turns>; 2]) -> Self {
        Guard { budget, turns, places: Default::default() }
    }
}

/// What drives a connection.
#[derive(Debug)]
pub(crate) struct Drive {
    mux: Rc<Mux>,
    input: Input,
    /// Whoever is trusted has none.
    guard: Option<Guard>,
    fault: Option<Fatal>,
}

impl Drive {
    /// Begins with what was read already.
    pub(crate) fn new(mux: Rc<Mux>, input: Input, guard: Option<Guard>) -> Self {
        Drive { mux, input, guard, fault: None }
    }

    /// Reads and writes what can be read and written now, to the end of the connection. Then nothing is open any more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, socket: &Socket, buffers: &Buffers) -> Poll<Ended> {
        let ended = self.poll_on(cx, socket, buffers);
        if ended.is_ready() {
            self.mux.end();
            self.input.discard(buffers);
        }
        ended
    }

    fn poll_on(&mut self, cx: &mut Context<'_>, socket: &Socket, buffers: &Buffers) -> Poll<Ended> {
        // Who is at work needs no waking.
        self.mux.state.borrow_mut().driver = None;
        loop {
            let read = self.poll_read(cx, socket, buffers);
            let mut state = self.mux.state.borrow_mut();
            let written = state.poll_write(cx, socket);
            if let Some(guard) = &mut self.guard {
                guard.budget.sent(state.sent);
            }
            if let (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) = (&written, &read) {
                return Poll::Ready(Ended::Gone);
            }
            if let (Some(Fatal(reason)), Poll::Ready(_)) = (self.fault, &written) {
                return Poll::Ready(Ended::Fault(reason));
            }
            if written.is_ready() && state.is_over() {
                return Poll::Ready(Ended::Over);
            }
            // Who doesn't read isn't read from; now it may have read.
            if read.is_pending() || written.is_pending() {
                state.driver = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    /// Takes what has come. Pending: there is no more now. Ready: what is to be sent must go first.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        buffers: &Buffers,
    ) -> Poll<io::Result<()>> {
        let mut first = true;
        while self.fault.is_none() {
            while frame::is_whole(self.input.unread()) {
                ready!(self.poll_turn(cx, first));
                first = false;
                let guard = &mut self.guard;
                let pays = |kind, length| guard.as_mut().is_none_or(|guard| guard.budget.pay(kind, length));
                let (used, taken) = self.mux.take(self.input.unread(), pays);
                self.input.consume(used);
                if let Err(fault) = taken {
                    let mut state = self.mux.state.borrow_mut();
                    let last = state.last;
                    state.go_away(last, fault.0);
                    self.fault = Some(fault);
                    return Poll::Ready(Ok(()));
                }
                if self.mux.state.borrow().is_deaf() {
                    return Poll::Ready(Ok(()));
                }
            }
            match self.input.poll_fill(cx, socket, buffers, ROOM) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => self.mux.state.borrow_mut().heard = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when another share may be taken.
    fn poll_turn(&self, cx: &mut Context<'_>, first: bool) -> Poll<()> {
        match &self.guard {
            Some(Guard { turns: [few, many], places: [little, much], .. }) => {
                let is_much = self.input.unread().len() > MUCH;
                let (turns, place) = if is_much { (many, much) } else { (few, little) };
                turns.poll_begin(cx, place, first)
            }
            None if first => Poll::Ready(()),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // Whoever serves a stream learns that nobody carries it any more.
        self.mux.end();
    }
}

const _: () = assert!(READ_SIZE <= ROOM);
