//! Learned idle: from the gaps of one workload, how long it stays warm, and when it is warm again before it is asked.
//!
//! Is shown what is known of the workload whenever that changes; answers with the moments that decisions are made from.
//! Whether replicas may be started before anybody asks is earned: each gap that ends tells what its plan would have saved by
//! that and what it would have cost, and they are started while that record isn't bad.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gaps::Gaps;
use crate::moment::Moment;
use crate::warm::{Plan, Terms};

/// A replica is kept for so long at least: whoever decides hears of a request's end up to a second later.
pub const LEAST_KEPT: Duration = Duration::from_secs(1);
/// And for so long at most, before the first pre-warm.
const MOST_KEPT: Duration = Duration::from_secs(30 * 60);
/// Gaps that must be known before a replica is started unasked.
const ENOUGH: u64 = 1;
/// What remains of the record with each gap.
const FADING: f64 = 0.95;

/// What is known of one workload's idle time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    gaps: Gaps,
    /// What starts before anybody asked would have saved less what they would have cost, in replica-seconds.
    record: f64,
    gap: Option<Gap>,
    prewarms: Prewarms,
}

/// The gap that it is in.
#[derive(Clone, Debug, PartialEq)]
struct Gap {
    since: Moment,
    plan: Plan,
    /// Of a replica that was started in it before anybody asked.
    made: Made,
    /// When that was ready.
    ripe: Option<Moment>,
}

/// A replica that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    None,
    Asked,
    There,
}

/// Replicas that were started before anybody asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prewarms {
    /// A request came while it was there.
    pub used: u64,
    /// None did.
    pub unused: u64,
}

/// What is shown of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The time.
    pub now: Moment,
    /// Whether requests are in flight or wait.
    pub busy: bool,
    /// The end of the last request.
    pub last_activity: Option<Moment>,
    /// When a replica last became ready.
    pub ready_since: Moment,
    /// Replicas that are asked for.
    pub desired: u32,
}

/// What decisions are made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warmth {
    /// A replica is kept until then.
    pub until: Moment,
    /// One is started then though nobody asks: to be ready when a request is due.
    pub prewarm: Option<Moment>,
}

impl Learned {
    /// What is known of its gaps.
    pub fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Whether replicas are started before anybody asks, where the policy allows it.
    pub fn has_earned(&self) -> bool {
        self.gaps.count() >= ENOUGH && self.record >= 0.0
    }

    /// How many were, and whether they were of use.
    pub fn prewarms(&self) -> Prewarms {
        self.prewarms
    }

    /// A replica is asked for before anybody asks.
    pub fn prewarming(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.made = Made::Asked;
        }
    }

    /// Looks at the workload. Returns when it is warm; `None` while it is busy.
    pub fn look(&mut self, sight: &Sight, terms: &Terms) -> Option<Warmth> {
        self.follow(sight);
        let worked = sight.last_activity.filter(|at| self.gap.as_ref().is_some_and(|gap| *at > gap.since));
        if sight.busy || worked.is_some() {
            self.end(worked.unwrap_or(sight.now), terms);
        }
        if sight.busy {
            return None;
        }
        let since = sight.last_activity.map_or(sight.ready_since, |at| at.max(sight.ready_since));
        // Who asked may have left before it was ready; then the gap begins with that. What was made unasked begins none.
        let own = self.gap.as_ref().is_some_and(|gap| gap.ripe == Some(since) || since <= gap.since);
        if !own {
            let plan = Plan::new(&self.gaps.outlook(), terms);
            self.gap = Some(Gap { since, plan, made: Made::None, ripe: None });
        }
        self.gap.as_ref().map(|gap| gap.warmth(self.has_earned(), terms, sight.now))
    }

    /// Follows what was made unasked.
    fn follow(&mut self, sight: &Sight) {
        let Some(gap) = &mut self.gap else { return };
        if gap.made != Made::None && sight.ready_since > gap.since {
            gap.ripe = Some(sight.ready_since);
        }
        gap.made = match gap.made {
            Made::Asked if sight.desired > 0 => Made::There,
            Made::There if sight.desired == 0 => {
                self.prewarms.unused += 1;
                Made::None
            }
            made => made,
        };
    }

    /// A request came at `at`, the first of a gap.
    fn end(&mut self, at: Moment, terms: &Terms) {
        let Some(gap) = self.gap.take() else { return };
        self.prewarms.used += u64::from(gap.made == Made::There);
        let length = at.since(gap.since);
        // Whatever is planned, a replica is there after so short a gap: it says nothing of what to plan.
        if length >= LEAST_KEPT {
            self.record = self.record * FADING + worth(&gap.plan, length, terms);
            self.gaps.add(length);
        }
    }
}

impl Gap {
    fn warmth(&self, earned: bool, terms: &Terms, now: Moment) -> Warmth {
        let keep = self.plan.keep.clamp(LEAST_KEPT, MOST_KEPT);
        let mut warmth = Warmth { until: self.since + keep, prewarm: None };
        let mut prewarms = self.plan.prewarms.iter().filter(|_| earned);
        if let Some(stretch) = prewarms.find(|stretch| self.since + stretch.to > now) {
            let start = (self.since + stretch.from).before(terms.start_time).max(self.since);
            warmth.prewarm = Some(start);
            if start <= now {
                warmth.until = warmth.until.max(self.since + stretch.to);
            }
        }
        warmth
    }
}

