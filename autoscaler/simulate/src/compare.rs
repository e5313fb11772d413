//! Kaos beside Knative's KPA on the same arrivals: what each lets requests wait and what it costs.

use std::time::Duration;

use kaos_core::Policy;

use crate::random::Random;
use crate::replay::{Choice, Figures, Settings, replay};
use crate::trace::{Function, Request, Trace};

/// Kaos's 99th percentile of waiting is at most so many times KPA's, in each run.
pub const WAIT: f64 = 1.02;
/// Its replica time is at most so many times KPA's, in each run.
pub const COST: f64 = 1.15;
/// Its replica time is at most so many times KPA's, in the mean of all runs.
pub const MEAN_COST: f64 = 0.9;

/// Waits that are nearer to each other than this are the same.
const SAME: Duration = Duration::from_millis(1);

/// Kaos's figures by KPA's, of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Of the 99th percentiles of waiting, those that didn't wait included. One where both are nothing.
    pub wait: f64,
    /// Of replica time.
    pub cost: f64,
}

/// Knobs for a comparison: a hard limit of so many requests at once on a replica, or with 0 none and a target of ten. No bound on
/// replicas.
pub fn policy(limit: u32) -> Policy {
    let target = if limit == 0 { Some(10.0) } else { None };
    Policy { container_concurrency: limit, target, max_scale: 0, ..Policy::default() }
}

/// One function whose requests come at these `moments` since the beginning. What each takes is exponentially distributed, `takes`
/// on average, and follows from `seed`.
pub fn function(moments: &[Duration], takes: Duration, seed: u64) -> Function {
    let mut random = Random::new(seed);
    let micros = |span: Duration| span.as_micros() as u64;
    let request = |at: &Duration| Request { at: micros(*at), takes: micros(random.exponential(takes)) };
    Function { name: seed.to_string(), requests: moments.iter().map(request).collect() }
}

/// Runs each function of `trace` under both.
pub fn against_kpa(trace: &Trace, settings: &Settings) -> Vec<Ratio> {
    let [kaos, kpa] = [Choice::Kaos, Choice::Kpa].map(|choice| replay(trace, &choice, settings));
    kaos.iter().zip(&kpa).map(|(kaos, kpa)| ratio(&kaos.figures, &kpa.figures)).collect()
}

fn ratio(kaos: &Figures, kpa: &Figures) -> Ratio {
    let (ours, theirs) = (kaos.wait_of_all(99), kpa.wait_of_all(99));
    let same = ours.abs_diff(theirs) < SAME;
    Ratio {
        wait: if same { 1.0 } else { ours.as_secs_f64() / theirs.as_secs_f64() },
        cost: kaos.replica_time().as_secs_f64() / kpa.replica_time().as_secs_f64(),
    }
}
