//! What the control line makes of proxies telling each second: of the last moments it doesn't know everything yet.

use std::time::Duration;

use kaos_core::average::{Averages, Flow};
use kaos_core::idle;
use kaos_core::observation::Heard;
use kaos_core::{Moment, Observation, Policy};

use super::Track;
use crate::collect::Collect;

/// Proxies tell what ran each second, and it takes a moment to come.
const TOLD: Duration = Duration::from_millis(1100);

/// A proxy that is late is looked for again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// What happened this long ago is in the averages.
pub(crate) const UNTOLD: Duration = Duration::from_secs(3);

/// Idle time is over once every proxy has told of it to its end: what they have told of, up to `told`, isn't what has come and gone
/// since. Returns whether it is to be waited for; then `seen` has it that not enough was heard to go down.
pub(crate) fn awaits(policy: &Policy, seen: &mut Observation, told: Moment, now: Moment) -> bool {
    let untold = idle::ends(policy, seen).is_some_and(|ends| ends <= now && ends > told);
    if let Heard::From(at) = &mut seen.heard {
        *at = if untold { (*at).max(told + TOLD).max(now + AGAIN) } else { *at };
    }
    untold
}

impl Track {
    /// Brings the averages up to the last second of which every proxy has told. At zero there are none: what was before a sleep
    /// says nothing of what comes after. Returns what flowed in a second that is told of since the last look.
    pub(crate) fn measure(&mut self, collect: &mut Collect, now: Moment) -> Option<Flow> {
        if self.replicas().desired == 0 {
            self.averages = None;
            return None;
        }
        let over = now.secs().checked_sub(1)?;
        let (id, policy) = (&self.workload.id, &self.workload.policy);
        match &mut self.averages {
            Some(averages) => {
                // Proxies tell each second. Of the second that is just over some haven't yet, and a short request that was open
                // when they last did would count as a whole one: one alone after a wake, where a replica takes one, as a panic.
                let told = over.saturating_sub(1);
                let flow = averages.lacks(told).then(|| collect.flow(id, Moment::from_secs(told + 1)))?;
                averages.fold(policy, flow, told);
                Some(flow)
            }
            None => {
                collect.flow(id, now);
                self.averages = Some(Averages::new(policy, over));
                None
            }
        }
    }

    /// Whether a tick each second changes anything.
    pub(crate) fn ticks(&self, seen: &Observation, now: Moment) -> bool {
        let untold = seen.last_activity.is_some_and(|at| now.since(at) < UNTOLD);
        // Above the least, what keeps a count (a panic, the way out of it, a delay) ends by itself.
        let kept = untold || seen.replicas.desired > self.policy().floor();
        let moving = |averages: &Averages| seen.running > 0 || kept || !averages.is_quiet();
        seen.replicas.desired > 0 && self.averages.as_ref().is_none_or(moving)
    }
}
