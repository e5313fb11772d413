//! `kaos simulate`: what may be said. Does nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kaos_core::{Policy, duration, knob};
use kaos_simulate::replay::Choice;

use super::Output;

/// What stands below the help.
pub(crate) const AFTER: &str = "\
What is read: access logs of Kaos (json) and nginx (combined, or json), CSV with the columns time, workload and duration in
seconds, and the Azure Functions Trace 2019. Nothing is sent anywhere.

  kaos simulate --requests access.log
  kaos simulate --requests requests.csv --policy kaos --policy fixed:10m --set target=10 --html report.html";

/// `kaos simulate`.
#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// Requests: an access log or a CSV file
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "invocations",
        conflicts_with = "invocations"
    )]
    pub(crate) requests: Option<PathBuf>,
    /// Requests per minute and function, as in the Azure Functions Trace 2019
    #[arg(long, value_name = "FILE")]
    pub(crate) invocations: Option<PathBuf>,
    /// How long they took, as in the same
    #[arg(long, value_name = "FILE", requires = "invocations")]
    pub(crate) durations: Option<PathBuf>,
    /// kaos, kpa (Knative's), fixed:T (zero so long after the last request), or oracle (knows the future); may be repeated
    #[arg(long, value_name = "POLICY", default_values = ["kaos", "kpa", "fixed:300s", "oracle"])]
    pub(crate) policy: Vec<Choice>,
    /// How long a replica takes to be ready
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = span)]
    pub(crate) start_time: Duration,
    /// Chooses when requests come where the file doesn't say it exactly
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// A knob of the functions; may be repeated
    #[arg(long = "set", value_name = "KNOB=VALUE", value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,
    /// Tell of each function, too
    #[arg(long)]
    pub(crate) per_function: bool,
    /// Write a page with the curve of costs and a timeline of each function
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

fn span(text: &str) -> Result<Duration, String> {
    let allowed = || "allowed is a duration such as 800ms or 2.5s, up to 1h".to_owned();
    duration::parse(text).ok().filter(|span| *span <= Duration::from_secs(3600)).ok_or_else(allowed)
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("allowed is a knob and its value, such as target=10")?;
    let mut scratch = Policy::default();
    match knob::find(name) {
        Some(knob) if (knob.set)(&mut scratch, value).is_ok() => Ok((name.to_owned(), value.to_owned())),
        Some(knob) => Err(format!("allowed is {}", knob.allowed)),
        None => {
            let near = knob::closest(name).map(|near| format!("; did you mean {near}?"));
            Err(format!("there is no such knob{}", near.unwrap_or_default()))
        }
    }
}
