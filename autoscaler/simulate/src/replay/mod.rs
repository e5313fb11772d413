//! Recorded arrivals under a policy: what would have become of them.
//!
//! Functions don't touch each other, so that each is replayed on its own and several at once. The rules are those that run
//! live (`kaos_core`); what is simulated is what is around them: replicas that start and serve (`pool.rs`), and how each policy is
//! fed (`scaler.rs`, `kpa.rs`, `oracle.rs`).

pub mod choice;
pub mod figures;
mod function;
mod kpa;
mod oracle;
mod pool;
mod scaler;

#[cfg(test)]
mod replay_test;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kaos_core::Policy;

pub use self::choice::Choice;
pub use self::figures::{Figures, Waits};
pub use self::function::Change;
use self::pool::Pool;
use crate::trace::{Function, Trace};

/// What holds for all functions of a replay.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The knobs.
    pub policy: Policy,
    /// From asked for to ready, of each replica.
    pub start_time: Duration,
    /// Whether the changes of each count are kept.
    pub timelines: bool,
}

/// What became of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Counts and times.
    pub figures: Figures,
    /// When its count changed, and to what. Empty where none was asked for, and of the oracle.
    pub timeline: Vec<Change>,
}

/// What becomes of each function of `trace`, in its order. Uses every core.
pub fn replay(trace: &Trace, choice: &Choice, settings: &Settings) -> Vec<Outcome> {
    // Those with most requests first, so that no core is left with a long one in the end.
    let mut order: Vec<usize> = (0..trace.functions.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(trace.functions.get(*at).map_or(0, |one| one.requests.len())));
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Outcome::default(); trace.functions.len()]);
    let work = || {
        while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(function) = trace.functions.get(*at) else { continue };
            let outcome = one(function, trace.span, choice, settings);
            // Nobody panics while it holds this.
            let mut outcomes = outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(place) = outcomes.get_mut(*at) {
                *place = outcome;
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(trace.functions.len());
    std::thread::scope(|scope| {
        for _ in 1..cores {
            scope.spawn(work);
        }
        work();
    });
    outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What becomes of one function.
fn one(function: &Function, span: u64, choice: &Choice, settings: &Settings) -> Outcome {
    let start = micros(settings.start_time);
    let policy = choice.policy(&settings.policy);
    let mut timeline = Vec::new();
    let changes = settings.timelines.then_some(&mut timeline);
    let figures = match choice {
        Choice::Oracle => oracle::foresee(function, &policy, start, micros(policy.cold_start_cost)),
        Choice::Kpa => {
            let mut scaler = kpa::Kpa::new(policy.clone());
            function::run(function, span, &mut scaler, Pool::new(policy, start), changes)
        }
        Choice::Kaos | Choice::Fixed(_) => {
            let mut scaler = scaler::Kaos::new(policy.clone(), settings.start_time);
            function::run(function, span, &mut scaler, Pool::new(policy, start), changes)
        }
    };
    Outcome { figures, timeline }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
