//! `loadtest live`: a `kaos up` and `kaos simulate` under the same traffic, side by side.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::replay::Recorded;
use super::{Output, Stop, met, print_json};
use crate::admin::Admin;
use crate::live::figures::{Figures, live};
use crate::live::simulated::simulate;
use crate::live::up::Up;
use crate::live::{Setting, choose, config, span as whole, start};
use crate::span;
use crate::trace::read::Function;
use crate::trace::replay::{Sent, csv, plan, run};

/// Functions whose difference is told of.
const TOLD: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Live {
    #[command(flatten)]
    recorded: Recorded,
    /// The program `kaos`
    #[arg(long, value_name = "PATH")]
    kaos: PathBuf,
    /// The program `answer`
    #[arg(long, value_name = "PATH")]
    answer: PathBuf,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// How many minutes
    #[arg(long, value_name = "N", default_value_t = 60)]
    minutes: usize,
    /// So many times faster than recorded, what a request takes too
    #[arg(long, default_value_t = 10.0)]
    speed: f64,
    /// Functions at most
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = functions)]
    functions: usize,
    /// Only functions with at most so many recorded requests a minute
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    busiest: f64,
    /// A replica is ready after so long, by itself
    #[arg(long, value_name = "SPAN", default_value = "100ms", value_parser = span::parse)]
    start_delay: Duration,
    /// An idle timeout to run under; may be repeated, for one run after another
    #[arg(long, value_name = "VALUE", default_values = ["6s", "learned"])]
    idle_timeout: Vec<String>,
    /// Another knob; may be repeated
    #[arg(
        long = "set",
        value_name = "KNOB=VALUE",
        value_parser = setting,
        default_values = ["window=6s", "cold-start-cost=15s", "container-concurrency=1", "max-scale=10"]
    )]
    set: Vec<Setting>,
    /// Where what was sent, logs and configurations are kept
    #[arg(long, value_name = "FOLDER", default_value = "target/live")]
    folder: PathBuf,
}

fn functions(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=200).contains(number));
    number.ok_or_else(|| format!("{text:?}: expected 1 to 200"))
}

fn setting(text: &str) -> Result<Setting, String> {
    let (knob, value) = text.split_once('=').ok_or("expected a knob and its value, such as target=10")?;
    Ok((knob.to_owned(), value.to_owned()))
}

/// One run and its simulation.
#[derive(Debug, Serialize)]
struct Compared {
    idle_timeout: String,
    functions: usize,
    seconds: f64,
    start_seconds: f64,
    /// Answers that said that they had waited for a start.
    told_cold: usize,
    live: Figures,
    simulated: Figures,
    #[serde(skip)]
    each: Vec<(String, Figures, Figures)>,
}

impl Live {
    pub(super) async fn run(self) -> Result<(), Stop> {
        let mut ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal).into_iter().flatten();
        let (Some(mut terminate), Some(mut interrupt)) = (ends.next(), ends.next()) else {
            return Err(Stop::Failed("the machine refused signal handlers".into()));
        };
        let stopped = || Err(Stop::Failed("stopped by a signal".into()));
        // Whatever was started ends as it is dropped.
        tokio::select! {
            done = self.all() => done,
            _ = terminate.recv() => stopped(),
            _ = interrupt.recv() => stopped(),
        }
    }

    async fn all(&self) -> Result<(), Stop> {
        let usage = |error: std::io::Error| Stop::Usage(error.to_string());
        let programs = [
            std::path::absolute(&self.kaos).map_err(usage)?,
            std::path::absolute(&self.answer).map_err(usage)?,
        ];
        let recorded = self.recorded.functions()?;
        let chosen = choose(
            &recorded,
            self.recorded.from_minute,
            self.minutes,
            self.functions,
            self.busiest,
            self.speed,
        );
        let (mut all, mut unmet) = (Vec::new(), Vec::new());
        for idle_timeout in &self.idle_timeout {
            let compared = self.one(&chosen, idle_timeout, &programs).await?;
            if self.output == Output::Human {
                compared.print();
            }
            let wrong = |why: String| format!("idle-timeout={idle_timeout}: {why}");
            unmet.extend(compared.live.far(&compared.simulated).into_iter().map(wrong));
            all.push(compared);
        }
        if self.output == Output::Json {
            print_json(&all)?;
        }
        met(&unmet)
    }

    async fn one(
        &self,
        functions: &[Function],
        idle_timeout: &str,
        programs: &[PathBuf; 2],
    ) -> Result<Compared, Stop> {
        let [kaos, answer] = programs;
        let mut knobs = self.set.clone();
        knobs.push(("idle-timeout".into(), idle_timeout.into()));
        let folder = self.folder.join(idle_timeout);
        let folder = std::path::absolute(folder).map_err(|error| Stop::Usage(error.to_string()))?;
        let written = |error: std::io::Error| Stop::Failed(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(written)?;
        let toml = config(functions.len(), answer, self.start_delay, &knobs);
        std::fs::write(folder.join("kaos.toml"), toml).map_err(written)?;
        let up = Up::start(kaos, &folder).await.map_err(Stop::Failed)?;
        let (sent, page) = self.send(functions, &up).await?;
        up.end().await.map_err(Stop::Failed)?;
        let (live, start) = (live(&page), start(&sent));
        let requests = folder.join("sent.csv");
        std::fs::write(&requests, csv(&sent)).map_err(written)?;
        let simulated = simulate(kaos, &requests, start, &knobs).await.map_err(Stop::Failed)?;
        Ok(Compared::of(idle_timeout, &sent, start, live, &simulated))
    }

    /// Sends everything. Returns what was sent, and the metrics at the end of what will be simulated.
    async fn send(&self, functions: &[Function], up: &Up) -> Result<(Vec<Sent>, String), Stop> {
        let replay = self.recorded.replay(self.minutes, self.speed, Duration::from_secs(600));
        let plan = plan(functions, &replay).map_err(Stop::Usage)?;
        if self.output == Output::Human {
            let seconds = self.minutes as f64 * 60.0 / self.speed;
            println!("{} requests to {} functions over {seconds:.0} s", plan.len(), functions.len());
        }
        let begun = Instant::now();
        let sent = run(up.place.listen, functions, &plan, &replay).await.map_err(Stop::Failed)?;
        let failed = sent.iter().filter(|one| one.status != Ok(200)).map(|one| format!("{:?}", one.status));
        if let Some(first) = failed.clone().next() {
            return Err(Stop::Failed(format!(
                "{} of {} requests failed, first with {first}",
                failed.count(),
                sent.len()
            )));
        }
        let (begins, spans) = whole(&sent);
        tokio::time::sleep_until((begun + begins + spans).into()).await;
        let page = Admin::at(up.place.admin).metrics().await.map_err(Stop::Failed)?;
        Ok((sent, page))
    }
}

