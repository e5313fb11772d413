//! What one worker has counted of one workload. Written by that worker alone; copied by it when it is asked.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use kaos_core::{Moment, Sums};

/// Upper bounds of the duration buckets, in microseconds: OpenTelemetry's for HTTP, and up to a minute.
pub const DURATION_BOUNDS: [u64; 16] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
    5_000_000, 7_500_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Upper bounds of the cold start buckets, in microseconds: as above, and up to ten minutes.
pub const COLD_BOUNDS: [u64; 20] = [
    5_000,
    10_000,
    25_000,
    50_000,
    75_000,
    100_000,
    250_000,
    500_000,
    750_000,
    1_000_000,
    2_500_000,
    5_000_000,
    7_500_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    180_000_000,
    300_000_000,
    600_000_000,
];

/// A histogram with fixed bounds: counts per bucket (the last is for what is above all bounds), and the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    /// Observations per bucket, not cumulated.
    pub buckets: [u64; N],
    /// Observations above the last bound.
    pub above: u64,
    /// Sum of what was observed, in microseconds.
    pub sum: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram { buckets: [0; N], above: 0, sum: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts one more.
    pub(crate) fn observe(&mut self, bounds: &[u64; N], span: Duration) {
        let micros = span.as_micros() as u64;
        let at = bounds.partition_point(|bound| *bound < micros);
        match self.buckets.get_mut(at) {
            Some(bucket) => *bucket += 1,
            None => self.above += 1,
        }
        self.sum += micros;
    }

    /// Adds what another has observed.
    pub fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.above += other.above;
        self.sum += other.sum;
    }

    /// All observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.above
    }
}

/// The steps of a cold start, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    /// From the request's arrival to the decision to start.
    pub(crate) decide: Duration,
    /// From the decision to the replica's running.
    pub(crate) start: Duration,
    /// From its running to its being ready.
    pub(crate) ready: Duration,
    /// From the request's dispatch to the first byte of the response.
    pub(crate) first_byte: Duration,
}

/// Everything that is counted of one workload's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that hold or held a slot.
    pub running: Sums,
    /// Moment of the last arrival, end or byte moved on a stream.
    pub last_activity: Option<Moment>,
    /// Ended requests by status; 499 when the client left before its answer had begun.
    pub codes: Vec<(u16, u64)>,
    /// From arrival to the last byte.
    pub durations: Histogram<16>,
    /// Waits in the queue, of the requests that waited.
    pub queue_waits: Histogram<16>,
    /// Waits for a start.
    pub cold_starts: Histogram<20>,
    /// Sum of the phases of the requests that waited for a start.
    pub phases: [u64; 4],
    /// Requests that waited for a start.
    pub cold_requests: u64,
    /// Own answers by word.
    pub rejected: Vec<(&'static str, u64)>,
    /// Times that a request was sent once more, as a connection to a replica had failed it.
    pub retries: u64,
}

impl Counts {
    /// Adds what another worker has counted.
    pub fn add(&mut self, other: &Counts) {
        self.running = self.running.plus(&other.running);
        self.last_activity = self.last_activity.max(other.last_activity);
        for (code, count) in &other.codes {
            bump(&mut self.codes, *code, *count);
        }
        for (word, count) in &other.rejected {
            bump(&mut self.rejected, *word, *count);
        }
        self.durations.add(&other.durations);
        self.queue_waits.add(&other.queue_waits);
        self.cold_starts.add(&other.cold_starts);
        for (sum, more) in self.phases.iter_mut().zip(other.phases) {
            *sum += more;
        }
        self.cold_requests += other.cold_requests;
        self.retries += other.retries;
    }
}

fn bump<K: PartialEq>(counts: &mut Vec<(K, u64)>, key: K, by: u64) {
    match counts.iter_mut().find(|(known, _)| *known == key) {
        Some((_, count)) => *count += by,
        None => counts.push((key, by)),
    }
}

/// The counts of one workload in one worker.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    counts: RefCell<Counts>,
    running: Cell<Sums>,
    last_activity: Cell<Option<Moment>>,
}

impl Ledger {
    /// A request got a slot.
    pub(crate) fn dispatched(&self, now: Moment) {
        let mut sums = self.running.get();
        sums.start(now.micros());
        self.running.set(sums);
    }

    /// Its slot was given back, and it runs until `end`.
    pub(crate) fn released(&self, now: Moment, end: Moment) {
        let mut sums = self.running.get();
        sums.finish(end.micros());
        self.running.set(sums);
        self.active(now);
    }

    /// Something happened.
    pub(crate) fn active(&self, now: Moment) {
        self.last_activity.set(self.last_activity.get().max(Some(now)));
    }

    /// A request has ended with `code`.
    pub(crate) fn ended(&self, code: u16, took: Duration) {
        let mut counts = self.counts.borrow_mut();
        counts.durations.observe(&DURATION_BOUNDS, took);
        bump(&mut counts.codes, code, 1);
    }

    /// Kaos answered itself.
    pub(crate) fn rejected(&self, word: &'static str) {
        bump(&mut self.counts.borrow_mut().rejected, word, 1);
    }

    /// A request is sent once more.
    pub(crate) fn retried(&self) {
        self.counts.borrow_mut().retries += 1;
    }

    /// A request has waited in the queue.
    pub(crate) fn waited(&self, span: Duration) {
        self.counts.borrow_mut().queue_waits.observe(&DURATION_BOUNDS, span);
    }

    /// A request has waited for a start, and its answer begins.
    pub(crate) fn cold(&self, wait: Duration, phases: Phases) {
        let mut counts = self.counts.borrow_mut();
        counts.cold_starts.observe(&COLD_BOUNDS, wait);
        counts.cold_requests += 1;
        let spans = [phases.decide, phases.start, phases.ready, phases.first_byte];
        for (sum, span) in counts.phases.iter_mut().zip(spans) {
            *sum += span.as_micros() as u64;
        }
    }

    /// What a report says, and nothing more.
    pub(crate) fn brief(&self) -> (Sums, Option<Moment>) {
        (self.running.get(), self.last_activity.get())
    }

    /// A copy of everything.
    pub(crate) fn copy(&self) -> Counts {
        let (running, last_activity) = self.brief();
        Counts { running, last_activity, ..self.counts.borrow().clone() }
    }
}
