//! The rules of deciding as timelines, one per rule.

mod burst_test;

use crate::decide::{Memory, Verdict, decide};
use crate::decision::{Because, Decision, Next, Then, Why};
use crate::kpa::Kpa;
use crate::observation::{Company, Heard, Loads, Observation};
use crate::policy::IdleTimeout;
use crate::snapshot::{HandedTo, Replicas, StartFailure};
use crate::warm::Warmth;
use crate::window::Load;
use crate::{Moment, Policy, WorkloadId};

/// One workload and what is known of it, changed line by line.
struct Scene {
    policy: Policy,
    seen: Observation,
    memory: Memory,
}

fn at(seconds: f64) -> Moment {
    Moment::from_micros((seconds * 1e6) as u64)
}

fn counts(desired: u32, ready: u32) -> Replicas {
    Replicas { desired, ready, starting: desired.saturating_sub(ready) }
}

fn loads(stable: f64, panic: f64) -> Option<Loads> {
    Some(Loads { stable: Load::of(stable), panic: Load::of(panic) })
}

impl Scene {
    fn new(knobs: &[(&str, &str)]) -> Self {
        let seen = Observation {
            leading: true,
            shown: true,
            heard: Heard::From(Moment::ZERO),
            seen: true,
            ..Observation::default()
        };
        let usual = [("idle-timeout", "1m")];
        let policy = Policy::default().with(usual.iter().chain(knobs).copied()).unwrap();
        Scene { policy, seen, memory: Memory::default() }
    }

    fn verdict(&mut self, second: f64) -> Verdict {
        let (verdict, memory) = decide(&self.policy, &self.seen, self.memory.clone(), at(second));
        self.memory = memory;
        verdict
    }

    /// The count that is aimed at, and the word of its reason.
    fn says(&mut self, second: f64) -> (u32, &'static str) {
        let verdict = self.verdict(second);
        (verdict.decision.aim(self.seen.replicas.desired), verdict.decision.word())
    }
}

#[test]
fn a_wake_is_sized_by_who_waits() {
    let mut scene = Scene::new(&[("container-concurrency", "10")]);
    assert_eq!(scene.says(0.0), (0, "asleep"));
    for (waiting, to) in [(1, 1), (10, 1), (11, 2), (95, 10), (1000, 10)] {
        scene.seen.waiting = waiting;
        assert_eq!(scene.says(0.0), (to, "wake"), "{waiting} waiting");
    }
}

#[test]
fn stale_windows_and_running_requests_dont_wake() {
    let mut scene = Scene::new(&[]);
    (scene.seen.load, scene.seen.running) = (loads(500.0, 500.0), 3);
    assert_eq!(scene.says(0.0), (0, "asleep"));
}

#[test]
fn initial_scale_is_for_the_first_wake_and_activation_scale_for_every_one() {
    let mut scene = Scene::new(&[("initial-scale", "5"), ("activation-scale", "2")]);
    scene.seen.waiting = 1;
    assert_eq!(scene.says(0.0), (5, "wake"));
    scene.seen.replicas = counts(5, 5);
    scene.says(1.0);
    scene.seen.replicas = counts(0, 0);
    assert_eq!(scene.says(90.0), (2, "wake"));
}

#[test]
fn a_backlog_counts_free_slots_of_ready_and_starting_replicas() {
    let mut scene = Scene::new(&[("container-concurrency", "2"), ("max-scale", "20")]);
    // (desired, ready, running, waiting, to)
    for (desired, ready, running, waiting, to) in [
        (1, 1, 2, 1, 2),
        (1, 1, 1, 1, 1),
        (1, 1, 2, 5, 4),
        (2, 1, 2, 2, 2),
        (2, 1, 2, 3, 3),
        (3, 0, 0, 6, 3),
        (3, 0, 0, 7, 4),
        (1, 1, 9, 2, 2),
    ] {
        scene.seen.replicas = counts(desired, ready);
        (scene.seen.running, scene.seen.waiting) = (running, waiting);
        let (got, _) = scene.says(0.0);
        assert_eq!(got, to, "{running} running and {waiting} waiting at {ready} of {desired}");
    }
}

