//! What a line does over several workloads and with others about, as timelines.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::platform::{Expected, Refusal, Scale};
use kaos_core::report::{HoldAnswer, HoldState, REPORT_VERSION};
use kaos_core::snapshot::{Hold, Mode, Replicas};
use kaos_core::{Moment, Policy, ProxyId, Reading, Report, Snapshot, Workload, WorkloadId};

use crate::journal::Outcome;
use crate::line::{Line, Settings};
use crate::{Action, Journal};

/// One line, one proxy, and workloads whose platform does everything at once when told to.
struct Desk {
    line: Line,
    journal: Arc<Journal>,
    workloads: Vec<Workload>,
    shown: Vec<Arc<Workload>>,
    readings: Vec<Reading>,
    version: u64,
    sequence: u64,
    now: Moment,
}

impl Desk {
    fn new(count: usize, max_starting: u32, knobs: &[(&str, &str)]) -> Self {
        let policy = Arc::new(Policy::default().with(knobs.iter().copied()).unwrap());
        let workload = |at: usize| Workload::new(WorkloadId::new("local", &format!("w{at}")), policy.clone());
        let journal = Arc::new(Journal::default());
        let settings = Settings { id: "a".into(), max_starting, earn_sleep: false };
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

    fn show(&mut self) {
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

    fn report(&mut self) {
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

    fn turn(&mut self) -> Vec<Action> {
        self.line.turn(self.now)
    }

    /// The turn's counts, as `name to`; holds and releases by their name.
    fn told(&mut self) -> Vec<String> {
        let tell = |action: &Action| match action {
            Action::Scale { workload, scale } => format!("{} {}", workload.name(), scale.to),
            Action::Hold { workload, .. } => format!("{} hold", workload.name()),
            Action::Release { workload } => format!("{} release", workload.name()),
        };
        self.turn().iter().map(tell).collect()
    }

    /// The platform does what `action` asks and shows it.
    fn done(&mut self, action: &Action) {
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
    fn counts(&mut self, at: usize, desired: u32, ready: u32) {
        self.version += 1;
        let starting = desired.saturating_sub(ready);
        if desired != self.workloads[at].replicas.desired {
            self.workloads[at].contender = Some("script".into());
        }
        self.workloads[at].replicas = Replicas { desired, ready, starting };
        self.workloads[at].version = self.version;
        self.show();
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.report();
    }

    fn one_waits(&mut self, at: usize) {
        self.readings[at].waiting.start(self.now.micros());
        self.report();
    }

    fn nobody_waits(&mut self, at: usize) {
        self.readings[at].waiting.finish(self.now.micros());
        self.report();
    }

    fn word(&self, at: usize) -> &'static str {
        self.journal.book(&self.workloads[at].id).unwrap().entries()[0].decision.word()
    }
}

#[test]
fn few_start_at_once_and_the_rest_follow_in_turn() {
    let mut desk = Desk::new(5, 2, &[("container-concurrency", "1")]);
    for at in 0..5 {
        desk.one_waits(at);
    }
    let first = desk.turn();
    assert_eq!(first.len(), 2);
    assert_eq!(desk.word(4), "start-budget");
    first.iter().for_each(|action| desk.done(action));
    assert_eq!(desk.told(), [""; 0], "two are starting");
    desk.nobody_waits(2);
    desk.counts(0, 1, 1);
    assert_eq!(desk.told(), ["w3 1"], "who doesn't want it any more has no turn");
    desk.counts(1, 1, 1);
    assert_eq!(desk.told(), ["w4 1"]);
}

#[test]
fn a_follower_wakes_and_does_nothing_else() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "5s")]);
    desk.line.lead(false);
    desk.one_waits(0);
    let wake = desk.turn();
    let scale = Scale { to: 1, victims: vec![], expected: Expected::Replicas(0) };
    assert_eq!(wake, [Action::Scale { workload: desk.workloads[0].id.clone(), scale }]);
    desk.done(&wake[0]);
    desk.counts(0, 1, 1);
    desk.nobody_waits(0);
    for _ in 0..30 {
        desk.wait(1);
        assert_eq!(desk.told(), [""; 0]);
    }
    assert_eq!(desk.word(0), "following");
    desk.line.lead(true);
    assert_eq!(desk.told(), ["w0 hold"]);
}

#[test]
fn a_wake_that_lost_to_another_is_not_repeated_at_once() {
    let mut desk = Desk::new(1, 20, &[]);
    desk.one_waits(0);
    let wake = desk.turn();
    desk.line.done(&wake[0], &Err(Refusal::Conflict), desk.now);
    assert_eq!(desk.told(), [""; 0]);
    assert!(desk.line.next() > desk.now && desk.line.next() <= desk.now + Duration::from_secs(1));
    let entry = &desk.journal.book(&desk.workloads[0].id).unwrap().entries()[0];
    assert_eq!(entry.outcome, Outcome::Failed("somebody else wrote first".into()));
    desk.counts(0, 1, 0);
    assert_eq!(desk.told(), [""; 0]);
    assert_eq!(desk.word(0), "starting");
}

