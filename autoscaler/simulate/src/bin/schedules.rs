//! Runs seeded schedules and prints what was in them: `schedules [COUNT [FIRST]]`, or one with its timeline by
//! `KAOS_SEED=N schedules`.

use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use kaos_simulate::{Kind, Sabotage, run_many, tell};

fn main() -> ExitCode {
    if let Some(seed) = std::env::var("KAOS_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return one(seed);
    }
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Some(count), Some(first)) = (number(numbers.next(), 100_000), number(numbers.next(), 0)) else {
        eprintln!("usage: schedules [COUNT [FIRST]]: whole numbers");
        return ExitCode::from(2);
    };
    many(first, count)
}

fn number(given: Option<Result<u64, std::num::ParseIntError>>, default: u64) -> Option<u64> {
    given.unwrap_or(Ok(default)).ok()
}

fn one(seed: u64) -> ExitCode {
    let (result, timeline) = tell(seed, sabotage());
    for line in timeline {
        println!("{line}");
    }
    match result {
        Ok(tally) => {
            println!("{tally:#?}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("broken: {}", broken.rule);
            ExitCode::FAILURE
        }
    }
}

/// The rule to break, by its name in `KAOS_SABOTAGE`.
fn sabotage() -> Option<Sabotage> {
    let named = std::env::var("KAOS_SABOTAGE").ok();
    Sabotage::ALL.into_iter().find(|sabotage| Some(format!("{sabotage:?}")) == named)
}

fn many(first: u64, count: u64) -> ExitCode {
    let begun = Instant::now();
    let threads = available_parallelism().map_or(1, usize::from);
    let summary = run_many(first..first + count, threads, sabotage(), sabotage().is_some());
    println!(
        "{} schedules in {:.1} s on {threads} threads",
        summary.schedules,
        begun.elapsed().as_secs_f64()
    );
    println!("{:#?}", summary.total);
    println!("fewest events in one: {}", summary.fewest_events);
    for kind in Kind::ALL {
        println!("{:>6.2} % of schedules: {kind:?}", summary.share(kind));
    }
    for broken in &summary.broken {
        println!("seed {}: {}", broken.seed, broken.rule);
    }
    if summary.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
