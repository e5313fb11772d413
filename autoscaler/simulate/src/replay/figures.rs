//! What became of one function, or of all of them, under one policy.

use std::time::Duration;

use kaos_core::learned::Prewarms;

/// Counts and times. Those of several functions add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests that came.
    pub requests: u64,
    /// Those that waited for a start.
    pub cold_requests: u64,
    /// Replicas that were started.
    pub starts: u64,
    /// Of those, the ones that were started before anybody asked.
    pub prewarms: Prewarms,
    /// How long each request waited that had to, in microseconds.
    pub waits: Vec<u64>,
    /// Microseconds of replicas from when they were asked for to when they were gone.
    pub(super) replicas: u64,
    /// Those of them with requests.
    pub(super) busy: u64,
}

/// How long requests waited, of those that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Half of them waited no longer.
    pub p50: Duration,
    /// 95 of a hundred waited no longer.
    pub p95: Duration,
    /// 99 of a hundred waited no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Figures {
    /// Replica time, from when replicas were asked for to when they were gone.
    pub fn replica_time(&self) -> Duration {
        Duration::from_micros(self.replicas)
    }

    /// Replica time with requests in flight.
    pub fn busy_time(&self) -> Duration {
        Duration::from_micros(self.busy)
    }

    /// Replica time without: starting, or kept.
    pub fn idle_time(&self) -> Duration {
        Duration::from_micros(self.replicas.saturating_sub(self.busy))
    }

    /// How long requests waited, of those that did. Zeros if none did.
    pub fn waits(&self) -> Waits {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        // The nearest rank.
        let rank = |percent: usize| {
            let at = (waits.len() * percent).div_ceil(100).saturating_sub(1);
            Duration::from_micros(waits.get(at).copied().unwrap_or(0))
        };
        Waits { p50: rank(50), p95: rank(95), p99: rank(99), max: rank(100) }
    }

    /// How long requests waited, of all of them: `percent` of a hundred waited no longer.
    pub fn wait_of_all(&self, percent: u64) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let didnt = self.requests.saturating_sub(waits.len() as u64);
        let rank = self.requests.saturating_mul(percent).div_ceil(100);
        let at = rank.checked_sub(didnt + 1).and_then(|at| waits.get(usize::try_from(at).ok()?));
        Duration::from_micros(at.copied().unwrap_or(0))
    }

    /// Adds those of another function.
    pub fn add(&mut self, other: &Figures) {
        self.requests += other.requests;
        self.cold_requests += other.cold_requests;
        self.starts += other.starts;
        self.prewarms.used += other.prewarms.used;
        self.prewarms.unused += other.prewarms.unused;
        self.waits.extend_from_slice(&other.waits);
        self.replicas = self.replicas.saturating_add(other.replicas);
        self.busy = self.busy.saturating_add(other.busy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_those_that_waited() {
        let figures = Figures { waits: (1..=200).rev().collect(), ..Figures::default() };
        let micros = Duration::from_micros;
        let expected = Waits { p50: micros(100), p95: micros(190), p99: micros(198), max: micros(200) };
        assert_eq!(figures.waits(), expected);
        assert_eq!(Figures::default().waits(), Waits::default());
    }

    #[test]
    fn of_all_those_that_didnt_wait_come_first() {
        let figures = |requests| Figures { requests, waits: vec![3, 1, 2], ..Figures::default() };
        let of_all = |requests, percent| figures(requests).wait_of_all(percent).as_micros();
        assert_eq!([of_all(3, 33), of_all(3, 34), of_all(3, 99), of_all(3, 100)], [1, 2, 3, 3]);
        assert_eq!([of_all(300, 99), of_all(200, 99), of_all(299, 100), of_all(400, 99)], [0, 1, 3, 0]);
        assert_eq!(Figures::default().wait_of_all(99), Duration::ZERO);
    }
}
