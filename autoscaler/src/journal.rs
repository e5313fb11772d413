//! What was decided about each workload, why, and how it went: a bounded ring, read while the control line writes.
//!
//! An entry holds everything that `decide` was given, so that the decision can be made again. Equal decisions in a row
//! are one entry with a count. Times are `Moment`s: who shows them knows what time it was at the origin.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use kaos_core::decide::Verdict;
use kaos_core::decision::Next;
use kaos_core::learned::Prewarms;
use kaos_core::window::Load;
use kaos_core::{Decision, Memory, Moment, Observation, Policy, WorkloadId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::watched::{Watched, Watching};

/// Entries kept per workload.
pub const KEPT: usize = 64;

/// One decision with its inputs and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was first made.
    pub at: Moment,
    /// When it was last made again.
    pub until: Moment,
    /// How often it was made in a row.
    pub count: u64,
    /// The policy at `at`.
    pub policy: Arc<Policy>,
    /// What was known at `at`.
    pub observation: Observation,
    /// The memory before the decision at `at`.
    pub memory: Memory,
    /// The decision.
    pub decision: Decision,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There was nothing to do.
    #[default]
    Nothing,
    /// The platform was asked.
    Asked,
    /// Proxies were asked to let replicas run empty.
    Holding,
    /// The platform did it.
    Done,
    /// It wasn't done, for this reason.
    Failed(String),
    /// It is only observed, for this reason: nothing is written.
    Observed(String),
}

/// An entry as `/v1/journal` and `kaos explain` tell it.
#[derive(Clone, Debug, Serialize)]
pub struct Told<T> {
    /// When it was first decided.
    pub at: T,
    /// When it was last decided again.
    pub until: T,
    /// How often in a row.
    pub count: u64,
    /// `stay` or `scale`.
    pub decision: &'static str,
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
    /// Why.
    pub because: Reason,
    /// What came of it.
    pub outcome: Outcome,
    /// What was known.
    pub observed: Observation,
}

/// A reason: a stable word for scripts, a sentence for people.
#[derive(Clone, Debug, Serialize)]
pub struct Reason {
    /// The stable word.
    pub word: &'static str,
    /// The sentence.
    pub sentence: String,
}

impl Entry {
    /// The entry for people and scripts; `clock` turns moments into times of day.
    pub fn told<T>(&self, clock: impl Fn(Moment) -> T) -> Told<T> {
        let from = self.observation.replicas.desired;
        Told {
            at: clock(self.at),
            until: clock(self.until),
            count: self.count,
            decision: match self.decision {
                Decision::Stay(_) => "stay",
                Decision::Scale { .. } => "scale",
            },
            from,
            to: self.decision.aim(from),
            because: Reason {
                word: self.decision.word(),
                sentence: self.decision.explain(&self.policy, &self.observation),
            },
            outcome: self.outcome.clone(),
            observed: self.observation.clone(),
        }
    }
}

/// What is counted per workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Decisions by their word; equal ones in a row count once.
    pub decisions: Vec<(&'static str, u64)>,
    /// Wakes from zero that the platform took.
    pub cold_starts: u64,
    /// Replicas that were started before anybody asked.
    pub prewarms: Prewarms,
    /// Replica time with requests: `min(ready, ceil(in flight / slots))` replicas at a time.
    pub busy: Duration,
    /// Replica time without: the others, ready or starting.
    pub idle: Duration,
}

/// One workload's part of the journal.
#[derive(Debug, Default)]
pub struct Book {
    pages: Mutex<Pages>,
    pub(crate) watching: Watching,
    told: Option<(WorkloadId, Transitions)>,
}

/// Where each change of a count goes whose outcome is known.
pub type Transitions = mpsc::Sender<(WorkloadId, Entry)>;

#[derive(Debug, Default)]
struct Pages {
    entries: VecDeque<Entry>,
    counts: Counts,
    next: Option<Next>,
    load: Option<Load>,
    learned: Option<Arc<[u8]>>,
    forgotten: Option<Moment>,
    used: Used,
}

/// How many replicas are busy and idle since when.
#[derive(Debug, Default)]
struct Used {
    since: Moment,
    busy: u32,
    idle: u32,
}

impl Used {
    fn add(&self, counts: &mut Counts, now: Moment) {
        let span = now.since(self.since);
        counts.busy += span * self.busy;
        counts.idle += span * self.idle;
    }
}

impl Book {
    /// What was seen of the workload, if it is watched.
    pub fn watched(&self) -> Option<Watched> {
        self.watching.seen()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a decision down, and the [load](kaos_core::load) then. `inputs` is asked only if it differs from the last one.
    pub(crate) fn decided(
        &self,
        verdict: Verdict,
        load: Option<Load>,
        now: Moment,
        inputs: impl FnOnce() -> (Arc<Policy>, Observation, Memory),
    ) {
        let mut pages = self.pages();
        pages.next = verdict.next;
        pages.load = load;
        if let Some(last) = pages.entries.back_mut().filter(|last| last.decision == verdict.decision) {
            last.until = now;
            last.count += 1;
            return;
        }
        let (policy, observation, memory) = inputs();
        pages.counts.count(verdict.decision.word());
        if pages.entries.len() == KEPT {
            pages.entries.pop_front();
        }
        let decision = verdict.decision;
        let outcome = Outcome::Nothing;
        pages.entries.push_back(Entry {
            at: now,
            until: now,
            count: 1,
            policy,
            observation,
            memory,
            decision,
            outcome,
        });
    }

    /// Writes down what came of the last decision to change the count.
    pub(crate) fn came(&self, outcome: Outcome) {
        let mut pages = self.pages();
        let scales = |entry: &&mut Entry| matches!(entry.decision, Decision::Scale { .. });
        let Some(entry) = pages.entries.iter_mut().rev().find(scales) else { return };
        let known = matches!(outcome, Outcome::Done | Outcome::Failed(_) | Outcome::Observed(_));
        let news = known && entry.outcome != outcome;
        entry.outcome = outcome;
        if let Some((id, told)) = self.told.as_ref().filter(|_| news) {
            // Who is slower than decisions misses some; the journal has them.
            let _ = told.try_send((id.clone(), entry.clone()));
        }
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.pages().counts);
    }

