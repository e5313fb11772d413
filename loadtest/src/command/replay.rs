//! `loadtest trace`: recorded traffic, and the configuration that it needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{Output, Stop, met, print_json};
use crate::run::resolve;
use crate::span;
use crate::summary::Quantiles;
use crate::tally::Latencies;
use crate::trace::read::{Function, read};
use crate::trace::replay::{Replay, Sent, config, csv, plan, run};

/// Kinds of failure that are told apart.
const MOST_KINDS: usize = 50;

/// What was recorded, and how it is sent again.
#[derive(Debug, Args)]
pub(super) struct Recorded {
    /// Counts by minute
    #[arg(long, value_name = "CSV", default_value = "loadtest/traces/azure-2019-sample-100-invocations.csv")]
    invocations: PathBuf,
    /// Average durations
    #[arg(long, value_name = "CSV", default_value = "loadtest/traces/azure-2019-sample-100-durations.csv")]
    durations: PathBuf,
    /// The first minute, from 0
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(super) from_minute: usize,
    /// Of the random moments within the minutes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections at most
    #[arg(long, default_value_t = 1024, value_parser = connections)]
    connections: usize,
}

#[derive(Debug, Args)]
pub(super) struct Trace {
    /// Where Kaos listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    target: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    #[command(flatten)]
    recorded: Recorded,
    /// How many minutes
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: usize,
    /// So many times faster than recorded; what a request takes stays as recorded
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// A request that takes longer has failed
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span::parse)]
    timeout: Duration,
    /// Write what was sent to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Send nothing: write a kaos.toml with the trace's functions to this file
    #[arg(long, value_name = "FILE", requires = "answer")]
    write_config: Option<PathBuf>,
    /// The program `answer`, for the configuration
    #[arg(long, value_name = "PATH", requires = "write_config")]
    answer: Option<PathBuf>,
}

fn connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| format!("{text:?}: expected 1 to 100000"))
}

impl Recorded {
    pub(super) fn functions(&self) -> Result<Vec<Function>, Stop> {
        let load = |file: &PathBuf| {
            std::fs::read_to_string(file).map_err(|error| Stop::Usage(format!("{}: {error}", file.display())))
        };
        let wrong = |why| {
            let files = format!("{} and {}", self.invocations.display(), self.durations.display());
            Stop::Usage(format!("{files}: {why}"))
        };
        read(&load(&self.invocations)?, &load(&self.durations)?).map_err(wrong)
    }

    pub(super) fn replay(&self, minutes: usize, speed: f64, timeout: Duration) -> Replay {
        let &Recorded { from_minute, seed, connections, .. } = self;
        Replay { from_minute, minutes, speed, seed, connections, timeout }
    }
}

impl Trace {
    pub(super) async fn run(self) -> Result<(), Stop> {
        let functions = self.recorded.functions()?;
        if let (Some(file), Some(answer)) = (&self.write_config, &self.answer) {
            let answer = std::path::absolute(answer).map_err(|error| Stop::Usage(error.to_string()))?;
            let text = config(functions.len(), &answer.to_string_lossy());
            return std::fs::write(file, text)
                .map_err(|error| Stop::Failed(format!("{}: {error}", file.display())));
        }
        let target = resolve(&self.target).map_err(Stop::Usage)?;
        let replay = self.recorded.replay(self.minutes, self.speed, self.timeout);
        let plan = plan(&functions, &replay).map_err(Stop::Usage)?;
        if self.output == Output::Human {
            let seconds = self.minutes as f64 * 60.0 / self.speed;
            println!("{} requests to {} functions over {seconds:.0} s", plan.len(), functions.len());
        }
        let sent = run(target, &functions, &plan, &replay).await.map_err(Stop::Failed)?;
        if let Some(file) = &self.csv {
            let written = std::fs::write(file, csv(&sent));
            written.map_err(|error| Stop::Failed(format!("{}: {error}", file.display())))?;
        }
        let totals = Totals::of(&sent);
        match self.output {
            Output::Human => totals.print(),
            Output::Json => print_json(&totals)?,
        }
        met(&totals.unmet())
    }
}

/// The result of a replay.
#[derive(Debug, Serialize)]
struct Totals {
    requests: usize,
    answered: u64,
    failed: u64,
    failures: BTreeMap<String, u64>,
    cold: u64,
    /// From due to the last byte, less what the function was asked to take: milliseconds, of cold and of other answers.
    extra_cold_ms: Quantiles,
    extra_warm_ms: Quantiles,
    lag_ms: Quantiles,
    seconds: f64,
}

impl Totals {
    fn of(sent: &[Sent]) -> Totals {
        let [mut cold, mut warm, mut lag] = std::array::from_fn(|_| Latencies::default());
        let (mut failures, mut last) = (BTreeMap::new(), Duration::ZERO);
        for one in sent {
            lag.record(one.lag);
            last = last.max(one.at + one.latency.saturating_sub(one.lag));
            let extra = one.latency.saturating_sub(one.takes);
            let kind = match &one.status {
                Ok(200) if one.cold => {
                    cold.record(extra);
                    continue;
                }
                Ok(200) => {
                    warm.record(extra);
                    continue;
                }
                Ok(status) => format!("status {status}"),
                Err(why) => why.clone(),
            };
            if failures.len() < MOST_KINDS || failures.contains_key(&kind) {
                *failures.entry(kind).or_insert(0) += 1;
            }
        }
        let answered = cold.len() + warm.len();
        Totals {
            requests: sent.len(),
            answered,
            failed: sent.len() as u64 - answered,
            failures,
            cold: cold.len(),
            extra_cold_ms: Quantiles::new(&cold),
            extra_warm_ms: Quantiles::new(&warm),
            lag_ms: Quantiles::new(&lag),
            seconds: last.as_secs_f64(),
        }
    }

    fn print(&self) {
        let Totals { requests, answered, failed, cold, seconds, .. } = self;
        println!(
            "{requests} sent, {answered} answered, {failed} failed, {cold} cold; last answer after {seconds:.1} s"
        );
        for (kind, count) in &self.failures {
            println!("  failed: {count} × {kind}");
        }
        println!("beyond what the function takes, by the schedule:");
        println!("  cold       {}", self.extra_cold_ms.row());
        println!("  warm       {}", self.extra_warm_ms.row());
        println!("  sent late  {}", self.lag_ms.row());
    }

    fn unmet(&self) -> Vec<String> {
        if self.failed == 0 {
            Vec::new()
        } else {
            vec![format!("{} of {} requests failed", self.failed, self.requests)]
        }
    }
}
