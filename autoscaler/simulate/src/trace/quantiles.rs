//! How long requests take, as a few percentiles have it.

use crate::random::Random;

/// The percentiles that are known, as shares.
const POINTS: [f64; 7] = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0];

/// The columns that hold them, in the same order.
pub(super) const COLUMNS: [&str; 7] = [
    "percentile_Average_0",
    "percentile_Average_1",
    "percentile_Average_25",
    "percentile_Average_50",
    "percentile_Average_75",
    "percentile_Average_99",
    "percentile_Average_100",
];

/// A distribution of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Quantiles {
    /// Microseconds at each of the known percentiles.
    pub(super) values: [f64; 7],
}

impl Quantiles {
    /// One duration, in microseconds.
    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        self.at(random.below(1 << 53) as f64 / (1_u64 << 53) as f64)
    }

    /// What a `share` of the requests, 0 to 1, doesn't take longer than: on a straight line between what is known.
    fn at(&self, share: f64) -> u64 {
        for (points, values) in POINTS.windows(2).zip(self.values.windows(2)) {
            if let ([low, high], [from, to]) = (points, values)
                && share <= *high
            {
                return (from + (to - from) * (share - low) / (high - low)).round() as u64;
            }
        }
        self.values.last().map_or(0, |last| *last as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Quantiles = Quantiles { values: [1e3, 2e3, 2e3, 4e3, 8e3, 1e4, 1e6] };

    #[test]
    fn between_percentiles_is_a_straight_line() {
        for (share, micros) in [
            (0.0, 1_000),
            (0.005, 1_500),
            (0.01, 2_000),
            (0.2, 2_000),
            (0.375, 3_000),
            (0.5, 4_000),
            (0.75, 8_000),
            (0.995, 505_000),
            (1.0, 1_000_000),
        ] {
            assert_eq!(SOME.at(share), micros, "{share}");
        }
    }

    #[test]
    fn what_is_drawn_has_the_percentiles() {
        let mut random = Random::new(1);
        let mut drawn: Vec<u64> = (0..40_000).map(|_| SOME.draw(&mut random)).collect();
        drawn.sort_unstable();
        for (at, expected) in [(10_000, 2_000), (20_000, 4_000), (30_000, 8_000)] {
            assert!(drawn[at].abs_diff(expected) < expected / 20, "{} for {expected}", drawn[at]);
        }
        assert!(drawn[0] >= 1_000 && drawn[39_999] <= 1_000_000);
    }
}
