//! What is only observed, through the whole control line: reports in, nothing out, and what would have become of it.

use std::time::Duration;

use kaos_core::Moment;
use kaos_core::advice::{Advice, Verdict};
use kaos_core::snapshot::Mode;

use crate::desk::Desk;
use crate::watched::ASSUMED_START;

const COST: Duration = Duration::from_secs(150);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn observed(knobs: &[(&str, &str)]) -> Desk {
    let mut desk = Desk::new(1, 20, knobs);
    desk.workloads[0].mode = Mode::Observe("for a trial".into());
    desk.counts(0, 1, 1);
    assert_eq!(desk.turn(), []);
    desk
}

/// `calls` at once each `every` seconds, each for a second, up to the second `end`. Nothing may be written.
fn called(desk: &mut Desk, every: u64, calls: u64, end: u64) {
    for second in desk.now.secs() + 1..=end {
        desk.now = Moment::from_secs(second);
        let now = desk.now.micros();
        let reading = &mut desk.readings[0];
        let open = reading.running.open();
        (0..open).for_each(|_| reading.running.finish(now));
        let begin = if second.is_multiple_of(every) { calls } else { 0 };
        (0..begin).for_each(|_| reading.running.start(now));
        if open + begin > 0 {
            reading.last_activity = Some(now);
        }
        desk.report();
        assert_eq!(desk.turn(), [], "in second {second}");
    }
}

fn advice(desk: &Desk) -> Advice {
    let watched = desk.journal.book(&desk.workloads[0].id).unwrap().watched().unwrap();
    assert!(watched.observed && watched.start.is_none());
    watched.advice(COST, desk.now)
}

#[test]
fn sleeps_and_cold_starts_are_those_that_there_would_have_been() {
    let mut desk = observed(&[("idle-timeout", "60s")]);
    called(&mut desk, 300, 1, 7200);
    let advice = advice(&desk);
    // Of each 300 s a second for the start, one for the call that waited for it, and 60 s of idle time; at first 60 s.
    assert_eq!((advice.cold_starts, advice.p95), (24, ASSUMED_START));
    assert_eq!(advice.slept, secs(240 + 23 * (300 - 62)));
    assert_eq!(advice.used, advice.watched - advice.slept);
    assert_eq!(advice.verdict, Verdict::Set { idle_timeout: secs(10) });
}

#[test]
fn a_timeout_that_never_ends_is_no_sleep() {
    let mut desk = observed(&[("idle-timeout", "1h")]);
    called(&mut desk, 300, 1, 7200);
    let advice = advice(&desk);
    assert_eq!((advice.cold_starts, advice.slept, advice.used), (0, Duration::ZERO, secs(7200)));
}

#[test]
fn learned_idle_learns_in_the_shadow() {
    let mut desk = observed(&[("idle-timeout", "learned")]);
    called(&mut desk, 300, 1, 7200);
    let advice = advice(&desk);
    assert!(advice.cold_starts <= 4, "{advice:?}");
    assert!(advice.share(advice.slept) > 0.5, "{advice:?}");
}

#[test]
fn as_many_replicas_are_counted_as_there_would_have_been() {
    // So that the windows want four for four, and as long as they last.
    let windows = [("target-utilization-percentage", "100"), ("scale-down-delay", "1h")];
    let mut desk =
        observed(&[&windows[..], &[("idle-timeout", "60s"), ("container-concurrency", "1")]].concat());
    called(&mut desk, 300, 4, 400);
    let advice = advice(&desk);
    // One for the first 60 s, and four from the wake to the end of the idle time.
    assert_eq!((advice.cold_starts, advice.slept), (1, secs(240 + 38)));
    assert_eq!(advice.used, secs(60 + 4 * 62));
}

#[test]
fn what_is_scaled_is_watched_as_it_is() {
    let mut desk = Desk::new(1, 20, &[("idle-timeout", "5s")]);
    let book = desk.journal.book(&desk.workloads[0].id).unwrap();
    desk.turn();
    desk.wait(10);
    desk.one_waits(0);
    let actions = desk.turn();
    desk.done(&actions[0]);
    desk.turn();
    desk.wait(2);
    desk.counts(0, 1, 1);
    desk.turn();
    let watched = book.watched().unwrap();
    let advice = watched.advice(COST, desk.now);
    assert_eq!((watched.observed, advice.cold_starts, advice.p95), (false, 1, secs(2)));
    assert_eq!((advice.watched, advice.slept, advice.used), (secs(12), secs(10), secs(2)));
    // Another mode is another watch.
    desk.workloads[0].mode = Mode::Observe("for a trial".into());
    desk.counts(0, 1, 1);
    desk.turn();
    let watched = book.watched().unwrap();
    assert_eq!((watched.observed, watched.advice(COST, desk.now).watched), (true, Duration::ZERO));
    desk.workloads[0].mode = Mode::Off;
    desk.counts(0, 1, 1);
    desk.turn();
    assert!(book.watched().is_none());
}
