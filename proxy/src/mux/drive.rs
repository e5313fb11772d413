//! Reads and writes for one connection.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::buffer::{Buffers, Input, READ_SIZE};
use crate::mux::budget::Budget;
use crate::mux::frame::{self, Reason};
use crate::mux::{DUE, Fatal, Mux};
use crate::socket::Socket;

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

/// What drives a connection.
#[derive(Debug)]
pub(crate) struct Drive {
    mux: Rc<Mux>,
    input: Input,
    /// What the other end may still do for nothing; whoever is trusted has none.
    budget: Option<Budget>,
    fault: Option<Fatal>,
}

impl Drive {
    /// Begins with what was read already.
    pub(crate) fn new(mux: Rc<Mux>, input: Input, budget: Option<Budget>) -> Self {
        Drive { mux, input, budget, fault: None }
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
            if let Some(budget) = &mut self.budget {
                budget.sent(state.sent);
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
            // Behind answers that it doesn't take, nothing more is read; now it may have taken them.
            if read.is_pending() || written.is_pending() {
                state.driver = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    /// Takes what has come. Pending: there is no more now. Ready: it waits until what is due was written.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        buffers: &Buffers,
    ) -> Poll<io::Result<()>> {
        while self.fault.is_none() {
            let budget = &mut self.budget;
            let pays = |kind, length| budget.as_mut().is_none_or(|budget| budget.pay(kind, length));
            let (used, taken) = self.mux.take(self.input.unread(), pays);
            self.input.consume(used);
            if let Err(fault) = taken {
                let mut state = self.mux.state.borrow_mut();
                let last = state.last;
                state.go_away(last, fault.0);
                self.fault = Some(fault);
                break;
            }
            if self.mux.state.borrow().due >= DUE {
                break;
            }
            match self.input.poll_fill(cx, socket, buffers, ROOM) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => self.mux.state.borrow_mut().heard = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.input.rest(buffers);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // Whoever serves a stream learns that nobody carries it any more.
        self.mux.end();
    }
}

const _: () = assert!(READ_SIZE <= ROOM);
