//! Learned idle through the whole control line: reports in, counts out.

use std::sync::Arc;

use kaos_core::Moment;
use kaos_core::form::Kept;
use kaos_core::report::{HoldAnswer, HoldState};

use crate::Action;
use crate::desk::Desk;

/// Seconds from one call of the timer to the next, and of a start.
const EVERY: u64 = 300;
const START: u64 = 2;

/// A workload that a timer calls: each call takes a second.
struct Timer {
    desk: Desk,
    ready_at: Option<u64>,
    ends_at: Option<u64>,
    /// Calls that waited for a start, by their number.
    cold: Vec<u64>,
    /// Seconds without a replica.
    asleep: u64,
}

impl Timer {
    fn new(knobs: &[(&str, &str)]) -> Self {
        Timer { desk: Desk::new(1, 20, knobs), ready_at: None, ends_at: None, cold: Vec::new(), asleep: 0 }
    }

    fn ready(&self) -> bool {
        self.desk.workloads[0].replicas.ready > 0
    }

    fn second(&mut self, second: u64) {
        self.desk.wait(1);
        if self.ready_at.take_if(|at| *at <= second).is_some() {
            self.desk.counts(0, 1, 1);
        }
        let now = self.desk.now.micros();
        if self.ends_at.take_if(|at| *at <= second).is_some() {
            self.desk.readings[0].running.finish(now);
            self.desk.readings[0].last_activity = Some(now);
        }
        if second.is_multiple_of(EVERY) {
            self.desk.readings[0].waiting.start(now);
            self.cold.extend((!self.ready()).then_some(second / EVERY));
        }
        if self.ready() && self.desk.readings[0].waiting.open() > 0 {
            self.desk.readings[0].waiting.finish(now);
            self.desk.readings[0].running.start(now);
            self.ends_at = Some(second + 1);
        }
        self.desk.report();
        // What is asked for is done at once, and may be followed by more.
        loop {
            let actions = self.desk.turn();
            if actions.is_empty() {
                break;
            }
            actions.iter().for_each(|action| self.done(action, second));
        }
        self.asleep += u64::from(self.desk.workloads[0].replicas.desired == 0);
    }

    fn done(&mut self, action: &Action, second: u64) {
        self.desk.done(action);
        match action {
            Action::Scale { scale, .. } if scale.to == 0 => self.desk.counts(0, 0, 0),
            Action::Scale { .. } => self.ready_at = Some(second + START),
            Action::Hold { hold, .. } => {
                let state = HoldState::Confirmed;
                self.desk.readings[0].hold =
                    Some(HoldAnswer { id: hold.id.clone(), state, empty: Vec::new() });
            }
            Action::Release { .. } => self.desk.readings[0].hold = None,
        }
        self.desk.report();
    }

    fn run(knobs: &[(&str, &str)], calls: u64) -> Self {
        Timer::new(knobs).runs(calls)
    }

    fn runs(mut self, calls: u64) -> Self {
        (1..calls * EVERY + 10).for_each(|second| self.second(second));
        self
    }

    fn kept(&self) -> Option<Arc<[u8]>> {
        self.desk.journal.book(&self.desk.workloads[0].id).unwrap().kept()
    }

    fn gaps(&self) -> u64 {
        self.kept().map_or(0, |kept| Kept::read(&kept).unwrap().learned.gaps().count())
    }

    fn prewarms(&self) -> (u64, u64) {
        let id = &self.desk.workloads[0].id;
        let prewarms = self.desk.journal.book(id).unwrap().counts(self.desk.now).prewarms;
        (prewarms.used, prewarms.unused)
    }
}

#[test]
fn a_timer_finds_its_replica_and_is_slept_through() {
    let timer = Timer::run(&[("idle-timeout", "learned")], 12);
    assert!(timer.cold.iter().all(|call| *call <= 4), "cold calls: {:?}", timer.cold);
    let (used, unused) = timer.prewarms();
    assert!(used >= 8 && unused == 0, "{used} used, {unused} not");
    assert!(timer.asleep > 12 * EVERY / 2, "{} s asleep", timer.asleep);
}

#[test]
fn without_prewarms_every_call_is_cold_or_the_replica_stays() {
    let timer = Timer::run(&[("idle-timeout", "learned"), ("prewarm", "off")], 6);
    assert_eq!((timer.cold.len(), timer.prewarms()), (6, (0, 0)));
}