/// What the pre-warms of `plan` save in a gap, less what they cost, in replica-seconds.
fn worth(plan: &Plan, gap: Duration, terms: &Terms) -> f64 {
    let mut worth = 0.0;
    for stretch in &plan.prewarms {
        let start = stretch.from.saturating_sub(terms.start_time);
        if gap < start {
            break;
        }
        worth -= (gap.min(stretch.to) - start).as_secs_f64();
        if (stretch.from..stretch.to).contains(&gap) {
            worth += terms.cold_start_cost.as_secs_f64();
        }
    }
    worth
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        cold_start_cost: Duration::from_secs(150),
        start_time: Duration::from_secs(2),
        prewarm: true,
    };

    fn at(second: u64) -> Moment {
        Moment::from_secs(second)
    }

    /// A workload that is shown to what learns of it.
    struct Scene {
        learned: Learned,
        sight: Sight,
    }

    impl Scene {
        fn new() -> Self {
            let sight = Sight {
                now: Moment::ZERO,
                busy: false,
                last_activity: None,
                ready_since: Moment::ZERO,
                desired: 1,
            };
            Scene { learned: Learned::default(), sight }
        }

        fn look(&mut self, now: u64) -> Option<Warmth> {
            self.sight.now = at(now);
            self.learned.look(&self.sight, &TERMS)
        }

        /// A request that is there for a second.
        fn request(&mut self, now: u64) -> Option<Warmth> {
            (self.sight.busy, self.sight.desired) = (true, 1);
            assert_eq!(self.look(now), None);
            (self.sight.busy, self.sight.last_activity) = (false, Some(at(now + 1)));
            self.look(now + 1)
        }
    }

    /// A call each 300 s, the last one at 2200 s, and when the next one is awaited.
    fn timer(scene: &mut Scene) -> Moment {
        let warmth = [1000, 1300, 1600, 1900, 2200].map(|second| scene.request(second));
        assert_eq!(warmth[0], Some(Warmth { until: at(1021), prewarm: None }), "nothing is known yet");
        let due = warmth[4].and_then(|warmth| warmth.prewarm).unwrap();
        // Not before a tenth, a bin and a start before it is due.
        assert!(due >= at(2201 + 269 - 20 - 2) && due <= at(2500), "{due:?}");
        due
    }

    /// A [`timer`] that is slept through until a replica was started for its next call, and is there.
    fn awaited(scene: &mut Scene) -> Warmth {
        let due = timer(scene);
        scene.sight.desired = 0;
        scene.look(2300);
        scene.learned.prewarming();
        (scene.sight.desired, scene.sight.ready_since) = (1, due + Duration::from_secs(2));
        scene.look(due.secs() + 3).unwrap()
    }

    #[test]
    fn a_timer_is_awaited_once_it_is_known() {
        let mut scene = Scene::new();
        let due = timer(&mut scene);
        scene.sight.desired = 0;
        assert_eq!(scene.look(2300).unwrap().prewarm, Some(due), "whenever it is asked");
        let later = scene.look(due.secs() + 1).unwrap();
        assert!(later.prewarm == Some(due) && later.until > at(2500), "{later:?}");
    }

    #[test]
    fn a_request_that_came_and_went_unseen_ends_the_gap_too() {
        let mut scene = Scene::new();
        scene.request(1000);
        scene.sight.last_activity = Some(at(1600));
        assert!(scene.look(1601).unwrap().until > at(1600));
        assert_eq!(scene.learned.gaps().count(), 1);
    }

    #[test]
    fn short_gaps_say_nothing() {
        let mut scene = Scene::new();
        for step in 1..50 {
            scene.sight.last_activity = Some(Moment::from_micros(step * 900_000));
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
        scene.sight.desired = 0;
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
    fn who_asked_and_left_is_waited_for_from_when_it_is_ready() {
        let mut scene = Scene::new();
        scene.request(1000);
        scene.sight.busy = true;
        scene.look(2000);
        scene.sight.busy = false;
        scene.look(2010);
        scene.sight.ready_since = at(2060);
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
            prewarms: vec![crate::warm::Stretch {
                from: Duration::from_secs(500),
                to: Duration::from_secs(700),
            }],
        };
        let gap = Gap { since: Moment::ZERO, plan, made: Made::None, ripe: None };
        assert_eq!(gap.warmth(learned.has_earned(), &TERMS, at(600)).prewarm, None);
        learned.gap = Some(gap);
        learned.end(at(600), &TERMS);
        assert!(learned.has_earned(), "it would have been of use");
    }

    #[test]
    fn three_that_nobody_uses_are_the_most() {
        let stretch = |from| crate::warm::Stretch {
            from: Duration::from_secs(from),
            to: Duration::from_secs(from + 10),
        };
        let plan = Plan { keep: Duration::ZERO, prewarms: [100, 200, 300].map(stretch).to_vec() };
        assert_eq!(worth(&plan, Duration::from_secs(4000), &TERMS), -36.0);
        assert_eq!(worth(&plan, Duration::from_secs(205), &TERMS), 150.0 - 12.0 - 7.0);
        let gap = Gap { since: Moment::ZERO, plan, made: Made::None, ripe: None };
        assert_eq!(gap.warmth(true, &TERMS, at(311)).prewarm, None);
    }
}
