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
        let (id, policy) = (&self.workload.id, &self.workload.policy);
        match &mut self.averages {
            Some(averages) => averages.follow(policy, now, |until| collect.flow(id, until)),
            None => {
                collect.flow(id, now);
                self.averages = Some(Averages::new(policy, now));
                None
            }
        }
    }
}
