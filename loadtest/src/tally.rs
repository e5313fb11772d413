//! What happened to the requests of one load, counted while it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::ask::{Answer, Outcome};
use crate::failure::Failure;
use crate::overtake::Passage;
use crate::phases;
use crate::scenario::Expect;

/// Longest latency that is told from longer ones: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Different phases that are kept.
const MOST_PHASES: usize = 16;

/// Latencies in microseconds, to three significant digits.
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        #[expect(
            clippy::expect_used,
            reason = "the bounds are constants within the crate's documented range"
        )]
        Latencies(Histogram::new_with_bounds(1, LONGEST, 3).expect("constant bounds"))
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, span: Duration) {
        self.0.saturating_record(span.as_micros().min(u128::from(LONGEST)) as u64);
    }

    /// Adds all of another's.
    pub fn add(&mut self, other: &Latencies) {
        // Fails only between histograms with different bounds; all have the same.
        let _ = self.0.add(&other.0);
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// True if none was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latency that this share (0 to 1) doesn't exceed; the greatest one for 1.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(if share >= 1.0 { self.0.max() } else { self.0.value_at_quantile(share) })
    }
}

/// The counts of one load.
#[derive(Default)]
pub struct Tally {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by kind.
    pub failures: BTreeMap<Failure, u64>,
    /// The first answer that was unexpected: its status and the beginning of its body.
    pub sample: Option<String>,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Answers marked as cold starts.
    pub cold: u64,
    /// From due to the last byte, of answers that are no failure.
    pub whole: Latencies,
    /// From due to the head, of answers that are no failure.
    pub head: Latencies,
    /// By `Server-Timing` phase.
    pub phases: Vec<(String, Latencies)>,
    /// Of answers that are no failure.
    pub passages: Vec<Passage>,
    /// From due to sent, of requests that found a free connection: how late this generator was.
    pub lag: Latencies,
    /// Requests that had to wait for a connection, and the longest wait.
    pub starved: (u64, Duration),
    /// The `X-Answer-Pid` of the last answer.
    pub pid: Option<u32>,
    /// When the last answer ended, since the start.
    pub last: Duration,
}

/// When a request was due and sent, since the start.
#[derive(Clone, Copy)]
pub struct Departure {
    /// By schedule.
    pub due: Duration,
    /// In fact.
    pub sent: Duration,
    /// It had to wait for a connection.
    pub starved: bool,
}

impl Tally {
    /// Counts one request. `begun` is the start of the load.
    pub fn count(
        &mut self,
        departure: Departure,
        outcome: &Outcome,
        begun: std::time::Instant,
        expect: &Expect,
    ) {
        let late = departure.sent.saturating_sub(departure.due);
        if departure.starved {
            self.starved = (self.starved.0 + 1, self.starved.1.max(late));
        } else {
            self.lag.record(late);
        }
        self.retries += u64::from(outcome.attempts.saturating_sub(1));
        match &outcome.answer {
            Ok(answer) => self.answered(departure, answer, begun, expect),
            Err(failure) => *self.failures.entry(*failure).or_default() += 1,
        }
    }

    fn answered(
        &mut self,
        departure: Departure,
        answer: &Answer,
        begun: std::time::Instant,
        expect: &Expect,
    ) {
        *self.statuses.entry(answer.status).or_default() += 1;
        let (head, ended) = (answer.begun.duration_since(begun), answer.ended.duration_since(begun));
        self.last = self.last.max(ended);
        let unexpected = if !expect.statuses.contains(&answer.status) {
            Some(Failure::Status)
        } else if expect.length.is_some_and(|length| length != answer.length) {
            Some(Failure::Length)
        } else {
            None
        };
        if let Some(failure) = unexpected {
            *self.failures.entry(failure).or_default() += 1;
            self.sample.get_or_insert_with(|| {
                format!(
                    "status {}, {} bytes: {}",
                    answer.status,
                    answer.length,
                    answer.beginning.escape_ascii()
                )
            });
            return;
        }
        self.cold += u64::from(phases::is_cold(&answer.headers));
        for (name, millis) in phases::phases(&answer.headers) {
            if let Some(latencies) = self.phase(name) {
                latencies.record(Duration::from_secs_f64(millis / 1000.0));
            }
        }
        self.whole.record(ended.saturating_sub(departure.due));
        self.head.record(head.saturating_sub(departure.due));
        let (written, sent) = match answer.write {
            Some(write) => (write.begun.duration_since(begun), write.ended.duration_since(begun)),
            None => (departure.sent, departure.sent),
        };
        self.passages.push(Passage { begun: written, sent, answered: head });
        let pid = answer.headers.get("x-answer-pid").and_then(|value| value.to_str().ok());
        self.pid = pid.and_then(|pid| pid.parse().ok()).or(self.pid);
    }

    fn phase(&mut self, name: String) -> Option<&mut Latencies> {
        let at = match self.phases.iter().position(|(known, _)| *known == name) {
            Some(at) => at,
            None if self.phases.len() < MOST_PHASES => {
                self.phases.push((name, Latencies::default()));
                self.phases.len() - 1
            }
            None => return None,
        };
        self.phases.get_mut(at).map(|(_, latencies)| latencies)
    }

    /// Requests without a whole, expected answer.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}
