//! Knative's KPA, step by step: two averages and the ready replicas in, a desired count out.
//!
//! The numbers of the steps are those of `autoscaler.go: Scale`. What Kaos does beyond it (events, exact idle, a slow way
//! out of panic) stands elsewhere: this may say zero, and may collapse after a panic, as Knative's does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::policy::Policy;
use crate::window::{Load, SlidingMax};

/// Granularity of the scale-down delay, in seconds: KPA's tick.
pub const TICK_SECONDS: u64 = 2;

/// What KPA remembers of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kpa {
    /// In panic: when it was last triggered.
    pub panicking: Option<Moment>,
    /// The most that was desired in this panic.
    pub most: u32,
    /// Desired counts of the scale-down delay.
    pub delayed: SlidingMax,
}

impl Kpa {
    /// A new scaler of a workload that runs begins in panic at the count it finds, so that a restart can't scale down
    /// for a stable window (step 10).
    pub fn begin(ready: u32, now: Moment) -> Self {
        Kpa { panicking: (ready > 1).then_some(now), most: ready, delayed: SlidingMax::default() }
    }
}

/// What one step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desire {
    /// The desired count, before min and max.
    pub count: u32,
    /// What the averages alone ask for, before panic and delay kept more.
    pub plain: u32,
}

/// How many replicas of `policy`'s target carry `load`.
pub fn needed(policy: &Policy, load: Load) -> u32 {
    (load.requests() / policy.steered_target()).ceil() as u32
}

