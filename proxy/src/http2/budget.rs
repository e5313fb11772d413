//! How many frames that carry nothing an HTTP/2 client may send. The library counts resets, fields and empty DATA; this
//! counts the rest, from which it has no defence: PING, SETTINGS, WINDOW_UPDATE, PRIORITY and frames of unknown types.
//!
//! One costs about a fifth of a microsecond, so ten thousand a second are cheap; but all that come at once are read at once, and
//! everybody else on the thread waits for that: of those a thousand are enough. Honest clients stay far below, but for
//! WINDOW_UPDATE, of which a fast download brings one for every few KiB: what was sent to a client pays for them.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use crate::sabotage::{Rule, is_off};

/// Frames at once, and frames a second.
const BURST: u64 = 1000;
const PER_MILLISECOND: u64 = 10;
/// Bytes sent that pay for a frame, and for how many they pay at most that haven't come.
const PER_FRAME: u64 = 1024;
const CREDIT: u64 = 10_000;
/// A stream that its client resets costs a request, and its replica more. A client may reset all that are open at once.
const RESET: u64 = 5;

const HEAD: usize = 9;

/// What is left of a connection's frames.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
    filled: Instant,
    /// Bytes sent in all, and those of them that have paid.
    sent: Rc<Cell<u64>>,
    paid: u64,
    /// The head of a frame, as far as it has come, and what is left of the payload of the last.
    head: [u8; HEAD],
    known: usize,
    payload: usize,
}

impl Budget {
    /// One for a connection whose first `preface` bytes are no frames. `sent` counts the bytes that are sent.
    pub(crate) fn new(preface: usize, sent: Rc<Cell<u64>>) -> Self {
        let (filled, head) = (Instant::now(), [0; HEAD]);
        Budget { left: BURST, filled, sent, paid: 0, head, known: 0, payload: preface }
    }

    /// So many bytes were sent to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
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
            let earned = now.duration_since(self.filled).as_millis() as u64 * PER_MILLISECOND;
            let left = (self.left + earned).min(BURST);
            let sent = self.sent.get();
            self.paid = self.paid.max(sent.saturating_sub(CREDIT * PER_FRAME));
            let bought = ((sent - self.paid) / PER_FRAME).min(BURST - left);
            self.paid += bought * PER_FRAME;
            (self.left, self.filled) = (left + bought, now);
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
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
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
            assert!(taken(&PING, 1_000_000, piece) < 900_000, "{piece}");
            assert_eq!(taken(&PING, 999, piece), 999, "{piece}");
        }
    }

    #[test]
    fn what_was_sent_pays() {
        let mut budget = Budget::new(0, Rc::default());
        for _ in 0..100 {
            budget.sent(10_000 * 1024);
            assert!(budget.spend(&PING.repeat(10_000)).is_ok());
        }
        // For what comes later too, but not without end.
        budget.sent(1 << 30);
        assert!(budget.spend(&PING.repeat(10_000)).is_ok());
        assert!(budget.spend(&PING.repeat(100_000)).is_err());
    }
}
