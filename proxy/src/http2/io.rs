//! The client's socket as hyper wants it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::buffer::READ_SIZE;
use crate::http2::budget::Budget;
use crate::socket::Socket;

/// A socket, and bytes that were read from it before it was known to speak HTTP/2.
#[derive(Debug)]
pub(crate) struct Io {
    socket: Rc<Socket>,
    read: Vec<u8>,
    used: usize,
    budget: Budget,
    /// What came with the preface was too much already.
    spent: io::Result<()>,
}

impl Io {
    pub(crate) fn new(socket: Rc<Socket>, read: &[u8], mut budget: Budget) -> Self {
        let mut buffer = Vec::with_capacity(READ_SIZE.max(read.len()));
        buffer.extend_from_slice(read);
        let spent = budget.spend(read);
        Io { socket, read: buffer, used: 0, budget, spent }
    }
}

impl Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let io = self.get_mut();
        std::mem::replace(&mut io.spent, Ok(()))?;
        if io.used == io.read.len() {
            io.read.clear();
            io.used = 0;
            ready!(io.socket.poll_read(cx, &mut io.read))?;
            io.budget.spend(&io.read)?;
        }
        let unread = io.read.get(io.used..).unwrap_or_default();
        let taken = unread.get(..unread.len().min(into.remaining())).unwrap_or_default();
        into.put_slice(taken);
        io.used += taken.len();
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = ready!(self.socket.poll_write(cx, &[IoSlice::new(bytes)]))?;
        self.get_mut().budget.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.socket.poll_write(cx, parts))?;
        self.get_mut().budget.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.end();
        Poll::Ready(Ok(()))
    }
}
