//! `kaos simulate`: recorded traffic under several policies, side by side.
//!
//! Reads the traffic, replays it under each policy, and tells of it: as a table, as JSON, as a page.

mod page;
mod tell;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use kaos_core::Policy;
use kaos_simulate::replay::{Choice, Figures, Outcome, Settings, replay};
use kaos_simulate::trace::{self, Source, Trace, TraceError};

use crate::ask::print::{json, print};
use crate::cli::Form;
use crate::cli::simulate::Simulate;
use crate::failure::Failure;

/// What became of a trace under one policy.
pub(crate) struct Ran {
    pub(crate) choice: Choice,
    /// Of each function, in the trace's order.
    pub(crate) outcomes: Vec<Outcome>,
    /// Of all together.
    pub(crate) total: Figures,
}

/// What a policy costs at one setting of the knob that trades cold requests for replica time.
pub(crate) struct Point {
    /// The setting.
    pub(crate) label: String,
    pub(crate) cold_requests: u64,
    pub(crate) replica_hours: f64,
}

/// What a policy costs over all settings.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// What the page shows.
pub(crate) struct Picture<'a> {
    pub(crate) trace: &'a Trace,
    /// The file that it was read from.
    pub(crate) source: &'a str,
    pub(crate) start_time: Duration,
    pub(crate) ran: &'a [Ran],
    pub(crate) curves: &'a [Curve],
}

/// Timeouts of the curve of fixed ones, and what a cold start is worth on that of Kaos, in seconds.
const TIMEOUTS: [u64; 8] = [10, 30, 60, 120, 300, 600, 1200, 1800];
const WORTHS: [u64; 8] = [20, 50, 100, 150, 250, 400, 800, 1600];

/// Runs the command.
pub(crate) fn simulate(args: &Simulate) -> Result<(), Failure> {
    let trace = read(args)?;
    let knobs = args.set.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let policy = Policy::default().with(knobs).map_err(|error| Failure::Usage(format!("--set {error}")))?;
    let settings = Settings { policy, start_time: args.start_time, timelines: args.html.is_some() };
    let ran: Vec<Ran> = args.policy.iter().map(|choice| run(&trace, choice, &settings)).collect();
    if let Some(path) = &args.html {
        let curves = curves(&trace, &settings);
        let source = args.requests.as_ref().or(args.invocations.as_ref());
        let source = source.and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
        let picture = Picture {
            trace: &trace,
            source: source.as_deref().unwrap_or_default(),
            start_time: args.start_time,
            ran: &ran,
            curves: &curves,
        };
        std::fs::write(path, page::page(&picture))
            .map_err(|error| Failure::Failed(format!("--html {}: {error}", path.display())))?;
    }
    match args.output.form {
        Form::Json => json(&tell::json(&trace, &ran, args.per_function)),
        Form::Text => print(&tell::text(&trace, &ran, &settings, args.per_function)),
    }
}

fn run(trace: &Trace, choice: &Choice, settings: &Settings) -> Ran {
    let outcomes = replay(trace, choice, settings);
    let mut total = Figures::default();
    outcomes.iter().for_each(|outcome| total.add(&outcome.figures));
    Ran { choice: *choice, outcomes, total }
}

/// What fixed timeouts cost, and Kaos by what a cold start is worth to it.
fn curves(trace: &Trace, settings: &Settings) -> Vec<Curve> {
    let settings = Settings { timelines: false, ..settings.clone() };
    let point = |choice: Choice, settings: &Settings, seconds: u64| {
        let total = run(trace, &choice, settings).total;
        Point {
            label: kaos_core::duration::format(Duration::from_secs(seconds)),
            cold_requests: total.cold_requests,
            replica_hours: total.replica_time().as_secs_f64() / 3600.0,
        }
    };
    let fixed =
        TIMEOUTS.map(|seconds| point(Choice::Fixed(Duration::from_secs(seconds)), &settings, seconds));
    let learned = WORTHS.map(|seconds| {
        let policy = Policy {
            idle_timeout: kaos_core::policy::IdleTimeout::Learned,
            cold_start_cost: Duration::from_secs(seconds),
            ..settings.policy.clone()
        };
        point(Choice::Kaos, &Settings { policy, ..settings.clone() }, seconds)
    });
    vec![
        Curve { name: "fixed, by timeout".to_owned(), points: fixed.into() },
        Curve { name: "kaos, idle time learned, by cold-start-cost".to_owned(), points: learned.into() },
    ]
}

fn read(args: &Simulate) -> Result<Trace, Failure> {
    let wrong = |error: TraceError| Failure::Configuration(error.to_string());
    if let Some(path) = &args.requests {
        let mut file = open(path)?;
        return trace::requests(Source { name: &path.display().to_string(), read: &mut file }, args.seed)
            .map_err(wrong);
    }
    // The command line has one of the two.
    let Some(invocations) = &args.invocations else {
        return Err(Failure::Usage("--requests or --invocations is needed".to_owned()));
    };
    let (mut counts, names) = (open(invocations)?, invocations.display().to_string());
    let counts = Source { name: &names, read: &mut counts };
    let Some(durations) = &args.durations else {
        return trace::azure(counts, None, args.seed).map_err(wrong);
    };
    let (mut times, names) = (open(durations)?, durations.display().to_string());
    trace::azure(counts, Some(Source { name: &names, read: &mut times }), args.seed).map_err(wrong)
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
