use super::*;

const TERMS: Terms =
    Terms { cold_start_cost: Duration::from_secs(150), start_time: Duration::from_secs(2), prewarm: true };

fn at(second: u64) -> Moment {
    Moment::from_secs(second)
}

/// A workload that is shown to what learns of it.
struct Scene {
    learned: Learned,
    seen: Observation,
}

impl Scene {
    fn new() -> Self {
        let mut seen = Observation::default();
        seen.replicas.desired = 1;
        Scene { learned: Learned::default(), seen }
    }

    fn look(&mut self, now: u64) -> Option<Warmth> {
        self.learned.look(&self.seen, at(now), &TERMS)
    }

    /// A request that is there for a second.
    fn request(&mut self, now: u64) -> Option<Warmth> {
        (self.seen.running, self.seen.replicas.desired) = (1, 1);
        assert_eq!(self.look(now), None);
        (self.seen.running, self.seen.last_activity) = (0, Some(at(now + 1)));
        self.look(now + 1)
    }
}

/// A call each 300 s, the last one at 2200 s, and when the next one is awaited.
fn timer(scene: &mut Scene) -> Moment {
    let warmth = [1000, 1300, 1600, 1900, 2200].map(|second| scene.request(second));
    assert_eq!(warmth[0], Some(Warmth { until: at(1061), prewarm: None }), "nothing is known yet");
    let due = warmth[4].and_then(|warmth| warmth.prewarm).unwrap();
    // Not before a tenth, a bin and a start before it is due.
    assert!(due >= at(2201 + 269 - 20 - 2) && due <= at(2500), "{due:?}");
    due
}

/// A [`timer`] that is slept through until a replica was started for its next call, and is there.
fn awaited(scene: &mut Scene) -> Warmth {
    let due = timer(scene);
    scene.seen.replicas.desired = 0;
    scene.look(2300);
    scene.learned.raising(Because::Prewarm);
    (scene.seen.replicas.desired, scene.seen.ready_since) = (1, due + Duration::from_secs(2));
    scene.look(due.secs() + 3).unwrap()
}

#[test]
fn a_timer_is_awaited_once_it_is_known() {
    let mut scene = Scene::new();
    let due = timer(&mut scene);
    scene.seen.replicas.desired = 0;
    assert_eq!(scene.look(2300).unwrap().prewarm, Some(due), "whenever it is asked");
    let later = scene.look(due.secs() + 1).unwrap();
    assert!(later.prewarm == Some(due) && later.until > at(2500), "{later:?}");
}

#[test]
fn a_request_that_came_and_went_unseen_ends_the_gap_too() {
    let mut scene = Scene::new();
    scene.request(1000);
    scene.seen.last_activity = Some(at(1600));
    assert!(scene.look(1601).unwrap().until > at(1600));
    assert_eq!(scene.learned.gaps().count(), 1);
}

#[test]
fn short_gaps_say_nothing() {
    let mut scene = Scene::new();
    for step in 1..50 {
        scene.seen.last_activity = Some(Moment::from_micros(step * 900_000));
        scene.look(step);
    }
    assert_eq!(scene.learned.gaps().count(), 0);
}

#[test]
fn what_was_made_unasked_begins_no_gap_and_is_counted() {
    let mut scene = Scene::new();
    let until = awaited(&mut scene).until;
    assert!(until > at(2500), "it waits for who is due");
    // Nobody came.
    scene.seen.replicas.desired = 0;
    scene.look(until.secs() + 1);
    assert_eq!(scene.learned.prewarms(), Prewarms { used: 0, unused: 1 });
    let gaps = scene.learned.gaps().count();
    scene.request(2801);
    assert_eq!(scene.learned.gaps().count(), gaps + 1, "it was one gap");
    assert_eq!(scene.learned.prewarms(), Prewarms { used: 0, unused: 1 });
}

#[test]
fn one_that_is_there_when_a_request_comes_was_of_use() {
    let mut scene = Scene::new();
    awaited(&mut scene);
    scene.request(2500);
    assert_eq!(scene.learned.prewarms(), Prewarms { used: 1, unused: 0 });
}

#[test]
fn what_was_made_for_another_begins_no_gap_and_is_no_pre_warm() {
    let mut scene = Scene::new();
    let due = timer(&mut scene);
    scene.seen.replicas.desired = 0;
    scene.look(2300);
    scene.learned.raising(Because::WakeWith);
    (scene.seen.replicas.desired, scene.seen.ready_since) = (1, at(2310));
    assert_eq!(scene.look(2310).unwrap().prewarm, Some(due), "what was awaited still is");
    scene.seen.replicas.desired = 0;
    assert_eq!(scene.look(2320).unwrap().prewarm, Some(due));
    assert_eq!(scene.learned.prewarms(), Prewarms::default());
    let gaps = scene.learned.gaps().count();
    scene.request(2501);
    assert_eq!(scene.learned.gaps().count(), gaps + 1, "it was one gap");
}

