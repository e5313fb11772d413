//! How long a turn of the control line takes: prints, judges nothing.
//!
//! `cargo run --release -p kaos-autoscaler --example turn [WORKLOADS]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_autoscaler::{Journal, Line, line};
use kaos_core::report::REPORT_VERSION;
use kaos_core::snapshot::Replicas;
use kaos_core::{Moment, Policy, ProxyId, Reading, Report, Snapshot, Workload, WorkloadId};

fn main() {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    busy(count);
    wake(count);
}

fn snapshot(count: u32, replicas: Replicas) -> Snapshot {
    let policy = Arc::new(Policy::default());
    let workload = |at: u32| {
        let id = WorkloadId::new("local", &format!("w{at:06}"));
        Arc::new(Workload { replicas, ..Workload::new(id, policy.clone()) })
    };
    Snapshot { version: 1, workloads: (0..count).map(workload).collect(), ..Snapshot::default() }
}

fn line(snapshot: &Snapshot) -> Line {
    let settings =
        line::Settings { id: "a".into(), max_starting: u32::MAX, earn_sleep: false, gather: Duration::ZERO };
    let mut line = Line::new(settings, Arc::new(Journal::default()));
    line.lead(true);
    line.saw(snapshot, Moment::ZERO);
    line.turn(Moment::ZERO);
    line
}

fn report(sequence: u64, now: Moment, workloads: Vec<(WorkloadId, Reading)>) -> Report {
    let (version, proxy) = (REPORT_VERSION, ProxyId::new("p"));
    Report { version, proxy, epoch: 1, sequence, at: now.micros(), full: sequence == 1, workloads }
}

/// Every workload has requests and news in every second.
fn busy(count: u32) {
    let snapshot = snapshot(count, Replicas { desired: 1, ready: 1, starting: 0 });
    let mut line = line(&snapshot);
    let mut readings: Vec<_> =
        snapshot.workloads.iter().map(|workload| (workload.id.clone(), Reading::default())).collect();
    let (mut hears, mut turns) = (Vec::new(), Vec::new());
    for second in 1..=90 {
        let now = Moment::from_secs(second);
        for (_, reading) in &mut readings {
            reading.running.start(now.micros() - 900_000);
            reading.running.finish(now.micros() - 400_000);
            reading.last_activity = Some(now.micros() - 400_000);
        }
        let report = report(second, now, readings.clone());
        let begun = Instant::now();
        line.heard(&report, now);
        hears.push(begun.elapsed());
        let begun = Instant::now();
        let actions = line.turn(now);
        turns.push(begun.elapsed());
        assert!(actions.is_empty());
    }
    println!("{count} busy workloads, all with news each second:");
    tell("taking the report", &mut hears);
    tell("the turn", &mut turns);
}

/// One of many sleeping workloads is asked for.
fn wake(count: u32) {
    let snapshot = snapshot(count, Replicas::default());
    let mut line = line(&snapshot);
    let everything = snapshot.workloads.iter().map(|workload| (workload.id.clone(), Reading::default()));
    line.heard(&report(1, Moment::ZERO, everything.collect()), Moment::ZERO);
    line.turn(Moment::ZERO);
    let mut times = Vec::new();
    for (at, workload) in snapshot.workloads.iter().enumerate().take(1000) {
        let now = Moment::from_micros(1000 + at as u64);
        let mut reading = Reading::default();
        reading.waiting.start(now.micros());
        let report = report(2 + at as u64, now, vec![(workload.id.clone(), reading)]);
        let begun = Instant::now();
        line.heard(&report, now);
        let actions = line.turn(now);
        times.push(begun.elapsed());
        assert_eq!(actions.len(), 1);
    }
    println!("{count} sleeping workloads, one wakes:");
    tell("from its report to the write", &mut times);
}

fn tell(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("  {what}: median {median:?}, longest {longest:?}");
}
