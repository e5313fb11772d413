//! What `kaos up` and its guardian say to each other: one JSON message per packet of a Unix socket pair.
//!
//! The write ends of a replica's output pipes travel with the order that starts it. The end of the stream means that
//! the other side is dead, whatever killed it: the kernel closes its end.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Longest message in bytes: below the send buffer that Linux gives a socket by default (208 KiB).
const LONGEST: usize = 128 * 1024;

/// What `kaos up` tells its guardian.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Start a replica. Two descriptors come along: its stdout and its stderr.
    Start(Start),
    /// Stop a replica that was started.
    Stop {
        /// Which one.
        replica: u64,
        /// How.
        how: Stop,
    },
}

/// One replica to start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Number of the replica, never used twice.
    pub(crate) replica: u64,
    /// Its uid: the mark in its environment.
    pub(crate) uid: String,
    /// Program and arguments; never empty.
    pub(crate) command: Vec<String>,
    /// Working directory, as bytes: a path need not be UTF-8.
    pub(crate) dir: Option<Vec<u8>>,
    /// Set on top of what the guardian inherited.
    pub(crate) env: Vec<(String, String)>,
}

/// How a replica is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stop {
    /// SIGTERM to its process group.
    Ask,
    /// SIGKILL to its whole tree.
    Kill,
}

/// What the guardian tells `kaos up`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// The guardian is there.
    Hello,
    /// The program runs.
    Started {
        /// Which replica.
        replica: u64,
        /// Its process.
        pid: i32,
    },
    /// The program could not be run; nothing of it is there.
    Refused {
        /// Which replica.
        replica: u64,
        /// A stable word.
        because: String,
        /// A sentence for people.
        detail: String,
        /// Whether trying again is pointless until something is mended.
        lasting: bool,
    },
    /// Its first process has ended; what is left of its tree may still be there.
    Exited {
        /// Which replica.
        replica: u64,
        /// How it ended.
        exit: Exit,
    },
    /// Nothing of its tree is left.
    Gone {
        /// Which replica.
        replica: u64,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// One end of the socket pair.
pub(crate) struct Wire {
    /// Asked for its readiness alone: the bounds of messages are kept by the socket, whatever the name of the type.
    socket: UnixStream,
    buffer: Box<[u8]>,
    /// Messages that the socket didn't take at once. At most three for each replica: whoever sends keeps to that.
    unsent: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

/// A connected pair of sockets that keep the bounds of messages; neither survives `exec`.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

impl Wire {
    /// Speaks through `socket`, which must not block. To be called within a tokio runtime.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Wire> {
        let socket = UnixStream::from_std(socket.into())?;
        Ok(Wire { socket, buffer: vec![0; LONGEST].into(), unsent: VecDeque::new() })
    }

    /// Sends `message`, now or while [`Wire::receive`] waits. A dead peer is no error: `receive` tells.
    pub(crate) fn send<M: Serialize>(&mut self, message: &M, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::ArgumentListTooLong,
                format!("command and environment take {} bytes; at most {LONGEST} are allowed", bytes.len()),
            ));
        }
        if !self.unsent.is_empty() {
            self.unsent.push_back((bytes, descriptors));
            return Ok(());
        }
        match put(&self.socket, &bytes, &descriptors) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent.push_back((bytes, descriptors));
                Ok(())
            }
            result => result,
        }
    }

    /// The next message and what came with it; `None` when the other side is dead. May be dropped at any time.
    pub(crate) async fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        loop {
            let interest = if self.unsent.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = self.socket.ready(interest).await?;
            if ready.is_writable() {
                self.send_rest()?;
            }
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            match socket.try_io(Interest::READABLE, || take(socket, buffer)) {
                Ok((0, _)) => return Ok(None),
                Ok((length, descriptors)) => {
                    let message = self.buffer.get(..length).unwrap_or_default();
                    return Ok(Some((serde_json::from_slice(message)?, descriptors)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send_rest(&mut self) -> io::Result<()> {
        while let Some((bytes, descriptors)) = self.unsent.front() {
            match self.socket.try_io(Interest::WRITABLE, || put(&self.socket, bytes, descriptors)) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Sends one message. A broken pipe is no error: nobody is left to read it.
fn put(socket: &UnixStream, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::other("more than two descriptors for one message"));
    }
    let slices = &[IoSlice::new(bytes)];
    match retry_on_intr(|| rustix::net::sendmsg(socket, slices, &mut control, SendFlags::NOSIGNAL)) {
        Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Length and descriptors of the next message; length zero at the end.
fn take(socket: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(buffer)];
    let receive = || rustix::net::recvmsg(socket, slices, &mut control, RecvFlags::CMSG_CLOEXEC);
    let received = match retry_on_intr(receive) {
        Ok(received) => received,
        Err(Errno::CONNRESET) => return Ok((0, Vec::new())),
        Err(error) => return Err(error.into()),
    };
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message arrived cut short"));
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((received.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn wires() -> (Wire, Wire) {
        let (one, other) = pair().unwrap();
        (Wire::new(one).unwrap(), Wire::new(other).unwrap())
    }

    fn start(replica: u64, argument: &str) -> Order {
        Order::Start(Start {
            replica,
            uid: "app-1".to_owned(),
            command: vec![argument.to_owned()],
            dir: Some(vec![0xff, b'/']),
            env: Vec::new(),
        })
    }

    #[tokio::test]
    async fn descriptors_travel_with_their_message() {
        let (mut one, mut other) = wires();
        let (mut reader, writer) = io::pipe().unwrap();
        one.send(&start(1, "true"), vec![writer.into()]).unwrap();
        let (order, descriptors) = other.receive::<Order>().await.unwrap().unwrap();
        assert!(matches!(order, Order::Start(start) if start.dir == Some(vec![0xff, b'/'])));
        assert_eq!(descriptors.len(), 1);
        // The sender keeps none: with the received one gone, nobody can write.
        drop(descriptors);
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_nothing_and_never_blocks_the_sender() {
        const MESSAGES: u64 = 500;
        let (mut one, mut other) = wires();
        let long = "x".repeat(10_000);
        for replica in 0..MESSAGES {
            one.send(&start(replica, &long), Vec::new()).unwrap();
        }
        assert!(!one.unsent.is_empty(), "the socket took it all: the test tests nothing");
        let sender = tokio::spawn(async move { one.receive::<Event>().await.map(|end| end.is_none()) });
        for expected in 0..MESSAGES {
            let (order, _) = other.receive::<Order>().await.unwrap().unwrap();
            assert!(matches!(order, Order::Start(start) if start.replica == expected));
        }
        drop(other);
        assert!(sender.await.unwrap().unwrap(), "the end is seen");
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_refused_and_a_dead_peer_is_seen() {
        let (mut one, other) = wires();
        let refused = one.send(&start(1, &"x".repeat(LONGEST)), Vec::new()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ArgumentListTooLong);
        // The longest one fits into the socket.
        one.send(&start(1, &"x".repeat(LONGEST - 200)), Vec::new()).unwrap();
        assert!(one.unsent.is_empty());
        drop(other);
        one.send(&start(2, "true"), Vec::new()).unwrap();
        assert!(one.receive::<Event>().await.unwrap().is_none());
    }
}
