//! How slowly a client may send or take a body, so that nobody holds a replica's slot for next to nothing.
//!
//! A client has some time in which it may be waited for. Waiting for it uses that time up, every byte that moves gives a
//! little back, and what waits for the replica uses nothing. So a stream whose replica is silent lives, and so does a
//! phone on a slow link; who moves a byte every few seconds doesn't.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use kaos_core::{Moment, Policy};

use crate::rounds::Watch;
use crate::sabotage::{Rule, is_off};
use crate::worker::Worker;

/// The time that a client has at first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How far one direction of one exchange has come.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes per second; 0: any pace will do.
    rate: u64,
    /// The most time that it can have.
    most: Duration,
    left: Duration,
    /// It was waited for longer than that. What comes now comes too late: else who sends a little just before each round would never
    /// be found waiting.
    spent: bool,
    waits_since: Option<Moment>,
    moved: u64,
}

impl Pace {
    /// `rate` bytes a second must move, but for a silence of at most `most` behind enough of them.
    pub(crate) fn new(rate: u32, most: Duration) -> Self {
        Pace { rate: rate.into(), most, left: PATIENCE.min(most), spent: false, waits_since: None, moved: 0 }
    }

    /// `moved` bytes have moved in all, and the client is waited for or not. Returns until when it may be, if nothing more
    /// moves. The client has `streams` bodies under way, which share its link.
    pub(crate) fn note(&mut self, now: Moment, moved: u64, waits: bool, streams: usize) -> Moment {
        if self.rate == 0 || is_off(Rule::BodyRate) {
            return Moment::NEVER;
        }
        if let Some(since) = self.waits_since.take() {
            let waited = now.since(since);
            self.spent |= waited >= self.left;
            self.left = self.left.saturating_sub(waited);
        }
        if self.spent {
            return now;
        }
        let more = moved.saturating_sub(self.moved).saturating_mul(1_000_000 * streams.max(1) as u64);
        self.left = self.left.saturating_add(Duration::from_micros(more / self.rate)).min(self.most);
        self.moved = moved;
        if !waits {
            return Moment::NEVER;
        }
        self.waits_since = Some(now);
        now + self.left
    }
}

/// The deadlines of an exchange whose answer hasn't begun: of the whole, of the answer's beginning, which counts from the last
/// byte that was sent, and of a client that sends slowly.
pub(crate) struct Beginning<'a> {
    pub(crate) watch: &'a Watch,
    pub(crate) worker: &'a Worker,
    pub(crate) deadline: Moment,
    pub(crate) patience: Duration,
    pub(crate) alive: Moment,
    pub(crate) moved: u64,
    pub(crate) pace: Pace,
    pub(crate) streams: usize,
}

impl Beginning<'_> {
    /// `moved` bytes have left, and the client is waited for or not.
    pub(crate) fn note(&mut self, moved: u64, waits: bool) {
        let now = self.worker.now();
        if moved != std::mem::replace(&mut self.moved, moved) {
            self.alive = now + self.patience;
        }
        let slow = self.pace.note(now, moved, waits, self.streams);
        self.watch.until(self.deadline.min(self.alive).min(slow));
    }
}

/// The deadlines of an answer on its way to a client, and of what is left of the request beside it.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    watch: &'a Watch,
    worker: &'a Worker,
    /// When the whole exchange must be over.
    deadline: Moment,
    silence: Duration,
    /// Until when nothing need move.
    alive: Cell<Moment>,
    /// Until when the client may be waited for.
    slow: Cell<Moment>,
    pace: RefCell<Pace>,
    seen: Cell<(u64, bool)>,
    uploaded: Cell<u64>,
}

