//! One worker's HTTP/2 connections to one replica: the first that has room gets the stream, another is opened when none
//! has, a few at most.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::Moment;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::slot::Slot;
use crate::upstream::http2::session::{Fault, Room, Session};
use crate::worker::Worker;

/// Most connections that take new streams, per worker and replica.
const SESSIONS: usize = 8;

/// Connections of one worker to one replica.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    sessions: RefCell<Vec<Rc<Session>>>,
    changed: Rc<Notify>,
}

impl Pool {
    /// A connection that has room for a stream. Waits for one that is being opened, or for a stream to end. One that was
    /// kept since the replica was found ready is used if it isn't older than `age`.
    pub(crate) async fn session(
        &self,
        worker: &Rc<Worker>,
        slot: &Arc<Slot>,
        age: Duration,
    ) -> Result<Rc<Session>, Fault> {
        let mut awaited: Option<Rc<Session>> = None;
        loop {
            let changed = self.changed.notified();
            if let Some(free) = self.with(Room::Free) {
                return Ok(free);
            }
            if let Some(fault) = awaited.take().and_then(|session| session.fault()) {
                return Err(fault);
            }
            awaited = self.with(Room::Opening).or_else(|| self.open(worker, slot, age));
            changed.await;
        }
    }

    /// The first connection with this `room`. Those that never have any again aren't looked at any more.
    fn with(&self, room: Room) -> Option<Rc<Session>> {
        let sessions = self.sessions.borrow();
        sessions
            .iter()
            .find(|session| {
                let found = session.room();
                if found == Room::Never {
                    session.retire();
                }
                found == room
            })
            .cloned()
    }

    /// Opens one more, if one more may be.
    fn open(&self, worker: &Rc<Worker>, slot: &Arc<Slot>, age: Duration) -> Option<Rc<Session>> {
        let mut sessions = self.sessions.borrow_mut();
        sessions.retain(|session| session.is_alive());
        if sessions.iter().filter(|session| session.is_usable()).count() >= SESSIONS {
            return None;
        }
        // One that has carried something spoke HTTP/1: nobody will want it.
        let first = slot.take_first(worker.now(), age, false);
        slot.drop_first();
        let first = first.and_then(|first| TcpStream::from_std(first.stream).ok());
        let session = Session::open(worker, slot, first, &self.changed);
        sessions.push(session.clone());
        Some(session)
    }

    /// Lets go of what has been idle for longer than `age`, or of all that takes new streams.
    pub(crate) fn sweep(&self, now: Moment, age: Duration, all: bool) {
        self.sessions.borrow_mut().retain(|session| {
            if all || session.idle_since().is_some_and(|since| now.since(since) >= age) {
                session.retire();
            }
            session.is_alive()
        });
    }

    /// Ends those that carry nothing now.
    pub(crate) fn clear(&self) {
        let sessions = self.sessions.borrow();
        sessions.iter().filter(|session| session.idle_since().is_some()).for_each(|session| session.retire());
    }

    /// Connections that carry nothing, and those that carry something; `None` where there is none.
    pub(crate) fn count(&self) -> Option<(usize, usize)> {
        let sessions = self.sessions.borrow();
        let alive = sessions.iter().filter(|session| session.is_alive()).count();
        let active = sessions.iter().filter(|session| session.is_alive() && session.streams() > 0).count();
        (alive > 0).then_some((alive - active, active))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The tasks that drive them hold them: they end once they carry nothing.
        self.sessions.borrow().iter().for_each(|session| session.retire());
    }
}
