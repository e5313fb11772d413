//! One worker's connections to one replica.
//!
//! Idle connections are kept for a minute, or for four seconds where the replica closes some itself.
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

/// Longest time for which any replica may be expected to keep an idle connection: below the 5 s after which Node closes its side.
pub(crate) const IDLE: Duration = Duration::from_secs(4);
/// Longest time for which connections are kept idle to a replica that has closed none. Making one again costs as much as five
/// requests, and a burst that comes every few seconds would pay for all of them each time.
const LONGEST: Duration = Duration::from_secs(60);
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
            let longest = self.longest(idle.len(), now);
            let candidate = idle.pop()?;
            drop(idle);
            if age < longest && self.is_open(&candidate, age, now, candidate.link.socket.has_news()) {
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

    /// Closes what is old, closed or useless, and learns from the rest. Called once a second, between requests that wait for it: the
    /// kernel isn't asked of hundreds of connections that all have nothing to say.
    pub(crate) fn sweep(&self, now: Moment) {
        self.pool.sweep(now, IDLE, self.slot.is_gone());
        let mut idle = self.idle.borrow_mut();
        if self.slot.is_gone() {
            idle.clear();
        }
        idle.retain_mut(|kept| {
            let age = now.since(kept.since);
            let open = self.is_open(kept, age, now, kept.link.socket.shows_news());
            kept.seen_open = age;
            open
        });
        let longest = self.longest(idle.len(), now);
        idle.retain(|kept| now.since(kept.since) < longest);
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

    /// Whether `kept` is open at `age`, which it isn't if it has `news`. Remembers the answer.
    fn is_open(&self, kept: &Idle, age: Duration, now: Moment, news: bool) -> bool {
        if news {
            let soonest = self.closed.get().map_or(kept.seen_open, |(age, _)| age.min(kept.seen_open));
            self.closed.set(Some((soonest, now)));
            return false;
        }
        self.survivals.set(self.survivals.get().saturating_add(1));
        self.survived.set(self.survived.get().max(age));
        true
    }

    fn relied_on(&self, age: Duration, now: Moment) -> bool {
        let proven = self.survivals.get() >= PROVEN && age * 2 <= self.survived.get();
        proven && self.last_closed(now).is_none_or(|soonest| age * 4 <= soonest)
    }

    /// How long one of `count` connections is kept idle. One alone may be all that the replica can serve at a time: then whoever else
    /// connects waits for its end.
    fn longest(&self, count: usize, now: Moment) -> Duration {
        if count > 1 && self.last_closed(now).is_none() { LONGEST } else { IDLE }
    }

    /// The shortest time after which the replica may have closed an idle connection, unless that was long ago.
    fn last_closed(&self, now: Moment) -> Option<Duration> {
        self.closed.get().filter(|(_, at)| now.since(*at) < FORGET).map(|(soonest, _)| soonest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kaos_core::EndpointUid;
    use kaos_core::snapshot::StartTimes;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::slot::Kind;

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    /// A port that keeps `count` connections from the beginning on, and their other ends.
    async fn port(count: usize) -> (Port, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let start = StartTimes::default();
        let port = Port::new(Arc::new(Slot::new(EndpointUid::new("a"), 1, address, start, Kind::Replica(1))));
        let mut ends = Vec::new();
        for _ in 0..count {
            port.keep(Link::connect(address).await.unwrap(), at(0), &Buffers::default());
            ends.push(listener.accept().await.unwrap().0);
        }
        (port, ends)
    }

    /// Sweeps once a second until `seconds`, and counts what is left.
    fn left(port: &Port, from: u64, until: u64) -> usize {
        (from..=until).for_each(|second| port.sweep(at(second)));
        port.connections().0
    }

    #[tokio::test]
    async fn what_a_replica_keeps_is_kept_for_a_minute() {
        let (port, _ends) = port(3).await;
        assert_eq!(left(&port, 1, 59), 3);
        assert!(port.take(at(59), true).is_some());
        assert_eq!(left(&port, 60, 60), 0);
    }

    #[tokio::test]
    async fn the_only_one_and_those_of_who_closes_some_are_kept_for_four_seconds() {
        let (alone, _ends) = port(1).await;
        assert_eq!((left(&alone, 1, 3), left(&alone, 4, 4)), (1, 0));

        let (port, mut ends) = port(3).await;
        assert_eq!(left(&port, 1, 10), 3);
        drop(ends.pop());
        while left(&port, 10, 10) == 3 {
            // Until the kernel has told us.
            tokio::task::yield_now().await;
        }
        assert_eq!(port.connections().0, 0, "the others have been idle for longer than four seconds");
    }
}
