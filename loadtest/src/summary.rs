//! The result of a load: figures for people and programs, and which expectations weren't met.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::overtake::most_overtaken;
use crate::scenario::{Expect, Load};
use crate::span::show;
use crate::tally::{Latencies, Tally};

/// Latencies in milliseconds.
#[derive(Debug, Serialize)]
pub struct Quantiles {
    /// How many.
    pub count: u64,
    /// Half are no longer.
    pub p50: f64,
    /// 90 of 100 are no longer.
    pub p90: f64,
    /// 99 of 100 are no longer.
    pub p99: f64,
    /// 999 of 1000 are no longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// The figures of a histogram.
    pub fn new(latencies: &Latencies) -> Quantiles {
        let millis = |share| latencies.quantile(share).as_secs_f64() * 1000.0;
        let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(millis);
        Quantiles { count: latencies.len(), p50, p90, p99, p999, max }
    }

    /// The figures in one line for people.
    pub fn row(&self) -> String {
        if self.count == 0 {
            return "none".into();
        }
        let span = |millis: f64| show(Duration::from_secs_f64(millis / 1000.0));
        let columns = [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p999),
            ("max", self.max),
        ];
        columns.map(|(name, millis)| format!("{name} {:>8}", span(millis))).join("   ")
    }
}

/// The result of one load.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The load's name.
    pub name: String,
    /// Requests that were due and sent.
    pub requests: u64,
    /// From the start to the last answer.
    pub seconds: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole, expected answer.
    pub failed: u64,
    /// Failures by kind.
    pub failures: BTreeMap<String, u64>,
    /// The first answer that was unexpected.
    pub sample: Option<String>,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Answers marked as cold starts.
    pub cold: u64,
    /// From the intended moment to the last byte, of expected answers.
    pub latency_ms: Quantiles,
    /// From the intended moment to the head, of expected answers.
    pub head_ms: Quantiles,
    /// By phase of `Server-Timing`.
    pub phases_ms: Vec<(String, Quantiles)>,
    /// Most later requests that overtook any one.
    pub overtaken: usize,
    /// How late this generator sent what it could have sent.
    pub lag_ms: Quantiles,
    /// Requests that waited for a connection.
    pub starved: u64,
    /// The longest such wait.
    pub starved_longest_ms: f64,
    /// Expectations that weren't met.
    pub unmet: Vec<String>,
}

impl Summary {
    /// Sums a load up.
    pub fn new(load: &Load, tally: &Tally) -> Summary {
        let overtaken = most_overtaken(&tally.passages, load.expect.overtake_gap);
        let kinds = tally.failures.iter().map(|(kind, count)| (kind.to_string(), *count));
        Summary {
            name: load.name.clone(),
            requests: tally.lag.len() + tally.starved.0,
            seconds: tally.last.as_secs_f64(),
            statuses: tally.statuses.clone(),
            failed: tally.failed(),
            failures: kinds.collect(),
            sample: tally.sample.clone(),
            retries: tally.retries,
            cold: tally.cold,
            latency_ms: Quantiles::new(&tally.whole),
            head_ms: Quantiles::new(&tally.head),
            phases_ms: tally
                .phases
                .iter()
                .map(|(name, spans)| (name.clone(), Quantiles::new(spans)))
                .collect(),
            overtaken,
            lag_ms: Quantiles::new(&tally.lag),
            starved: tally.starved.0,
            starved_longest_ms: tally.starved.1.as_secs_f64() * 1000.0,
            unmet: unmet(&load.expect, tally, overtaken),
        }
    }

    /// The result as a few lines for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let rate = if self.seconds > 0.0 { self.requests as f64 / self.seconds } else { 0.0 };
        let answered = self.latency_ms.count;
        let _ = writeln!(
            text,
            "{}: {} requests in {:.1} s ({rate:.0}/s), {answered} answered as expected, {} failed, {} cold, {} retries",
            self.name, self.requests, self.seconds, self.failed, self.cold, self.retries
        );
        let list =
            |counts: Vec<String>| if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        let counted = self.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
        let _ = writeln!(text, "  statuses    {}", list(counted.collect()));
        let counted = self.failures.iter().map(|(kind, count)| format!("{kind}: {count}"));
        let _ = writeln!(text, "  failures    {}", list(counted.collect()));
        if let Some(sample) = &self.sample {
            let _ = writeln!(text, "  unexpected  {sample}");
        }
        let _ = writeln!(text, "  last byte   {}", self.latency_ms.row());
        let _ = writeln!(text, "  first byte  {}", self.head_ms.row());
        for (name, spans) in &self.phases_ms {
            let _ = writeln!(text, "   {name:<11}{}", spans.row());
        }
        let _ = writeln!(text, "  sent late   {}", self.lag_ms.row());
        if self.starved > 0 {
            let longest = show(Duration::from_secs_f64(self.starved_longest_ms / 1000.0));
            let _ = writeln!(text, "  {} waited for a free connection, for {longest} at most", self.starved);
        }
        let _ = writeln!(text, "  overtaken   by {} at most", self.overtaken);
        for expectation in &self.unmet {
            let _ = writeln!(text, "  NOT MET     {expectation}");
        }
        text
    }
}

fn unmet(expect: &Expect, tally: &Tally, overtaken: usize) -> Vec<String> {
    let mut unmet = Vec::new();
    let mut check = |holds: bool, sentence: String| {
        if !holds {
            unmet.push(sentence);
        }
    };
    let failed = tally.failed();
    check(failed <= expect.failed_at_most, format!("{failed} failed, {} may", expect.failed_at_most));
    if let Some(limit) = expect.p99_at_most {
        let p99 = tally.whole.quantile(0.99);
        check(
            !tally.whole.is_empty() && p99 <= limit,
            format!("p99 is {}, {} is allowed", show(p99), show(limit)),
        );
    }
    if let Some(limit) = expect.overtaken_at_most {
        let gap = show(expect.overtake_gap);
        check(
            overtaken <= limit,
            format!("{overtaken} sent {gap} or more later overtook one request, {limit} may"),
        );
    }
    let cold = tally.cold;
    if let Some(least) = expect.cold_at_least {
        check(cold >= least, format!("{cold} cold starts, at least {least} expected"));
    }
    if let Some(most) = expect.cold_at_most {
        check(cold <= most, format!("{cold} cold starts, at most {most} expected"));
    }
    unmet
}
