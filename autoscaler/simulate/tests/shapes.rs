//! Above one: Kaos beside Knative's KPA under a sample of the shapes of load. `--example shapes` runs all of them.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use kaos_loadtest::shape::Shape;
use kaos_simulate::compare::{COST, MEAN_COST, Ratio, WAIT, against_kpa, function, policy};
use kaos_simulate::replay::Settings;
use kaos_simulate::trace::Trace;

const SHAPES: [&str; 6] = ["ramp-10s", "sawtooth", "spike", "square-5s", "square-60s", "step-20"];
const STARTS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(20)];
const SEEDS: std::ops::Range<u64> = 1..3;
const TAKES: Duration = Duration::from_secs(1);

fn trace(name: &str) -> Trace {
    let file = format!("{}/../../loadtest/shapes/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let shape = Shape::parse(&file, &std::fs::read_to_string(&file).unwrap()).unwrap();
    let functions = SEEDS.map(|seed| function(&shape.moments(seed), TAKES, seed)).collect();
    Trace { functions, span: shape.span().as_micros() as u64 }
}

/// Every run keeps both bars, and all of them the third, with a hard limit on a replica's requests and without one.
#[test]
fn nobody_waits_longer_than_under_kpa_and_replica_time_is_less() {
    let traces = SHAPES.map(|name| (name, trace(name)));
    for limit in [10, 0] {
        let mut costs = Vec::new();
        for (name, trace) in &traces {
            for start_time in STARTS {
                let settings = Settings { policy: policy(limit), start_time, timelines: false };
                for (seed, Ratio { wait, cost }) in SEEDS.zip(against_kpa(trace, &settings)) {
                    let run = format!("{name}, starts of {start_time:?}, limit {limit}, seed {seed}");
                    assert!(wait <= WAIT, "{run}: p99 of waiting {wait:.3} times KPA's");
                    assert!(cost <= COST, "{run}: replica time {cost:.3} times KPA's");
                    costs.push(cost);
                }
            }
        }
        let mean = costs.iter().sum::<f64>() / costs.len() as f64;
        assert!(mean <= MEAN_COST, "limit {limit}: replica time {mean:.3} times KPA's in the mean");
    }
}
