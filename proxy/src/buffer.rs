//! Read buffers, borrowed from the worker: a connection that is silent owns none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::{io, mem};

use crate::socket::Socket;

/// Room that a connection reads into at first, in bytes.
pub(crate) const READ_SIZE: usize = 16 * 1024;
/// Room for a body that fills its buffer each time.
pub(crate) const BODY_READ_SIZE: usize = 256 * 1024;
/// With more to come than this, or more behind it, a body is large: it is read into such room.
pub(crate) const LARGE: u64 = READ_SIZE as u64;
/// Buffers of one size that a worker keeps for the next who needs one.
const KEPT: usize = 64;
const KEPT_LARGE: usize = 8;
/// Buffers of [`BODY_READ_SIZE`] that are in use at one worker at once. Further bodies are read [`READ_SIZE`] at a time.
const MOST_LARGE: usize = 64;

/// Buffers that nobody uses now. Each worker has its own.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    /// Whoever uses a large one has a clone.
    lease: Rc<()>,
}

impl Buffers {
    /// An empty buffer of [`READ_SIZE`].
    pub(crate) fn take(&self) -> Vec<u8> {
        self.small.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(READ_SIZE))
    }

    /// A large one. `None`: too many are in use.
    fn take_large(&self) -> Option<(Vec<u8>, Rc<()>)> {
        if Rc::strong_count(&self.lease) > MOST_LARGE {
            return None;
        }
        let kept = self.large.borrow_mut().pop();
        Some((kept.unwrap_or_else(|| Vec::with_capacity(BODY_READ_SIZE)), self.lease.clone()))
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
    /// That `bytes` is a large one.
    lease: Option<Rc<()>>,
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

    /// Reads more, after what is there. `Ok(0)`: the peer has ended its side. Who waits with nothing there owns no buffer.
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
        let read = socket.poll_read(cx, &mut self.bytes);
        if read.is_pending() {
            self.rest(buffers);
        }
        read
    }

    /// Prepares for a large body: the next read takes [`BODY_READ_SIZE`] at once, if there is room for it.
    pub(crate) fn widen(&mut self, buffers: &Buffers) {
        if self.is_empty()
            && self.bytes.capacity() < BODY_READ_SIZE
            && let Some((large, lease)) = buffers.take_large()
        {
            buffers.give(mem::replace(&mut self.bytes, large));
            self.lease = Some(lease);
        }
    }

    /// Gives the buffer back if it is empty.
    pub(crate) fn rest(&mut self, buffers: &Buffers) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            self.used = 0;
            self.lease = None;
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
        self.lease = None;
        buffers.give(mem::replace(&mut self.bytes, kept));
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_large(input: &Input) -> bool {
        input.bytes.capacity() == BODY_READ_SIZE
    }

    #[test]
    fn large_buffers_are_few_and_come_back() {
        let buffers = Buffers::default();
        let mut inputs: Vec<_> = (0..MOST_LARGE + 2).map(|_| Input::default()).collect();
        inputs.iter_mut().for_each(|input| input.widen(&buffers));
        assert_eq!(inputs.iter().filter(|input| is_large(input)).count(), MOST_LARGE);
        inputs[0].rest(&buffers);
        inputs[MOST_LARGE].widen(&buffers);
        assert!(is_large(&inputs[MOST_LARGE]), "one was given back");
        inputs.remove(1);
        inputs.last_mut().unwrap().widen(&buffers);
        assert!(is_large(inputs.last().unwrap()), "one was dropped with its connection");
        inputs.clear();
        assert_eq!(Rc::strong_count(&buffers.lease), 1);
    }
}
