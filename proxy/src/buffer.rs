//! Read buffers, borrowed from the worker: a connection that is silent owns none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::{io, mem};

use crate::socket::Socket;
use crate::splice::Pipes;

/// Room that a connection reads into at first, in bytes.
pub(crate) const READ_SIZE: usize = 16 * 1024;
/// Room for a body that fills its buffer each time.
pub(crate) const BODY_READ_SIZE: usize = 256 * 1024;
/// Buffers of one size that a worker keeps for the next who needs one.
const KEPT: usize = 64;
const KEPT_LARGE: usize = 8;

/// Buffers that nobody uses now. Each worker has its own.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    /// What large bodies go through that needn't be read.
    pub(crate) pipes: Pipes,
}

impl Buffers {
    /// An empty buffer of [`READ_SIZE`].
    pub(crate) fn take(&self) -> Vec<u8> {
        self.small.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(READ_SIZE))
    }

    fn take_large(&self) -> Vec<u8> {
        self.large.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BODY_READ_SIZE))
    }

    /// Gives a buffer back. One of an odd size is freed.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let (pool, most) = match buffer.capacity() {
            READ_SIZE => (&self.small, KEPT),
            BODY_READ_SIZE => (&self.large, KEPT_LARGE),
            _ => return,
        };
        let mut pool = pool.borrow_mut();
        if pool.len() < most {
            pool.push(buffer);
        }
    }
}

/// Bytes that were read and not used yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    used: usize,
}

impl Input {
    /// What is there to be used.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// Whether nothing is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.used >= self.bytes.len()
    }

    /// Marks the first `count` bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.used = (self.used + count).min(self.bytes.len());
        if self.is_empty() {
            self.bytes.clear();
            self.used = 0;
        }
    }

    /// Reads more, after what is there. `Ok(0)`: the peer has ended its side.
    ///
    /// The room grows when a read fills it: to [`BODY_READ_SIZE`] at most, or to `least` if that is more.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        buffers: &Buffers,
        least: usize,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take();
        }
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        if self.bytes.len() == self.bytes.capacity() {
            self.bytes.reserve_exact(least.max(self.bytes.capacity() * 2) - self.bytes.len());
        }
        socket.poll_read(cx, &mut self.bytes)
    }

    /// Prepares for a large body: the next reads take [`BODY_READ_SIZE`] at once.
    pub(crate) fn widen(&mut self, buffers: &Buffers) {
        if self.is_empty() && self.bytes.capacity() < BODY_READ_SIZE {
            buffers.give(mem::replace(&mut self.bytes, buffers.take_large()));
        }
    }

    /// Gives the buffer back if it is empty.
    pub(crate) fn rest(&mut self, buffers: &Buffers) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            self.used = 0;
            buffers.give(mem::take(&mut self.bytes));
        }
    }

    /// Drops what is there and gives the buffer back.
    pub(crate) fn discard(&mut self, buffers: &Buffers) {
        self.consume(self.unread().len());
        self.rest(buffers);
    }

    /// Reads and drops what comes, to the peer's end or until `most` bytes have come. Returns whether it was the end.
    pub(crate) async fn drain(&mut self, socket: &Socket, buffers: &Buffers, most: usize) -> bool {
        let mut left = most;
        while left > 0 {
            self.consume(self.unread().len());
            match poll_fn(|cx| self.poll_fill(cx, socket, buffers, 0)).await {
                Ok(0) | Err(_) => return true,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
        false
    }

    /// Keeps what is there in no more room than it needs, for a long wait. Returns the bytes held.
    pub(crate) fn shrink(&mut self, buffers: &Buffers) -> usize {
        let kept = self.unread().to_vec();
        self.used = 0;
        buffers.give(mem::replace(&mut self.bytes, kept));
        self.bytes.len()
    }
}
