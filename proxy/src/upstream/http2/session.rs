//! One connection to one replica, and its streams.
//!
//! A request waits for the replica's SETTINGS: they say how many streams there may be, and that it speaks HTTP/2 at all.
//! Until then nothing was sent, so nothing is lost.
//!
//! That a replica's machine has died is found out by the kernel: TCP's keep-alive where nothing is under way, its user
//! timeout where something wasn't acknowledged. HTTP/2's own pings would say the same, but gRPC servers take more than one
//! in five minutes for an attack and end the connection (grpc-go's `keepalive.EnforcementPolicy`, `MinTime`).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kaos_core::Moment;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::buffer::Input;
use crate::kernel::is_exhausted;
use crate::mux::{Drive, Ended, Limits, Mux, Role};
use crate::slot::Slot;
use crate::socket::Socket;
use crate::upstream::http2::outflow::Outflow;
use crate::upstream::http2::response::Response;
use crate::upstream::link;
use crate::worker::Worker;

/// Most streams on one connection, whatever the replica allows.
const STREAMS: usize = 100;
/// What a stream may have under way, and what a connection may. One whose client doesn't read must not stop the others on
/// its connection, so the connection's window has room for the windows of all.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = STREAMS as u32 * STREAM_WINDOW;
/// Largest head of an answer, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;
/// Streams that end by the replica's fault before their connection does.
const FAULTS: usize = 1000;
const LIMITS: Limits = Limits {
    streams: 0,
    stream_window: STREAM_WINDOW,
    window: CONNECTION_WINDOW,
    fields: LARGEST_HEAD,
    faults: FAULTS,
};
/// Longest time from a connection to the replica's SETTINGS.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);
/// When nothing comes for so long, the kernel asks whether the replica's machine is there, and again after each pause.
const ALIVE_AFTER: Duration = Duration::from_secs(20);
const ALIVE_PAUSE: Duration = Duration::from_secs(5);
const ALIVE_TRIES: u32 = 3;
/// Longest time for what was sent to be acknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Why a connection carries nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It could not be made.
    Unreachable,
    /// The replica ended it before it said anything.
    Closed,
    /// The replica doesn't speak HTTP/2; with the reason.
    Foreign(&'static str),
}

#[derive(Debug)]
enum State {
    /// The replica's SETTINGS haven't come.
    Opening,
    Open(Rc<Mux>),
    /// No stream is begun any more; those under way go on.
    Draining,
    Ended(Option<Fault>),
}

/// Whether another stream can be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Opening,
    Free,
    Full,
    Never,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    state: RefCell<State>,
    /// Streams that are under way.
    open: Cell<usize>,
    /// Streams that ended well.
    completed: Cell<u64>,
    /// Since when there is none.
    idle_since: Cell<Moment>,
    /// Told when a stream can be begun that couldn't before, or never will be.
    changed: Rc<Notify>,
}

impl Session {
    /// Begins to connect to `slot`, or goes on with the connection that was made `first`.
    pub(crate) fn open(
        worker: &Rc<Worker>,
        slot: &Arc<Slot>,
        first: Option<TcpStream>,
        changed: &Rc<Notify>,
    ) -> Rc<Session> {
        let session = Rc::new(Session {
            state: RefCell::new(State::Opening),
            open: Cell::new(0),
            completed: Cell::new(0),
            idle_since: Cell::new(worker.now()),
            changed: changed.clone(),
        });
        let (driven, worker, slot) = (session.clone(), worker.clone(), slot.clone());
        tokio::task::spawn_local(async move {
            let fault = driven.drive(&worker, &slot, first).await.err();
            driven.state.replace(State::Ended(fault));
            driven.changed.notify_waiters();
        });
        session
    }

