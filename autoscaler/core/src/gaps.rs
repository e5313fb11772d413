//! How long a workload is idle between two busy periods: histograms of its gaps that fade, by the kind of the gap before.
//!
//! A *gap* is the time from the end of one busy period to the start of the next. What follows a short gap is often another
//! than what follows a long one (a burst, then a pause), so gaps are kept by the kind of the gap before them, and together.
//! Pure; knows nothing of replicas or clocks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bins are so many of so many seconds, one after another: 10 s up to 2 min, 20 s up to 15 min, minutes up to an hour,
/// 5 min up to 4 h.
const SCALE: [(usize, u32); 4] = [(12, 10), (39, 20), (45, 60), (36, 300)];
/// Number of bins.
pub const BINS: usize = 132;
/// A gap of more seconds is in no bin.
const LONGEST: f64 = 14_400.0;
/// What remains of a gap's weight with each that follows: old behaviour is forgotten.
const FADING: f32 = 0.99;
/// A gap counts evenly from this share below it to this share above it, but from no more than so many seconds: who calls each
/// hour is no less punctual than who calls each ten minutes.
const SPREAD: f64 = 0.15;
const FARTHEST: f64 = 30.0;
/// Before anything is known, gaps are as likely in each order of magnitude from 1 s to 4 h. It weighs as much as so many gaps.
const ASSUMED: f64 = 1.0;
/// Of that, this share lies beyond 4 h: else the last bins would be full of certainty that an arrival is due.
const ASSUMED_BEYOND: f64 = 0.05;
/// Kinds of gaps by their length: below these seconds, and all others.
const KINDS: [f64; 2] = [60.0, 300.0];
/// What is known of all kinds together weighs as much as so many gaps of one kind.
const COMMON: f64 = 8.0;

/// Where each bin begins and how wide it is, in seconds.
pub fn bins() -> impl Iterator<Item = (f64, f64)> {
    let all = SCALE.iter().flat_map(|(count, width)| std::iter::repeat_n(f64::from(*width), *count));
    all.scan(0.0, |edge, width| {
        let from = *edge;
        *edge += width;
        Some((from, width))
    })
}

/// Weights of gaps by their length. Without any it takes no room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Histogram {
    pub(crate) bins: Vec<f32>,
    pub(crate) beyond: f32,
}

impl Histogram {
    fn add(&mut self, gap: f64) {
        self.bins.iter_mut().for_each(|weight| *weight *= FADING);
        self.beyond *= FADING;
        self.bins.resize(BINS, 0.0);
        let spread = (gap * SPREAD).clamp(0.5, FARTHEST);
        let (from, to) = (gap - spread, gap + spread);
        let share = |low: f64, high: f64| ((high.min(to) - low.max(from)).max(0.0) / (to - from)) as f32;
        for (weight, (edge, width)) in self.bins.iter_mut().zip(bins()) {
            *weight += share(edge, edge + width);
        }
        self.beyond += share(LONGEST, f64::INFINITY);
    }

    pub(crate) fn total(&self) -> f64 {
        f64::from(self.bins.iter().sum::<f32>() + self.beyond)
    }
}

/// What is known of a workload's gaps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    /// All of them.
    pub(crate) common: Histogram,
    /// By the kind of the gap before.
    pub(crate) kinds: [Histogram; KINDS.len() + 1],
    /// The last one's kind.
    pub(crate) last: Option<usize>,
    /// How many there were.
    pub(crate) count: u64,
    /// Their mean in seconds, older ones for less.
    #[serde(default)]
    pub(crate) mean: f32,
    /// Their variance about it, in seconds squared.
    #[serde(default)]
    pub(crate) variance: f32,
}

/// Most that the weights of a histogram come to: each gap counts one, and fades.
pub(crate) const MOST: f64 = 1.0 / (1.0 - FADING as f64);

/// How likely it is that a gap that begins now ends at each time, all in shares of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// In each bin.
    pub ends: Vec<f64>,
    /// Not in any.
    pub beyond: f64,
}

impl Outlook {
    /// How many more requests come within `span` after one, as far as one tells nothing of the next: the hazard, summed up.
    pub fn within(&self, span: Duration) -> f64 {
        let span = span.as_secs_f64();
        let inside = |(from, width): (f64, f64)| ((span - from) / width).clamp(0.0, 1.0);
        let ended: f64 = bins().zip(&self.ends).map(|(bin, share)| share * inside(bin)).sum();
        -(1.0 - ended).max(self.beyond).ln()
    }
}

