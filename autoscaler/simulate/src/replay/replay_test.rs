use std::time::Duration;

use kaos_core::Policy;

use super::{Choice, Figures, Outcome, Settings, replay};
use crate::trace::{Function, Request, Trace};

const SECOND: u64 = 1_000_000;

fn settings(knobs: &[(&str, &str)]) -> Settings {
    Settings {
        policy: Policy::default().with(knobs.iter().copied()).unwrap(),
        start_time: Duration::from_secs(1),
        timelines: true,
    }
}

/// Requests at so many seconds, each of so many seconds, in a trace of an hour.
fn trace(requests: &[(f64, f64)]) -> Trace {
    let micros = |seconds: f64| (seconds * 1e6) as u64;
    let requests =
        requests.iter().map(|(at, takes)| Request { at: micros(*at), takes: micros(*takes) }).collect();
    Trace { functions: vec![Function { name: "shop".to_owned(), requests }], span: 3600 * SECOND }
}

fn of(trace: &Trace, choice: &str, settings: &Settings) -> Outcome {
    replay(trace, &choice.parse().unwrap(), settings).remove(0)
}

/// When the count first was `count` or more, and first zero after that, in seconds.
fn when(outcome: &Outcome, count: u32) -> (f64, f64) {
    let reached = outcome.timeline.iter().find(|(_, replicas)| *replicas >= count).unwrap().0;
    let zero = outcome.timeline.iter().find(|(at, replicas)| *at > reached && *replicas == 0).unwrap().0;
    (reached as f64 / 1e6, zero as f64 / 1e6)
}

#[test]
fn one_request_costs_a_start_itself_and_the_idle_time() {
    let outcome = of(&trace(&[(10.0, 0.5)]), "fixed:90s", &settings(&[]));
    let Figures { requests, cold_requests, starts, .. } = outcome.figures;
    assert_eq!((requests, cold_requests, starts), (1, 1, 1));
    assert_eq!(outcome.figures.replica_time(), Duration::from_millis(1000 + 500 + 90_000));
    assert_eq!(outcome.figures.busy_time(), Duration::from_millis(500));
    assert_eq!(outcome.figures.waits().max, Duration::from_secs(1));
    assert_eq!(outcome.timeline, [(10 * SECOND, 1), (101_500_000, 0)]);
}

#[test]
fn a_request_within_the_idle_time_is_warm() {
    let requests: Vec<_> = (0..10).map(|minute| (f64::from(minute) * 60.0, 0.1)).collect();
    assert_eq!(of(&trace(&requests), "fixed:90s", &settings(&[])).figures.cold_requests, 1);
    assert_eq!(of(&trace(&requests), "fixed:50s", &settings(&[])).figures.cold_requests, 10);
}

#[test]
fn a_hard_limit_makes_requests_wait_and_replicas_come() {
    let requests: Vec<_> = (0..8).map(|_| (10.0, 5.0)).collect();
    let knobs = [("container-concurrency", "2"), ("target-utilization-percentage", "100")];
    let outcome = of(&trace(&requests), "kaos", &settings(&knobs));
    assert_eq!((outcome.figures.cold_requests, outcome.figures.starts), (8, 4));
    assert_eq!(outcome.figures.waits().max, Duration::from_secs(1));
    assert_eq!(outcome.figures.busy_time(), Duration::from_secs(20));
}

/// Measured on the real thing: 60.5 s from the last request to zero, a decision every two seconds.
#[test]
fn kpa_is_at_zero_a_minute_after_the_last_request() {
    for phase in [0.0, 0.3, 0.9, 1.2, 1.7] {
        let outcome = of(&trace(&[(10.0 + phase, 0.1)]), "kpa", &settings(&[]));
        let (one, zero) = when(&outcome, 1);
        assert_eq!(one, 10.0 + phase, "the first is told at once");
        let after = zero - (11.1 + phase);
        assert!((58.5..=62.5).contains(&after), "{after} s after the last request, phase {phase}");
    }
}

/// Measured on the real thing: 80 that go on, each replica steered to 10, from zero: 8 replicas wanted after 6.9 s.
#[test]
fn kpa_wants_eight_for_eighty_after_its_panic_window() {
    let knobs = [("target", "10"), ("target-utilization-percentage", "100"), ("max-scale", "0")];
    for phase in [0.0, 0.4, 1.1, 1.9] {
        let requests: Vec<_> = (0..80).map(|_| (20.0 + phase, 60.0)).collect();
        let (eight, _) = when(&of(&trace(&requests), "kpa", &settings(&knobs)), 8);
        let after = eight - (20.0 + phase);
        assert!((4.9..=8.9).contains(&after), "{after} s, phase {phase}");
    }
}

#[test]
fn choices_are_read_as_they_are_shown() {
    for text in ["kaos", "kpa", "oracle", "fixed:5m", "fixed:90s"] {
        let shown = text.parse::<Choice>().unwrap().to_string();
        assert_eq!(shown.parse::<Choice>(), text.parse::<Choice>(), "{text}");
    }
    for text in ["", "knative", "fixed", "fixed:", "fixed:3", "fixed:10ms", "Kaos"] {
        assert!(text.parse::<Choice>().unwrap_err().contains("allowed is kaos, kpa, oracle"), "{text}");
    }
}
