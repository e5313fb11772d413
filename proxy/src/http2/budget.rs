//! How many frames that carry nothing an HTTP/2 client may send. The library counts resets, fields and empty DATA; this
//! counts the rest, from which it has no defence: PING, SETTINGS, WINDOW_UPDATE, PRIORITY and frames of unknown types.
//!
//! One costs from a quarter of a microsecond to some (an answer to SETTINGS is written by itself), and all that come at once are
//! read at once while everybody else on the thread waits: a hundred connections with what is free here take a few hundredths
//! of a core. Honest clients send them along with what they ask and get, and that pays: a WINDOW_UPDATE comes for every few KiB
//! of a download, and gRPC's clients send a PING with each round trip in which something comes, to measure it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

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
const SETTINGS: u64 = 10;
/// A PING is answered.
const PING: u64 = 2;

const HEAD: usize = 9;

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
    /// The head of a frame, as far as it has come, and what is left of the payload of the last.
    head: [u8; HEAD],
    known: usize,
    payload: usize,
}

impl Budget {
    /// One for a connection whose first `preface` bytes are no frames.
    pub(crate) fn new(preface: usize, earned: Rc<Earned>) -> Self {
        let (filled, head) = (Instant::now(), [0; HEAD]);
        Budget { left: BURST, filled, earned, taken: 0, head, known: 0, payload: preface }
    }

    /// So many bytes were sent to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.earned.bytes.set(self.earned.bytes.get() + bytes as u64);
    }

    /// Counts the frames that begin in `bytes`, which have come. `Err`: there are too many.
    pub(crate) fn spend(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let payload = self.payload.min(bytes.len());
            self.payload -= payload;
            bytes = bytes.get(payload..).unwrap_or_default();
            let missing = (HEAD - self.known).min(bytes.len());
            let (head, rest) = bytes.split_at(missing);
            if let Some(room) = self.head.get_mut(self.known..self.known + missing) {
                room.copy_from_slice(head);
            }
            self.known += missing;
            bytes = rest;
            if self.known == HEAD {
                let [a, b, c, kind, ..] = self.head;
                self.known = 0;
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                self.pay(cost(kind))?;
            }
        }
        Ok(())
    }

    fn pay(&mut self, cost: u64) -> io::Result<()> {
        if self.left < cost {
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
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None if is_off(Rule::Frames) => {}
            None => return Err(io::Error::other("too many frames that carry nothing")),
        }
        Ok(())
    }
}

/// What a frame of this type costs. DATA, HEADERS and CONTINUATION are the library's to count.
fn cost(kind: u8) -> u64 {
    match kind {
        0 | 1 | 9 => 0,
        3 => RESET,
        4 => SETTINGS,
        6 => PING,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: [u8; 13] = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const DATA: [u8; 12] = [0, 0, 3, 0, 0, 0, 0, 0, 1, 6, 6, 6];

    /// Frames that are taken of `frame`, sent `count` times in pieces of `piece` bytes behind a preface of 24.
    fn taken(frame: &[u8], count: usize, piece: usize) -> usize {
        let mut budget = Budget::new(24, Rc::default());
        let bytes = [&[6; 24][..], &frame.repeat(count)].concat();
        let mut taken = 0;
        for piece in bytes.chunks(piece) {
            if budget.spend(piece).is_err() {
                return taken / frame.len();
            }
            taken += piece.len();
        }
        count
    }

    #[test]
    fn frames_are_found_however_they_come_and_those_that_carry_something_cost_nothing() {
        for piece in [1, 7, 9, 17, 1000, 1 << 20] {
            assert_eq!(taken(&DATA, 50_000, piece), 50_000, "{piece}");
            assert!(taken(&UPDATE, 1_000_000, piece) < 900_000, "{piece}");
            assert_eq!(taken(&UPDATE, 999, piece), 999, "{piece}");
        }
    }

    #[test]
    fn what_was_sent_pays() {
        let mut budget = Budget::new(0, Rc::default());
        for _ in 0..100 {
            budget.sent(10_000 * 1024);
            assert!(budget.spend(&UPDATE.repeat(10_000)).is_ok());
        }
        for _ in 0..10_000 {
            budget.earned.asked();
            budget.earned.answered();
            assert!(budget.spend(&UPDATE.repeat(5)).is_ok());
        }
        // For what comes later too, but not without end.
        budget.sent(1 << 30);
        assert!(budget.spend(&UPDATE.repeat(10_000)).is_ok());
        assert!(budget.spend(&UPDATE.repeat(100_000)).is_err());
    }
}