impl Compared {
    fn of(
        idle_timeout: &str,
        sent: &[Sent],
        start: Duration,
        live: BTreeMap<String, Figures>,
        simulated: &BTreeMap<String, Figures>,
    ) -> Compared {
        let each = live.into_iter().map(|(name, figures)| {
            let other = simulated.get(&name).copied().unwrap_or_default();
            (name, figures, other)
        });
        let each: Vec<_> = each.collect();
        Compared {
            idle_timeout: idle_timeout.to_owned(),
            functions: each.len(),
            seconds: whole(sent).1.as_secs_f64(),
            start_seconds: start.as_secs_f64(),
            told_cold: sent.iter().filter(|one| one.cold).count(),
            live: Figures::sum(each.iter().map(|(_, live, _)| live)),
            simulated: Figures::sum(simulated.values()),
            each,
        }
    }

    fn print(&self) {
        let Compared { idle_timeout, seconds, start_seconds, live, simulated, told_cold, .. } = self;
        println!(
            "idle-timeout={idle_timeout}: {seconds:.0} s, a start took {:.1} ms",
            start_seconds * 1000.0
        );
        println!("{:<18}{:>10}{:>11}{:>12}", "", "LIVE", "SIMULATED", "DIFFERENCE");
        row("requests", live.requests as f64, simulated.requests as f64, 0);
        row("cold requests", live.cold_requests as f64, simulated.cold_requests as f64, 0);
        row("replica seconds", live.replica_seconds, simulated.replica_seconds, 1);
        row("busy seconds", live.busy_seconds, simulated.busy_seconds, 1);
        row("pre-warms", live.prewarms as f64, simulated.prewarms as f64, 0);
        row("used of them", live.prewarms_used as f64, simulated.prewarms_used as f64, 0);
        if live.cold_requests != *told_cold as u64 {
            println!("{told_cold} answers said that they were cold");
        }
        let mut each: Vec<_> = self.each.iter().collect();
        let apart = |live: &Figures, other: &Figures| (live.replica_seconds - other.replica_seconds).abs();
        each.sort_by(|one, other| apart(&other.1, &other.2).total_cmp(&apart(&one.1, &one.2)));
        println!("farthest apart, cold requests and replica seconds:");
        for (name, live, other) in each.into_iter().take(TOLD) {
            let cold = format!("{} to {}", live.cold_requests, other.cold_requests);
            println!("  {name:<8}{cold:>12}{:>10.1} to {:.1}", live.replica_seconds, other.replica_seconds);
        }
    }
}

fn row(name: &str, live: f64, simulated: f64, digits: usize) {
    let apart =
        if simulated == 0.0 { String::new() } else { format!("{:+.1} %", (live / simulated - 1.0) * 100.0) };
    println!("{name:<18}{live:>10.digits$}{simulated:>11.digits$}{apart:>12}");
}
