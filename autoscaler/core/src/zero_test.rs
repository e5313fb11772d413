//! The way down as timelines: what the proxies say, what is written, how it ends.

use std::time::Duration;

use crate::platform::{Expected, Refusal, Scale};
use crate::report::{HoldAnswer, HoldState};
use crate::snapshot::{Hold, Targets};
use crate::zero::{Ask, Descent, Ended, LATEST, PATIENCE, Scene, State};
use crate::{EndpointUid, HoldId, Moment, lease};

/// The world around one descent: two proxies, three replicas.
struct Play {
    descent: Descent,
    now: Moment,
    leading: bool,
    aim: Option<u32>,
    desired: u32,
    waiting: u64,
    shown: u64,
    hold: Option<Hold>,
    answers: Vec<Option<HoldAnswer>>,
    ready: Vec<(EndpointUid, u64)>,
    ordered: bool,
    holds: u64,
}

fn uid(text: &str) -> EndpointUid {
    EndpointUid::new(text)
}

impl Play {
    fn new(aim: u32) -> Self {
        Play {
            descent: Descent::default(),
            now: Moment::from_secs(100),
            leading: true,
            aim: Some(aim),
            desired: 3,
            waiting: 0,
            shown: 1,
            hold: None,
            answers: vec![None, None],
            ready: vec![(uid("a"), 4), (uid("b"), 0), (uid("c"), 1)],
            ordered: false,
            holds: 0,
        }
    }

    fn step(&mut self) -> (Option<Ask>, Option<Ended>) {
        let answers: Vec<_> = self.answers.iter().map(Option::as_ref).collect();
        let scene = Scene {
            now: self.now,
            leading: self.leading,
            aim: self.aim,
            desired: self.desired,
            waiting: self.waiting,
            shown: self.shown,
            hold: self.hold.as_ref(),
            answers: &answers,
            ready: &self.ready,
            ordered: self.ordered,
        };
        let holds = &mut self.holds;
        self.descent.step(&scene, || {
            *holds += 1;
            (HoldId::new(&format!("h{holds}")), "me".into())
        })
    }