#[test]
fn waiting_is_no_load() {
    let mut scene = Scene::new(&[("target", "1")]);
    scene.seen.replicas = counts(1, 1);
    (scene.seen.load, scene.seen.running) = (loads(0.5, 0.5), 1);
    assert_eq!(scene.says(1.0), (1, "steady"));
}

#[test]
fn idle_is_exact_and_says_when() {
    let mut scene = Scene::new(&[("idle-timeout", "90s"), ("scale-down-delay", "10m")]);
    scene.seen.replicas = counts(7, 7);
    scene.seen.load = loads(450.0, 450.0);
    scene.seen.last_activity = Some(at(10.0));
    let next = Some(Next { at: at(100.0), then: Then::Zero });
    assert_eq!(scene.verdict(99.999_999).next, next);
    assert_eq!(scene.says(100.0), (0, "idle"), "all at once, whatever the windows say");
    scene.seen.running = 1;
    assert_eq!(scene.verdict(500.0).next, None, "a stream that moves nothing is in flight");
    scene.seen.running = 0;
    scene.seen.last_activity = Some(at(500.0));
    assert_eq!(scene.verdict(589.0).next, Some(Next { at: at(590.0), then: Then::Zero }));
}

#[test]
fn where_idle_is_learned_it_is_over_when_that_says_so_and_a_start_is_due_when_that_says_so() {
    let mut scene = Scene::new(&[("idle-timeout", "learned"), ("activation-scale", "2")]);
    (scene.seen.replicas, scene.seen.last_activity) = (counts(2, 2), Some(at(10.0)));
    assert_eq!(scene.says(9999.0), (2, "steady"), "nothing is known yet");
    scene.seen.warmth = Some(Warmth { until: at(30.0), prewarm: Some(at(300.0)) });
    assert_eq!(scene.verdict(29.0).next, Some(Next { at: at(30.0), then: Then::Zero }));
    assert_eq!(scene.says(30.0), (0, "idle"));
    scene.seen.replicas = counts(0, 0);
    let asleep = scene.verdict(299.0);
    assert_eq!(asleep.decision, Decision::Stay(Why::Asleep));
    assert_eq!(asleep.next, Some(Next { at: at(300.0), then: Then::Prewarm }));
    assert_eq!(scene.says(300.0), (2, "prewarm"));
    scene.seen.leading = false;
    assert_eq!(scene.says(300.0), (0, "following"), "two that count differently would start one each");
    scene.seen.leading = true;
    scene.seen.contested_until = at(400.0);
    assert_eq!(scene.says(300.0), (0, "contested"), "nobody waits for it");
}

#[test]
fn the_idle_clock_of_a_new_replica_begins_when_it_is_ready() {
    let mut scene = Scene::new(&[("idle-timeout", "10s")]);
    scene.seen.replicas = counts(1, 0);
    scene.seen.last_activity = Some(at(1.0));
    assert_eq!(scene.says(300.0), (1, "starting"), "its caller has long gone");
    (scene.seen.replicas, scene.seen.ready_since) = (counts(1, 1), at(300.0));
    assert_eq!(scene.says(309.0), (1, "warm"));
    assert_eq!(scene.says(310.0), (0, "idle"));
}

#[test]
fn nothing_goes_down_while_a_replica_starts_or_requests_wait() {
    let mut scene = Scene::new(&[("target", "1"), ("target-utilization-percentage", "100")]);
    scene.memory.kpa = Kpa::default();
    scene.seen.replicas = counts(4, 3);
    (scene.seen.load, scene.seen.running) = (loads(1.0, 1.0), 1);
    assert_eq!(scene.says(1.0), (4, "starting"));
    scene.seen.replicas = counts(4, 4);
    scene.seen.shown = false;
    assert_eq!(scene.says(2.0), (4, "starting"), "what the platform shows is of old");
    (scene.seen.shown, scene.seen.waiting) = (true, 1);
    assert_eq!(scene.says(3.0), (4, "waiting"));
    scene.seen.waiting = 0;
    assert_eq!(scene.says(6.0), (2, "window"));
}

