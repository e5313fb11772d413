//! What one workload's traffic has taught: when it is worth a warm replica.
//!
//! The rule is `kaos_core::learned`; here is what it needs beside the traffic, and what is counted of it.

use std::time::Duration;

use kaos_core::decision::Because;
use kaos_core::form::Kept;
use kaos_core::learned::Prewarms;
use kaos_core::policy::IdleTimeout;
use kaos_core::warm::{Terms, Warmth};
use kaos_core::{Moment, Observation, Policy};

use crate::journal::Book;

/// What is learned of one workload.
#[derive(Debug, Default)]
pub(crate) struct Learn {
    kept: Kept,
    /// What of it the book has: how often it was forgotten, its gaps, its pre-warms.
    told: (u32, u64, Prewarms),
}

impl Learn {
    /// A start took so long.
    pub(crate) fn started(&mut self, took: Duration) {
        self.kept.start_time = took;
    }

    /// The count goes up, because of this.
    pub(crate) fn raising(&mut self, because: Because) {
        self.kept.learned.raising(because);
    }

    /// This was learned before, or is known elsewhere. Whether what was known here is forgotten by that.
    pub(crate) fn recall(&mut self, kept: Kept, book: &Book) -> bool {
        let known = &self.kept.learned;
        let anew = known.gaps().count() > 0 && known.forgotten() < kept.learned.forgotten();
        if self.kept.learned.recall(kept.learned) && self.kept.start_time.is_zero() {
            self.kept.start_time = kept.start_time;
        }
        self.tell(book);
        anew
    }

    /// Begins anew; what starts take is still known.
    pub(crate) fn forget(&mut self, book: &Book) {
        self.kept.learned.forget();
        self.tell(book);
    }

    /// When it is warm, where `policy` says that this is learned.
    pub(crate) fn look(
        &mut self,
        policy: &Policy,
        seen: &Observation,
        now: Moment,
        book: &Book,
    ) -> Option<Warmth> {
        if policy.idle_timeout != IdleTimeout::Learned {
            return None;
        }
        let warmth = self.kept.learned.look(seen, now, &Terms::new(policy, self.kept.start_time));
        self.tell(book);
        warmth
    }

    /// Tells the book what is news to it.
    fn tell(&mut self, book: &Book) {
        let learned = &self.kept.learned;
        let news = (learned.forgotten(), learned.gaps().count(), learned.prewarms());
        if news != self.told {
            self.told = news;
            book.learned(self.kept.write().into(), learned.prewarms());
        }
    }
}
