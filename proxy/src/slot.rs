//! One replica as admission sees it: how much it has in flight, and whether it may get more. Shared by all workers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kaos_core::snapshot::StartTimes;
use kaos_core::{EndpointUid, Moment};

use crate::first::First;
use crate::subrequest::Presumed;

/// A replica whose limit is nobody else's business.
pub(crate) const WHOLE: u32 = u32::MAX;

/// A value on cache lines of its own: neighbours that other cores write don't slow it down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// What requests are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A replica of the workload whose gate has this key.
    Replica(u32),
    /// Another proxy, which has slots where this one has none.
    Proxy,
}

/// One replica, or another proxy in its place.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) uid: EndpointUid,
    /// Different for every replica of the process's life.
    pub(crate) key: u64,
    pub(crate) address: SocketAddr,
    pub(crate) start: StartTimes,
    pub(crate) kind: Kind,
    in_flight: Padded<AtomicU32>,
    /// May be sent requests: ready, not going away, not held.
    open: AtomicBool,
    /// Most requests that this proxy may have in flight on it, where a hard limit is shared with others.
    share: AtomicU32,
    /// Whether it will never be sent anything again.
    gone: AtomicBool,
    /// Connections to it fail: let it be until this moment (microseconds).
    suspect_until: AtomicU64,
    failures: AtomicU32,
    /// It ended a new connection without a word: others are preferred until this moment (microseconds).
    doubted_until: AtomicU64,
    /// A connection that was made before there were requests for it.
    first: Mutex<Option<(First, Moment)>>,
    /// Since when the platform calls it ready, and leads others to it (microseconds).
    listed: AtomicU64,
    /// Requests that were let through to it.
    pub(crate) presumed: Presumed,
}

/// It isn't listed.
const UNLISTED: u64 = u64::MAX;

/// How long a replica is doubted.
const DOUBT: Duration = Duration::from_millis(100);

impl Slot {
    pub(crate) fn new(
        uid: EndpointUid,
        key: u64,
        address: SocketAddr,
        start: StartTimes,
        kind: Kind,
    ) -> Self {
        Slot {
            uid,
            key,
            address,
            start,
            kind,
            in_flight: Padded::default(),
            open: AtomicBool::new(false),
            share: AtomicU32::new(WHOLE),
            gone: AtomicBool::new(false),
            suspect_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            doubted_until: AtomicU64::new(0),
            first: Mutex::default(),
            listed: AtomicU64::new(UNLISTED),
            presumed: Presumed::default(),
        }
    }

    /// Requests in flight, of all workers.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.0.load(Ordering::SeqCst)
    }

    /// What it has in flight, if it may get more of those for whom `limit` holds (0: no limit, and no share of one).
    pub(crate) fn load(&self, now: Moment, limit: u32) -> Option<u32> {
        let suspect = self.suspect_until.load(Ordering::Relaxed);
        let usable = self.open.load(Ordering::Relaxed) && (suspect == 0 || suspect <= now.micros());
        let load = usable.then(|| self.in_flight.0.load(Ordering::Relaxed));
        load.filter(|load| limit == 0 || *load < self.share.load(Ordering::Relaxed))
    }

    /// As [`Slot::load`], of a replica that isn't doubted.
    pub(crate) fn trusted_load(&self, now: Moment, limit: u32) -> Option<u32> {
        self.load(now, limit).filter(|_| self.doubted_until.load(Ordering::Relaxed) <= now.micros())
    }

    /// The platform calls it ready since `since`, if nothing earlier is known; `None`: it doesn't.
    pub(crate) fn list(&self, since: Option<Moment>) {
        let earliest = |known: u64| Some(since.map_or(UNLISTED, |since| known.min(since.micros())));
        let _ = self.listed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earliest);
    }

    /// Since when the platform has led others to it, if it does.
    pub(crate) fn listed(&self) -> Option<Moment> {
        let since = self.listed.load(Ordering::Relaxed);
        (since != UNLISTED).then(|| Moment::from_micros(since))
    }

    /// Takes a place on it, if there is one below `limit` (0: no limit) and it is open.
    ///
    /// Counts first and then looks whether it is still open, as whoever closes it does the reverse: either the closing
    /// is seen here, or this place is seen there (Dekker's argument; both sides sequentially consistent).
    pub(crate) fn take(&self, limit: u32) -> bool {
        let counted = if limit == 0 {
            self.in_flight.0.fetch_add(1, Ordering::SeqCst);
            true
        } else {
            let limit = limit.min(self.share.load(Ordering::Relaxed));
            let below = |count: u32| (count < limit).then_some(count + 1);
            self.in_flight.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, below).is_ok()
        };
        if counted && !self.is_open() {
            self.give();
            return false;
        }
        counted
    }

    /// Gives a place back.
    pub(crate) fn give(&self) {
        self.in_flight.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// Opens or closes it. After it was closed, [`Slot::in_flight`] only falls.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Bounds what this proxy may have in flight on it.
    pub(crate) fn set_share(&self, share: u32) {
        self.share.store(share, Ordering::Relaxed);
    }

    /// It will never be sent anything again: its connections may be closed. Who lets a request through to it presumes that, and
    /// then looks whether it has gone; who counts replicas does the reverse.
    pub(crate) fn set_gone(&self) {
        self.set_open(false);
        self.gone.store(true, Ordering::SeqCst);
        self.drop_first();
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// A connection to it failed: let it be for 20 ms, twice as long each time in a row, at most a second, spread by
    /// `salt` so that workers don't come back together.
    pub(crate) fn suspect(&self, now: Moment, salt: u64) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(6);
        let pause = (20_000_u64 << failures).min(1_000_000);
        self.suspect_until.store(now.micros() + pause - salt % (pause / 4), Ordering::Relaxed);
    }

    /// It ended a new connection without a word: it is going away, or the request was too much for it. Others are
    /// preferred for a moment, but where there are none it gets requests as before: one that no replica survives must not
    /// hold up all others.
    pub(crate) fn doubt(&self, now: Moment) {
        self.doubted_until.store((now + DOUBT).micros(), Ordering::Relaxed);
    }

    /// Keeps a connection for its first request.
    pub(crate) fn keep_first(&self, first: First, at: Moment) {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some((first, at));
    }

    /// The connection that was kept, if it was made no longer than `age` ago. One that has carried something already can't
    /// be relied on, so only a request that can be `repeated` gets it.
    pub(crate) fn take_first(&self, now: Moment, age: Duration, repeated: bool) -> Option<First> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, at) = first.as_ref()?;
        if now.since(*at) > age {
            *first = None;
            return None;
        }
        if kept.used && !repeated {
            return None;
        }
        first.take().map(|(kept, _)| kept)
    }

    /// Nobody wants the connection that was kept.
    pub(crate) fn drop_first(&self) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A connection to it succeeded.
    pub(crate) fn trust(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.suspect_until.store(0, Ordering::Relaxed);
        }
    }
}