#[test]
fn one_step_down_per_tick() {
    let mut scene = Scene::new(&[("target", "1"), ("target-utilization-percentage", "100")]);
    (scene.seen.load, scene.seen.running) = (loads(1.0, 1.0), 1);
    scene.seen.replicas = counts(8, 8);
    assert_eq!(scene.says(10.0), (4, "window"));
    scene.seen.replicas = counts(4, 4);
    assert_eq!(scene.says(10.5), (4, "pace"));
    assert_eq!(scene.verdict(10.5).next, Some(Next { at: at(12.5), then: Then::Down }));
    assert_eq!(scene.says(12.5), (2, "window"));
}

#[test]
fn no_data_is_not_zero() {
    let mut scene = Scene::new(&[("idle-timeout", "10s")]);
    scene.seen.replicas = counts(3, 3);
    scene.seen.heard = Heard::Silent;
    assert_eq!(scene.says(100.0), (3, "no-data"));
    scene.seen.heard = Heard::From(at(160.0));
    assert_eq!(scene.verdict(100.0).next, Some(Next { at: at(160.0), then: Then::Heard }));
    assert_eq!(scene.says(160.0), (0, "idle"));
    scene.seen.heard = Heard::Silent;
    scene.seen.waiting = 1000;
    assert_eq!(scene.says(161.0), (10, "backlog"), "what is heard is enough to go up on");
}

#[test]
fn the_first_sleep_is_earned() {
    let mut scene = Scene::new(&[]);
    (scene.seen.replicas, scene.seen.seen) = (counts(2, 2), false);
    assert_eq!(scene.says(1000.0), (2, "unseen"));
    scene.seen.seen = true;
    assert_eq!(scene.says(1000.0), (0, "idle"));
}

#[test]
fn bounds_hold_from_both_sides() {
    let mut scene = Scene::new(&[("min-scale", "2"), ("max-scale", "4")]);
    assert_eq!(scene.says(0.0), (2, "min-scale"));
    scene.seen.replicas = counts(1, 1);
    assert_eq!(scene.says(0.0), (2, "min-scale"));
    scene.seen.replicas = counts(9, 9);
    scene.seen.running = 900;
    scene.seen.load = loads(900.0, 900.0);
    assert_eq!(scene.says(1000.0), (4, "max-scale"));
    scene.seen.replicas = counts(4, 4);
    assert_eq!(scene.says(1001.0), (4, "max-scale"));
    scene.seen.running = 0;
    scene.seen.load = loads(0.0, 0.0);
    scene.seen.replicas = counts(2, 2);
    scene.memory = Memory::default();
    assert_eq!(scene.says(2000.0), (2, "min-scale"));
}

#[test]
fn failed_starts_are_waited_out_and_then_tried_again() {
    let mut scene = Scene::new(&[]);
    scene.seen.waiting = 5;
    scene.seen.failure = Some(StartFailure {
        because: "exited".into(),
        detail: "exit status 1".into(),
        attempts: 3,
        known: true,
        retry_at: at(10.0),
    });
    assert_eq!(scene.says(9.0), (0, "start-failed"));
    assert_eq!(scene.verdict(9.0).next, Some(Next { at: at(10.0), then: Then::Start }));
    assert_eq!(scene.says(10.0), (1, "wake"));
    scene.seen.waiting = 0;
    scene.seen.replicas = counts(1, 0);
    assert_eq!(scene.says(100.0), (0, "idle"), "a start that is known to fail keeps nothing up");
}

