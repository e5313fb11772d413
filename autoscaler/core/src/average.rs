//! The averages of one workload that is awake: what flowed in each second, in the stable and the panic window.

use std::time::Duration;

use crate::Observation;
use crate::moment::Moment;
use crate::observation::Loads;
use crate::policy::{Metric, Policy};
use crate::window::Window;

/// What happened this long ago is in the averages.
const UNTOLD: Duration = Duration::from_secs(3);

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
    /// The first second whose flow isn't in the windows.
    next: u64,
    loads: Option<Loads>,
}

impl Averages {
    /// Empty windows; the first second in them will be that of `now`.
    pub fn new(policy: &Policy, now: Moment) -> Self {
        Averages {
            stable: Window::new(policy.window.as_secs()),
            panic: Window::new(policy.panic_window().as_secs()),
            next: now.secs(),
            loads: None,
        }
    }

    /// Brings them up to the last second of which every proxy has told by `now`: `flow` says what flowed up to a moment since it
    /// was last asked. Returns that, if there was such a second since.
    ///
    /// Proxies tell each second. Of the second that is just over some haven't yet, and a short request that was open when they
    /// last did would count as a whole one: one alone after a wake, where a replica takes one, as a panic.
    pub fn follow(
        &mut self,
        policy: &Policy,
        now: Moment,
        flow: impl FnOnce(Moment) -> Flow,
    ) -> Option<Flow> {
        let told = now.secs().checked_sub(2).filter(|told| *told >= self.next)?;
        let flow = flow(Moment::from_secs(told + 1));
        self.fold(policy, flow, told);
        Some(flow)
    }

    /// Puts what flowed since the last time into the bucket of `second`. Seconds that were skipped had no flow.
    fn fold(&mut self, policy: &Policy, flow: Flow, second: u64) {
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
            for skipped in self.next.max((second + 1).saturating_sub(seconds))..second {
                window.record(skipped, 0);
            }
            window.record(second, value);
        }
        self.next = second + 1;
        self.loads = Some(Loads { stable: self.stable.average(second), panic: self.panic.average(second) });
    }

    /// The averages as of the last second in them; `None` before the first.
    pub fn loads(&self) -> Option<Loads> {
        self.loads
    }

    /// Whether nothing flowed for a whole window.
    fn is_quiet(&self) -> bool {
        self.loads.is_some() && self.stable.is_quiet() && self.panic.is_quiet()
    }
}

/// Whether a look each second changes anything, though nothing else happens.
pub fn ticks(averages: Option<&Averages>, policy: &Policy, seen: &Observation, now: Moment) -> bool {
    let untold = seen.last_activity.is_some_and(|at| now.since(at) < UNTOLD);
    // Above the least, what keeps a count (a panic, the way out of it, a delay) ends by itself.
    let kept = untold || seen.replicas.desired > policy.floor();
    let moving = |averages: &Averages| seen.running > 0 || kept || !averages.is_quiet();
    seen.replicas.desired > 0 && averages.is_none_or(moving)
}