/// Steps 2 to 8.
pub fn step(
    policy: &Policy,
    stable: Load,
    panic: Load,
    ready: u32,
    mut kpa: Kpa,
    now: Moment,
) -> (Desire, Kpa) {
    let ready = ready.max(1);
    // 2: most and least for one step.
    let most = (policy.max_scale_up_rate * f64::from(ready)).ceil() as u32;
    let least = (f64::from(ready) / policy.max_scale_down_rate).floor() as u32;
    // 3 to 5: what both windows need, within the rates, not below the activation scale.
    let (need_stable, need_panic) = (needed(policy, stable), needed(policy, panic));
    let active = need_stable > 0 && policy.activation_scale > 1;
    let activated = if active { policy.activation_scale } else { 0 };
    let within = |need: u32| need.clamp(least, most.max(least)).max(activated);
    let (by_stable, by_panic) = (within(need_stable), within(need_panic));
    // 6: in and out of panic.
    let over = f64::from(need_panic) / f64::from(ready) >= policy.panic_threshold_percentage / 100.0;
    match kpa.panicking {
        _ if over => kpa.panicking = Some(now),
        Some(triggered) if triggered + policy.window < now => (kpa.panicking, kpa.most) = (None, 0),
        _ => {}
    }
    // 7: panic never goes down.
    let mut count = by_stable;
    if kpa.panicking.is_some() {
        kpa.most = kpa.most.max(by_stable).max(by_panic);
        count = kpa.most;
    }
    // 8: the maximum over the delay.
    if policy.scale_down_delay > Duration::ZERO {
        let span = policy.scale_down_delay.as_secs().div_ceil(TICK_SECONDS);
        count = kpa.delayed.record(span, now.secs() / TICK_SECONDS, count);
    }
    (Desire { count, plain: by_stable }, kpa)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fixture of `autoscaler_test.go`: the target is the steered one, rates 10, threshold 2, window 60 s.
    fn fixture(target: f64) -> Policy {
        Policy {
            target: Some(target),
            target_utilization_percentage: 100.0,
            max_scale_up_rate: 10.0,
            max_scale_down_rate: 10.0,
            ..Policy::default()
        }
    }

    /// One autoscaler and its clock, in seconds.
    struct Scaler {
        policy: Policy,
        kpa: Kpa,
    }

    impl Scaler {
        fn new(policy: Policy, ready: u32) -> Self {
            Scaler { policy, kpa: Kpa::begin(ready, Moment::ZERO) }
        }

        fn at(&mut self, second: f64, ready: u32, stable: f64, panic: f64) -> u32 {
            let now = Moment::from_micros((second * 1e6) as u64);
            let (desire, kpa) =
                step(&self.policy, Load::of(stable), Load::of(panic), ready, self.kpa.clone(), now);
            self.kpa = kpa;
            desire.count
        }
    }

    #[test]
    fn one_step_is_knatives() {
        // (row, target, stable, panic, ready, desired)
        for (row, target, stable, panic, ready, desired) in [
            (1, 10.0, 0.0, 0.0, 1, 0),
            (2, 181.0, 21.0, 26.0, 1, 1),
            (2, 10.0, 50.0, 49.0, 1, 5),
            (3, 10.0, 50.0, 50.0, 1, 5),
            (3, 10.0, 50.0, 50.0, 5, 5),
            (7, 10.0, 1000.0, 1001.0, 1, 10),
            (7, 10.0, 1000.0, 888.0, 0, 10),
            (9, 10.0, 50.0, 100.0, 1, 10),
        ] {
            let got = Scaler::new(fixture(target), 1).at(0.0, ready, stable, panic);
            assert_eq!(got, desired, "row {row}: {stable}, {panic} at {ready}");
        }
        let slow = Policy { max_scale_up_rate: 1.1, ..fixture(1.0) };
        assert_eq!(Scaler { policy: slow, kpa: Kpa::default() }.at(0.0, 2, 3.0, 3.1), 3, "row 5");
    }

    #[test]
    fn row_4_the_stable_window_grows_without_panic() {
        let mut scaler = Scaler::new(fixture(10.0), 1);
        assert_eq!(scaler.at(0.0, 1, 50.0, 10.0), 5);
        assert_eq!(scaler.at(2.0, 1, 100.0, 10.0), 10);
        assert_eq!(scaler.kpa.panicking, None);
    }

    #[test]
    fn row_7_the_up_rate_bounds_each_step() {
        let mut scaler = Scaler::new(fixture(10.0), 1);
        assert_eq!(scaler.at(0.0, 1, 1000.0, 1001.0), 10);
        assert_eq!(scaler.at(2.0, 10, 1000.0, 1001.0), 100);
    }

    #[test]
    fn row_11_panic_holds_and_then_releases() {
        let mut scaler = Scaler::new(fixture(10.0), 1);
        assert_eq!(scaler.at(0.0, 1, 100.0, 100.0), 10);
        assert_eq!(scaler.at(0.0, 10, 100.0, 1000.0), 100);
        assert_eq!(scaler.at(30.0, 10, 1.0, 1.0), 100);
        assert_eq!(scaler.at(61.0, 10, 1.0, 1.0), 1);
    }

    #[test]
    fn row_12_slow_growth_ends_a_panic() {
        let mut scaler = Scaler { policy: fixture(1.0), kpa: Kpa::default() };
        assert_eq!(scaler.at(1.0, 10, 11.0, 25.0), 25);
        assert_eq!(scaler.kpa.panicking, Some(Moment::from_secs(1)));
        assert_eq!(scaler.at(31.0, 40, 30.0, 41.0), 41);
        assert_eq!(scaler.kpa.panicking, Some(Moment::from_secs(1)));
        assert_eq!(scaler.at(63.0, 55, 50.0, 56.0), 50);
        assert_eq!(scaler.kpa.panicking, None);
    }

    #[test]
    fn row_15_the_delay_keeps_the_maximum() {
        let delay = |seconds| Policy {
            scale_down_delay: Duration::from_secs(seconds),
            panic_threshold_percentage: 10_000.0,
            ..fixture(10.0)
        };
        let mut scaler = Scaler::new(delay(300), 1);
        for (second, load, desired) in [
            (2.0, 40.0, 4),
            (300.0, 0.0, 4),
            (302.0, 0.0, 0),
            (540.0, 40.0, 4),
            (600.0, 30.0, 4),
            (660.0, 0.0, 4),
            (840.0, 0.0, 3),
            (900.0, 0.0, 0),
        ] {
            assert_eq!(scaler.at(second, 1, load, load), desired, "at {second} s");
        }
        let mut scaler = Scaler::new(delay(0), 1);
        assert_eq!(scaler.at(0.0, 1, 40.0, 40.0), 4);
        assert_eq!(scaler.at(0.5, 1, 20.0, 20.0), 2);
    }

    #[test]
    fn row_16_activation_scale_acts_while_there_is_load() {
        let mut scaler = Scaler::new(Policy { activation_scale: 2, ..fixture(10.0) }, 1);
        assert_eq!(scaler.at(0.0, 1, 0.0, 0.0), 0);
        assert_eq!(scaler.at(2.0, 1, 1.0, 0.0), 2);
    }

    #[test]
    fn row_17_a_restart_begins_in_panic_if_several_run() {
        for (ready, panicking) in [(0, false), (1, false), (2, true)] {
            let kpa = Kpa::begin(ready, Moment::ZERO);
            assert_eq!((kpa.panicking.is_some(), kpa.most), (panicking, ready), "{ready} ready");
        }
    }
}