#[test]
fn the_start_budget_and_following_hold_back() {
    let mut scene = Scene::new(&[("container-concurrency", "1")]);
    scene.seen.waiting = 5;
    scene.seen.allowance = Some(2);
    assert_eq!(scene.says(0.0), (2, "wake"));
    scene.seen.allowance = Some(0);
    assert_eq!(scene.says(0.0), (0, "start-budget"));
    (scene.seen.allowance, scene.seen.leading) = (None, false);
    assert_eq!(scene.says(0.0), (5, "wake"), "a wake needs no leader");
    scene.seen.replicas = counts(1, 1);
    assert_eq!(scene.says(0.0), (1, "following"));
    scene.seen.waiting = 0;
    assert_eq!(scene.says(100.0), (1, "following"));
}

#[test]
fn another_writer_and_a_hold_that_failed_are_waited_for() {
    let mut scene = Scene::new(&[]);
    scene.seen.replicas = counts(2, 2);
    scene.seen.contested_until = at(200.0);
    assert_eq!(scene.says(100.0), (2, "contested"));
    scene.seen.waiting = 1000;
    assert_eq!(scene.says(100.0), (2, "contested"), "what is there answers");
    assert_eq!(scene.verdict(100.0).next, Some(Next { at: at(200.0), then: Then::Start }));
    assert_eq!(scene.says(200.0), (10, "backlog"));
    scene.seen.replicas = counts(0, 0);
    assert_eq!(scene.says(100.0), (10, "wake"), "nothing answers");
    (scene.seen.waiting, scene.seen.replicas) = (0, counts(2, 2));
    scene.seen.contested_until = Moment::ZERO;
    scene.seen.rest_until = at(150.0);
    assert_eq!(scene.says(149.0), (2, "hold-cancelled"));
    assert_eq!(scene.says(150.0), (0, "idle"));
}

#[test]
fn what_was_before_a_sleep_is_forgotten() {
    let mut scene = Scene::new(&[("scale-down-delay", "10m"), ("target", "1")]);
    scene.seen.replicas = counts(2, 2);
    (scene.seen.load, scene.seen.running) = (loads(5.0, 50.0), 5);
    scene.says(0.0);
    assert!(scene.memory.kpa.panicking.is_some());
    scene.seen.replicas = counts(0, 0);
    scene.says(10.0);
    assert_eq!(scene.memory.kpa, Kpa::default());
}

#[test]
fn every_reason_has_a_word_and_a_sentence() {
    let scene = Scene::new(&[]);
    let because = [Because::Wake, Because::Backlog, Because::Window, Because::Panic, Because::Idle];
    let more = [Because::MinScale, Because::MaxScale, Because::ActivationScale];
    let scales = because.into_iter().chain(more).map(|because| Decision::Scale { to: 1, because });
    let why = [Why::Asleep, Why::Steady, Why::Warm, Why::MinScale, Why::MaxScale, Why::Starting];
    let more = [Why::StartFailed, Why::StartBudget, Why::Waiting, Why::Panic, Why::AfterPanic, Why::Unseen];
    let rest = [
        Why::AfterQueue,
        Why::ScaleDownDelay,
        Why::Pace,
        Why::Fresh,
        Why::NoData,
        Why::HoldCancelled,
        Why::Contested,
        Why::HandedOver,
        Why::Following,
    ];
    let stays = why.into_iter().chain(more).chain(rest).map(Decision::Stay);
    for decision in scales.chain(stays) {
        let json = serde_json::to_string(&decision).unwrap();
        assert!(json.contains(decision.word()), "{json} is written with {}", decision.word());
        assert!(!decision.explain(&scene.policy, &scene.seen).is_empty());
    }
}