#[test]
fn another_process_goes_on_where_the_last_one_ended() {
    let first = Timer::run(&[("idle-timeout", "learned")], 12);
    let mut second = Timer::new(&[("idle-timeout", "learned")]);
    let id = second.desk.workloads[0].id.clone();
    second.desk.line.recall(&id, &first.kept().unwrap(), Moment::ZERO).unwrap();
    assert_eq!(second.kept(), first.kept(), "nothing is lost on the way");
    let second = second.runs(6);
    assert_eq!(second.cold, [1], "only in the gap whose beginning it didn't see");
    assert_eq!(second.gaps(), first.gaps() + 5);
}

#[test]
fn what_was_learned_before_a_workload_is_there_waits_for_it() {
    let first = Timer::run(&[("idle-timeout", "learned")], 4);
    let journal = Arc::new(crate::Journal::default());
    let settings = crate::line::Settings {
        id: "b".into(),
        max_starting: 20,
        earn_sleep: true,
        gather: std::time::Duration::ZERO,
    };
    let mut line = crate::Line::new(settings, journal.clone());
    let workload = &first.desk.shown[0];
    line.recall(&workload.id, &first.kept().unwrap(), Moment::ZERO).unwrap();
    assert!(line.recall(&workload.id, b"\x02", Moment::ZERO).unwrap_err().to_string().contains("version 2"));
    let workloads = Arc::from([workload.clone()]);
    line.saw(&kaos_core::Snapshot { version: 1, workloads, ..Default::default() }, Moment::ZERO);
    assert_eq!(journal.book(&workload.id).unwrap().kept(), first.kept());
}

#[test]
fn what_is_forgotten_is_learned_anew() {
    let mut timer = Timer::run(&[("idle-timeout", "learned")], 6);
    let old = timer.kept().unwrap();
    let (id, now) = (timer.desk.workloads[0].id.clone(), timer.desk.now);
    assert!(timer.desk.line.forget(&id, now));
    assert!(!timer.desk.line.forget(&kaos_core::WorkloadId::new("local", "nobody"), now));
    assert_eq!((timer.gaps(), timer.desk.journal.book(&id).unwrap().forgotten()), (0, Some(now)));
    timer.desk.line.recall(&id, &old, now).unwrap();
    assert_eq!(timer.gaps(), 0, "what is from before isn't taken");
    let known = timer.cold.len();
    (6 * EVERY + 10..7 * EVERY + 10).for_each(|second| timer.second(second));
    assert_eq!(timer.cold.len(), known + 1, "it is cold again");
}

/// The first second without a replica from `second` on, of a timer whose line is begun anew then if that is asked for; the call
/// after it isn't made.
fn asleep_from(second: u64, restart: bool) -> u64 {
    // A short window: who has heard its proxies for that long may go down.
    let mut timer = Timer::new(&[("idle-timeout", "learned"), ("window", "6s")]);
    (1..second).for_each(|second| timer.second(second));
    if restart {
        timer.desk.restart();
    }
    let asleep = timer.asleep;
    let call = second.next_multiple_of(EVERY);
    (second..call + 2 * EVERY)
        .find(|second| {
            // From the next call on nobody comes.
            if second % EVERY > 0 {
                timer.second(*second);
            }
            timer.asleep > asleep
        })
        .unwrap()
}

#[test]
fn a_restart_takes_no_replica_that_would_have_stayed() {
    // After a call, awaiting the next, and when that is late.
    for second in [8 * EVERY + 2, 9 * EVERY - 30, 9 * EVERY - 5, 9 * EVERY + 10, 9 * EVERY + 35] {
        let (with, without) = (asleep_from(second, true), asleep_from(second, false));
        assert!(with >= without, "restarted at {second}: asleep from {with} on, {without} without");
    }
}

#[test]
fn what_is_forgotten_elsewhere_is_forgotten_here() {
    let mut timer = Timer::run(&[("idle-timeout", "learned")], 6);
    let (id, now) = (timer.desk.workloads[0].id.clone(), timer.desk.now);
    let anew = Kept::forgotten(1).write();
    assert_eq!(timer.desk.line.recall(&id, &anew, now), Ok(true));
    assert_eq!((timer.gaps(), timer.desk.journal.book(&id).unwrap().forgotten()), (0, Some(now)));
    assert_eq!(timer.desk.line.recall(&id, &anew, now), Ok(false), "once");
}
