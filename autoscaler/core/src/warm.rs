//! When an idle workload is worth a warm replica: the plan for one gap.
//!
//! Let `f` be the density of gaps and `S` the share of gaps that are longer. A replica that is kept at idle age `x` costs
//! `S(x)` seconds per second and saves `c · f(x)` seconds, `c` being what a cold start is worth (`cold-start-cost` for each request
//! that it lets wait): it is worth it where the hazard of a request `f / S` is above `1 / c`. As a start takes time too, and what is known is never exact, that isn't decided point by
//! point but for the whole gap: of all ways to be warm and cold in turn, the one that is expected to cost least.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gaps::{BINS, Gaps, Outlook, bins};
use crate::moment::Moment;
use crate::policy::{Policy, Prewarm};

/// A replica is kept for so long at least: whoever decides hears of a request's end up to a second later.
pub const LEAST_KEPT: Duration = Duration::from_secs(1);
/// And for so long at most, before the first pre-warm.
const MOST_KEPT: Duration = Duration::from_secs(30 * 60);
/// Fewer gaps than this say little.
pub(crate) const FEW: u64 = 3;
/// Most pre-warms in one gap: none after so many that nobody used.
const MOST: usize = 3;
/// A pre-warm must be expected to save this share of a cold start's worth beyond its own cost: what is known is never exact,
/// and a dip that is bridged is often only a hole in it.
const DOUBT: f64 = 0.08;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What one cold start is worth, in time of an idle replica.
    pub cold_start_cost: Duration,
    /// From asked for to ready.
    pub start_time: Duration,
    /// Whether a replica may be started before anybody asks.
    pub prewarm: bool,
}

impl Terms {
    /// Those of `policy`, where a start takes `start_time`.
    pub fn new(policy: &Policy, start_time: Duration) -> Self {
        let prewarm = policy.prewarm == Prewarm::Earned;
        Terms { cold_start_cost: policy.cold_start_cost, start_time, prewarm }
    }

    /// What a cold start is worth where gaps end as `outlook` says, in replica-seconds: who comes while the replica starts waits too.
    pub fn worth(&self, outlook: &Outlook) -> f64 {
        self.cold_start_cost.as_secs_f64() * (1.0 + outlook.within(self.start_time))
    }
}

/// A stretch of a gap in which a replica is warm, from the gap's beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// It is ready from here on.
    pub from: Duration,
    /// It isn't worth its time from here on.
    pub to: Duration,
}

/// When a replica is warm in a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// At first it is worth keeping for so long.
    pub keep: Duration,
    /// Then one is started for each of these, in this order, until a request comes. At most three.
    pub prewarms: Vec<Stretch>,
}

/// When a workload is warm: what decisions are made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warmth {
    /// A replica is kept until then.
    pub until: Moment,
    /// One is started then though nobody asks: to be ready when a request is due.
    pub prewarm: Option<Moment>,
}

/// By how many pre-warms are left.
type PerLeft<T> = [T; MOST + 1];

/// What is best at the beginning of a bin.
#[derive(Clone, Copy, Debug, Default)]
struct Choice {
    /// A replica that is there goes.
    goes: PerLeft<bool>,
    /// Where there is none, one is started so that it is ready here.
    starts: PerLeft<bool>,
}

impl Plan {
    /// For how long a replica is kept at first.
    pub fn kept(&self) -> Duration {
        self.keep.clamp(LEAST_KEPT, MOST_KEPT)
    }

    /// The plan for the gap that begins now. Before three are known a replica is kept for at least two fifths of what a cold start
    /// is worth: a minute by default, as Knative keeps it.
    pub fn next(gaps: &Gaps, terms: &Terms) -> Plan {
        let mut plan = Plan::new(&gaps.outlook(), terms);
        if gaps.count() < FEW {
            plan.keep = plan.keep.max(terms.cold_start_cost * 2 / 5);
        }
        plan
    }

    /// The plan for a gap that may end as `outlook` says.
    pub fn new(outlook: &Outlook, terms: &Terms) -> Plan {
        let mut left = if terms.prewarm { MOST } else { 0 };
        let mut plan = Plan::default();
        let mut warm = true;
        for ((from, width), choice) in bins().zip(choices(outlook, terms, left)) {
            warm &= !choice.goes[left];
            if !warm && choice.starts[left] {
                (warm, left) = (true, left - 1);
                let from = Duration::from_secs_f64(from);
                plan.prewarms.push(Stretch { from, to: from });
            }
            if warm {
                let end = plan.prewarms.last_mut().map_or(&mut plan.keep, |stretch| &mut stretch.to);
                *end = Duration::from_secs_f64(from + width);
            }
        }
        plan
    }
}

