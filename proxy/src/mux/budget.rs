//! How many frames that carry nothing an HTTP/2 client may send: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA, frames of
//! unknown types, and resets.
//!
//! One costs from a quarter of a microsecond to some (an answer to SETTINGS is written by itself), and all that come at once are
//! read at once while everybody else on the thread waits: a hundred connections with what is free here take a few hundredths
//! of a core. Honest clients send them along with what they ask and get, and that pays: a WINDOW_UPDATE comes for every few KiB
//! of a download, and gRPC's clients send a PING with each round trip in which something comes, to measure it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use crate::mux::frame::{CONTINUATION, DATA, HEADERS, PING, RST_STREAM, SETTINGS};
use crate::sabotage::{Rule, is_off};

/// What is free: at once, and from one to the next.
const BURST: u64 = 1000;
const MILLISECONDS: u64 = 5;
/// Bytes sent that pay for a frame.
const PER_FRAME: u64 = 1024;
/// Frames that a request pays for, and a piece of an answer.
const PER_REQUEST: u64 = 4;
const PER_PIECE: u64 = 1;
/// So many are paid for at most that haven't come.
const CREDIT: u64 = 10_000;
/// A stream that its client resets costs a request, and its replica more. A client may reset all that are open at once.
const RESET: u64 = 5;
/// Settings are answered, and are sent once or twice by who is honest.
const SETTING: u64 = 10;
/// A PING is answered.
const ANSWER: u64 = 2;

/// What a connection has earned by what it is there for.
#[derive(Debug, Default)]
pub(crate) struct Earned {
    /// Bytes sent in all.
    bytes: Cell<u64>,
    /// Frames paid for by requests and answers.
    frames: Cell<u64>,
}

impl Earned {
    /// Bytes that were sent to the client.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The client has asked.
    pub(crate) fn asked(&self) {
        self.frames.set(self.frames.get() + PER_REQUEST);
    }

    /// The client gets a piece of an answer.
    pub(crate) fn answered(&self) {
        self.frames.set(self.frames.get() + PER_PIECE);
    }

    fn total(&self) -> u64 {
        self.frames.get() + self.bytes.get() / PER_FRAME
    }
}

/// What is left of a connection's frames.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
    filled: Instant,
    earned: Rc<Earned>,
    /// What of that was taken.
    taken: u64,
}

impl Budget {
    pub(crate) fn new(earned: Rc<Earned>) -> Self {
        Budget { left: BURST, filled: Instant::now(), earned, taken: 0 }
    }

    /// So many bytes were sent to the client in all.
    pub(super) fn sent(&self, bytes: u64) {
        self.earned.bytes.set(bytes);
    }

    /// Pays for a frame of this type and length. `false`: there are too many.
    pub(super) fn pay(&mut self, kind: u8, length: usize) -> bool {
        let cost = cost(kind, length);
        if self.left < cost {
            self.fill();
        }
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => return is_off(Rule::Frames),
        }
        true
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let free = now.duration_since(self.filled).as_millis() as u64 / MILLISECONDS;
        let left = (self.left + free).min(BURST);
        let total = self.earned.total();
        self.taken = self.taken.max(total.saturating_sub(CREDIT));
        let bought = (total - self.taken).min(BURST - left);
        self.taken += bought;
        self.left = left + bought;
        if free > 0 {
            self.filled = now;
        }
    }
}

/// What a frame of this type costs.
fn cost(kind: u8, length: usize) -> u64 {
    match kind {
        DATA => u64::from(length == 0),
        // They are counted as what they are of.
        HEADERS | CONTINUATION => 0,
        RST_STREAM => RESET,
        SETTINGS => SETTING,
        PING => ANSWER,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: u8 = 8;

    /// Frames of a kind that are taken of a million.
    fn taken(kind: u8, length: usize) -> usize {
        let mut budget = Budget::new(Rc::default());
        (0..1_000_000).take_while(|_| budget.pay(kind, length)).count()
    }

    #[test]
    fn what_carries_something_costs_nothing() {
        assert_eq!(taken(DATA, 1), 1_000_000);
        assert_eq!(taken(HEADERS, 1), 1_000_000);
        for (kind, length) in [(UPDATE, 4), (PING, 8), (SETTINGS, 0), (RST_STREAM, 4), (DATA, 0), (0x77, 1)] {
            let most = BURST / cost(kind, length);
            assert!((most as usize..900_000).contains(&taken(kind, length)), "{kind}");
        }
    }

    fn all(budget: &mut Budget, count: usize) -> bool {
        (0..count).all(|_| budget.pay(UPDATE, 4))
    }

    #[test]
    fn what_was_sent_pays() {
        let mut budget = Budget::new(Rc::default());
        for round in 1..=100 {
            budget.sent(round * 10_000 * 1024);
            assert!(all(&mut budget, 10_000));
        }
        for _ in 0..10_000 {
            budget.earned.asked();
            budget.earned.answered();
            assert!(all(&mut budget, 5));
        }
        // For what comes later too, but not without end.
        budget.sent(1 << 40);
        assert!(all(&mut budget, 10_000));
        assert!(!all(&mut budget, 100_000));
    }
}
