//! Learned idle through the whole control line: reports in, counts out.

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
        let mut timer = Timer::new(knobs);
        (1..calls * EVERY + 10).for_each(|second| timer.second(second));
        timer
    }

    fn prewarms(&self) -> (u64, u64) {
        let id = &self.desk.workloads[0].id;
        let prewarms = self.desk.journal.book(id).unwrap().counts().prewarms;
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