#[test]
fn a_platform_that_asks_to_wait_is_asked_again_after_that_and_not_before() {
    let mut desk = Desk::new(1, 20, &[]);
    desk.one_waits(0);
    for _ in 0..3 {
        let wake = desk.turn();
        assert_eq!(wake.len(), 1);
        let later = Refusal::Later { after: Duration::from_secs(7), why: "too many writes".into() };
        desk.line.done(&wake[0], &Err(later), desk.now);
        desk.counts(0, 0, 0);
        for _ in 0..6 {
            assert_eq!(desk.told(), [""; 0]);
            desk.wait(1);
        }
        assert!(desk.told().is_empty());
        desk.wait(1);
    }
    let entry = &desk.journal.book(&desk.workloads[0].id).unwrap().entries()[0];
    assert_eq!(entry.outcome, Outcome::Failed("too many writes".into()));
}

#[test]
fn others_who_keep_writing_are_answered_once_a_minute() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "2s")]);
    let mut writes = 0;
    for second in 0..300 {
        if second % 5 == 0 {
            desk.counts(0, 1, 1);
        }
        let hold = desk.workloads[0].hold.clone();
        desk.readings[0].hold =
            hold.map(|hold| HoldAnswer { id: hold.id, state: HoldState::Confirmed, empty: vec![] });
        desk.wait(1);
        for action in desk.turn() {
            writes += u32::from(matches!(action, Action::Scale { .. }));
            desk.done(&action);
        }
    }
    // Three at first, until it is known for a contest; then one a minute.
    assert!((3..=8).contains(&writes), "{writes} writes");
    desk.counts(0, 0, 0);
    desk.one_waits(0);
    let woken = desk.told();
    assert_eq!(woken, ["w0 1"], "who waits doesn't pay for it");
}

#[test]
fn requests_that_wait_above_zero_are_no_reason_to_fight() {
    let knobs = [("container-concurrency", "10"), ("idle-timeout", "1h")];
    let mut desk = Desk::new(1, 20, &knobs);
    for _ in 0..80 {
        desk.readings[0].waiting.start(0);
    }
    let mut minutes = [0; 10];
    for second in 0..600 {
        if second % 5 == 0 {
            desk.counts(0, 1, 1);
        }
        desk.wait(1);
        for action in desk.turn() {
            minutes[second / 60] += 1;
            desk.done(&action);
        }
    }
    assert!(minutes[0] <= 4 && minutes[1..].iter().all(|writes| *writes <= 1), "{minutes:?}");
    assert!(minutes[1..].iter().sum::<u32>() >= 8, "but it goes on trying: {minutes:?}");
    assert_eq!(desk.word(0), "contested");
}

#[test]
fn a_wake_in_a_contest_gets_what_it_lacks() {
    let mut desk = Desk::new(1, 20, &[("container-concurrency", "10")]);
    for count in [1, 0, 1, 0] {
        desk.counts(0, count, count);
    }
    desk.one_waits(0);
    let wake = desk.turn();
    desk.done(&wake[0]);
    for _ in 1..80 {
        desk.readings[0].waiting.start(0);
    }
    desk.report();
    assert_eq!(desk.told(), ["w0 8"], "nobody has written since the wake");
}

#[test]
fn replicas_that_nobody_asked_for_keep_nobody_from_starting() {
    let mut desk = Desk::new(2, 2, &[("container-concurrency", "1"), ("max-scale", "0")]);
    // A person, or a rollout that takes replicas away for a while.
    desk.counts(0, 50, 30);
    desk.one_waits(1);
    assert_eq!(desk.told(), ["w1 1"]);
}

#[test]
fn replicas_that_never_get_ready_keep_others_from_starting_for_a_while() {
    let mut desk = Desk::new(3, 2, &[("container-concurrency", "1")]);
    desk.one_waits(0);
    desk.one_waits(0);
    let stuck = desk.turn();
    assert_eq!(stuck.len(), 1);
    desk.done(&stuck[0]);
    desk.one_waits(1);
    assert_eq!(desk.told(), [""; 0]);
    assert_eq!(desk.word(1), "start-budget");
    let mut waited = 0;
    while desk.word(1) == "start-budget" {
        assert!(waited < 60, "two that are stuck stop everybody");
        desk.wait(1);
        waited += 1;
        desk.told();
    }
    assert!(waited >= 29, "{waited}");
    // One that another autoscaler asked for counts as ours do.
    let mut desk = Desk::new(2, 1, &[]);
    desk.version += 1;
    (desk.workloads[0].replicas.desired, desk.workloads[0].version) = (1, desk.version);
    desk.show();
    desk.one_waits(1);
    assert_eq!(desk.told(), [""; 0]);
    desk.counts(0, 1, 1);
    assert_eq!(desk.told(), ["w1 1"]);
}

