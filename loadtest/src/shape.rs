//! A shape of load: how many requests a second come, from its beginning to its end. Files of `loadtest/shapes` hold one each.
//!
//! A file is TOML: `about` says what it is, and `parts` follow one after the other. A part has
//!
//! - `rate` and `duration`: requests a second, and for how long;
//! - `from`, `to` and `duration`: evenly from one rate to another;
//! - `mean`, `swing`, `period` and `duration`: a sine that begins at its least;
//! - or `times` and `parts`: those of the three kinds above, so many times.
//!
//! Rates are averages: requests come independently of each other (a Poisson process). Where each takes a second on average, a rate
//! is also how many are in flight. Pure: the same file and seed always give the same moments.

mod read;

#[cfg(test)]
mod shape_test;

use std::f64::consts::TAU;
use std::time::Duration;

use crate::schedule::{MOST, seeded};

/// A shape as its file says it, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// What it is.
    pub about: String,
    pieces: Vec<Piece>,
}

/// What goes on for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    course: Course,
    /// For how long, in seconds.
    lasts: f64,
}

/// Requests a second over time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Course {
    /// From one rate to another, or on at the same.
    Line { from: f64, to: f64 },
    /// Up and down, from the least.
    Wave { mean: f64, swing: f64, period: f64 },
}

impl Piece {
    /// The rate after `seconds` of it.
    fn rate(&self, seconds: f64) -> f64 {
        match self.course {
            Course::Line { from, to } => from + (to - from) * seconds / self.lasts,
            Course::Wave { mean, swing, period } => mean - swing * (TAU * seconds / period).cos(),
        }
    }

    /// No rate of it is above this.
    fn most(&self) -> f64 {
        match self.course {
            Course::Line { from, to } => from.max(to),
            Course::Wave { mean, swing, .. } => mean + swing,
        }
    }

    /// How many requests of it there are at most, on average.
    fn requests(&self) -> f64 {
        self.most() * self.lasts
    }
}

impl Shape {
    /// Reads and checks a shape. The error is one line, `file:line:column: what was got, what is expected`.
    pub fn parse(file: &str, text: &str) -> Result<Shape, String> {
        read::shape(file, text)
    }

    /// From its beginning to its end.
    pub fn span(&self) -> Duration {
        Duration::from_secs_f64(self.pieces.iter().map(|piece| piece.lasts).sum())
    }

    /// When requests come, in order, since its beginning. At most [`MOST`].
    pub fn moments(&self, seed: u64) -> Vec<Duration> {
        let mut random = seeded(seed, 0);
        let (mut moments, mut begun) = (Vec::new(), 0.0);
        for piece in &self.pieces {
            let mut at = 0.0;
            while moments.len() < MOST && piece.most() > 0.0 {
                // Those of the greatest rate, each kept as likely as the rate there is of it (Lewis and Shedler, 1979).
                at -= (1.0 - random.f64()).ln() / piece.most();
                if at >= piece.lasts {
                    break;
                }
                if random.f64() * piece.most() < piece.rate(at) {
                    moments.push(Duration::from_secs_f64(begun + at));
                }
            }
            begun += piece.lasts;
        }
        moments
    }
}
