//! What a workload's count was, or would have been, for as long as it is watched: how long it slept, how often a request had to
//! wait for a start and for how long; and what other idle timeouts would have made of the same pauses. From that, an advice.
//!
//! Pure and of a fixed size per workload, however long it is watched.

use std::time::Duration;

use serde::Serialize;

use crate::moment::Moment;

/// Idle timeouts that are tried on every pause, in seconds.
const TRIED: [u64; 10] = [10, 20, 30, 60, 120, 240, 480, 900, 1800, 3600];
/// What was seen in less time says nothing of the rest.
pub const LEAST_WATCHED: Duration = Duration::from_secs(3600);
/// Fewer pauses say nothing of the next.
pub const LEAST_PAUSES: u64 = 10;
/// Another timeout is advised if it costs less than this share of what is there.
const BETTER: f64 = 0.9;
/// Bins of waits: from 1 ms on, each a quarter of an octave, to 4 h.
const BINS: usize = 96;
const PER_OCTAVE: f64 = 4.0;

/// What is seen of one workload.
#[derive(Clone, Debug)]
pub struct Watch {
    since: Moment,
    /// Up to when replicas are in the sums, and how many there are from then on.
    at: Moment,
    replicas: u32,
    used: Duration,
    slept: Duration,
    cold_starts: u64,
    waits: Waits,
    /// Since when nothing is in flight, or since when something is.
    phase: Phase,
    busy: Duration,
    pauses: u64,
    tried: [Tried; TRIED.len()],
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Idle(Moment),
    Busy(Moment),
}

/// What an idle timeout makes of pauses.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    kept: Duration,
    slept: Duration,
    cold_starts: u64,
}

/// Waits, in bins.
#[derive(Clone, Debug)]
struct Waits {
    bins: [u32; BINS],
    longest: Duration,
}

/// What to make of what was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// Since when it is watched.
    #[serde(skip)]
    pub since: Moment,
    /// For how long.
    #[serde(rename = "watched_seconds", serialize_with = "seconds")]
    pub watched: Duration,
    /// Of that, the time with requests.
    #[serde(rename = "busy_seconds", serialize_with = "seconds")]
    pub busy: Duration,
    /// The time at zero.
    #[serde(rename = "slept_seconds", serialize_with = "seconds")]
    pub slept: Duration,
    /// Time of all replicas together.
    #[serde(rename = "replica_seconds", serialize_with = "seconds")]
    pub used: Duration,
    /// Starts that a request had to wait for.
    pub cold_starts: u64,
    /// How long half of those who asked for them waited at most.
    #[serde(rename = "wait_p50_seconds", serialize_with = "seconds")]
    pub p50: Duration,
    /// How long 95 of a hundred did at most.
    #[serde(rename = "wait_p95_seconds", serialize_with = "seconds")]
    pub p95: Duration,
    /// Pauses between requests.
    pub pauses: u64,
    /// What fixed idle timeouts make of the same pauses, shortest first.
    pub offers: Vec<Offer>,
    /// What to do.
    pub verdict: Verdict,
}

/// What an idle timeout would have come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// The timeout.
    #[serde(rename = "idle_timeout_seconds", serialize_with = "seconds")]
    pub idle_timeout: Duration,
    /// Time at zero.
    #[serde(rename = "slept_seconds", serialize_with = "seconds")]
    pub slept: Duration,
    /// Time of a replica that nobody uses.
    #[serde(rename = "kept_seconds", serialize_with = "seconds")]
    pub kept: Duration,
    /// Starts that a request would have had to wait for.
    pub cold_starts: u64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "word")]
pub enum Verdict {
    /// It was watched for less than [`LEAST_WATCHED`].
    TooShort,
    /// There were fewer pauses than [`LEAST_PAUSES`].
    TooFew,
    /// No other timeout is worth a change.
    Keep,
    /// This timeout costs a tenth less or more.
    Set {
        /// The timeout.
        #[serde(rename = "idle_timeout_seconds", serialize_with = "seconds")]
        idle_timeout: Duration,
    },
}

fn seconds<S: serde::Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(span.as_secs_f64())
}

impl Watch {
    /// Begins at `now`, with so many replicas.
    pub fn new(replicas: u32, now: Moment) -> Self {
        Watch {
            since: now,
            at: now,
            replicas,
            used: Duration::ZERO,
            slept: Duration::ZERO,
            cold_starts: 0,
            waits: Waits { bins: [0; BINS], longest: Duration::ZERO },
            phase: Phase::Idle(now),
            busy: Duration::ZERO,
            pauses: 0,
            tried: [Tried::default(); TRIED.len()],
        }
    }

    /// From `now` on there are so many replicas; one that was asked for is one.
    pub fn runs(&mut self, replicas: u32, now: Moment) {
        let span = now.since(self.at);
        self.used += span * self.replicas;
        self.slept += if self.replicas == 0 { span } else { Duration::ZERO };
        (self.replicas, self.at) = (replicas, self.at.max(now));
    }

    /// A request waited so long for a start that was asked for because of it.
    pub fn cold_start(&mut self, wait: Duration) {
        self.cold_starts += 1;
        self.waits.add(wait);
    }

