//! Kaos beside Knative's KPA under every shape of load: a table of ratios, and whether the bars are kept.
//!
//! `cargo run --release -p kaos-simulate --example shapes`; exit code 1 if one isn't.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kaos_core::duration;
use kaos_loadtest::shape::Shape;
use kaos_simulate::compare::{COST, MEAN_COST, Ratio, WAIT, against_kpa, function, policy};
use kaos_simulate::replay::Settings;
use kaos_simulate::trace::Trace;

/// Runs shapes of load under Kaos and under KPA, and prints Kaos's waiting and replica time by KPA's
#[derive(Parser)]
struct Arguments {
    /// Shapes [default: those of loadtest/shapes]
    #[arg(value_name = "FILE")]
    shapes: Vec<PathBuf>,
    /// From asked for to ready
    #[arg(long, value_name = "DURATION", value_delimiter = ',', default_values = ["200ms", "2s", "20s"], value_parser = duration::parse)]
    start_time: Vec<Duration>,
    /// What a request takes, on average; exponentially distributed
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    takes: Duration,
    /// The first seed of arrivals
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// So many seeds, one run each
    #[arg(long, value_name = "N", default_value_t = 20)]
    seeds: u64,
    /// Hard limits of requests at once on a replica; 0: none, but a target of ten
    #[arg(long, value_name = "N", value_delimiter = ',', default_values = ["10", "0"])]
    limit: Vec<u32>,
    /// Further knobs
    #[arg(long = "set", value_name = "KNOB=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected a knob and its value, such as target=10")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("shapes: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let shapes = shapes(&arguments.shapes)?;
    let mut kept = true;
    for limit in &arguments.limit {
        let knobs = arguments.set.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let policy = policy(*limit).with(knobs).map_err(|error| error.to_string())?;
        println!(
            "container-concurrency {limit}, steered to {} a replica; {} seeds",
            policy.steered_target(),
            arguments.seeds
        );
        println!(
            "{:<14}{:>8}  {:>11}{:>8}  {:>11}{:>8}",
            "SHAPE", "START", "WAIT WORST", "MEDIAN", "COST WORST", "MEDIAN"
        );
        let mut all = Vec::new();
        for (name, shape) in &shapes {
            let functions = (arguments.seed..arguments.seed + arguments.seeds)
                .map(|seed| function(&shape.moments(seed), arguments.takes, seed));
            let trace = Trace { functions: functions.collect(), span: shape.span().as_micros() as u64 };
            for start_time in &arguments.start_time {
                let settings = Settings { policy: policy.clone(), start_time: *start_time, timelines: false };
                let ratios = against_kpa(&trace, &settings);
                println!("{}", row(name, *start_time, &ratios));
                all.extend(ratios);
            }
        }
        kept &= say(&all);
    }
    Ok(kept)
}

/// Names and shapes.
fn shapes(files: &[PathBuf]) -> Result<Vec<(String, Shape)>, String> {
    let mut files = files.to_vec();
    if files.is_empty() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../loadtest/shapes"));
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        files.extend(entries.flatten().map(|entry| entry.path()));
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
    }
    let read = |file: &PathBuf| {
        let place = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{place}: {error}"))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Shape::parse(&place, &text).map(|shape| (name, shape))
    };
    files.iter().map(read).collect()
}

/// The worst and the median of what `of` says.
fn span(ratios: &[Ratio], of: impl Fn(&Ratio) -> f64) -> (f64, f64) {
    let mut sorted: Vec<f64> = ratios.iter().map(of).collect();
    sorted.sort_by(f64::total_cmp);
    (sorted.last().copied().unwrap_or(1.0), sorted.get(sorted.len() / 2).copied().unwrap_or(1.0))
}

fn row(name: &str, start_time: Duration, ratios: &[Ratio]) -> String {
    let (wait, cost) = (span(ratios, |ratio| ratio.wait), span(ratios, |ratio| ratio.cost));
    let above = |worst: f64, bar: f64| if worst > bar { " !" } else { "" };
    format!(
        "{name:<14}{:>8}  {:>11.2}{:>8.2}  {:>11.2}{:>8.2}{}{}",
        duration::format(start_time),
        wait.0,
        wait.1,
        cost.0,
        cost.1,
        above(wait.0, WAIT),
        above(cost.0, COST),
    )
}

/// Says what bar is crossed. Whether none is.
fn say(ratios: &[Ratio]) -> bool {
    let count = ratios.len().max(1);
    let mean = ratios.iter().map(|ratio| ratio.cost).sum::<f64>() / count as f64;
    let wait = ratios.iter().filter(|ratio| ratio.wait > WAIT).count();
    let cost = ratios.iter().filter(|ratio| ratio.cost > COST).count();
    println!(
        "p99 wait at most {WAIT} times KPA's: {}",
        if wait == 0 { "kept".to_owned() } else { format!("crossed in {wait} of {count} runs") }
    );
    println!(
        "replica time at most {COST} times KPA's: {}",
        if cost == 0 { "kept".to_owned() } else { format!("crossed in {cost} of {count} runs") }
    );
    println!(
        "in the mean at most {MEAN_COST} times: {mean:.3}, {}\n",
        if mean <= MEAN_COST { "kept" } else { "crossed" }
    );
    wait == 0 && cost == 0 && mean <= MEAN_COST
}
