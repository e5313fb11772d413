//! A small source of randomness that is the same in every run: SplitMix64 (Steele, Lea, Flood 2014).

use std::time::Duration;

/// A stream of numbers that follows from its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0. The bias is below one in 2³² for bounds below 2³².
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() as u128 * bound as u128) >> 64) as u64
    }

    /// True `permille` times in a thousand.
    pub const fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// A duration from `least` to `most`, evenly.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_micros() as u64, most.as_micros() as u64);
        Duration::from_micros(least + self.below(most.saturating_sub(least) + 1))
    }

    /// A duration that is exponentially distributed, `mean` on average.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        // 1 − [0, 1) is never 0, whose logarithm isn't finite.
        let rest = 1.0 - self.below(1 << 53) as f64 / (1_u64 << 53) as f64;
        mean.mul_f64(-rest.ln())
    }

    /// A duration from `least` to `most`, each order of magnitude as likely as another.
    pub fn spread(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_secs_f64().max(1e-6).ln(), most.as_secs_f64().max(1e-6).ln());
        let share = self.below(1 << 53) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64((least + (most - least) * share).exp())
    }

    /// One of `choices`, which isn't empty.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
