//! When somebody else who writes a count is fighting for it: three changes within ten minutes.
//!
//! One or two are a person at work. Knows neither who it is nor what follows from it. Where the count above zero was handed
//! to another, what happens there is nobody's fight.

use std::collections::VecDeque;
use std::time::Duration;

use crate::moment::Moment;
use crate::snapshot::HandedTo;

/// So many changes by others within [`SPAN`] are a contest.
const CHANGES: usize = 3;

/// See [`CHANGES`].
const SPAN: Duration = Duration::from_secs(600);

/// Whether it may be part of a contest that a count of `before` became `after` by another's hand: not where it was handed to
/// that other.
pub fn concerns(before: u32, after: u32, handed_to: Option<&HandedTo>) -> bool {
    let theirs = handed_to.is_some_and(|to| to.zero || before > 0 && after > 0);
    before != after && !theirs
}

/// The last changes of one count by others.
#[derive(Clone, Debug, Default)]
pub struct Contest {
    changes: VecDeque<Moment>,
}

impl Contest {
    /// Somebody else has changed the count.
    pub fn changed(&mut self, now: Moment) {
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(now);
    }

    /// Whether there is a contest at `now`.
    pub fn is_on(&self, now: Moment) -> bool {
        self.changes.len() == CHANGES && self.changes.front().is_some_and(|first| now.since(*first) <= SPAN)
    }

    /// When somebody else last changed the count.
    pub fn last(&self) -> Option<Moment> {
        self.changes.back().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_zero_nobody_fights_for_what_was_handed_over() {
        for (before, after, handed, concerning) in [
            (1, 3, None, true),
            (1, 3, Some(false), false),
            (3, 1, Some(false), false),
            (3, 0, Some(false), true),
            (0, 1, Some(false), true),
            (3, 0, Some(true), false),
            (0, 1, Some(true), false),
            (2, 2, None, false),
        ] {
            let handed_to = handed.map(|zero| HandedTo { who: "HPA shop".into(), zero });
            let says = concerns(before, after, handed_to.as_ref());
            assert_eq!(says, concerning, "{before} {after} {handed:?}");
        }
    }

    #[test]
    fn three_within_ten_minutes_are_one() {
        let at = Moment::from_secs;
        for (changes, now, on) in [
            (&[0, 1][..], 1, false),
            (&[0, 1, 2], 2, true),
            (&[0, 1, 2], 600, true),
            (&[0, 1, 2], 601, false),
            (&[0, 400, 900], 900, false),
            (&[0, 400, 900, 901], 901, true),
        ] {
            let mut contest = Contest::default();
            changes.iter().for_each(|second| contest.changed(at(*second)));
            assert_eq!(contest.is_on(at(now)), on, "{changes:?} at {now}");
            assert_eq!(contest.last(), changes.last().copied().map(at));
        }
    }
}
