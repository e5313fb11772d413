//! What one workload's traffic has taught: when it is worth a warm replica.
//!
//! The rule is `kaos_core::learned`; here is what it needs beside the traffic, and what is counted of it.

use std::time::Duration;

use kaos_core::Policy;
use kaos_core::learned::{Learned, Sight, Warmth};
use kaos_core::policy::IdleTimeout;
use kaos_core::warm::Terms;

use crate::journal::Book;

/// What is learned of one workload.
#[derive(Debug, Default)]
pub(crate) struct Learn {
    learned: Learned,
    /// What its last start took; none before the first.
    start_time: Duration,
}

impl Learn {
    /// A start took so long.
    pub(crate) fn started(&mut self, took: Duration) {
        self.start_time = took;
    }

    /// A replica is asked for before anybody asks.
    pub(crate) fn prewarming(&mut self) {
        self.learned.prewarming();
    }

    /// When it is warm, where `policy` says that this is learned.
    pub(crate) fn look(&mut self, policy: &Policy, sight: &Sight, book: &Book) -> Option<Warmth> {
        if policy.idle_timeout != IdleTimeout::Learned {
            return None;
        }
        let before = self.learned.prewarms();
        let warmth = self.learned.look(sight, &Terms::new(policy, self.start_time));
        let prewarms = self.learned.prewarms();
        if prewarms != before {
            book.count(|counts| counts.prewarms = prewarms);
        }
        warmth
    }
}
