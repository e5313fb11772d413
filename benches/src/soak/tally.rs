//! What came of requests, by kind of client.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Most wrong answers that are kept as they were.
const MOST: usize = 20;

/// Why a request has no right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Kaos says that it can't: 502, 503 or 504, or gRPC's status for them. A replica that is killed ends what it was asked.
    Refused,
    /// The connection ended or the answer was cut.
    Broken(String),
    /// What no client may ever see.
    Wrong(String),
}

/// Counts of one kind of client.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    pub(crate) kind: String,
    pub(crate) right: u64,
    pub(crate) refused: u64,
    pub(crate) broken: u64,
    pub(crate) wrong: u64,
}

/// All kinds.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    lines: BTreeMap<&'static str, Line>,
    wrong: Vec<String>,
    broken: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts what came of one request.
    pub(crate) fn count(&self, kind: &'static str, came: &Result<(), Fault>) {
        let mut counted = self.lock();
        let line = counted.lines.entry(kind).or_default();
        kind.clone_into(&mut line.kind);
        match came {
            Ok(()) => line.right += 1,
            Err(Fault::Refused) => line.refused += 1,
            Err(Fault::Broken(why)) => {
                line.broken += 1;
                let why = format!("{kind}: {why}");
                if counted.broken.len() < MOST || counted.broken.contains_key(&why) {
                    *counted.broken.entry(why).or_default() += 1;
                }
            }
            Err(Fault::Wrong(why)) => {
                line.wrong += 1;
                if counted.wrong.len() < MOST {
                    counted.wrong.push(format!("{kind}: {why}"));
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each kind.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lock().lines.values().cloned().collect()
    }

    /// Wrong answers, as far as they were kept.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    /// How connections ended that should not have, and how often, as far as it was kept.
    pub(crate) fn broken(&self) -> BTreeMap<String, u64> {
        self.lock().broken.clone()
    }

    /// All in one line.
    pub(crate) fn line(&self) -> String {
        let sum = |count: fn(&Line) -> u64| self.lines().iter().map(count).sum::<u64>();
        format!(
            "{} right, {} refused, {} broken, {} wrong",
            sum(|line| line.right),
            sum(|line| line.refused),
            sum(|line| line.broken),
            sum(|line| line.wrong)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_counted_and_kept() {
        let tally = Tally::default();
        tally.count("h1", &Ok(()));
        tally.count("h1", &Err(Fault::Wrong("another's".into())));
        tally.count("ws", &Err(Fault::Broken("reset".into())));
        assert_eq!(tally.wrong(), ["h1: another's"]);
        assert_eq!(tally.broken(), [("ws: reset".to_owned(), 1)].into());
        assert_eq!(tally.line(), "1 right, 0 refused, 1 broken, 1 wrong");
        assert_eq!(tally.lines().len(), 2);
    }
}
