//! What an autoscaler is told that a count was handed to: a workload's load as one number, which is zero only where the
//! workload may go to zero.
//!
//! A HorizontalPodAutoscaler makes of a sum and an average per replica `ceil(sum / average)` replicas: whatever is above zero, however
//! little, keeps one, and zero takes all away without asking anybody else.

use crate::decide::waker;
use crate::idle;
use crate::moment::Moment;
use crate::observation::{Heard, Observation};
use crate::policy::Policy;
use crate::window::Load;

/// What keeps a replica: a thousandth, for Kubernetes' quantities are written in no less.
pub const LEAST: Load = Load::from_millionths(1000);

/// The load at `now`: what the windows have on average, in flight or a second as the policy's metric says, and those who wait.
/// `None`: a proxy isn't heard, and no data isn't zero.
pub fn told(policy: &Policy, seen: &Observation, now: Moment) -> Option<Load> {
    match seen.heard {
        Heard::From(at) if at <= now => {}
        Heard::From(_) | Heard::Silent => return None,
    }
    // The windows are of when something ran.
    if seen.replicas.desired == 0 {
        return Some(match waker(policy, seen, now) {
            Some(_) => Load::of(seen.waiting as f64).max(LEAST),
            None => Load::ZERO,
        });
    }
    let rests = seen.seen && seen.shown && seen.coming() == 0;
    if rests && idle::ends(policy, seen).is_some_and(|at| at <= now) {
        return Some(Load::ZERO);
    }
    let average = seen.load.map_or(0.0, |loads| loads.stable.requests());
    Some(Load::of(average + seen.waiting as f64).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkloadId;
    use crate::observation::{Company, Loads};
    use crate::snapshot::Replicas;
    use crate::warm::Warmth;

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    /// One replica that was last asked at 100, of a workload that sleeps after a minute.
    fn scene() -> (Policy, Observation) {
        let policy = Policy::default().with([("idle-timeout", "1m")]).unwrap();
        let seen = Observation {
            replicas: Replicas { desired: 1, ready: 1, starting: 0 },
            shown: true,
            seen: true,
            heard: Heard::From(at(10)),
            last_activity: Some(at(100)),
            ..Observation::default()
        };
        (policy, seen)
    }

    fn said(policy: &Policy, seen: &Observation, second: u64) -> Option<f64> {
        told(policy, seen, at(second)).map(Load::requests)
    }

    #[test]
    fn it_is_what_flows_and_what_waits() {
        let (policy, mut seen) = scene();
        seen.load = Some(Loads { stable: Load::of(12.5), panic: Load::of(90.0) });
        seen.running = 12;
        assert_eq!(said(&policy, &seen, 101), Some(12.5));
        seen.waiting = 30;
        assert_eq!(said(&policy, &seen, 101), Some(42.5));
    }

    #[test]
    fn it_is_zero_once_the_idle_time_is_over_and_not_before() {
        let (policy, mut seen) = scene();
        assert_eq!(said(&policy, &seen, 159), Some(0.001), "nothing flows, and it stays");
        seen.load = Some(Loads { stable: Load::of(3.0), panic: Load::ZERO });
        assert_eq!(said(&policy, &seen, 159), Some(3.0));
        assert_eq!(said(&policy, &seen, 160), Some(0.0), "whatever the windows still have");
        seen.running = 1;
        assert_eq!(said(&policy, &seen, 900), Some(3.0));
    }

    #[test]
    fn what_isnt_known_or_not_earned_is_never_zero() {
        let idle = 900;
        let keeps = |change: fn(&mut Policy, &mut Observation)| {
            let (mut policy, mut seen) = scene();
            change(&mut policy, &mut seen);
            said(&policy, &seen, idle)
        };
        assert_eq!(keeps(|_, _| {}), Some(0.0));
        assert_eq!(keeps(|_, seen| seen.heard = Heard::Silent), None);
        assert_eq!(keeps(|_, seen| seen.heard = Heard::From(at(901))), None);
        assert_eq!(keeps(|_, seen| seen.seen = false), Some(0.001), "the first sleep is earned");
        assert_eq!(keeps(|_, seen| seen.shown = false), Some(0.001), "our wake isn't shown yet");
        assert_eq!(keeps(|_, seen| seen.replicas.ready = 0), Some(0.001), "a start is finished");
        assert_eq!(keeps(|policy, _| policy.min_scale = 1), Some(0.001));
        let company = |_: &mut Policy, seen: &mut Observation| {
            seen.company = Some(Company { with: WorkloadId::new("n", "web"), wakes: false });
        };
        assert_eq!(keeps(company), Some(0.001));
    }

    #[test]
    fn at_zero_it_is_what_wakes() {
        let (policy, mut seen) = scene();
        seen.replicas = Replicas::default();
        seen.load = Some(Loads { stable: Load::of(40.0), panic: Load::of(40.0) });
        assert_eq!(said(&policy, &seen, 101), Some(0.0), "the windows are of before");
        seen.waiting = 3;
        assert_eq!(said(&policy, &seen, 101), Some(3.0));
        seen.waiting = 0;
        seen.warmth = Some(Warmth { until: at(100), prewarm: Some(at(200)) });
        assert_eq!((said(&policy, &seen, 199), said(&policy, &seen, 200)), (Some(0.0), Some(0.001)));
        seen.warmth = None;
        let least = Policy { min_scale: 2, ..policy };
        assert_eq!(said(&least, &seen, 101), Some(0.001));
    }
}