#[test]
fn who_asked_and_left_is_waited_for_from_when_it_is_ready() {
    let mut scene = Scene::new();
    scene.request(1000);
    scene.seen.running = 1;
    scene.look(2000);
    scene.seen.running = 0;
    scene.look(2010);
    scene.seen.ready_since = at(2060);
    assert!(scene.look(2060).unwrap().until > at(2060));
}

#[test]
fn a_bad_record_stops_it_and_a_good_one_starts_it_again() {
    let mut learned = Learned::default();
    learned.gaps.add(Duration::from_secs(600));
    learned.record = -1.0;
    assert!(!learned.has_earned());
    let plan = Plan {
        keep: Duration::ZERO,
        prewarms: vec![crate::warm::Stretch { from: Duration::from_secs(500), to: Duration::from_secs(700) }],
    };
    let gap = Gap { since: Moment::ZERO, whole: true, plan, made: Made::None, ripe: None };
    assert_eq!(gap.warmth(learned.has_earned(), &TERMS, at(600)).prewarm, None);
    learned.gap = Some(gap);
    learned.end(at(600), &TERMS);
    assert!(learned.has_earned(), "it would have been of use");
}

#[test]
fn three_that_nobody_uses_are_the_most() {
    let stretch =
        |from| crate::warm::Stretch { from: Duration::from_secs(from), to: Duration::from_secs(from + 10) };
    let plan = Plan { keep: Duration::ZERO, prewarms: [100, 200, 300].map(stretch).to_vec() };
    assert_eq!(saved(&plan, Duration::from_secs(4000), TERMS.start_time, 150.0), -36.0);
    assert_eq!(saved(&plan, Duration::from_secs(205), TERMS.start_time, 150.0), 150.0 - 12.0 - 7.0);
    let gap = Gap { since: Moment::ZERO, whole: true, plan, made: Made::None, ripe: None };
    assert_eq!(gap.warmth(true, &TERMS, at(311)).prewarm, None);
}

/// What another process takes over from one that has learned this.
fn begun_anew(scene: &Scene) -> Scene {
    let known = &scene.learned;
    let mut next = Scene::new();
    assert!(next.learned.recall(Learned::new(
        known.gaps.clone(),
        known.record,
        known.prewarms,
        known.forgotten
    )));
    next
}

#[test]
fn a_gap_whose_beginning_was_not_seen_is_none() {
    let mut scene = Scene::new();
    timer(&mut scene);
    let mut next = begun_anew(&scene);
    let known = next.learned.gaps().count();
    (next.seen.last_activity, next.seen.ready_since) = (Some(at(2201)), at(2400));
    next.look(2400);
    next.request(2500);
    assert_eq!(next.learned.gaps().count(), known, "nobody knows when it began");
    next.request(2800);
    assert_eq!(next.learned.gaps().count(), known + 1);
}

#[test]
fn after_a_restart_a_replica_goes_no_earlier_than_without() {
    let mut scene = Scene::new();
    let before = awaited(&mut scene).until;
    for second in [2465, 2500, 2530] {
        let mut next = begun_anew(&scene);
        next.seen.ready_since = at(second);
        let after = next.look(second).unwrap();
        assert!(after.until >= before, "at {second}: {after:?}, {before:?} without");
        assert_eq!(after.prewarm, None, "what is due isn't known");
    }
}

#[test]
fn what_was_forgotten_isnt_taken_over_again() {
    let mut scene = Scene::new();
    timer(&mut scene);
    let old = scene.learned.clone();
    scene.learned.forget();
    assert_eq!((scene.learned.gaps().count(), scene.learned.forgotten()), (0, 1));
    assert!(!scene.learned.recall(old.clone()), "it is from before");
    let mut follower = old;
    assert!(follower.recall(scene.learned.clone()), "who has not heard of it yet does now");
    assert_eq!(follower.gaps().count(), 0);
}

#[test]
fn who_knows_more_gaps_is_believed() {
    let mut scene = Scene::new();
    timer(&mut scene);
    let mut young = Scene::new();
    young.request(100);
    young.request(400);
    assert!(!scene.learned.recall(young.learned.clone()));
    assert!(young.learned.recall(scene.learned.clone()));
    young.request(700);
    assert_eq!(young.learned.gaps().count(), scene.learned.gaps().count() + 1, "its own gap goes on");
}
