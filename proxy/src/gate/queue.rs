//! Who waits at one gate, by arrival, and what the control line has heard of them.

use std::collections::BTreeMap;
use std::time::Duration;

use kaos_core::{Moment, Sums};
use tokio::sync::oneshot;

use super::{Grant, Terms};
use crate::refuse::Refusal;

/// Requests that begin to wait are reported again after this time.
pub(crate) const ANNOUNCE_AGAIN: Duration = Duration::from_millis(10);

/// The queue of one gate.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By arrival.
    pub(super) waiters: BTreeMap<u64, Waiter>,
    pub(super) arrivals: u64,
    /// Of those who wait and waited, without those that wake nothing.
    pub(super) sums: Sums,
    /// Waiters that wake nothing: the control line doesn't hear of them.
    pub(super) no_wake: usize,
    announced: u32,
    announced_at: Moment,
    /// Requests that could not be served in time and count as waiting until a report has told of them.
    turned_away: u32,
    /// How many of them the last reading has counted.
    told: u32,
    /// Since when nothing could be released and no replica was on its way.
    pub(super) stuck_since: Option<Moment>,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) answer: oneshot::Sender<Result<Grant, Refusal>>,
    pub(super) bytes: u64,
    pub(super) terms: Terms,
}

impl Queue {
    /// Waiters of which the control line hears.
    pub(super) fn counted(&self) -> u32 {
        (self.waiters.len() - self.no_wake) as u32
    }

    /// Takes the next one in. Returns its place.
    pub(super) fn join(&mut self, waiter: Waiter, now: Moment) -> u64 {
        let arrival = self.arrivals;
        self.arrivals += 1;
        match waiter.terms.no_wake {
            Some(_) => self.no_wake += 1,
            None => self.sums.start(now.micros()),
        }
        self.waiters.insert(arrival, waiter);
        arrival
    }

    /// Counts a waiter that is in the queue no more.
    pub(super) fn left(&mut self, waiter: &Waiter, now: Moment) {
        match waiter.terms.no_wake {
            Some(_) => self.no_wake -= 1,
            None => self.sums.finish(now.micros()),
        }
        if self.counted() == 0 {
            self.announced = 0;
        }
        if self.waiters.is_empty() {
            self.stuck_since = None;
        }
    }

    /// Counts a request that can't be served in time as one that waits, so that the workload is started for the next.
    /// Returns whether that is to be reported now.
    pub(super) fn turn_away(&mut self, now: Moment) -> bool {
        self.sums.start(now.micros());
        self.turned_away += 1;
        let due = self.turned_away == 1 || now.since(self.announced_at) >= ANNOUNCE_AGAIN;
        if due {
            self.announced_at = now;
        }
        due
    }

    /// Whether those who wait are to be reported now: the first, twice as many, or 10 ms later.
    pub(super) fn announce(&mut self, now: Moment) -> bool {
        let waiting = self.counted();
        let due = waiting >= self.announced.saturating_mul(2).max(1)
            || now.since(self.announced_at) >= ANNOUNCE_AGAIN;
        if waiting == 0 || !due {
            return false;
        }
        self.announced = waiting;
        self.announced_at = now;
        true
    }

    /// Whether more wait than was announced, which is announced by this; none if nobody waits.
    pub(super) fn has_grown(&mut self, now: Moment) -> Option<bool> {
        let (waiting, announced) = (self.counted(), self.announced);
        if waiting > announced {
            (self.announced, self.announced_at) = (waiting, now);
        }
        (waiting > 0).then_some(waiting > announced)
    }

    /// What a report says; those who were turned away are told of by it.
    pub(super) fn tell(&mut self) -> Sums {
        self.told = self.turned_away;
        self.sums
    }

    /// What was read last was reported: those who were turned away before wait no more.
    pub(super) fn reported(&mut self, now: Moment) {
        for _ in 0..std::mem::take(&mut self.told) {
            self.turned_away -= 1;
            self.sums.finish(now.micros());
        }
    }
}