    /// Whether requests are in flight or wait at `now`, and when the last thing happened to one.
    pub fn sees(&mut self, busy: bool, last_activity: Option<Moment>, now: Moment) {
        let last = last_activity.map(|at| at.min(now));
        match (self.phase, busy) {
            (Phase::Idle(since), true) => {
                // The first thing that happened to it, unless that is of old.
                let came = last.filter(|at| *at > since).unwrap_or(now);
                self.pause(came.since(since));
                self.phase = Phase::Busy(came);
            }
            // It came and went since the last look.
            (Phase::Idle(since), false) => {
                if let Some(at) = last.filter(|at| *at > since) {
                    self.pause(at.since(since));
                    self.phase = Phase::Idle(at);
                }
            }
            (Phase::Busy(since), false) => {
                let ended = last.unwrap_or(now).max(since);
                self.busy += ended.since(since);
                self.phase = Phase::Idle(ended);
            }
            (Phase::Busy(_), true) => {}
        }
    }

    fn pause(&mut self, length: Duration) {
        self.pauses += 1;
        for (tried, timeout) in self.tried.iter_mut().zip(TRIED) {
            tried.idle(length, Duration::from_secs(timeout));
            tried.cold_starts += u64::from(length > Duration::from_secs(timeout));
        }
    }

    /// What to make of it at `now`, where a cold start is worth as much as `cold_start_cost` of an idle replica.
    pub fn advice(&self, cold_start_cost: Duration, now: Moment) -> Advice {
        let mut to_now = self.clone();
        to_now.runs(self.replicas, now);
        match self.phase {
            Phase::Busy(since) => to_now.busy += now.since(since),
            // The pause that isn't over yet: kept and slept, and no cold start so far.
            Phase::Idle(since) => to_now
                .tried
                .iter_mut()
                .zip(TRIED)
                .for_each(|(tried, timeout)| tried.idle(now.since(since), Duration::from_secs(timeout))),
        }
        let offers = to_now.tried.iter().zip(TRIED).map(|(tried, timeout)| Offer {
            idle_timeout: Duration::from_secs(timeout),
            slept: tried.slept,
            kept: tried.kept,
            cold_starts: tried.cold_starts,
        });
        let mut advice = Advice {
            since: self.since,
            watched: now.since(self.since),
            busy: to_now.busy,
            slept: to_now.slept,
            used: to_now.used,
            cold_starts: self.cold_starts,
            p50: self.waits.percentile(50),
            p95: self.waits.percentile(95),
            pauses: self.pauses,
            offers: offers.collect(),
            verdict: Verdict::Keep,
        };
        advice.verdict = advice.judge(cold_start_cost);
        advice
    }
}

impl Tried {
    fn idle(&mut self, length: Duration, timeout: Duration) {
        self.kept += length.min(timeout);
        self.slept += length.saturating_sub(timeout);
    }
}

impl Advice {
    fn judge(&self, cold_start_cost: Duration) -> Verdict {
        if self.watched < LEAST_WATCHED {
            return Verdict::TooShort;
        }
        if self.pauses < LEAST_PAUSES {
            return Verdict::TooFew;
        }
        let costs = |kept: Duration, cold_starts: u64| {
            kept.as_secs_f64() + cold_start_cost.as_secs_f64() * cold_starts as f64
        };
        let kept = self.watched.saturating_sub(self.slept).saturating_sub(self.busy);
        let present = costs(kept, self.cold_starts);
        let cost = |offer: &Offer| costs(offer.kept, offer.cold_starts);
        let best = self.offers.iter().min_by(|one, other| cost(one).total_cmp(&cost(other)));
        match best.filter(|best| cost(best) < BETTER * present) {
            Some(best) => Verdict::Set { idle_timeout: best.idle_timeout },
            None => Verdict::Keep,
        }
    }

    /// The share of `span` in the time that it was watched, 0 to 1.
    pub fn share(&self, span: Duration) -> f64 {
        if self.watched.is_zero() { 0.0 } else { span.as_secs_f64() / self.watched.as_secs_f64() }
    }
}

impl Waits {
    fn add(&mut self, wait: Duration) {
        let octaves = (wait.as_secs_f64() * 1000.0).max(1.0).log2();
        let at = ((octaves * PER_OCTAVE) as usize).min(BINS - 1);
        self.bins[at] = self.bins[at].saturating_add(1);
        self.longest = self.longest.max(wait);
    }

    /// The nearest rank, at the upper edge of its bin: at most a fifth too long, and never longer than the longest.
    fn percentile(&self, percent: u64) -> Duration {
        let count: u64 = self.bins.iter().map(|count| u64::from(*count)).sum();
        let rank = (count * percent).div_ceil(100);
        let mut below = 0;
        let reaches = |count: &u32| {
            below += u64::from(*count);
            below >= rank
        };
        let bin = self.bins.iter().position(reaches).unwrap_or(0);
        let edge = ((bin + 1) as f64 / PER_OCTAVE).exp2() / 1000.0;
        Duration::from_secs_f64(edge).min(self.longest)
    }
}

#[cfg(test)]
#[path = "advice_test.rs"]
mod tests;
