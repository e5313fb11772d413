//! What holds of every decision, whatever is seen.

use std::time::Duration;

use proptest::prelude::*;

use crate::decide::{Memory, decide};
use crate::decision::Decision;
use crate::observation::{Heard, Loads, Observation};
use crate::policy::IdleTimeout;
use crate::snapshot::{HandedTo, Mode, Replicas, StartFailure};
use crate::warm::Warmth;
use crate::window::Load;
use crate::{Moment, Policy};

fn any_observation() -> impl Strategy<Value = Observation> {
    let replicas = (0u32..12, 0u32..12, 0u32..4).prop_map(|(desired, ready, starting)| Replicas {
        desired,
        ready,
        starting,
    });
    let load = prop::option::of((0u64..3000, 0u64..3000).prop_map(|(stable, panic)| {
        let load = |hundredths: u64| Load::from_millionths(hundredths * 10_000);
        Loads { stable: load(stable), panic: load(panic) }
    }));
    let heard =
        prop_oneof![Just(Heard::Silent), (0u64..200).prop_map(|at| Heard::From(Moment::from_secs(at)))];
    let failure = prop::option::weighted(0.2, (any::<bool>(), 0u64..200)).prop_map(|failure| {
        failure.map(|(known, retry)| StartFailure {
            because: "exited".into(),
            detail: "exit status 1".into(),
            attempts: 1,
            known,
            retry_at: Moment::from_secs(retry),
        })
    });
    let moments = (prop::option::of(0u64..150), 0u64..150, 0u64..150, 0u64..150);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let allowance = prop::option::weighted(0.3, 0u32..5);
    let warmth = prop::option::of((0u64..150, prop::option::of(0u64..150)));
    (replicas, load, heard, failure, moments, flags, (allowance, warmth), 0u64..30, 0u64..30).prop_map(
        |(
            replicas,
            load,
            heard,
            failure,
            (active, ready, rest, contest),
            flags,
            (allowance, warmth),
            running,
            waiting,
        )| {
            Observation {
                leading: flags.0,
                mode: Mode::Scale,
                replicas,
                shown: flags.1,
                running,
                // Nothing waits half of the time.
                waiting: waiting.saturating_sub(15),
                load,
                last_activity: active.map(Moment::from_secs),
                ready_since: Moment::from_secs(ready),
                heard,
                seen: flags.2,
                failure,
                allowance,
                rest_until: Moment::from_secs(rest),
                contested_until: Moment::from_secs(contest.saturating_sub(75)),
                contender: None,
                handed_to: (contest % 3 == 0)
                    .then(|| HandedTo { who: "HPA shop".to_owned(), zero: contest % 2 == 0 }),
                company: None,
                warmth: warmth.map(|(until, prewarm)| Warmth {
                    until: Moment::from_secs(until),
                    prewarm: prewarm.map(Moment::from_secs),
                }),
            }
        },
    )
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (0u32..4, 0u32..8, 1u32..4, 0u32..4, 0u64..20, 1u64..60).prop_map(
        |(min_scale, room, activation_scale, container_concurrency, delay, idle)| Policy {
            target: Some(2.0),
            min_scale,
            max_scale: if room == 0 { 0 } else { min_scale.max(activation_scale) + room },
            activation_scale,
            container_concurrency,
            scale_down_delay: Duration::from_secs(delay),
            idle_timeout: if idle == 59 {
                IdleTimeout::Learned
            } else {
                IdleTimeout::After(Duration::from_secs(idle))
            },
            window: Duration::from_secs(20),
            ..Policy::default()
        },
    )
}

proptest! {
    /// Whatever is seen: the bounds hold, nothing goes down that mustn't, and the journal's inputs decide the same.
    #[test]
    fn every_decision_keeps_the_rules(
        policy in any_policy(),
        steps in prop::collection::vec((any_observation(), 1u64..20), 1..12),
    ) {
        let mut memory = Memory::default();
        let mut now = Moment::ZERO;
        for (seen, wait) in steps {
            now = now + Duration::from_secs(wait);
            let before = memory.clone();
            let (verdict, after) = decide(&policy, &seen, memory, now);
            let stored = serde_json::to_string(&(&policy, &seen, &before, now)).unwrap();
            let (policy_read, seen_read, memory_read, now_read): (Policy, Observation, Memory, Moment) =
                serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(decide(&policy_read, &seen_read, memory_read, now_read), (verdict, after.clone()));
            memory = after;
            let desired = seen.replicas.desired;
            let Decision::Scale { to, .. } = verdict.decision else { continue };
            prop_assert_ne!(to, desired);
            let theirs = |handed: &HandedTo| (desired, to) != (0, 1) && (to > 0 || handed.zero);
            prop_assert!(!seen.handed_to.as_ref().is_some_and(theirs), "{desired} to {to} is another's");
            let wakes = desired == 0 && seen.waiting > 0;
            prop_assert!(wakes || seen.contested_until <= now, "at most once a minute, but for wakes");
            if to > desired {
                prop_assert!(policy.max_scale == 0 || to <= policy.max_scale);
                prop_assert!(seen.leading || wakes);
                prop_assert!(seen.allowance.is_none_or(|allowance| to - desired <= allowance));
                prop_assert!(seen.failure.as_ref().is_none_or(|failure| failure.retry_at <= now));
            } else {
                prop_assert!(seen.leading && seen.shown && seen.waiting == 0 && seen.coming() == 0);
                prop_assert!(to >= policy.min_scale);
                prop_assert!(matches!(seen.heard, Heard::From(at) if at <= now));
                let ends = match policy.idle_timeout {
                    IdleTimeout::After(timeout) => Some(seen.idle_since() + timeout),
                    IdleTimeout::Learned => seen.warmth.map(|warmth| warmth.until),
                };
                let idle = seen.running == 0 && ends.is_some_and(|ends| ends <= now);
                prop_assert_eq!(to == 0, idle && policy.min_scale == 0);
            }
        }
    }
}
