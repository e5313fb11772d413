//! One line, one proxy and a platform for tests, which are told line by line what happens.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::report::REPORT_VERSION;
use kaos_core::snapshot::Replicas;
use kaos_core::{Moment, Policy, ProxyId, Reading, Report, Snapshot, Workload, WorkloadId};

use crate::line::{Line, Settings};
use crate::{Action, Journal};

/// One line, one proxy, and workloads whose platform does everything at once when told to.
pub(crate) struct Desk {
    pub(crate) line: Line,
    pub(crate) journal: Arc<Journal>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) shown: Vec<Arc<Workload>>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) version: u64,
    pub(crate) sequence: u64,
    pub(crate) now: Moment,
}

impl Desk {
    pub(crate) fn new(count: usize, max_starting: u32, knobs: &[(&str, &str)]) -> Self {
        let usual = [("idle-timeout", "1m")];
        let policy = Arc::new(Policy::default().with(usual.iter().chain(knobs).copied()).unwrap());
        let workload = |at: usize| Workload::new(WorkloadId::new("local", &format!("w{at}")), policy.clone());
        let journal = Arc::new(Journal::default());
        let settings = Settings { id: "a".into(), max_starting, earn_sleep: false, gather: Duration::ZERO };
        let mut desk = Desk {
            line: Line::new(settings, journal.clone()),
            journal,
            workloads: (0..count).map(workload).collect(),
            shown: Vec::new(),
            readings: vec![Reading::default(); count],
            version: 1,
            sequence: 0,
            now: Moment::ZERO,
        };
        desk.line.lead(true);
        desk.show();
        desk.report();
        desk
    }

    /// Another process takes over, with what was learned.
    pub(crate) fn restart(&mut self) {
        let old = std::mem::take(&mut self.journal);
        let settings =
            Settings { id: "b".into(), max_starting: 20, earn_sleep: false, gather: Duration::ZERO };
        self.line = Line::new(settings, self.journal.clone());
        self.line.lead(true);
        self.show();
        for (id, book) in old.all() {
            if let Some(kept) = book.kept() {
                self.line.recall(&id, &kept, self.now).unwrap();
            }
        }
        self.report();
    }

    pub(crate) fn show(&mut self) {
        // What hasn't changed is the same picture: only what has is looked at.
        let shown = self.workloads.iter().enumerate().map(|(at, workload)| match self.shown.get(at) {
            Some(shown) if shown.version == workload.version => shown.clone(),
            _ => Arc::new(workload.clone()),
        });
        self.shown = shown.collect();
        let workloads = self.shown.clone().into();
        let snapshot = Snapshot { version: self.version, workloads, ..Snapshot::default() };
        self.line.saw(&snapshot, self.now);
    }

    pub(crate) fn report(&mut self) {
        self.sequence += 1;
        let ids = self.workloads.iter().map(|workload| workload.id.clone());
        let report = Report {
            version: REPORT_VERSION,
            proxy: ProxyId::new("p"),
            epoch: 1,
            sequence: self.sequence,
            at: self.now.micros(),
            full: true,
            workloads: ids.zip(self.readings.iter().cloned()).collect(),
        };
        self.line.heard(&report, self.now);
    }

    pub(crate) fn turn(&mut self) -> Vec<Action> {
        self.line.turn(self.now)
    }

    /// The turn's counts, as `name to`; holds and releases by their name.
    pub(crate) fn told(&mut self) -> Vec<String> {
        let tell = |action: &Action| match action {
            Action::Scale { workload, scale } => format!("{} {}", workload.name(), scale.to),
            Action::Hold { workload, .. } => format!("{} hold", workload.name()),
            Action::Release { workload } => format!("{} release", workload.name()),
        };
        self.turn().iter().map(tell).collect()
    }

    /// The platform does what `action` asks and shows it.
    pub(crate) fn done(&mut self, action: &Action) {
        let at = self.workloads.iter().position(|workload| workload.id == *action.workload()).unwrap();
        self.version += 1;
        let workload = &mut self.workloads[at];
        workload.version = self.version;
        match action {
            Action::Scale { scale, .. } => {
                workload.replicas.desired = scale.to;
                workload.contender = None;
            }
            Action::Hold { hold, .. } => workload.hold = Some(hold.clone()),
            Action::Release { .. } => workload.hold = None,
        }
        self.line.done(action, &Ok(self.version), self.now);
        self.show();
    }

    /// Somebody else, or time, changes the counts of a workload.
    pub(crate) fn counts(&mut self, at: usize, desired: u32, ready: u32) {
        self.version += 1;
        let starting = desired.saturating_sub(ready);
        if desired != self.workloads[at].replicas.desired {
            self.workloads[at].contender = Some("script".into());
        }
        self.workloads[at].replicas = Replicas { desired, ready, starting };
        self.workloads[at].version = self.version;
        self.show();
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.report();
    }

    pub(crate) fn one_waits(&mut self, at: usize) {
        self.readings[at].waiting.start(self.now.micros());
        self.report();
    }

    pub(crate) fn nobody_waits(&mut self, at: usize) {
        self.readings[at].waiting.finish(self.now.micros());
        self.report();
    }

    pub(crate) fn word(&self, at: usize) -> &'static str {
        self.journal.book(&self.workloads[at].id).unwrap().entries()[0].decision.word()
    }
}