    fn wrote(&mut self, ask: &Ask, result: &Result<u64, Refusal>) -> Option<Ended> {
        self.descent.wrote(ask, result, self.now)
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// Begins a hold whose write is version 7, seen back.
    fn held(&mut self) -> Hold {
        let (ask, _) = self.step();
        let Some(Ask::Hold(hold)) = ask.clone() else { panic!("{ask:?}") };
        assert_eq!(self.wrote(&ask.unwrap(), &Ok(7)), None);
        (self.hold, self.shown) = (Some(hold.clone()), 7);
        hold
    }

    fn answer(&mut self, proxy: usize, id: &str, state: HoldState, empty: &[&str]) {
        let empty = empty.iter().map(|text| uid(text)).collect();
        self.answers[proxy] = Some(HoldAnswer { id: HoldId::new(id), state, empty });
    }
}

#[test]
fn every_proxy_confirms_and_then_all_go_at_once() {
    let mut play = Play::new(0);
    let hold = play.held();
    assert_eq!(hold.targets, Targets::All);
    assert_eq!(play.step(), (None, None));
    play.answer(0, "h1", HoldState::Confirmed, &[]);
    assert_eq!(play.step(), (None, None), "one of two isn't all");
    play.answer(1, "h1", HoldState::Draining, &[]);
    assert_eq!(play.step(), (None, None));
    play.answer(1, "h1", HoldState::Confirmed, &[]);
    let lower = Ask::Lower(Scale { to: 0, victims: vec![], expected: Expected::Version(7) });
    assert_eq!(play.step(), (Some(lower.clone()), None));
    assert_eq!(play.wrote(&lower, &Ok(8)), Some(Ended::Lowered));
    assert_eq!(play.step(), (Some(Ask::Release), None), "the hold has done its work");
    assert_eq!(play.wrote(&Ask::Release, &Err(Refusal::Failed("away".into()))), None);
    assert_eq!(play.step(), (Some(Ask::Release), None), "until it is gone");
    assert_eq!(play.wrote(&Ask::Release, &Ok(9)), None);
    assert_eq!(*play.descent.state(), State::Serving);
}

#[test]
fn a_request_that_waits_takes_the_hold_away_and_no_rest_follows() {
    let mut play = Play::new(0);
    play.held();
    play.waiting = 1;
    assert_eq!(play.step(), (Some(Ask::Release), Some(Ended::Traffic)));
    play.wrote(&Ask::Release, &Ok(8));
    assert_eq!(play.descent.rest_until(), Moment::ZERO);
}

#[test]
fn an_answer_to_another_hold_is_none() {
    let mut play = Play::new(0);
    play.held();
    for proxy in 0..2 {
        play.answer(proxy, "h0", HoldState::Confirmed, &[]);
    }
    assert_eq!(play.step(), (None, None));
}

#[test]
fn the_patience_ends_and_rests_grow() {
    let mut play = Play::new(0);
    for rest in [5, 10, 20, 40, 60, 60] {
        play.hold = None;
        play.held();
        assert_eq!(play.descent.due(), Some(play.now + PATIENCE));
        play.wait(2999);
        assert_eq!(play.step(), (None, None));
        play.wait(1);
        assert_eq!(play.step(), (Some(Ask::Release), Some(Ended::Unconfirmed)));
        play.hold = None;
        play.wrote(&Ask::Release, &Ok(8));
        assert_eq!(play.descent.rest_until(), play.now + Duration::from_secs(rest));
        assert_eq!(play.step(), (None, None), "no hold during the rest");
        play.wait(rest * 1000);
    }
}

#[test]
fn a_late_write_leaves_less_time_and_the_lease_outlasts_all() {
    let mut play = Play::new(0);
    let begun = play.now;
    let (ask, _) = play.step();
    let Some(Ask::Hold(hold)) = &ask else { panic!("{ask:?}") };
    play.hold = Some(hold.clone());
    play.wait(2500);
    play.wrote(&ask.unwrap(), &Ok(7));
    assert_eq!(play.descent.due(), Some(begun + LATEST));
    assert!(LATEST + Duration::from_secs(2) < lease::LONGEST);
}

#[test]
fn a_picture_from_before_the_hold_lowers_nothing() {
    let mut play = Play::new(0);
    play.held();
    play.answer(0, "h1", HoldState::Confirmed, &[]);
    play.answer(1, "h1", HoldState::Confirmed, &[]);
    play.shown = 6;
    assert_eq!(play.step(), (None, None));
    play.shown = 7;
    assert!(matches!(play.step(), (Some(Ask::Lower(_)), None)));
}

#[test]
fn whatever_goes_wrong_ends_in_a_release() {
    type Spoil = fn(&mut Play);
    let cases: [(&str, Spoil, Ended); 6] = [
        ("expired", |play| play.answer(1, "h1", HoldState::Expired, &[]), Ended::Expired),
        ("another decision", |play| play.aim = None, Ended::Unwanted),
        ("another count", |play| play.desired = 5, Ended::Unwanted),
        ("another leads", |play| play.leading = false, Ended::Unwanted),
        ("taken away", |play| play.hold = None, Ended::Taken),
        ("not in time", |play| play.wait(3000), Ended::Unconfirmed),
    ];
    for (name, spoil, ended) in cases {
        let mut play = Play::new(0);
        play.held();
        spoil(&mut play);
        assert_eq!(play.step(), (Some(Ask::Release), Some(ended)), "{name}");
    }
    let mut play = Play::new(0);
    let (ask, _) = play.step();
    let refused = Refusal::Failed("away".into());
    assert_eq!(play.wrote(&ask.unwrap(), &Err(refused.clone())), Some(Ended::Refused(refused)));
    assert_eq!(play.step(), (Some(Ask::Release), None), "it may have been written all the same");
}

#[test]
fn victims_are_the_least_busy_and_only_the_empty_ones_go() {
    let mut play = Play::new(1);
    let hold = play.held();
    assert_eq!(hold.targets, Targets::Endpoints(vec![uid("b"), uid("c")]));
    play.answer(0, "h1", HoldState::Confirmed, &["b", "c"]);
    play.answer(1, "h1", HoldState::Draining, &["b"]);
    assert_eq!(play.step(), (None, None), "c may still run empty");
    play.wait(3000);
    let lower = Ask::Lower(Scale { to: 2, victims: vec![uid("b")], expected: Expected::Version(7) });
    assert_eq!(play.step(), (Some(lower), None));
}

#[test]
fn a_victim_that_is_not_ready_any_more_is_not_counted_on() {
    let mut play = Play::new(2);
    play.held();
    for proxy in 0..2 {
        play.answer(proxy, "h1", HoldState::Confirmed, &["b"]);
    }
    play.ready.retain(|(ready, _)| *ready != uid("b"));
    assert_eq!(play.step(), (None, None));
}

#[test]
fn a_hold_left_behind_is_removed_by_the_leader_or_by_who_hears_of_requests() {
    for (leading, waiting, removes) in [(true, 0, true), (false, 1, true), (false, 0, false)] {
        let mut play = Play::new(0);
        (play.leading, play.waiting) = (leading, waiting);
        play.hold = Some(Hold { id: HoldId::new("old"), by: "dead".into(), targets: Targets::All });
        let expected = removes.then_some(Ask::Release);
        assert_eq!(play.step(), (expected, None), "leading {leading}, waiting {waiting}");
    }
}

#[test]
fn without_a_known_proxy_nothing_begins() {
    let mut play = Play::new(0);
    play.answers.clear();
    assert_eq!(play.step(), (None, None));
}

#[test]
fn where_a_platform_has_an_order_nobody_else_is_chosen() {
    let targets = |play: &mut Play| {
        let (ask, _) = play.step();
        let Some(Ask::Hold(Hold { targets: Targets::Endpoints(uids), .. })) = ask else { panic!("{ask:?}") };
        uids
    };
    assert_eq!(targets(&mut Play::new(1)), [uid("b"), uid("c")], "those with least in flight");
    let mut play = Play { ordered: true, ..Play::new(1) };
    assert_eq!(targets(&mut play), [uid("a"), uid("b")], "whatever is in flight on them");
    // The second is empty and the first isn't: the platform would take the first.
    let mut play = Play { ordered: true, ..Play::new(1) };
    play.held();
    for proxy in 0..2 {
        play.answer(proxy, "h1", HoldState::Draining, &["b"]);
    }
    play.wait(3000);
    assert_eq!(play.step(), (Some(Ask::Release), Some(Ended::Unconfirmed)));
    // The first alone may go.
    let mut play = Play { ordered: true, ..Play::new(1) };
    play.held();
    for proxy in 0..2 {
        play.answer(proxy, "h1", HoldState::Draining, &["a"]);
    }
    play.wait(3000);
    let lower = Scale { to: 2, victims: vec![uid("a")], expected: Expected::Version(7) };
    assert_eq!(play.step().0, Some(Ask::Lower(lower)));
    let mut few = Play { ordered: true, ready: vec![(uid("a"), 0)], ..Play::new(1) };
    assert_eq!(few.step(), (None, None), "not as many are ready");
}