#[test]
fn above_zero_the_count_is_whose_it_was_handed_to() {
    let mut scene = Scene::new(&[("container-concurrency", "1"), ("min-scale", "0")]);
    scene.seen.handed_to = Some(HandedTo::above_zero("HPA shop"));
    scene.seen.waiting = 50;
    assert_eq!(scene.says(0.0), (1, "wake"), "one, whatever waits");
    scene.seen.replicas = Replicas { desired: 1, ready: 1, starting: 0 };
    scene.seen.running = 1;
    assert_eq!(scene.says(1.0), (1, "handed-over"), "a backlog is another's to see");
    scene.seen.waiting = 0;
    scene.seen.load = loads(0.1, 0.1);
    for count in [7, 3] {
        scene.seen.replicas = Replicas { desired: count, ready: count, starting: 0 };
        assert_eq!(scene.says(100.0), (count, "handed-over"));
    }
    scene.seen.running = 0;
    scene.seen.last_activity = Some(at(100.0));
    let verdict = scene.verdict(150.0);
    assert_eq!(verdict.next, Some(Next { at: at(160.0), then: Then::Zero }));
    assert_eq!(scene.says(160.0), (0, "idle"), "in one step");
    let mut floor = Scene::new(&[("min-scale", "3")]);
    floor.seen.handed_to = Some(HandedTo::above_zero("HPA shop"));
    assert_eq!(floor.says(0.0), (1, "min-scale"));
    floor.seen.replicas = Replicas { desired: 1, ready: 1, starting: 0 };
    assert_eq!(floor.says(900.0), (1, "handed-over"));
}

#[test]
fn whose_zero_is_anothers_too_is_only_woken() {
    let mut scene = Scene::new(&[("container-concurrency", "1")]);
    scene.seen.handed_to = Some(HandedTo { who: "HPA shop".into(), zero: true });
    assert_eq!(scene.says(0.0), (0, "asleep"));
    scene.seen.waiting = 50;
    assert_eq!(scene.says(0.0), (1, "wake"));
    scene.seen.waiting = 0;
    scene.seen.replicas = counts(1, 1);
    scene.seen.last_activity = Some(at(100.0));
    let verdict = scene.verdict(150.0);
    assert_eq!(verdict.next, Some(Next { at: at(160.0), then: Then::Zero }), "it is looked at again then");
    for count in [1, 7] {
        scene.seen.replicas = counts(count, count);
        assert_eq!(scene.says(160.0), (count, "handed-over"), "zero isn't Kaos's to write");
        assert_eq!(scene.verdict(900.0).next, None);
    }
    scene.policy.min_scale = 2;
    assert_eq!(scene.says(900.0), (7, "handed-over"));
}

#[test]
fn in_company_it_wakes_with_its_first_size_and_never_sleeps() {
    let mut scene = Scene::new(&[("initial-scale", "3"), ("activation-scale", "2")]);
    let company = |wakes| Some(Company { with: WorkloadId::new("prod", "web"), wakes });
    scene.seen.company = company(false);
    assert_eq!(scene.says(0.0), (0, "asleep"), "for one that is on its way down nobody wakes");
    scene.seen.company = company(true);
    assert_eq!(scene.says(0.0), (3, "wake-with"));
    scene.seen.leading = false;
    assert_eq!(scene.says(0.0), (3, "wake-with"), "no leader is needed");
    scene.seen.leading = true;
    scene.seen.waiting = 1;
    assert_eq!(scene.says(0.0), (3, "wake"), "its own requests come first");
    scene.seen.waiting = 0;
    scene.seen.replicas = counts(2, 2);
    assert_eq!(scene.says(1000.0), (2, "wake-with"));
    assert_eq!(scene.verdict(1000.0).next, None, "its idle time ends by nothing of its own");
    scene.seen.company = company(false);
    assert_eq!(scene.says(1000.0), (2, "wake-with"), "it stays until the other is gone");
    scene.seen.running = 1;
    assert_eq!(scene.says(1000.0), (2, "steady"));
    scene.seen.running = 0;
    scene.seen.company = None;
    assert_eq!(scene.says(1000.0), (0, "idle"), "and goes at once where its idle time is over");
}
