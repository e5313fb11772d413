//! One seed, one schedule, one verdict; and many of them.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use kaos_core::Moment;

use crate::sabotage::Sabotage;
use crate::tally::{Kind, Tally};
use crate::world::{World, secs};

/// How long the world is left alone before it has to be at rest.
const REST: u64 = 220;

/// How long requests after the rest may take.
const PROBE: u64 = 60;

/// A rule that a schedule broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The schedule.
    pub seed: u64,
    /// What was broken, and the state at that moment.
    pub rule: String,
}

/// Runs the schedule of `seed`.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Tally, Broken> {
    play(&mut World::new(seed, sabotage, false), seed)
}

/// Runs the schedule of `seed` again and tells everything that happens in it.
pub fn tell(seed: u64, sabotage: Option<Sabotage>) -> (Result<Tally, Broken>, Vec<String>) {
    let mut world = World::new(seed, sabotage, true);
    let result = play(&mut world, seed);
    (result, world.timeline().to_vec())
}

fn play(world: &mut World, seed: u64) -> Result<Tally, Broken> {
    let end = Moment::ZERO + world.setup.span;
    world.until(end);
    world.calm_down();
    world.until(end + secs(REST));
    world.check_rest();
    let served = world.tally.served;
    for at in 0..world.setup.policies.len() {
        world.request(0, at);
    }
    world.until(end + secs(REST + PROBE));
    world.check_probes(served);
    world.check_journals();
    match world.violation.take() {
        Some(rule) => Err(Broken { seed, rule }),
        None => Ok(world.tally.clone()),
    }
}

/// What many schedules had in them.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Schedules that were run.
    pub schedules: u64,
    /// Fewest events in one.
    pub fewest_events: u64,
    /// Their sums.
    pub total: Tally,
    /// In how many of them each kind of thing happened.
    pub kinds: [u64; 9],
    /// Rules that were broken, by the least seed first.
    pub broken: Vec<Broken>,
}

impl Summary {
    fn add(&mut self, seed: u64, result: Result<Tally, Broken>) {
        self.schedules += 1;
        let tally = match result {
            Ok(tally) => tally,
            Err(broken) => {
                let at = self.broken.partition_point(|other| other.seed < seed);
                self.broken.insert(at, broken);
                self.broken.truncate(20);
                return;
            }
        };
        self.fewest_events =
            if self.fewest_events == 0 { tally.events } else { self.fewest_events.min(tally.events) };
        for kind in Kind::ALL {
            self.kinds[kind as usize] += u64::from(tally.has(kind));
        }
        self.total.add(&tally);
    }

    /// The share of schedules with `kind`, in percent.
    pub fn share(&self, kind: Kind) -> f64 {
        self.kinds[kind as usize] as f64 * 100.0 / self.schedules.max(1) as f64
    }
}

/// Runs the schedules of `seeds` on `threads` threads; with `until_broken`, no new one once a rule is broken.
pub fn run_many(
    seeds: Range<u64>,
    threads: usize,
    sabotage: Option<Sabotage>,
    until_broken: bool,
) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let summary = Mutex::new(Summary::default());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds.end {
            return;
        }
        let result = run(seed, sabotage);
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.add(seed, result);
        if until_broken && !summary.broken.is_empty() {
            next.store(seeds.end, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}