    /// This was learned, as [`Kept`](kaos_core::form::Kept) writes it.
    pub(crate) fn learned(&self, kept: Arc<[u8]>, prewarms: Prewarms) {
        let mut pages = self.pages();
        pages.learned = Some(kept);
        pages.counts.prewarms = prewarms;
    }

    /// What was learned was forgotten, for somebody asked for it.
    pub(crate) fn forgot(&self, now: Moment) {
        self.pages().forgotten = Some(now);
    }

    /// What was learned, to be read by [`Kept`](kaos_core::form::Kept); nothing before the first gap.
    pub fn kept(&self) -> Option<Arc<[u8]>> {
        self.pages().learned.clone()
    }

    /// When what was learned was last forgotten on request.
    pub fn forgotten(&self) -> Option<Moment> {
        self.pages().forgotten
    }

    /// So many replicas are busy and idle from `now` on.
    pub(crate) fn uses(&self, busy: u32, idle: u32, now: Moment) {
        let Pages { counts, used, .. } = &mut *self.pages();
        used.add(counts, now);
        *used = Used { since: now, busy, idle };
    }

    /// The entries, newest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.pages().entries.iter().rev().cloned().collect()
    }

    /// The sums up to `now`: who is idle isn't looked at for as long as it is, and costs all the same.
    pub fn counts(&self, now: Moment) -> Counts {
        let pages = self.pages();
        let mut counts = pages.counts.clone();
        pages.used.add(&mut counts, now);
        counts
    }

    /// The [load](kaos_core::load) at the last look. `None`: a proxy wasn't heard.
    pub fn load(&self) -> Option<Load> {
        self.pages().load
    }

    /// What comes next if nothing happens.
    pub fn next(&self) -> Option<Next> {
        self.pages().next
    }
}

impl Counts {
    fn count(&mut self, word: &'static str) {
        match self.decisions.iter_mut().find(|(counted, _)| *counted == word) {
            Some((_, count)) => *count += 1,
            None => self.decisions.push((word, 1)),
        }
    }
}

/// The books of all workloads. Cheap to share; each lock is held for one book's reading or writing, or for one look-up.
#[derive(Debug, Default)]
pub struct Journal {
    books: Mutex<HashMap<WorkloadId, Arc<Book>, FixedState>>,
    told: Option<Transitions>,
}

impl Journal {
    /// A journal that also tells each change of a count once its outcome is known. What `told` has no room for is left
    /// out.
    pub fn telling(told: Transitions) -> Self {
        Journal { books: Mutex::default(), told: Some(told) }
    }

    fn books(&self) -> MutexGuard<'_, HashMap<WorkloadId, Arc<Book>, FixedState>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The book of `id`, if it is adopted.
    pub fn book(&self, id: &WorkloadId) -> Option<Arc<Book>> {
        self.books().get(id).cloned()
    }

    /// Every book, sorted by workload.
    pub fn all(&self) -> Vec<(WorkloadId, Arc<Book>)> {
        let mut all: Vec<_> = self.books().iter().map(|(id, book)| (id.clone(), book.clone())).collect();
        all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        all
    }

    pub(crate) fn open(&self, id: &WorkloadId) -> Arc<Book> {
        let book = || Book {
            pages: Mutex::default(),
            watching: Watching::default(),
            told: self.told.clone().map(|told| (id.clone(), told)),
        };
        self.books().entry(id.clone()).or_insert_with(|| Arc::new(book())).clone()
    }

    pub(crate) fn close(&self, id: &WorkloadId) {
        self.books().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use kaos_core::decision::Because;

    use super::*;

    #[test]
    fn replica_time_goes_on_while_nobody_looks() {
        let book = Book::default();
        book.uses(1, 2, Moment::from_secs(10));
        let times = |second| {
            let counts = book.counts(Moment::from_secs(second));
            (counts.busy.as_secs(), counts.idle.as_secs())
        };
        assert_eq!((times(10), times(15), times(20)), ((0, 0), (5, 10), (10, 20)));
        book.uses(0, 1, Moment::from_secs(20));
        assert_eq!(times(23), (10, 23));
    }

    #[test]
    fn a_change_is_told_once_its_outcome_is_known() {
        let (told, mut transitions) = mpsc::channel(8);
        let journal = Journal::telling(told);
        let id = WorkloadId::new("n", "w");
        let book = journal.open(&id);
        let decision = Decision::Scale { to: 1, because: Because::Wake };
        let verdict = Verdict { decision, next: None };
        let inputs = || (Arc::new(Policy::default()), Observation::default(), Memory::default());
        book.decided(verdict, None, Moment::ZERO, inputs);
        book.came(Outcome::Asked);
        assert!(transitions.try_recv().is_err());
        book.came(Outcome::Done);
        book.came(Outcome::Done);
        let (of, entry) = transitions.try_recv().unwrap();
        assert_eq!((of, entry.outcome), (id, Outcome::Done));
        assert!(transitions.try_recv().is_err());
    }
}