impl Gaps {
    /// Adds a gap.
    pub fn add(&mut self, gap: Duration) {
        let gap = gap.as_secs_f64();
        self.common.add(gap);
        if let Some(kind) = self.last.and_then(|last| self.kinds.get_mut(last)) {
            kind.add(gap);
        }
        self.last = Some(KINDS.iter().filter(|edge| gap >= **edge).count());
        self.count = self.count.saturating_add(1);
        // Welford's, with the weights of the histograms: 1 + f + f² + … for as many gaps.
        let faded = f64::from(FADING).powf(self.count as f64);
        let share = 1.0 / ((1.0 - faded) * MOST);
        let (mean, variance) = (f64::from(self.mean), f64::from(self.variance));
        let off = gap - mean;
        self.mean = (mean + off * share) as f32;
        self.variance = ((1.0 - share) * (variance + off * off * share)) as f32;
    }

    /// How many gaps there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// When the gap that begins now may end.
    pub fn outlook(&self) -> Outlook {
        let kind = self.last.and_then(|last| self.kinds.get(last));
        let known = kind.map_or(0.0, Histogram::total);
        let common = COMMON / (self.common.total() + ASSUMED) / (known + COMMON);
        let weight = |histogram: Option<&Histogram>, at: usize| {
            histogram.and_then(|histogram| histogram.bins.get(at)).map_or(0.0, |weight| f64::from(*weight))
        };
        let ends = bins().enumerate().map(|(at, (from, width))| {
            // Log-uniform from 1 s on.
            let assumed = ((from + width).ln() - from.max(1.0).ln()) / LONGEST.ln();
            let common =
                (weight(Some(&self.common), at) + ASSUMED * (1.0 - ASSUMED_BEYOND) * assumed) * common;
            weight(kind, at) / (known + COMMON) + common
        });
        let beyond = kind.map_or(0.0, |kind| f64::from(kind.beyond)) / (known + COMMON);
        let common = (f64::from(self.common.beyond) + ASSUMED * ASSUMED_BEYOND) * common;
        Outlook { ends: ends.collect(), beyond: beyond + common }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every(seconds: u64, count: usize) -> Gaps {
        let mut gaps = Gaps::default();
        (0..count).for_each(|_| gaps.add(Duration::from_secs(seconds)));
        gaps
    }

    /// The share of gaps that end between two times.
    fn between(gaps: &Gaps, from: f64, to: f64) -> f64 {
        let outlook = gaps.outlook();
        let inside = bins().zip(&outlook.ends).filter(|((edge, _), _)| (from..to).contains(edge));
        inside.map(|(_, share)| share).sum()
    }

    #[test]
    fn bins_go_from_nothing_to_four_hours() {
        assert_eq!(bins().count(), BINS);
        assert_eq!(bins().last().map(|(from, width)| from + width), Some(LONGEST));
    }

    #[test]
    fn a_regular_caller_is_known_soon() {
        assert!(between(&every(300, 3), 260.0, 340.0) > 0.7);
        assert!(between(&every(300, 50), 260.0, 340.0) > 0.97);
        assert!(between(&Gaps::default(), 260.0, 340.0) < 0.05);
    }

    #[test]
    fn who_calls_often_calls_again_while_a_replica_starts() {
        let within = |gaps: &Gaps, seconds| gaps.outlook().within(Duration::from_secs(seconds));
        let (often, seldom) = (every(8, 50), every(300, 50));
        assert!(within(&often, 20) > 2.0 && within(&seldom, 20) < 0.1);
        assert!(within(&often, 1) < 0.2 && within(&often, 0) == 0.0);
        assert!(within(&often, 1_000_000).is_finite());
    }

    #[test]
    fn what_was_long_ago_fades() {
        let mut gaps = every(300, 1000);
        (0..300).for_each(|_| gaps.add(Duration::from_secs(30)));
        assert!(between(&gaps, 260.0, 340.0) < 0.06);
        assert!(between(&gaps, 20.0, 40.0) > 0.9);
    }

    #[test]
    fn what_follows_a_pause_is_known_apart() {
        let mut gaps = Gaps::default();
        for _ in 0..100 {
            [20, 20, 900].iter().for_each(|seconds| gaps.add(Duration::from_secs(*seconds)));
        }
        // The last was a pause: a burst follows.
        assert!(between(&gaps, 10.0, 30.0) > 0.9);
        gaps.add(Duration::from_secs(20));
        assert!(between(&gaps, 800.0, 1000.0) > 0.3);
    }

    proptest! {
        #[test]
        fn shares_are_of_one(gaps in prop::collection::vec(0u64..100_000_000, 0..50)) {
            let mut known = Gaps::default();
            gaps.iter().for_each(|gap| known.add(Duration::from_millis(*gap)));
            let outlook = known.outlook();
            prop_assert!(outlook.beyond > 0.0 && outlook.ends.iter().all(|share| *share >= 0.0));
            let sum: f64 = outlook.ends.iter().sum();
            prop_assert!((sum + outlook.beyond - 1.0).abs() < 1e-4, "{}", sum + outlook.beyond);
        }
    }
}