    /// Carries the connection from its beginning to its end. `Err`: it never came to carry anything.
    async fn drive(&self, worker: &Rc<Worker>, slot: &Slot, first: Option<TcpStream>) -> Result<(), Fault> {
        let stream = match first {
            Some(stream) => stream,
            None => connect(worker, slot).await?,
        };
        mind_life(&stream);
        let socket = Socket::new(stream);
        let mux = Mux::new(Role::Client, LIMITS);
        let mut drive = Drive::new(mux.clone(), Input::default(), None);
        let settled = poll_fn(|cx| match drive.poll(cx, &socket, &worker.buffers) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if mux.most_streams().is_some() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match tokio::time::timeout(SETTINGS_TIMEOUT, settled).await {
            Ok(None) => {}
            Ok(Some(Ended::Fault(_))) => {
                return Err(Fault::Foreign("the replica doesn't speak HTTP/2 without TLS (protocol h2c)"));
            }
            Ok(Some(_)) => return Err(Fault::Closed),
            Err(_) => {
                return Err(Fault::Foreign("the replica didn't answer HTTP/2's preface (protocol h2c)"));
            }
        }
        self.state.replace(State::Open(mux.clone()));
        self.changed.notify_waiters();
        let mut before = (mux.is_open(), mux.most_streams());
        let ended = poll_fn(|cx| {
            let ended = drive.poll(cx, &socket, &worker.buffers);
            let now = (mux.is_open(), mux.most_streams());
            if std::mem::replace(&mut before, now) != now {
                self.changed.notify_waiters();
            }
            ended
        });
        let ended = ended.await;
        tracing::debug!(replica = %slot.uid, address = %slot.address, ?ended, "an HTTP/2 connection ended");
        Ok(())
    }

    /// Whether a stream can be begun now.
    pub(crate) fn room(&self) -> Room {
        match &*self.state.borrow() {
            State::Opening => Room::Opening,
            State::Open(mux) if !mux.is_open() => Room::Never,
            State::Open(mux) => {
                let most = mux.most_streams().unwrap_or(0).min(STREAMS);
                if self.open.get() < most { Room::Free } else { Room::Full }
            }
            State::Draining | State::Ended(_) => Room::Never,
        }
    }

    /// Why it never came to carry anything.
    pub(crate) fn fault(&self) -> Option<Fault> {
        if let State::Ended(fault) = &*self.state.borrow() { *fault } else { None }
    }

    /// Begins a stream with these fields. `ended`: the request has no body; `bodiless`: the answer has none. `None`: none can
    /// be begun any more.
    pub(crate) fn begin(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        block: &[u8],
        ended: bool,
        bodiless: bool,
    ) -> Option<(Outflow, Response)> {
        let begun = match &*self.state.borrow() {
            State::Open(mux) => mux.open(ended, bodiless, |out| out.extend_from_slice(block)),
            _ => return None,
        };
        let Some((send, receive)) = begun else {
            self.retire();
            return None;
        };
        self.open.set(self.open.get() + 1);
        let place = Rc::new(Place {
            session: self.clone(),
            worker: worker.clone(),
            sent: Cell::new(ended),
            received: Cell::new(false),
        });
        Some((Outflow::new(send, ended, place.clone()), Response::new(receive, place)))
    }

    /// Begins no stream any more. It ends with the last one.
    pub(crate) fn retire(&self) {
        let mut state = self.state.borrow_mut();
        if let State::Open(mux) = &*state {
            mux.leave();
            *state = State::Draining;
        }
    }

    /// Whether it is still connected, or about to be.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(&*self.state.borrow(), State::Ended(_))
    }

    /// Whether it may carry streams at some time.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(&*self.state.borrow(), State::Opening | State::Open(_))
    }

    /// Whether no exchange on it has ended well yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.completed.get() == 0
    }

    /// Streams that are under way.
    pub(crate) fn streams(&self) -> usize {
        self.open.get()
    }

    /// Since when nothing is under way, if so.
    pub(crate) fn idle_since(&self) -> Option<Moment> {
        (self.open.get() == 0 && matches!(&*self.state.borrow(), State::Open(_)))
            .then(|| self.idle_since.get())
    }
}

/// A stream's place on its connection. Given back when both directions were let go of.
#[derive(Debug)]
pub(crate) struct Place {
    session: Rc<Session>,
    worker: Rc<Worker>,
    /// The request was sent to its end.
    pub(crate) sent: Cell<bool>,
    /// The answer was received to its end.
    pub(crate) received: Cell<bool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let session = &self.session;
        session.open.set(session.open.get() - 1);
        session.idle_since.set(self.worker.now());
        if self.sent.get() && self.received.get() {
            session.completed.set(session.completed.get() + 1);
        }
        session.changed.notify_one();
    }
}

async fn connect(worker: &Worker, slot: &Slot) -> Result<TcpStream, Fault> {
    match link::dial(slot.address).await {
        Ok(stream) => {
            slot.trust();
            Ok(stream)
        }
        Err(error) => {
            tracing::debug!(replica = %slot.uid, address = %slot.address, %error, "can't connect");
            if is_exhausted(&error) {
                worker.free_descriptors();
            }
            slot.suspect(worker.now(), worker.turn() as u64);
            Err(Fault::Unreachable)
        }
    }
}

/// Lets the kernel find out that the other machine is gone.
fn mind_life(stream: &TcpStream) {
    // Without them it is found out later: by the deadlines.
    let _ = sockopt::set_tcp_keepidle(stream, ALIVE_AFTER);
    let _ = sockopt::set_tcp_keepintvl(stream, ALIVE_PAUSE);
    let _ = sockopt::set_tcp_keepcnt(stream, ALIVE_TRIES);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED.as_millis() as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_looks_after_a_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = link::dial(listener.local_addr().unwrap()).await.unwrap();
        mind_life(&stream);
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), ALIVE_AFTER);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 30_000);
    }
}
