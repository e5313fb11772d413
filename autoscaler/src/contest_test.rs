//! Somebody else writes the same count, as timelines: what is a contest, and what is written in one.

use kaos_core::report::{HoldAnswer, HoldState};
use kaos_core::snapshot::{HandedTo, Replicas};

use crate::Action;
use crate::desk::Desk;

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
fn what_was_handed_over_is_no_contest_above_zero_and_never_written_there() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "30s"), ("container-concurrency", "1")]);
    desk.workloads[0].handed_to = Some(HandedTo::above_zero("HPA shop"));
    desk.counts(0, 0, 0);
    let mut writes = Vec::new();
    let mut turn = |desk: &mut Desk| {
        let hold = desk.workloads[0].hold.clone();
        desk.readings[0].hold =
            hold.map(|hold| HoldAnswer { id: hold.id, state: HoldState::Confirmed, empty: vec![] });
        desk.wait(1);
        for action in desk.turn() {
            if let Action::Scale { scale, .. } = &action {
                writes.push(scale.to);
            }
            desk.done(&action);
        }
    };
    for _ in 0..40 {
        desk.readings[0].waiting.start(0);
    }
    turn(&mut desk);
    for count in [1, 2, 5, 3, 2, 6, 4, 2] {
        desk.counts(0, count, count);
        turn(&mut desk);
        assert_eq!(desk.word(0), "handed-over", "{count}");
    }
    for _ in 0..40 {
        desk.readings[0].waiting.finish(desk.now.micros());
    }
    for _ in 0..60 {
        turn(&mut desk);
    }
    assert_eq!(writes, [1, 0]);
}

#[test]
fn who_goes_on_from_our_wake_before_it_is_shown_contends_for_nothing() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "2s")]);
    desk.workloads[0].handed_to = Some(HandedTo::above_zero("HPA shop"));
    desk.counts(0, 0, 0);
    let mut writes = Vec::new();
    for second in 0..100 {
        let hold = desk.workloads[0].hold.clone();
        desk.readings[0].hold =
            hold.map(|hold| HoldAnswer { id: hold.id, state: HoldState::Confirmed, empty: vec![] });
        let now = desk.now.micros();
        match second % 20 {
            0 => desk.readings[0].waiting.start(now),
            1 => desk.readings[0].waiting.finish(now),
            _ => {}
        }
        desk.wait(1);
        for action in desk.turn() {
            let Action::Scale { scale, .. } = &action else {
                desk.done(&action);
                continue;
            };
            writes.push(scale.to);
            if scale.to == 0 {
                desk.done(&action);
                continue;
            }
            desk.version += 1;
            let ours = desk.version;
            desk.counts(0, 2, 2);
            desk.line.done(&action, &Ok(ours), desk.now);
        }
    }
    assert_eq!(writes, [1, 0].repeat(5));
}
