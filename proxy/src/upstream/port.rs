//! One worker's connections to one replica.
//!
//! A replica may close an idle connection at the moment a request is written to it. What can be repeated is then sent
//! again; what can't (a POST) would fail. So a connection is trusted with the latter only as far as this replica has
//! shown that it keeps idle connections: once it has kept a few, half the longest idle time that one was seen to survive, and a
//! quarter of the shortest after which one may have been closed.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::Moment;

use crate::buffer::Buffers;
use crate::sabotage::{Rule, is_off};
use crate::slot::Slot;
use crate::upstream::http2::pool::Pool;
use crate::upstream::link::Link;

/// Longest time for which a connection is kept idle: below the 5 s after which Node closes its side.
pub(crate) const IDLE: Duration = Duration::from_secs(4);
/// Most idle connections per worker and replica.
const KEPT: usize = 512;
/// So many times idle connections must have been seen open before any is relied on: one that survives says little of a replica
/// that closes some at once.
const PROVEN: u32 = 32;
/// A close that was seen is forgotten after this time.
const FORGET: Duration = Duration::from_secs(60);

/// Connections of one worker to one replica.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) slot: Arc<Slot>,
    idle: RefCell<Vec<Idle>>,
    /// Those that carry many exchanges at once.
    pub(crate) pool: Pool,
    /// Exchanges under way.
    pub(crate) active: Cell<usize>,
    /// How often an idle connection was seen open, and the longest for which one had been idle.
    survivals: Cell<u32>,
    survived: Cell<Duration>,
    closed: Cell<Option<(Duration, Moment)>>,
}

#[derive(Debug)]
struct Idle {
    link: Link,
    since: Moment,
    /// It was seen open at this age.
    seen_open: Duration,
}

impl Port {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Port {
            slot,
            idle: RefCell::default(),
            pool: Pool::default(),
            active: Cell::new(0),
            survivals: Cell::new(0),
            survived: Cell::new(Duration::ZERO),
            closed: Cell::new(None),
        }
    }

    /// An idle connection that looks open; one that can be relied on if the request can't be `repeated`.
    pub(crate) fn take(&self, now: Moment, repeatable: bool) -> Option<Link> {
        loop {
            let mut idle = self.idle.borrow_mut();
            let age = now.since(idle.last()?.since);
            if !repeatable && !self.relied_on(age, now) {
                return None;
            }
            let candidate = idle.pop()?;
            drop(idle);
            if age < IDLE && self.is_open(&candidate, age, now) {
                return Some(candidate.link);
            }
        }
    }

    /// The connection over which the replica was found ready.
    pub(crate) fn take_first(&self, now: Moment, repeatable: bool) -> Option<Link> {
        self.slot.take_first(now, IDLE, repeatable).and_then(Link::first)
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, mut link: Link, now: Moment, buffers: &Buffers) {
        let mut idle = self.idle.borrow_mut();
        let clean = link.input.is_empty() || is_off(Rule::BytesBehind);
        if self.slot.is_gone() || idle.len() >= KEPT || !clean {
            return;
        }
        link.input.rest(buffers);
        link.reused = true;
        idle.push(Idle { link, since: now, seen_open: Duration::ZERO });
    }

    /// Closes what is old, closed or useless, and learns from the rest. Called once a second.
    pub(crate) fn sweep(&self, now: Moment) {
        self.pool.sweep(now, IDLE, self.slot.is_gone());
        let mut idle = self.idle.borrow_mut();
        if self.slot.is_gone() {
            idle.clear();
        }
        idle.retain_mut(|kept| {
            let age = now.since(kept.since);
            let open = self.is_open(kept, age, now);
            kept.seen_open = age;
            open && age < IDLE
        });
    }

    /// Closes all idle connections.
    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
        self.pool.clear();
    }

    /// A connection that had been idle was closed before it answered.
    pub(crate) fn note_closed(&self, now: Moment) {
        self.closed.set(Some((Duration::ZERO, now)));
    }

    /// Connections that are idle, and those that carry something.
    pub(crate) fn connections(&self) -> (usize, usize) {
        self.pool.count().unwrap_or_else(|| (self.idle.borrow().len(), self.active.get()))
    }

    /// Asks whether `kept` is open at `age`, and remembers the answer.
    fn is_open(&self, kept: &Idle, age: Duration, now: Moment) -> bool {
        if kept.link.socket.has_news() {
            let soonest = self.closed.get().map_or(kept.seen_open, |(age, _)| age.min(kept.seen_open));
            self.closed.set(Some((soonest, now)));
            return false;
        }
        self.survivals.set(self.survivals.get().saturating_add(1));
        self.survived.set(self.survived.get().max(age));
        true
    }

    fn relied_on(&self, age: Duration, now: Moment) -> bool {
        let closed = self.closed.get().filter(|(_, at)| now.since(*at) < FORGET);
        let proven = self.survivals.get() >= PROVEN && age * 2 <= self.survived.get();
        proven && closed.is_none_or(|(soonest, _)| age * 4 <= soonest)
    }
}
