//! What is to happen, in order of time; what was put in first comes first among equals.

use std::collections::BTreeMap;

use kaos_core::Moment;

/// A queue of events under a virtual clock.
#[derive(Debug)]
pub struct Queue<E> {
    events: BTreeMap<(Moment, u64), E>,
    put: u64,
    now: Moment,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue { events: BTreeMap::new(), put: 0, now: Moment::ZERO }
    }
}

impl<E> Queue<E> {
    /// The time.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Puts an event at `at`; one in the past happens next.
    pub fn put(&mut self, at: Moment, event: E) {
        self.put += 1;
        self.events.insert((at.max(self.now), self.put), event);
    }

    /// Takes the next event not after `end`, and moves the time to it.
    pub fn take(&mut self, end: Moment) -> Option<E> {
        let ((at, _), _) = self.events.first_key_value()?;
        if *at > end {
            self.now = end;
            return None;
        }
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }
}