#[test]
fn a_picture_that_came_before_the_refusal_is_gone_by_at_once() {
    let mut desk = Desk::new(1, 20, &[("container-concurrency", "10")]);
    for _ in 0..80 {
        desk.readings[0].waiting.start(0);
    }
    desk.report();
    let burst = desk.turn();
    // Another autoscaler heard of the first request only, and was quicker.
    desk.version += 1;
    (desk.workloads[0].replicas.desired, desk.workloads[0].version) = (1, desk.version);
    desk.show();
    assert_eq!(desk.told(), [""; 0], "a write is on its way");
    desk.line.done(&burst[0], &Err(Refusal::Conflict), desk.now);
    assert_eq!(desk.told(), ["w0 8"]);
    // Replicas that come and go say nothing of the count that was refused.
    let mut desk = Desk::new(1, 20, &[]);
    desk.one_waits(0);
    let wake = desk.turn();
    desk.line.done(&wake[0], &Err(Refusal::Conflict), desk.now);
    desk.shown[0] = Arc::new(desk.workloads[0].clone());
    let workloads = desk.shown.clone().into();
    desk.line.saw(&Snapshot { version: 99, workloads, ..Snapshot::default() }, desk.now);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn what_another_autoscaler_writes_is_no_contest() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "2s")]);
    desk.line.lead(false);
    for count in [1, 0, 1, 0, 1] {
        desk.version += 1;
        desk.workloads[0].replicas = Replicas { desired: count, ready: count, starting: 0 };
        desk.workloads[0].version = desk.version;
        desk.show();
    }
    desk.line.lead(true);
    desk.wait(5);
    assert_eq!(desk.told(), ["w0 hold"], "a new leader goes on where the old one was");
}

#[test]
fn who_overtakes_the_picture_of_our_write_is_counted_all_the_same() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "2s")]);
    desk.counts(0, 1, 1);
    let mut writes = 0;
    for _ in 0..50 {
        let hold = desk.workloads[0].hold.clone();
        desk.readings[0].hold =
            hold.map(|hold| HoldAnswer { id: hold.id, state: HoldState::Confirmed, empty: vec![] });
        desk.wait(1);
        for action in desk.turn() {
            if !matches!(action, Action::Scale { .. }) {
                desk.done(&action);
                continue;
            }
            writes += 1;
            // Ours is the version between: the first picture after it has the other's, before our answer is here.
            desk.version += 1;
            let ours = desk.version;
            desk.workloads[0].hold = None;
            desk.counts(0, 1, 1);
            desk.line.done(&action, &Ok(ours), desk.now);
        }
    }
    // The count at the beginning was another's, too.
    assert_eq!(writes, 2);
}

#[test]
fn what_a_dead_predecessor_held_is_let_go() {
    let mut desk = Desk::new(1, 20, &[("min-scale", "1")]);
    desk.workloads[0].hold = Some(Hold {
        id: kaos_core::HoldId::new("old"),
        by: "dead".into(),
        targets: kaos_core::snapshot::Targets::All,
    });
    desk.counts(0, 1, 1);
    assert_eq!(desk.told(), ["w0 release"]);
}

#[test]
fn what_is_not_there_any_more_is_forgotten() {
    let mut desk = Desk::new(3, 20, &[]);
    desk.one_waits(1);
    desk.turn();
    desk.workloads.remove(1);
    desk.readings.remove(1);
    desk.version += 1;
    desk.show();
    assert_eq!(desk.told(), [""; 0]);
    assert_eq!(desk.journal.all().len(), 2);
}

#[test]
fn what_is_only_observed_is_decided_and_not_written() {
    let mut desk = Desk::new(1, 4, &[]);
    desk.readings[0].waiting.start(0);
    desk.workloads[0].mode = Mode::Observe("for a trial".into());
    desk.counts(0, 0, 0);
    desk.report();
    assert_eq!(desk.told(), [""; 0]);
    let entry = desk.journal.book(&WorkloadId::new("local", "w0")).unwrap().entries().remove(0);
    assert_eq!(entry.outcome, Outcome::Observed("for a trial".into()));
    assert_eq!(entry.decision.aim(0), 1);
    // A hold that was left behind goes all the same.
    let targets = kaos_core::snapshot::Targets::All;
    desk.workloads[0].hold = Some(Hold { id: kaos_core::HoldId::new("left"), by: "x".into(), targets });
    desk.counts(0, 1, 1);
    assert_eq!(desk.told(), ["w0 release"]);
}

#[test]
fn what_is_switched_off_is_not_decided() {
    let mut desk = Desk::new(1, 4, &[]);
    desk.readings[0].waiting.start(0);
    desk.workloads[0].mode = Mode::Off;
    desk.counts(0, 0, 0);
    desk.report();
    assert_eq!(desk.told(), [""; 0]);
    let entry = desk.journal.book(&WorkloadId::new("local", "w0")).unwrap().entries().remove(0);
    assert_eq!(entry.decision.word(), "off");
}
