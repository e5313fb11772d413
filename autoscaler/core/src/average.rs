//! The averages of one workload that is awake: what flowed in each second, in the stable and the panic window.

use crate::observation::Loads;
use crate::policy::{Metric, Policy};
use crate::window::Window;

/// What came since the last time it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Request-microseconds; negative where more was assumed than was true.
    pub micros: i64,
    /// Requests that began to run.
    pub arrivals: i64,
}

/// Both windows of a workload.
#[derive(Debug)]
pub struct Averages {
    stable: Window,
    panic: Window,
    /// The last second whose flow is in the windows.
    folded: u64,
    loads: Option<Loads>,
}

impl Averages {
    /// Empty windows; the first reading will be that of the second after `second`.
    pub fn new(policy: &Policy, second: u64) -> Self {
        Averages {
            stable: Window::new(policy.window.as_secs()),
            panic: Window::new(policy.panic_window().as_secs()),
            folded: second,
            loads: None,
        }
    }

    /// Whether the flow up to the end of `second` is still to come.
    pub fn lacks(&self, second: u64) -> bool {
        second > self.folded
    }

    /// Puts what flowed since the last time into the bucket of `second`. Seconds that were skipped had no flow.
    pub fn fold(&mut self, policy: &Policy, flow: Flow, second: u64) {
        let value = match policy.metric {
            Metric::Concurrency => flow.micros,
            Metric::Rps => flow.arrivals.saturating_mul(1_000_000),
        };
        for (window, seconds) in
            [(&mut self.stable, policy.window.as_secs()), (&mut self.panic, policy.panic_window().as_secs())]
        {
            if window.seconds() != seconds {
                *window = window.resized(seconds);
            }
            for skipped in (self.folded + 1).max((second + 1).saturating_sub(seconds))..second {
                window.record(skipped, 0);
            }
            window.record(second, value);
        }
        self.folded = second;
        self.loads = Some(Loads { stable: self.stable.average(second), panic: self.panic.average(second) });
    }

    /// The averages as of the last second that is over; `None` before the first.
    pub fn loads(&self) -> Option<Loads> {
        self.loads
    }

    /// Whether nothing flowed for a whole window: then no tick changes anything.
    pub fn is_quiet(&self) -> bool {
        self.loads.is_some() && self.stable.is_quiet() && self.panic.is_quiet()
    }
}
