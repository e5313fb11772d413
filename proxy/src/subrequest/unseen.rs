//! What a workload's gate keeps of requests that are let through, and not seen again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kaos_core::Moment;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Until when requests are presumed to be in flight of which nobody tells the end (microseconds).
#[derive(Debug, Default)]
pub(crate) struct Presumed(AtomicU64);

impl Presumed {
    /// Presumes it until then, at least. Said by who holds a place on a replica, before that is given back: whoever counts
    /// places first, and then looks here, sees one or the other.
    pub(crate) fn extend(&self, until: Moment) {
        self.0.fetch_max(until.micros(), Ordering::SeqCst);
    }

    /// Until when; the beginning of time if nothing ever was.
    pub(crate) fn until(&self) -> Moment {
        Moment::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Questions that have a place on a replica, and are held until who asks can be expected to know of it.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    count: AtomicU32,
    changed: Notify,
}

/// A place among them. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'s>(&'s Settling);

impl Settling {
    /// A place, if fewer than `limit` wait.
    pub(crate) fn enter(&self, limit: u32) -> Option<Held<'_>> {
        let below = |count: u32| (count < limit).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok().map(|_| Held(self))
    }

    /// Tells them that the picture has changed.
    pub(crate) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Ready when the picture has changed since this was called.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
