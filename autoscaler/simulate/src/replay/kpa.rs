//! Knative's KPA, as the real thing behaves: samples each second, a decision every two.
//!
//! The rules are `kaos_core::kpa`; here is what feeds them. Requests that wait at the activator count as concurrency, as its
//! reporter wraps its waiting; the first request onto zero is reported at once, as one, which the next sample takes back.
//! While there are replicas they are sampled though nothing comes.

use kaos_core::kpa::{self, TICK_SECONDS};
use kaos_core::policy::Metric;
use kaos_core::window::Window;
use kaos_core::{Moment, Policy};

use super::pool::{NEVER, Pool};
use super::scaler::Scaler;

const SECOND: u64 = 1_000_000;
/// One request.
const ONE: i64 = 1_000_000;

/// KPA.
#[derive(Debug)]
pub(crate) struct Kpa {
    policy: Policy,
    stable: Window,
    panic: Window,
    kpa: kpa::Kpa,
    /// The last second at whose end a sample was taken or was to be.
    sampled: u64,
    /// What is in samples already: request-microseconds, and requests.
    counted: (u64, u64),
    /// What the first request was reported as.
    poked: i64,
}

impl Kpa {
    pub(crate) fn new(policy: Policy) -> Self {
        Kpa {
            stable: Window::new(policy.window.as_secs()),
            panic: Window::new(policy.panic_window().as_secs()),
            kpa: kpa::Kpa::default(),
            sampled: 0,
            counted: (0, 0),
            poked: 0,
            policy,
        }
    }

    fn is_quiet(&self) -> bool {
        self.stable.is_quiet() && self.panic.is_quiet()
    }

    fn record(&mut self, second: u64, millionths: i64) {
        self.stable.record(second, millionths);
        self.panic.record(second, millionths);
    }

    /// Reports what came since the last sample.
    fn sample(&mut self, pool: &Pool, second: u64) {
        let (ran, waited) = pool.areas();
        let total = (ran + waited, pool.figures.requests);
        let (micros, requests) = (total.0 - self.counted.0, total.1 - self.counted.1);
        let mut span = second.saturating_sub(self.sampled).max(1);
        if self.is_quiet() {
            // Samples of nothing were left out.
            (second.saturating_sub(self.stable.seconds())..second)
                .for_each(|skipped| self.record(skipped, 0));
            span = 1;
        }
        let value = match self.policy.metric {
            // An average over the time since the last sample.
            Metric::Concurrency => micros as i64 / span as i64,
            Metric::Rps => requests as i64 * ONE,
        };
        let poked = std::mem::take(&mut self.poked);
        self.record(second, (value - poked).max(0));
        (self.counted, self.sampled) = (total, second);
    }

    fn decide(&mut self, pool: &mut Pool, second: u64) {
        let (stable, panic) = (self.stable.average(second), self.panic.average(second));
        let now = Moment::from_micros(pool.now());
        let kpa = std::mem::take(&mut self.kpa);
        let (desire, kpa) = kpa::step(&self.policy, stable, panic, pool.ready(), kpa, now);
        self.kpa = kpa;
        let to = self.policy.capped(desire.count.max(self.policy.min_scale));
        if to > pool.desired() {
            pool.raise(to);
        } else {
            pool.lower(to);
        }
    }
}

impl Scaler for Kpa {
    fn look(&mut self, pool: &mut Pool) -> u64 {
        let second = pool.now() / SECOND;
        if pool.desired() == 0 && pool.waiting() == 0 {
            return NEVER;
        }
        if pool.desired() == 0 {
            // The activator tells of the first request at once, and the autoscaler decides at once.
            self.counted = (pool.areas().0 + pool.areas().1, pool.figures.requests - pool.waiting());
            (self.sampled, self.poked) = (second, ONE);
            self.record(second, ONE);
            self.decide(pool, second);
        } else if second > self.sampled {
            self.sample(pool, second);
            if second.is_multiple_of(TICK_SECONDS) {
                self.decide(pool, second);
            }
        }
        let rests = pool.is_done() && self.is_quiet() && pool.desired() == self.policy.min_scale;
        if rests { NEVER } else { (second + 1) * SECOND }
    }
}
