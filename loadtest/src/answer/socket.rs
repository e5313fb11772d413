//! A client's connection: the bytes read while the protocol was found out come first; may end in a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol that a client began to speak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection whose first bytes were read already.
pub(super) struct Socket {
    stream: TcpStream,
    first: [u8; PREFACE.len()],
    unread: std::ops::Range<usize>,
    reset: Arc<AtomicBool>,
}

impl Socket {
    /// Reads until the protocol is clear. With `reset` set when this is dropped, the connection is reset, not closed.
    pub(super) async fn sniff(
        mut stream: TcpStream,
        reset: Arc<AtomicBool>,
    ) -> io::Result<(Socket, Protocol)> {
        let mut first = [0; PREFACE.len()];
        let mut read = 0;
        while read < first.len() && PREFACE.starts_with(&first[..read]) {
            match stream.read(&mut first[read..]).await? {
                0 => break,
                more => read += more,
            }
        }
        let protocol = if first == *PREFACE { Protocol::Http2 } else { Protocol::Http1 };
        Ok((Socket { stream, first, unread: 0..read, reset }, protocol))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Relaxed) {
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.unread.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let size = this.unread.len().min(into.remaining());
        let end = this.unread.start + size;
        into.put_slice(&this.first[this.unread.start..end]);
        this.unread.start = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Relaxed) {
            // A FIN before the reset would tell the other side of an orderly end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
