//! What a line does over several workloads and with others about, as timelines.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::platform::{Expected, Refusal, Scale};
use kaos_core::report::{HoldAnswer, HoldState};
use kaos_core::snapshot::{Hold, Mode};
use kaos_core::{Moment, Snapshot, WorkloadId};

use crate::Action;
use crate::desk::Desk;
use crate::journal::Outcome;

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
fn a_wake_waits_for_no_release() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "2s")]);
    desk.counts(0, 1, 1);
    desk.wait(3);
    let hold = desk.turn();
    desk.done(&hold[0]);
    let Action::Hold { hold, .. } = &hold[0] else { panic!("{hold:?}") };
    desk.readings[0].hold =
        Some(HoldAnswer { id: hold.id.clone(), state: HoldState::Confirmed, empty: vec![] });
    desk.report();
    let zero = desk.turn();
    desk.done(&zero[0]);
    let release = desk.turn();
    assert!(matches!(release[..], [Action::Release { .. }]), "{release:?}");
    // Its answer takes its time.
    desk.one_waits(0);
    let wake = desk.turn();
    let to_one = Scale { to: 1, victims: vec![], expected: Expected::Replicas(0) };
    assert!(matches!(&wake[..], [Action::Scale { scale, .. }] if *scale == to_one), "{wake:?}");
    desk.done(&release[0]);
    desk.done(&wake[0]);
    // Nobody knows of the first one whether it was before the wake.
    assert_eq!(desk.told(), ["w0 release"]);
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

#[test]
fn one_short_request_after_a_wake_is_no_panic() {
    let knobs = [("container-concurrency", "1"), ("window", "6s"), ("idle-timeout", "5s")];
    let mut desk = Desk::new(1, 20, &knobs);
    let at = |micros: u64| Moment::from_micros(10_000_000 + micros);
    // The autoscaler's second begins, and a moment later the proxy reports: each time what was half a second ago.
    desk.now = at(400_000);
    desk.one_waits(0);
    let actions = desk.turn();
    assert_eq!(actions.len(), 1, "{actions:?}");
    desk.done(&actions[0]);
    desk.counts(0, 1, 1);
    assert_eq!(desk.turn(), []);
    desk.readings[0].waiting.finish(at(500_000).micros());
    desk.readings[0].running.start(at(500_000).micros());
    for second in 1..7 {
        desk.now = at(second * 1_000_000);
        assert_eq!(desk.turn(), [], "in second {second}");
        if second == 2 {
            desk.readings[0].running.finish(at(1_100_000).micros());
            desk.readings[0].last_activity = Some(at(1_100_000).micros());
        }
        desk.now = at(second * 1_000_000 + 5_000);
        desk.report();
        assert_eq!(desk.turn(), [], "in second {second}");
    }
    assert_eq!(desk.word(0), "warm");
}

#[test]
fn who_comes_all_the_time_is_not_idle_between_two_reports() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "1s")]);
    desk.one_waits(0);
    let actions = desk.turn();
    desk.done(&actions[0]);
    desk.counts(0, 1, 1);
    desk.nobody_waits(0);
    let reports = |second: u64| Moment::from_micros(second * 1_001_000);
    for second in 1..9 {
        desk.now = reports(second);
        let sums = &mut desk.readings[0].running;
        sums.start(desk.now.micros() - 100_000);
        sums.finish(desk.now.micros());
        desk.readings[0].last_activity = Some(desk.now.micros());
        desk.report();
        assert_eq!(desk.turn(), [], "in second {second}");
        // A second after the last request that is known, and a moment before the next ones are.
        desk.now = desk.now + Duration::from_secs(1);
        assert_eq!(desk.turn(), [], "in second {second}");
        assert_eq!(desk.word(0), "no-data");
    }
    // Nobody comes any more.
    desk.now = reports(9);
    desk.report();
    assert_eq!(desk.told(), ["w0 hold"]);
}
