//! One TCP connection, readable and writable through a shared reference.
//!
//! Both directions of an exchange, and whoever watches for the peer's leaving, use the same socket at once. A read or
//! write that moves less than it was offered clears the readiness at once: the kernel will say when there is more, and
//! the call that would only have answered "not now" is saved (edge-triggered epoll(7), "Questions and answers").
//!
//! With TLS a session stands between: reads and writes are of plaintext, everything else is of the connection itself.

use std::cell::OnceCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::sabotage::{Rule, is_off};
use crate::tls::{Agreed, Certificates, Session};

/// A connected TCP socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    session: OnceCell<Box<Session>>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Socket { stream, session: OnceCell::new() }
    }

    /// Everything from now on goes through `session`, which begins with [`Socket::poll_handshake`].
    pub(crate) fn secure(&self, session: Session) {
        // It is done once, before anything else is said.
        let _ = self.session.set(Box::new(session));
    }

    /// Carries the handshake of TLS to its end. Without TLS there is nothing to agree on.
    pub(crate) fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<Agreed>> {
        match self.session.get() {
            Some(session) => session.poll_handshake(self, cx),
            None => Poll::Ready(Ok(Agreed::default())),
        }
    }

    /// Whether a request for `host` may come this way: over the session of a client that asked for another one's
    /// certificate it may not.
    pub(crate) fn covers(&self, certificates: &Certificates, host: &str) -> bool {
        self.session.get().is_none_or(|session| session.covers(certificates, host))
    }

    /// Reads into the spare room of `buffer`. `Ok(0)`: the peer has closed its side (or there is no room).
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        match self.session.get() {
            None => self.poll_receive(cx, buffer),
            Some(session) => session.poll_read(self, cx, buffer),
        }
    }

    /// Writes what is taken now. With TLS some of it may be left to be sent with the next write, or [`Socket::poll_flush`].
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.session.get() {
            None => self.poll_send(cx, parts),
            Some(session) => session.poll_write(self, cx, parts),
        }
    }

    /// Sends what was written and not sent yet: before anything else is waited for.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.session.get() {
            None => Poll::Ready(Ok(())),
            Some(session) => session.poll_flush(self, cx),
        }
    }

    /// As [`Socket::poll_read`], of what is on the wire.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let room = buffer.capacity() - buffer.len();
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll_moved(cx, Interest::READABLE, |stream| {
            let (read, _) = rustix::net::recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
            // A close is always announced by an event of its own, so zero is asked for again.
            Ok((read, read > 0 && read < room))
        })
    }

    /// Writes to the wire what the kernel takes now.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        self.poll_moved(cx, Interest::WRITABLE, |stream| {
            let sent = match parts {
                [part] => rustix::net::send(stream, part, SendFlags::NOSIGNAL)?,
                parts => rustix::io::writev(stream, parts)?,
            };
            Ok((sent, sent < offered))
        })
    }

    /// Waits until the socket is ready for `call`, and makes it, until something was moved.
    fn poll_moved(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut call: impl FnMut(&TcpStream) -> Result<(usize, bool), Errno>,
    ) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(match interest {
                Interest::READABLE => self.stream.poll_read_ready(cx),
                _ => self.stream.poll_write_ready(cx),
            })?;
            if let Some(moved) = self.attempt(interest, &mut call) {
                return Poll::Ready(moved);
            }
        }
    }

    /// One call to the kernel, which says how much it moved and whether there is no more to be moved now. `None`: nothing
    /// could be moved.
    fn attempt(
        &self,
        interest: Interest,
        mut call: impl FnMut(&TcpStream) -> Result<(usize, bool), Errno>,
    ) -> Option<io::Result<usize>> {
        let mut moved = None;
        let outcome = self.stream.try_io(interest, || match call(&self.stream) {
            Ok((count, exhausted)) => {
                moved = Some(count);
                // "Would block" is how the runtime is told that the readiness is used up.
                if exhausted { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            }
            Err(error) => Err(error.into()),
        });
        match (moved, outcome) {
            (Some(count), _) => Some(Ok(count)),
            (None, Err(error))
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
            {
                Some(Err(error))
            }
            _ => None,
        }
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = std::future::poll_fn(|cx| self.poll_write(cx, &[IoSlice::new(bytes)])).await?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Whether the peer has closed its side or the connection is broken, as far as the kernel has told us, also behind
    /// bytes that nobody has read. A peer that only ends its sending side counts as gone.
    pub(crate) fn is_gone(&self) -> bool {
        let ready = std::pin::pin!(self.stream.ready(Interest::READABLE | Interest::WRITABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => {
                ready.is_read_closed() && !is_off(Rule::HalfClose)
                    || ready.is_write_closed()
                    || ready.is_error()
            }
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    /// Whether a connection that should be silent has anything to say: bytes, an end, an error. Asks the kernel.
    pub(crate) fn has_news(&self) -> bool {
        !matches!(self.peek(), Err(Errno::AGAIN))
    }

    /// The same as far as the event loop has heard: only of a connection that shows something the kernel is asked what that is.
    pub(crate) fn shows_news(&self) -> bool {
        let news = self.stream.try_io(Interest::READABLE, || Ok(self.peek()?));
        !news.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether bytes have come that nobody has read. Asks the kernel.
    pub(crate) fn has_bytes(&self) -> bool {
        self.session.get().is_some_and(|session| session.has_bytes()) || matches!(self.peek(), Ok(1..))
    }

    /// How many bytes of the next one are there: none at the end, `AGAIN` if that isn't known yet.
    fn peek(&self) -> rustix::io::Result<usize> {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(&self.stream, &mut [0; 1][..], flags).map(|(count, _)| count)
    }

    /// Ends what stands between, so that a close that follows is no cut.
    pub(crate) fn end_session(&self) {
        if let Some(session) = self.session.get() {
            session.end(self);
        }
    }

    /// Ends our sending side.
    pub(crate) fn end(&self) {
        self.end_session();
        // A connection that is broken already needs no end.
        let _ = rustix::net::shutdown(&self.stream, Shutdown::Write);
    }

    /// Ends both sides at once.
    pub(crate) fn cut(&self) {
        let _ = rustix::net::shutdown(&self.stream, Shutdown::Both);
    }

    /// Makes its close a reset: for a peer that would take a plain end for the end of the answer.
    pub(crate) fn reset_on_close(&self) {
        // A connection that is broken already is reset anyway.
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// The other end.
    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}
