//! Axes: how values become places, and where the ticks are.

/// The share of a logarithmic axis that is left below its least value if there are zeros, which stand at its beginning.
const GROUND: f64 = 0.1;
/// Ticks, about.
const TICKS: f64 = 6.0;

/// One axis. Logarithmic if what it holds spans over a factor of ten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) is_log: bool,
    pub(super) has_zero: bool,
    low: f64,
    high: f64,
    /// No tick is between two whole numbers.
    whole: bool,
}

impl Axis {
    /// One that holds `values`, which are finite and not negative. `whole`: they are counts.
    pub(super) fn new(values: &[f64], whole: bool) -> Self {
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let least = positive().fold(f64::INFINITY, f64::min);
        let most = positive().fold(0.0, f64::max);
        let axis = Axis { is_log: false, has_zero: values.contains(&0.0), low: 0.0, high: 1.0, whole };
        if most == 0.0 {
            return axis;
        }
        if most > least * 10.0 {
            return Axis { is_log: true, low: least / 1.25, high: most * 1.25, ..axis };
        }
        let spread = (most - least).max(most * 0.1);
        let low = if axis.has_zero { 0.0 } else { (least - spread * 0.1).max(0.0) };
        Axis { low, high: most + spread * 0.1, ..axis }
    }

    /// From 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = if !self.is_log {
            (value - self.low) / (self.high - self.low)
        } else if value <= 0.0 {
            0.0
        } else {
            let ground = if self.has_zero { GROUND } else { 0.0 };
            ground + (1.0 - ground) * (value / self.low).ln() / (self.high / self.low).ln()
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values, in ascending order.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.is_log {
            return self.even();
        }
        let first = self.low.log10().ceil() as i32;
        let last = self.high.log10().floor() as i32;
        let mut ticks = if self.has_zero { vec![0.0] } else { Vec::new() };
        if last - first >= 2 {
            let apart = (f64::from(last - first) / TICKS).ceil() as usize;
            ticks.extend((first..=last).step_by(apart).map(|exponent| 10_f64.powi(exponent)));
        } else {
            let round =
                (first - 1..=last).flat_map(|exponent| STEPS.map(|step| step * 10_f64.powi(exponent)));
            ticks.extend(round.filter(|value| (self.low..=self.high).contains(value)));
        }
        ticks
    }

    fn even(&self) -> Vec<f64> {
        let step = round_up((self.high - self.low) / TICKS);
        let step = if self.whole { step.max(1.0) } else { step };
        let first = (self.low / step).ceil() as u64;
        let last = (self.high / step).floor() as u64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// The least of 1, 2 and 5 times a power of ten that isn't less.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powi(value.log10().floor() as i32);
    STEPS.iter().map(|step| step * power).find(|round| *round >= value).unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: &[f64], other: &[f64]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() <= b.abs() * 1e-9)
    }

    #[test]
    fn over_a_factor_of_ten_it_is_logarithmic() {
        assert!(!Axis::new(&[10.0, 100.0], true).is_log);
        assert!(Axis::new(&[10.0, 101.0], true).is_log);
        assert!(!Axis::new(&[0.0, 10.0, 100.0], true).is_log, "zeros aren't in the range");
        assert!(!Axis::new(&[], true).is_log && !Axis::new(&[0.0], true).is_log);
    }

    #[test]
    fn ticks_are_few_and_round() {
        let ticks = |values: &[f64], whole| Axis::new(values, whole).ticks();
        assert!(near(&ticks(&[100.0, 140.0], false), &[100.0, 110.0, 120.0, 130.0, 140.0]));
        assert!(near(&ticks(&[5.0], true), &[5.0]), "no half requests");
        assert!(near(&ticks(&[20.0, 300.0], true), &[20.0, 50.0, 100.0, 200.0]));
        assert!(near(&ticks(&[0.0, 3.0, 4000.0], true), &[0.0, 10.0, 100.0, 1000.0]));
        for most in 1..60 {
            let values = [0.003, 0.004 * 1.5_f64.powi(most)];
            let ticks = ticks(&values, false);
            assert!((2..=9).contains(&ticks.len()), "{values:?}: {ticks:?}");
        }
    }

    #[test]
    fn every_value_has_a_place_within() {
        for values in [&[0.0][..], &[7.0], &[0.0, 7.0], &[1.0, 5.0], &[0.0, 1.0, 500.0], &[1.0, 1e12]] {
            let axis = Axis::new(values, true);
            for value in values.iter().chain(&axis.ticks()) {
                let place = axis.place(*value);
                assert!((0.0..=1.0).contains(&place), "{value} of {values:?} at {place}");
            }
        }
        let axis = Axis::new(&[0.0, 1.0, 500.0], true);
        assert_eq!(axis.place(0.0), 0.0);
        assert!(axis.place(1.0) > GROUND);
    }
}
