//! When a workload that nobody uses may sleep.
//!
//! The idle clock restarts at each request's end, and when a replica becomes ready: a replica that has only just come up
//! isn't idle since before it was there.

use crate::moment::Moment;
use crate::observation::Observation;
use crate::policy::{IdleTimeout, Policy};

/// The moment from which nothing keeps the workload awake, if nothing happens before. `None` while requests are in
/// flight or wait, while a workload is awake that this one is awake with, or where zero isn't allowed.
pub fn ends(policy: &Policy, seen: &Observation) -> Option<Moment> {
    if seen.is_busy() || seen.company.is_some() || policy.min_scale > 0 {
        return None;
    }
    Some(match policy.idle_timeout {
        IdleTimeout::After(timeout) => seen.idle_since() + timeout,
        // What wasn't told when it is worth its time stays.
        IdleTimeout::Learned => seen.warmth?.until,
    })
}
