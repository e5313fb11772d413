//! Moves content from one socket to another within the kernel, by splice(2): it is copied neither to us nor back.
//!
//! Between two sockets splice wants a pipe. It is filled only when it is empty, so that "not now" always means that the
//! socket has nothing. What it holds is what was received, page by page.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::socket::Socket;

/// Bodies are spliced that have so many bytes to come: a pipe costs as much as copying some ten KiB.
pub(crate) const LEAST: u64 = 128 * 1024;
/// Bytes that are asked for at once.
const AT_ONCE: usize = 1024 * 1024;
/// Room of a pipe: 64 pieces, of a page each if they come from a file.
const ROOM: usize = 256 * 1024;
/// Pipes of one worker: two descriptors each.
const PIPES: usize = 64;

/// Counts the pipes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    open: Rc<Cell<usize>>,
    /// The kernel doesn't do it.
    useless: Cell<bool>,
}

/// Where content is between two sockets. Closed with what is in it when dropped.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    open: Rc<Cell<usize>>,
}

impl Pipes {
    /// A new one. `None`: there are too many, or no descriptors.
    pub(crate) fn open(&self) -> Option<Pipe> {
        if self.useless.get() || self.open.get() >= PIPES {
            return None;
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Without it there are more calls.
        let _ = fcntl_setpipe_size(&write, ROOM);
        self.open.set(self.open.get() + 1);
        Some(Pipe { read, write, held: 0, open: self.open.clone() })
    }

    /// Whether this error says that the kernel doesn't do it, and never will.
    pub(crate) fn give_up(&self, error: &io::Error) -> bool {
        let errno = Errno::from_io_error(error);
        let never = matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM));
        self.useless.set(self.useless.get() || never);
        never
    }
}

impl Pipe {
    /// Bytes that are in it.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes what `from` has, up to `most` bytes, into the pipe, which is empty. `Ok(0)`: the peer has ended its side.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &Socket,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(AT_ONCE);
        let taken = ready!(from.poll_splice_to(cx, &self.write, most))?;
        self.held += taken;
        Poll::Ready(Ok(taken))
    }

    /// Gives `to` what it takes now. Returns how many bytes.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<io::Result<usize>> {
        let given = ready!(to.poll_splice_from(cx, &self.read, self.held))?;
        self.held -= given;
        Poll::Ready(Ok(given))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}
