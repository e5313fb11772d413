//! Averages over the last seconds, as Knative's autoscaler takes them: a ring of one-second buckets, and a sliding
//! maximum.
//!
//! All numbers are whole millionths of a request: sums stay exact however long the ring turns, and what a journal
//! stores reads back as the same number. Knows nothing of replicas or targets.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Requests in flight on average, or requests a second, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Load(u64);

impl Load {
    /// No load.
    pub const ZERO: Load = Load(0);

    /// So many requests; below zero counts as zero. Rounded to millionths.
    pub fn of(requests: f64) -> Self {
        Load((requests * 1e6).round() as u64)
    }

    /// So many millionths of a request.
    pub const fn from_millionths(millionths: u64) -> Self {
        Load(millionths)
    }

    /// In millionths of a request.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// In requests.
    pub fn requests(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// Largest magnitude of one bucket, so that the sum of an hour's buckets can't overflow: a thousand million requests
/// in flight.
const BUCKET_BOUND: i64 = 1_000_000_000_000_000;

/// A ring of one-second buckets (Knative's `TimedFloat64Buckets`, linear).
///
/// The average divides by the seconds since the first write while that is less than a window, so the first second
/// after a silence is already the full signal. Seconds without a write count as zero inside the window and not at all
/// at its end.
#[derive(Clone, Debug)]
pub struct Window {
    buckets: Vec<i64>,
    first: u64,
    last: Option<u64>,
    total: i64,
}

impl Window {
    /// An empty window of `seconds` (at least one).
    pub fn new(seconds: u64) -> Self {
        Window { buckets: vec![0; seconds.max(1) as usize], first: 0, last: None, total: 0 }
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> u64 {
        self.buckets.len() as u64
    }

    fn at(&self, second: u64) -> usize {
        (second % self.seconds()) as usize
    }

    /// Adds `millionths` to the bucket of `second`. Values of the same second are summed; one from a window or more
    /// before the last is ignored. A value may be negative: it corrects what was assumed before.
    pub fn record(&mut self, second: u64, millionths: i64) {
        match self.last {
            Some(last) if second + self.seconds() <= last => return,
            Some(last) if second <= last => self.first = self.first.min(second),
            Some(last) if second - last < self.seconds() => self.clear(last + 1, second),
            _ => {
                self.buckets.fill(0);
                self.total = 0;
                self.first = second;
            }
        }
        self.last = self.last.max(Some(second));
        let at = self.at(second);
        let sum = self.buckets[at].saturating_add(millionths).clamp(-BUCKET_BOUND, BUCKET_BOUND);
        self.total += sum - self.buckets[at];
        self.buckets[at] = sum;
    }

    fn clear(&mut self, from: u64, to: u64) {
        for second in from..=to {
            let at = self.at(second);
            self.total -= self.buckets[at];
            self.buckets[at] = 0;
        }
    }

    /// The same readings in a window of `seconds`, as far as both reach back.
    pub fn resized(&self, seconds: u64) -> Window {
        let mut window = Window::new(seconds);
        if let Some(last) = self.last {
            let oldest = last.saturating_sub(self.seconds().min(window.seconds()) - 1);
            for second in oldest.max(self.first)..=last {
                window.record(second, self.buckets[self.at(second)]);
            }
        }
        window
    }

    /// The average at `second`; zero if nothing was written for a window.
    pub fn average(&self, second: u64) -> Load {
        let Some(last) = self.last else { return Load::ZERO };
        let silent = second.saturating_sub(last);
        if silent >= self.seconds() {
            return Load::ZERO;
        }
        let stale: i64 = (1..=silent).map(|step| self.buckets[self.at(last + step)]).sum();
        let valid = (last - self.first + 1).min(self.seconds() - silent);
        let sum = (self.total - stale).max(0) as u64;
        Load((sum + valid / 2) / valid)
    }

    /// Whether every bucket is empty.
    pub fn is_quiet(&self) -> bool {
        self.total == 0 && self.buckets.iter().all(|bucket| *bucket == 0)
    }
}

/// The maximum of the last `span` steps (Knative's `max.TimeWindow`), as a queue of falling values: its front is the
/// maximum, and a value leaves when a greater one comes or its time is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlidingMax {
    falling: VecDeque<(u64, u32)>,
}

impl SlidingMax {
    /// Adds `value` at `step`, and returns the maximum of the steps above `step − span`.
    pub fn record(&mut self, span: u64, step: u64, value: u32) -> u32 {
        while self.falling.front().is_some_and(|(at, _)| at + span <= step) {
            self.falling.pop_front();
        }
        while self.falling.back().is_some_and(|(_, last)| *last <= value) {
            self.falling.pop_back();
        }
        if self.falling.back().is_none_or(|(at, _)| *at < step) {
            self.falling.push_back((step, value));
        }
        self.falling.front().map_or(value, |(_, most)| *most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: i64 = 1_000_000;

    fn average(window: &Window, second: u64) -> f64 {
        window.average(second).requests()
    }

    #[test]
    fn averages_are_knatives() {
        // Row 19 of the scenarios: aggregation/bucketing_test.go.
        let mut window = Window::new(5);
        window.record(0, ONE);
        assert_eq!(average(&window, 0), 1.0);
        for second in 1..5 {
            window.record(second, (second as i64 + 1) * ONE);
        }
        assert_eq!(average(&window, 4), 3.0);
        assert_eq!(average(&window, 6), 4.0);
        assert_eq!(average(&window, 10), 0.0);
        window.record(6, 91 * ONE);
        assert_eq!(average(&window, 6), 20.6);
        window.record(66, 1984 * ONE);
        assert_eq!(average(&window, 66), 1984.0);
        window.record(63, 4 * ONE);
        assert_eq!(average(&window, 66), 497.0);
        window.record(67, 5 * ONE);
        assert_eq!(average(&window, 67), 1993.0 / 5.0);
        window.record(64, 10 * ONE);
        assert_eq!(average(&window, 67), 2003.0 / 5.0);
        window.record(62, 10 * ONE);
        window.record(61, 10 * ONE);
        assert_eq!(average(&window, 67), 2003.0 / 5.0);
        window.record(72, 10 * ONE);
        assert_eq!(average(&window, 72), 10.0);
    }

    #[test]
    fn several_readings_add_up_and_two_windows_agree() {
        // Row 24: 7 reports of 10 over 2 buckets (3, then 4) average 35; windows of 6 s and 2 s over 5..14.
        let mut window = Window::new(6);
        for second in [0, 0, 0, 1, 1, 1, 1] {
            window.record(second, 10 * ONE);
        }
        assert_eq!(average(&window, 1), 35.0);
        let (mut stable, mut panic) = (Window::new(6), Window::new(2));
        for second in 0..10 {
            stable.record(second, (second as i64 + 5) * ONE);
            panic.record(second, (second as i64 + 5) * ONE);
        }
        assert_eq!((average(&stable, 9), average(&panic, 9)), (11.5, 13.5));
    }

    #[test]
    fn sliding_maxima_are_knatives() {
        // Row 22: aggregation/max/window_test.go.
        let run = |input: &[(u64, u32)]| {
            let mut window = SlidingMax::default();
            input.iter().map(|(step, value)| window.record(5, *step, *value)).collect::<Vec<_>>()
        };
        let input = [5, 8, 5, 7, 5, 5, 1, 4, 4, 4, 4, 9, 3, 4, 2, 1, 0];
        let steps: Vec<_> = input.iter().enumerate().map(|(step, value)| (step as u64, *value)).collect();
        assert_eq!(run(&steps), [5, 8, 8, 8, 8, 8, 7, 7, 5, 5, 4, 9, 9, 9, 9, 9, 4]);
        assert_eq!(run(&(1..=7).map(|value| (0, value)).collect::<Vec<_>>()), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(run(&(1..=7).rev().map(|value| (0, value)).collect::<Vec<_>>()), [7; 7]);
        assert_eq!(run(&[(0, 6), (1, 5), (2, 2), (6, 1)]), [6, 6, 6, 2]);
    }

    proptest! {
        #[test]
        fn the_running_total_is_the_sum_of_the_buckets(
            writes in prop::collection::vec((0u64..40, any::<i64>()), 0..60), seconds in 1u64..12,
        ) {
            let mut window = Window::new(seconds);
            for (second, value) in writes {
                window.record(second, value);
                prop_assert_eq!(window.total, window.buckets.iter().sum::<i64>());
                let _ = window.average(second + 3);
            }
        }

        #[test]
        fn the_sliding_maximum_is_the_maximum(values in prop::collection::vec((0u64..3, 0u32..50), 1..60), span in 1u64..9) {
            let mut window = SlidingMax::default();
            let mut seen: Vec<(u64, u32)> = Vec::new();
            let mut step = 0;
            for (gap, value) in values {
                step += gap;
                seen.push((step, value));
                let most = seen.iter().filter(|(at, _)| at + span > step).map(|(_, value)| *value).max();
                prop_assert_eq!(Some(window.record(span, step, value)), most);
            }
        }
    }
}
