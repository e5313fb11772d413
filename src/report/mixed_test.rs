//! Proxies of several versions side by side: what an old one doesn't know, it never counts as saying.

use std::sync::Arc;
use std::time::Duration;

use kaos_autoscaler::line::Settings;
use kaos_autoscaler::{Action, Journal, Line};
use kaos_core::report::{HoldAnswer, HoldState, REPORT_VERSION, Reading};
use kaos_core::snapshot::{Hold, Replicas};
use kaos_core::{Moment, Policy, ProxyId, Report, Snapshot, Workload, WorkloadId};

use super::Reader;
use super::write::lines;

/// From a proxy that knows of no hold: it answers none, and has words of its own.
const WITHOUT: &str = include_str!("../../tests/fixtures/report-v1-without-hold.ndjson");

/// From one that still says of an earlier hold that it confirms.
const EARLIER: &str = include_str!("../../tests/fixtures/report-v1.ndjson");

/// What `text` says first.
fn read(text: &str) -> Report {
    let line = text.lines().next().unwrap();
    Reader::default().take(format!("{line}\n").as_bytes()).unwrap().remove(0)
}

/// A new proxy, maybe an old one beside it, and a workload that has been idle for long.
struct Scene {
    line: Line,
    workload: Workload,
    old: Option<Report>,
    sequence: u64,
    now: Moment,
    holds: usize,
}

impl Scene {
    fn new(old: &str) -> Scene {
        let policy = Policy::default().with([("idle-timeout", "1s")]).unwrap();
        let settings =
            Settings { id: "a".into(), max_starting: 1, earn_sleep: false, gather: Duration::ZERO };
        let mut line = Line::new(settings, Arc::new(Journal::default()));
        line.lead(true);
        let mut workload = Workload::new(WorkloadId::new("shops", "shop"), policy);
        workload.replicas = Replicas { desired: 1, ready: 1, starting: 0 };
        Scene { line, workload, old: Some(read(old)), sequence: 0, now: Moment::ZERO, holds: 0 }
    }

    /// The new proxy obeys whatever hold it sees.
    fn new_proxy(&self) -> Report {
        let answer =
            |hold: &Hold| HoldAnswer { id: hold.id.clone(), state: HoldState::Confirmed, empty: vec![] };
        let reading = Reading {
            hold: self.workload.hold.as_ref().map(answer),
            seen: self.workload.version,
            ..Reading::default()
        };
        let report = Report {
            version: REPORT_VERSION,
            proxy: ProxyId::new("new"),
            epoch: 1,
            sequence: self.sequence,
            at: self.now.micros(),
            full: true,
            workloads: vec![(self.workload.id.clone(), reading)],
        };
        let written: Vec<u8> = lines(&report).into_iter().flatten().collect();
        Reader::default().take(&written).unwrap().remove(0)
    }

    /// Half a second passes: all report, and what the line asks for is done.
    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(500);
        self.sequence += 1;
        let workloads = Arc::from([Arc::new(self.workload.clone())]);
        self.line.saw(&Snapshot { version: self.sequence, workloads, ..Snapshot::default() }, self.now);
        self.line.heard(&self.new_proxy(), self.now);
        if let Some(old) = &mut self.old {
            (old.sequence, old.at) = (self.sequence, self.now.micros());
            self.line.heard(old, self.now);
        }
        for action in self.line.turn(self.now) {
            self.workload.version += 1;
            match &action {
                Action::Scale { scale, .. } => {
                    self.workload.replicas = Replicas { desired: scale.to, ..Replicas::default() }
                }
                Action::Hold { hold, .. } => {
                    self.holds += 1;
                    self.workload.hold = Some(hold.clone());
                }
                Action::Release { .. } => self.workload.hold = None,
            }
            self.line.done(&action, &Ok(self.workload.version), self.now);
        }
    }

    fn steps(&mut self, seconds: usize) {
        for _ in 0..seconds * 2 {
            self.step();
        }
    }
}

#[test]
fn an_old_proxy_confirms_no_hold_that_it_doesnt_know() {
    for old in [WITHOUT, EARLIER] {
        let mut scene = Scene::new(old);
        let id = scene.old.as_ref().unwrap().proxy.clone();
        scene.steps(120);
        assert!(scene.holds > 1, "it was tried, and tried again");
        assert_eq!(scene.workload.replicas.desired, 1, "{old}");
        // It has gone, and is listed no more.
        scene.old = None;
        scene.line.lost(&id);
        scene.steps(120);
        assert_eq!(scene.workload.replicas.desired, 0, "{old}");
    }
}
