//! Of the last moments an autoscaler doesn't know everything yet: proxies tell each second.

use std::time::Duration;

use kaos_core::observation::Heard;
use kaos_core::{Moment, Observation, Policy, idle};

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
