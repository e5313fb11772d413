//! One TLS session. Whoever has the socket reads and writes plaintext; this stands in between.
//!
//! Nothing is sent by itself: what a write has left behind goes out with [`Session::poll_flush`], and whoever has written
//! asks for that before it waits for anything else.

use std::cell::RefCell;
use std::io::{self, BufRead, IoSlice, Write};
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};

use super::Certificates;
use crate::socket::Socket;

/// Ciphertext read at once: a record at least, and no more than a few.
const LEAST_READ: usize = 18 * 1024;
const MOST_READ: usize = 64 * 1024;

/// One client's session.
#[derive(Debug)]
pub(crate) struct Session {
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    tls: ServerConnection,
    /// Ciphertext behind more plaintext than there was room for.
    rest: Vec<u8>,
}

/// What a handshake has agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Whether HTTP/2 was chosen, if anything was.
    pub(crate) http2: Option<bool>,
    /// A ticket was used.
    pub(crate) resumed: bool,
}

impl Session {
    /// A session whose handshake begins with what was `received` already.
    pub(crate) fn new(settings: Arc<ServerConfig>, received: Vec<u8>) -> Result<Self, rustls::Error> {
        let state = State { tls: ServerConnection::new(settings)?, rest: received };
        Ok(Session { state: RefCell::new(state) })
    }

    /// Carries the handshake to its end.
    pub(crate) fn poll_handshake(&self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<Agreed>> {
        let state = &mut *self.state.borrow_mut();
        loop {
            // With TLS 1.3 the client waits for nothing after its own last word: tickets go out with the first answer.
            if state.tls.is_handshaking() || state.tls.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
                ready!(state.poll_send(socket, cx))?;
            }
            if !state.tls.is_handshaking() {
                return Poll::Ready(Ok(state.agreed()));
            }
            let mut received = mem::take(&mut state.rest);
            if received.is_empty() {
                received.reserve_exact(LEAST_READ);
                if ready!(socket.poll_receive(cx, &mut received))? == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            state.feed(socket, cx, &received, None)?;
        }
    }

    /// Reads into the spare room of `into`. `Ok(0)`: the client has ended its side (or there is no room).
    pub(crate) fn poll_read(
        &self,
        socket: &Socket,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.state.borrow_mut();
        let before = into.len();
        if before == into.capacity() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let ended = state.take(into)?;
            if ended || into.len() > before {
                return Poll::Ready(Ok(into.len() - before));
            }
            let mut received = mem::take(&mut state.rest);
            if received.is_empty() {
                let room = (into.capacity() - before).clamp(LEAST_READ, MOST_READ);
                received.reserve_exact(room);
                if ready!(socket.poll_receive(cx, &mut received))? == 0 {
                    // An end without a word is the same: every message says itself where it ends.
                    return Poll::Ready(Ok(0));
                }
            }
            state.feed(socket, cx, &received, Some(into))?;
        }
    }

    /// Takes what fits, and sends what the kernel takes of it.
    pub(crate) fn poll_write(
        &self,
        socket: &Socket,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.state.borrow_mut();
        loop {
            // rustls keeps no more than 64 KiB to be sent.
            let taken = state.tls.writer().write_vectored(parts)?;
            let sent = state.poll_send(socket, cx);
            if taken > 0 {
                return Poll::Ready(match sent {
                    Poll::Ready(Err(error)) => Err(error),
                    _ => Ok(taken),
                });
            }
            ready!(sent)?;
        }
    }

    /// Sends what was taken and not sent yet.
    pub(crate) fn poll_flush(&self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.borrow_mut().poll_send(socket, cx)
    }

    /// Whether the certificate that the client got is the one for `host`, or there is none for it.
    pub(crate) fn covers(&self, certificates: &Certificates, host: &str) -> bool {
        let state = self.state.borrow();
        let name = state.tls.server_name();
        name == Some(host) || certificates.covers(name, host)
    }

    /// Whether bytes have come that nobody has read, as far as they are here already.
    pub(crate) fn has_bytes(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        !state.rest.is_empty() || state.tls.reader().fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    /// Says that nothing more will be sent, so that the end of the connection is no cut. What the kernel doesn't take now is
    /// lost.
    pub(crate) fn end(&self, socket: &Socket) {
        let state = &mut *self.state.borrow_mut();
        state.tls.send_close_notify();
        let _ = state.poll_send(socket, &mut Context::from_waker(Waker::noop()));
    }
}

impl State {
    fn agreed(&self) -> Agreed {
        Agreed {
            http2: self.tls.alpn_protocol().map(|protocol| protocol == b"h2"),
            resumed: self.tls.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// Moves plaintext that is there. Returns whether the client has ended its side.
    fn take(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        while into.len() < into.capacity() {
            let mut reader = self.tls.reader();
            let count = match reader.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(bytes) => {
                    let count = bytes.len().min(into.capacity() - into.len());
                    into.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    count
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            reader.consume(count);
        }
        Ok(false)
    }

    /// Decrypts `received`. What `into` has no room for stays here; without it, what follows the handshake does.
    fn feed(
        &mut self,
        socket: &Socket,
        cx: &mut Context<'_>,
        received: &[u8],
        mut into: Option<&mut Vec<u8>>,
    ) -> io::Result<()> {
        let mut left = received;
        while !left.is_empty() {
            let full = match &into {
                Some(into) => into.len() == into.capacity(),
                None => !self.tls.is_handshaking(),
            };
            if full {
                self.rest = left.to_vec();
                break;
            }
            self.tls.read_tls(&mut left)?;
            if let Err(error) = self.tls.process_new_packets() {
                // The alert says why, if the client is still there to hear it.
                let _ = self.poll_send(socket, cx);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if let Some(into) = &mut into {
                self.take(into)?;
            }
        }
        // What TLS itself has to say (tickets, new keys) goes out with the next write: nobody waits for it.
        Ok(())
    }

    fn poll_send(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Sink { socket, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The socket as rustls writes to it.
struct Sink<'a, 'b> {
    socket: &'a Socket,
    cx: &'a mut Context<'b>,
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.socket.poll_send(self.cx, parts) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
