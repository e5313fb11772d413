//! Workloads that wake with others, as timelines.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::report::{HoldAnswer, HoldState};
use kaos_core::{Policy, WorkloadId};

use crate::Action;
use crate::desk::Desk;
use crate::line::{Line, Settings};

/// One workload for each list of names, each with an idle time of 5 s.
fn desk(names: &[&str], knobs: &[(&str, &str)]) -> Desk {
    let mut desk = Desk::new(names.len(), 20, &[]);
    for (at, names) in names.iter().enumerate() {
        let usual = [("idle-timeout", "5s"), ("wake-with", *names)];
        say(&mut desk, at, &[&usual[..], knobs].concat());
    }
    desk.show();
    desk.turn();
    desk
}

/// Another policy for one workload.
fn say(desk: &mut Desk, at: usize, knobs: &[(&str, &str)]) {
    desk.version += 1;
    desk.workloads[at].version = desk.version;
    desk.workloads[at].policy = Arc::new(Policy::default().with(knobs.iter().copied()).unwrap());
}

/// The platform does everything that is asked until nothing is: counts are ready at once, holds confirmed. The counts that were asked
/// for, in order.
fn settle(desk: &mut Desk) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let actions = desk.turn();
        if actions.is_empty() && desk.line.next() > desk.now {
            return told;
        }
        for action in actions {
            desk.done(&action);
            let at = desk.workloads.iter().position(|one| one.id == *action.workload()).unwrap();
            match action {
                Action::Scale { workload, scale } => {
                    told.push(format!("{} {}", workload.name(), scale.to));
                    desk.counts(at, scale.to, scale.to);
                }
                Action::Hold { hold, .. } => {
                    let answer = HoldAnswer { id: hold.id, state: HoldState::Confirmed, empty: vec![] };
                    desk.readings[at].hold = Some(answer);
                    desk.report();
                }
                Action::Release { .. } => desk.readings[at].hold = None,
            }
        }
    }
}

/// The counts that are asked for within so many seconds, sorted within each second.
fn within(desk: &mut Desk, seconds: u64) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..seconds {
        desk.wait(1);
        told.extend(settle(desk));
    }
    told
}

/// The reason of the last decision on each.
fn words(desk: &Desk) -> Vec<&'static str> {
    (0..desk.workloads.len()).map(|at| desk.word(at)).collect()
}

#[test]
fn those_that_are_named_wake_in_the_same_turn_and_so_do_those_that_they_name() {
    let mut desk = desk(&["w1", "w2", "none", "none"], &[]);
    desk.one_waits(0);
    let mut told = desk.told();
    told.sort();
    assert_eq!(told, ["w0 1", "w1 1", "w2 1"]);
    assert_eq!(words(&desk), ["wake", "wake-with", "wake-with", "asleep"]);
    let book = desk.journal.book(&desk.workloads[2].id).unwrap();
    let entry = &book.entries()[0];
    let because = entry.decision.explain(&entry.policy, &entry.observation);
    assert_eq!(because, "local/w0 is awake, and this wakes with it: starting 1");
}

#[test]
fn it_goes_one_way_only() {
    let mut desk = desk(&["w1", "none"], &[]);
    desk.one_waits(1);
    assert_eq!(settle(&mut desk), ["w1 1"]);
    assert_eq!(words(&desk)[0], "asleep");
}

#[test]
fn those_that_are_named_stay_for_as_long_as_it_is_used_and_go_with_it() {
    let mut desk = desk(&["w1", "none"], &[]);
    desk.one_waits(0);
    settle(&mut desk);
    // A request that takes its time, of which the other sees nothing.
    desk.nobody_waits(0);
    desk.readings[0].running.start(desk.now.micros());
    for _ in 0..20 {
        desk.wait(1);
        assert_eq!(settle(&mut desk), [""; 0]);
    }
    assert_eq!(words(&desk)[1], "wake-with");
    desk.readings[0].running.finish(desk.now.micros());
    desk.readings[0].last_activity = Some(desk.now.micros());
    assert_eq!(within(&mut desk, 4), [""; 0], "its idle time isn't over");
    assert_eq!(within(&mut desk, 4), ["w0 0", "w1 0"], "one after the other: a request may yet come");
    assert_eq!(words(&desk), ["asleep", "asleep"]);
}