impl<'a> Progress<'a> {
    /// The answer begins now; `uploaded` bytes of the request have left.
    pub(crate) fn new(
        watch: &'a Watch,
        worker: &'a Worker,
        deadline: Moment,
        policy: &Policy,
        uploaded: u64,
    ) -> Self {
        let silence = policy.stream_idle_timeout;
        let progress = Progress {
            watch,
            worker,
            deadline,
            silence,
            alive: Cell::new(worker.now() + silence),
            slow: Cell::new(Moment::NEVER),
            pace: RefCell::new(Pace::new(policy.min_transfer_rate, silence)),
            seen: Cell::new((0, false)),
            uploaded: Cell::new(uploaded),
        };
        progress.set();
        progress
    }

    /// `moved` bytes of the answer have left, and the client is waited for or not. Returns the moment if something moved.
    pub(crate) fn downloaded(&self, moved: u64, waits: bool) -> Option<Moment> {
        let before = self.seen.replace((moved, waits));
        if before == (moved, waits) {
            return None;
        }
        let now = self.worker.now();
        if moved != before.0 {
            self.alive.set(now + self.silence);
        }
        self.slow.set(self.pace.borrow_mut().note(now, moved, waits, 1));
        self.set();
        (moved != before.0).then_some(now)
    }

    /// `moved` bytes of the request have left.
    pub(crate) fn uploaded(&self, moved: u64) {
        if moved != self.uploaded.replace(moved) {
            self.alive.set(self.worker.now() + self.silence);
            self.set();
        }
    }

    fn set(&self) {
        self.watch.until(self.deadline.min(self.alive.get()).min(self.slow.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(300);

    /// How long a client lives that is waited for all the time and moves `bytes` every `every`, in seconds; at most a day.
    fn lives(bytes: u64, every: u64, streams: usize) -> u64 {
        let mut pace = Pace::new(240, MOST);
        let (mut now, mut moved) = (0, bytes);
        loop {
            let until = pace.note(Moment::from_secs(now), moved, true, streams);
            if until < Moment::from_secs(now + every) || now > 86_400 {
                return until.secs();
            }
            (now, moved) = (now + every, moved + bytes);
        }
    }

    #[test]
    fn who_moves_next_to_nothing_is_let_go_soon_and_a_slow_link_lives() {
        assert_eq!(lives(0, 1, 1), 30);
        assert_eq!(lives(1, 3, 1), 30);
        assert!((50..53).contains(&lives(100, 1, 1)));
        assert!(lives(240, 1, 1) > 86_400);
        assert!(lives(5_000, 20, 1) > 86_400);
        assert!(lives(3, 1, 100) > 86_400, "a hundred streams share a link");
        assert!(lives(1_000_000_000, 299, 1) > 86_400);
        assert_eq!(lives(1_000_000_000, 301, 1), 300);
    }

    #[test]
    fn who_moves_a_little_before_anybody_looks_is_too_late() {
        let mut pace = Pace::new(240, MOST);
        for second in 0..60 {
            pace.note(Moment::from_secs(second), second * 120, true, 1);
        }
        // Half a second of each is gone for good.
        let now = Moment::from_secs(60);
        assert_eq!(pace.note(now, 1_000_000, true, 1), now);
        assert_eq!(pace.note(now, 1_000_000, false, 1), now);
    }

    #[test]
    fn what_waits_for_the_replica_uses_nothing_up() {
        let mut pace = Pace::new(240, MOST);
        assert_eq!(pace.note(Moment::from_secs(0), 0, false, 1), Moment::NEVER);
        assert_eq!(pace.note(Moment::from_secs(10_000), 0, true, 1), Moment::from_secs(10_030));
        assert_eq!(pace.note(Moment::from_secs(10_020), 0, false, 1), Moment::NEVER);
        assert_eq!(pace.note(Moment::from_secs(20_000), 0, true, 1), Moment::from_secs(20_010));
    }

    #[test]
    fn without_a_rate_any_pace_will_do() {
        assert_eq!(Pace::new(0, MOST).note(Moment::from_secs(0), 0, true, 1), Moment::NEVER);
    }
}
