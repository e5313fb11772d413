//! One autoscaler process: the live `Line`, and what was handed to it, kept apart so that the line can be checked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kaos_autoscaler::{Action, Journal, Line, line};
use kaos_core::policy::IdleTimeout;
use kaos_core::report::HoldAnswer;
use kaos_core::snapshot::Replicas;
use kaos_core::{HoldId, Moment, Policy, ProxyId, Report, Snapshot, Sums, WorkloadId};

use crate::sabotage::Sabotage;

/// One autoscaler.
#[derive(Debug)]
pub struct Scaler {
    /// The live code.
    pub line: Line,
    /// Its journal.
    pub journal: Arc<Journal>,
    /// Grows with each restart.
    pub incarnation: u64,
    /// Whether the process runs.
    pub up: bool,
    /// Whether it was told to lead.
    pub leading: bool,
    /// The last picture that it was shown.
    pub shown: Option<Arc<Snapshot>>,
    /// What each proxy last told it.
    pub heard: BTreeMap<ProxyId, Heard>,
    /// When it last sent or was refused a write, per workload.
    pub last_write: BTreeMap<WorkloadId, Moment>,
    /// When its next turn is due.
    pub due: Moment,
}

/// The last of one proxy's reports.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The proxy's process.
    pub epoch: u64,
    /// Number of the last report of everything.
    pub whole: u64,
    /// Number of the last report that named each workload.
    pub named: BTreeMap<WorkloadId, u64>,
    /// When it came.
    pub at: Moment,
    /// What it answers to holds.
    pub answers: BTreeMap<WorkloadId, HoldAnswer>,
}

impl Scaler {
    /// A process that has just begun.
    pub fn new(place: usize, incarnation: u64, max_starting: u32) -> Self {
        let journal = Arc::new(Journal::default());
        let id = format!("a{place}.{incarnation}");
        let settings =
            line::Settings { id, max_starting, earn_sleep: false, gather: Duration::from_millis(15) };
        Scaler {
            line: Line::new(settings, journal.clone()),
            journal,
            incarnation,
            up: true,
            leading: false,
            shown: None,
            heard: BTreeMap::new(),
            last_write: BTreeMap::new(),
            due: Moment::NEVER,
        }
    }

    /// What it has learned, as it outlives the process.
    pub fn kept(&self) -> Vec<(WorkloadId, Arc<[u8]>)> {
        self.journal.all().into_iter().filter_map(|(id, book)| Some((id, book.kept()?))).collect()
    }

    /// Shows it a picture.
    pub fn saw(&mut self, picture: Arc<Snapshot>, sabotage: Option<Sabotage>, now: Moment) {
        match sabotage {
            Some(sabotage) => self.line.saw(&retouched(&picture, sabotage), now),
            None => self.line.saw(&picture, now),
        }
        self.shown = Some(picture);
    }

    /// Hands it a report. Returns whether the report was new.
    pub fn heard(&mut self, report: &Report, sabotage: Option<Sabotage>, now: Moment) -> bool {
        match sabotage {
            Some(sabotage) => self.line.heard(&forged(report, sabotage), now),
            None => self.line.heard(report, now),
        };
        let heard = self.heard.entry(report.proxy.clone()).or_insert_with(|| Heard {
            epoch: report.epoch,
            whole: 0,
            named: BTreeMap::new(),
            at: now,
            answers: BTreeMap::new(),
        });
        if report.epoch < heard.epoch || report.epoch == heard.epoch && report.sequence <= heard.whole {
            return false;
        }
        if report.epoch > heard.epoch {
            *heard = Heard { epoch: report.epoch, whole: 0, named: BTreeMap::new(), ..heard.clone() };
            heard.answers.clear();
        }
        if report.full {
            heard.whole = report.sequence;
        }
        heard.at = now;
        let mut new = false;
        for (id, reading) in &report.workloads {
            if heard.named.get(id).is_some_and(|last| report.sequence <= *last) {
                continue;
            }
            new = true;
            heard.named.insert(id.clone(), report.sequence);
            match &reading.hold {
                Some(answer) => heard.answers.insert(id.clone(), answer.clone()),
                None => heard.answers.remove(id),
            };
        }
        new
    }

    /// Lets it decide.
    pub fn turn(&mut self, sabotage: Option<Sabotage>, now: Moment) -> Vec<Action> {
        if sabotage == Some(Sabotage::SilenceIsZero) {
            let silent = |heard: &Heard| now.since(heard.at).as_secs() >= 2;
            for (proxy, _) in self.heard.iter().filter(|(_, heard)| silent(heard)) {
                self.line.lost(proxy);
            }
        }
        self.line.turn(now)
    }
}

/// The write as it reaches the platform.
pub(crate) fn bent(action: &Action, sabotage: Option<Sabotage>) -> Action {
    let mut action = action.clone();
    match (sabotage, &mut action) {
        (Some(Sabotage::NoVictims), Action::Scale { scale, .. }) => scale.victims.clear(),
        (Some(Sabotage::HoldsReused), Action::Hold { hold, .. }) => hold.id = HoldId::new("again"),
        _ => {}
    }
    action
}

fn retouched(picture: &Snapshot, sabotage: Sabotage) -> Snapshot {
    let retouch = |workload: &Arc<kaos_core::Workload>| {
        let mut workload = kaos_core::Workload::clone(workload);
        let policy = Policy::clone(&workload.policy);
        let replicas = workload.replicas;
        match sabotage {
            Sabotage::StartsUnseen => {
                workload.replicas = Replicas { ready: replicas.desired, starting: 0, ..replicas };
            }
            Sabotage::MaxUnknown => workload.policy = Arc::new(Policy { max_scale: 0, ..policy }),
            Sabotage::MinUnknown => workload.policy = Arc::new(Policy { min_scale: 0, ..policy }),
            Sabotage::ImpatientIdle => {
                let idle_timeout = IdleTimeout::After(policy.idle_timeout.fixed().unwrap_or_default() / 2);
                workload.policy = Arc::new(Policy { idle_timeout, ..policy });
            }
            _ => {}
        }
        Arc::new(workload)
    };
    Snapshot { workloads: picture.workloads.iter().map(retouch).collect(), ..picture.clone() }
}

fn forged(report: &Report, sabotage: Sabotage) -> Report {
    let mut report = report.clone();
    if sabotage == Sabotage::EpochsIgnored {
        report.epoch = 0;
    }
    for (_, reading) in &mut report.workloads {
        match (sabotage, &mut reading.hold) {
            (Sabotage::ConfirmedTooEarly, Some(answer)) => {
                answer.state = kaos_core::report::HoldState::Confirmed;
            }
            (Sabotage::WaitingUnheard, _) => reading.waiting = Sums::default(),
            _ => {}
        }
    }
    report
}