/// What is best in each bin, found from the last to the first (Bellman's principle): whatever came before, the rest has to be
/// the best of what is left.
fn choices(outlook: &Outlook, terms: &Terms, left: usize) -> Vec<Choice> {
    let worth = terms.worth(outlook);
    let start = terms.start_time.as_secs_f64() + DOUBT * worth;
    // What the rest of the gap costs in replica-seconds, if a replica is there and if not. Beyond the last bin there is none.
    let (mut warm, mut cold) = (PerLeft::<f64>::default(), PerLeft::<f64>::default());
    let mut choices = vec![Choice::default(); BINS];
    let mut survive = outlook.beyond;
    let widths: Vec<f64> = bins().map(|(_, width)| width).collect();
    for ((choice, ends), width) in choices.iter_mut().zip(&outlook.ends).zip(widths).rev() {
        // Those that end in it end in its middle.
        let kept = (survive + ends / 2.0) * width;
        survive += ends;
        for k in (0..=left).rev() {
            let kept_on = kept + warm[k];
            let started = if k > 0 { survive * start + kept + warm[k - 1] } else { f64::INFINITY };
            let cold_on = worth * ends + cold[k];
            choice.starts[k] = started < cold_on;
            cold[k] = started.min(cold_on);
            choice.goes[k] = cold[k] < kept_on;
            warm[k] = cold[k].min(kept_on);
        }
    }
    choices
}

#[cfg(test)]
impl Plan {
    /// What it costs, as its definition has it: what is kept, starts, doubts, and cold starts.
    pub(crate) fn costs(&self, outlook: &Outlook, terms: &Terms) -> f64 {
        let worth = terms.worth(outlook);
        let mut survive: f64 = outlook.ends.iter().sum::<f64>() + outlook.beyond;
        let (mut sum, mut before) = (0.0, None);
        for ((from, width), ends) in bins().zip(&outlook.ends) {
            let within =
                |stretch: &Stretch| (stretch.from.as_secs_f64()..stretch.to.as_secs_f64()).contains(&from);
            let stretch = self.prewarms.iter().position(within);
            // It starts in the first bin that begins in the stretch, be that the stretch's own beginning or not.
            if stretch.is_some() && stretch != before {
                sum += survive * (terms.start_time.as_secs_f64() + DOUBT * worth);
            }
            before = stretch;
            survive -= ends;
            let warm = stretch.is_some() || from < self.keep.as_secs_f64();
            sum += if warm { (survive + ends / 2.0) * width } else { worth * ends };
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gaps::Gaps;

    const TERMS: Terms = Terms {
        cold_start_cost: Duration::from_secs(150),
        start_time: Duration::from_secs(1),
        prewarm: true,
    };

    fn plan(gaps: &[u64], terms: &Terms) -> Plan {
        let mut known = Gaps::default();
        gaps.iter().for_each(|gap| known.add(Duration::from_secs(*gap)));
        Plan::new(&known.outlook(), terms)
    }

    fn secs(from: u64, to: u64) -> Stretch {
        Stretch { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    #[test]
    fn before_anything_is_known_a_replica_is_kept_for_a_short_while() {
        assert_eq!(plan(&[], &TERMS), Plan { keep: Duration::from_secs(20), prewarms: Vec::new() });
    }

    #[test]
    fn a_timer_is_slept_through_and_awaited() {
        let timer = plan(&[300; 20], &TERMS);
        assert_eq!((timer.keep, &timer.prewarms[..]), (Duration::ZERO, &[secs(260, 340)][..]));
    }

    #[test]
    fn who_comes_again_soon_finds_it_there() {
        let soon = plan(&[20; 20], &TERMS);
        assert!((20..=40).contains(&soon.keep.as_secs()) && soon.prewarms.is_empty(), "{soon:?}");
    }

    #[test]
    fn without_prewarms_it_stays_or_goes_whichever_costs_less() {
        let off = Terms { prewarm: false, ..TERMS };
        let minute = plan(&[60; 20], &off);
        assert!((60..=80).contains(&minute.keep.as_secs()), "{minute:?}");
        assert_eq!(plan(&[600; 20], &off).keep, Duration::ZERO);
    }

    #[test]
    fn what_is_worth_more_is_kept_longer() {
        let dear = Terms { cold_start_cost: Duration::from_secs(1500), ..TERMS };
        assert!(plan(&[], &dear).keep > plan(&[], &TERMS).keep);
        let free = Terms { cold_start_cost: Duration::ZERO, ..TERMS };
        assert_eq!(plan(&[20; 20], &free), Plan::default());
    }

    proptest! {
        /// No plan with other edges costs less.
        #[test]
        fn nothing_near_is_better(
            gaps in prop::collection::vec(1u64..6000, 0..20),
            cost in 10u64..1000,
            start in 0u64..60,
            keep in 0u64..40,
            edges in (0u64..200, 1u64..60),
        ) {
            let terms = Terms { cold_start_cost: Duration::from_secs(cost), start_time: Duration::from_secs(start), prewarm: true };
            let mut known = Gaps::default();
            gaps.iter().for_each(|gap| known.add(Duration::from_secs(*gap)));
            let outlook = known.outlook();
            let best = Plan::new(&outlook, &terms);
            prop_assert!(best.prewarms.len() <= MOST);
            let from = keep * 20 + edges.0 * 20;
            let other = Plan { keep: Duration::from_secs(keep * 20), prewarms: vec![secs(from, from + edges.1 * 20)] };
            let (best, other) = (best.costs(&outlook, &terms), other.costs(&outlook, &terms));
            prop_assert!(best <= other + 1e-6, "{best} against {other}");
        }
    }
}
