//! Thousands of schedules keep every rule, and every rule that is broken on purpose is noticed.

use std::thread::available_parallelism;

use crate::{Broken, Kind, Sabotage, run_many, tell};

/// Run by `cargo test`; `schedules` runs more.
const SCHEDULES: u64 = 2000;

/// A broken rule has to be noticed within these.
const NOTICED: u64 = 10_000;

fn threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Ends a test with the timeline of a broken rule, the end of it first in mind.
fn fail(broken: &Broken, sabotage: Option<Sabotage>) -> ! {
    let (_, timeline) = tell(broken.seed, sabotage);
    for line in &timeline {
        eprintln!("{line}");
    }
    panic!("{}\nreplay: KAOS_SEED={} cargo test -p kaos-simulate schedules_keep", broken.rule, broken.seed);
}

#[test]
fn schedules_keep_every_rule() {
    if let Ok(seed) = std::env::var("KAOS_SEED") {
        let seed = seed.parse().expect("KAOS_SEED is a whole number");
        if let (Err(broken), _) = tell(seed, None) {
            fail(&broken, None);
        }
        return;
    }
    let summary = run_many(0..SCHEDULES, threads(), None, false);
    if let Some(broken) = summary.broken.first() {
        fail(broken, None);
    }
    assert!(summary.fewest_events >= 200, "{} events", summary.fewest_events);
    for kind in Kind::ALL {
        assert!(summary.share(kind) >= 1.0, "{kind:?}: {} %", summary.share(kind));
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    for seed in 0..20 {
        let (one, other) = (tell(seed, None), tell(seed, None));
        assert_eq!(one, other, "seed {seed}");
    }
}

#[test]
fn every_rule_broken_on_purpose_is_noticed() {
    for sabotage in Sabotage::ALL {
        let summary = run_many(0..NOTICED, threads(), Some(sabotage), true);
        assert!(!summary.broken.is_empty(), "{sabotage:?} went unnoticed in {} schedules", summary.schedules);
    }
}