#[test]
fn one_that_stays_though_it_has_no_reason_to_keeps_whom_it_names() {
    let mut desk = desk(&["w1", "none"], &[]);
    desk.one_waits(0);
    settle(&mut desk);
    desk.nobody_waits(0);
    // Nobody confirms that it is empty, so it can't go; the other would.
    for _ in 0..60 {
        desk.wait(1);
        for action in desk.turn() {
            assert_eq!(action.workload().name(), "w0", "{action:?}");
            desk.done(&action);
        }
    }
    // What has gone is not woken again by one that is about to go.
    desk.counts(1, 0, 0);
    desk.wait(1);
    assert!(desk.turn().iter().all(|action| action.workload().name() == "w0"));
    assert_eq!(words(&desk)[1], "asleep");
}

#[test]
fn circles_sleep_as_if_nobody_named_anybody() {
    let mut desk = desk(&["w1,w0", "w2", "w0"], &[]);
    desk.one_waits(1);
    let mut told = settle(&mut desk);
    told.sort();
    assert_eq!(told, ["w0 1", "w1 1", "w2 1"]);
    desk.nobody_waits(1);
    let mut told = within(&mut desk, 8);
    told.sort();
    assert_eq!(told, ["w0 0", "w1 0", "w2 0"]);
}

#[test]
fn one_that_never_sleeps_lets_nobody_sleep_that_it_names() {
    let mut desk = desk(&["none", "none"], &[]);
    say(&mut desk, 0, &[("min-scale", "1"), ("wake-with", "w1")]);
    desk.show();
    let mut told = settle(&mut desk);
    told.sort();
    assert_eq!(told, ["w0 1", "w1 1"]);
    for _ in 0..100 {
        desk.wait(1);
        assert_eq!(settle(&mut desk), [""; 0]);
    }
    assert_eq!(words(&desk), ["min-scale", "wake-with"]);
    // Once it names nobody any more, the other may go.
    say(&mut desk, 0, &[("min-scale", "1")]);
    desk.show();
    assert_eq!(settle(&mut desk), ["w1 0"]);
}

#[test]
fn a_follower_wakes_them_too_and_only_by_requests_that_wait() {
    let mut desk = desk(&["w1", "none"], &[]);
    desk.line.lead(false);
    desk.counts(0, 1, 1);
    assert_eq!(settle(&mut desk), [""; 0], "that it runs is the leader's to know");
    desk.counts(0, 0, 0);
    desk.one_waits(0);
    let mut told = settle(&mut desk);
    told.sort();
    assert_eq!(told, ["w0 1", "w1 1"]);
}

#[test]
fn one_that_comes_later_is_woken_and_one_that_never_was_is_nobody() {
    let mut desk = desk(&["w1,elsewhere", "none"], &[]);
    let late = desk.workloads.pop().unwrap();
    desk.show();
    desk.one_waits(0);
    assert_eq!(settle(&mut desk), ["w0 1"]);
    desk.workloads.push(late);
    desk.show();
    assert_eq!(settle(&mut desk), ["w1 1"]);
}

#[test]
fn names_are_of_the_same_namespace() {
    let mut desk = desk(&["w1", "none"], &[]);
    desk.workloads[1].id = WorkloadId::new("other", "w1");
    desk.version += 1;
    desk.workloads[1].version = desk.version;
    desk.show();
    desk.report();
    desk.one_waits(0);
    assert_eq!(settle(&mut desk), ["w0 1"]);
}

#[test]
fn the_first_sleep_is_earned_by_who_is_reached() {
    let mut desk = desk(&["w1", "none"], &[]);
    let settings = Settings { id: "b".into(), max_starting: 20, earn_sleep: true, gather: Duration::ZERO };
    desk.line = Line::new(settings, desk.journal.clone());
    desk.line.lead(true);
    desk.counts(1, 1, 1);
    for _ in 0..10 {
        desk.wait(1);
        desk.turn();
    }
    assert_eq!(words(&desk)[1], "unseen");
    desk.one_waits(0);
    settle(&mut desk);
    desk.nobody_waits(0);
    assert_eq!(within(&mut desk, 90), ["w0 0", "w1 0"], "nobody but the other calls it");
}
