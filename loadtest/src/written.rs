//! When a request was really written: the moments around each write of a connection.
//!
//! Between the task that asks and the one that writes lie queues and other threads, on a busy machine for longer than what is
//! to be measured. Who wants to know which of two requests was sent first has to ask the socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Writes of a connection that are remembered: more than it has requests at once.
const MOST: usize = 1024;

/// One write: when it was begun, and when the kernel had it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Write {
    /// Before the call.
    pub begun: Instant,
    /// After it.
    pub ended: Instant,
}

/// The last writes of one connection.
#[derive(Clone, Debug, Default)]
pub struct Writes(Arc<Mutex<VecDeque<Write>>>);

impl Writes {
    fn add(&self, write: Write) {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writes.len() == MOST {
            writes.pop_front();
        }
        writes.push_back(write);
    }

    /// The first write begun at `asked` or later: the one that took with it what was asked then. `None`: there was none, or
    /// it is forgotten.
    pub fn since(&self, asked: Instant) -> Option<Write> {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = writes.partition_point(|write| write.begun < asked);
        writes.get(at).copied().filter(|_| at > 0 || writes.len() < MOST)
    }
}

/// A connection that remembers its writes.
pub(crate) struct Stamped {
    stream: TcpStream,
    writes: Writes,
}

impl Stamped {
    pub(crate) fn new(stream: TcpStream) -> (Stamped, Writes) {
        let writes = Writes::default();
        (Stamped { stream, writes: writes.clone() }, writes)
    }

    fn stamp(
        &mut self,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let begun = Instant::now();
        let wrote = write(Pin::new(&mut self.stream));
        if matches!(wrote, Poll::Ready(Ok(1..))) {
            self.writes.add(Write { begun, ended: Instant::now() });
        }
        wrote
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stamp(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stamp(|stream| stream.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_write_after_the_question_counts() {
        let (writes, zero) = (Writes::default(), Instant::now());
        let at = |millis| zero + Duration::from_millis(millis);
        let write = |millis| Write { begun: at(millis), ended: at(millis + 1) };
        assert_eq!(writes.since(at(0)), None);
        writes.add(write(10));
        writes.add(write(20));
        assert_eq!(writes.since(at(5)), Some(write(10)));
        assert_eq!(writes.since(at(10)), Some(write(10)));
        assert_eq!(writes.since(at(11)), Some(write(20)));
        assert_eq!(writes.since(at(21)), None);
    }

    #[test]
    fn what_is_forgotten_is_not_told() {
        let (writes, zero) = (Writes::default(), Instant::now());
        let at = |micros| zero + Duration::from_micros(micros);
        for micros in 1..=2 * MOST as u64 {
            writes.add(Write { begun: at(micros), ended: at(micros) });
        }
        assert_eq!(writes.since(at(0)), None);
        let last = 2 * MOST as u64;
        assert_eq!(writes.since(at(last)), Some(Write { begun: at(last), ended: at(last) }));
    }
}
