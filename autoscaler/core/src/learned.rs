//! Learned idle: from the gaps of one workload, how long it stays warm, and when it is warm again before it is asked.
//!
//! Is shown what is known of the workload whenever that changes; answers with the moments that decisions are made from.
//! Whether replicas may be started before anybody asks is earned: each gap that ends tells what its plan would have saved by
//! that and what it would have cost, and they are started while that record isn't bad.

use std::time::Duration;

use crate::decision::Because;
use crate::gaps::Gaps;
use crate::moment::Moment;
use crate::observation::Observation;
use crate::warm::{LEAST_KEPT, Plan, Terms, Warmth};

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
    /// How often it was forgotten: what was learned before is never taken for what was learned since.
    forgotten: u32,
    /// Whether a request was seen to come or go.
    seen: bool,
}

/// The gap that it is in.
#[derive(Clone, Debug, PartialEq)]
struct Gap {
    since: Moment,
    /// Whether that is when it began. Else it is when it was first looked at.
    whole: bool,
    plan: Plan,
    /// Of replicas that were started in it though no request asked.
    made: Made,
    /// When that was ready.
    ripe: Option<Moment>,
}

/// Replicas that no request asked for, and who did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    None,
    Asked(By),
    There(By),
}

/// Who has replicas started that no request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The plan of the gap.
    Plan,
    /// A workload that this one wakes with. Were its gap to begin with that, two that wake with each other would pre-warm each other for ever.
    Company,
}

/// Replicas that were started before anybody asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prewarms {
    /// A request came while it was there.
    pub used: u64,
    /// None did.
    pub unused: u64,
}

impl Learned {
    /// What was learned before, by another process maybe: in which gap it is isn't known.
    pub fn new(gaps: Gaps, record: f64, prewarms: Prewarms, forgotten: u32) -> Self {
        Learned { gaps, record, prewarms, forgotten, ..Learned::default() }
    }

    /// Takes over `other` if that knows more, or if this was forgotten there. Whether it does.
    pub fn recall(&mut self, other: Learned) -> bool {
        let knows = |learned: &Learned| (learned.forgotten, learned.gaps.count());
        let more = knows(&other) > knows(self);
        if more {
            // A gap that is known to its beginning is one whatever was known before it.
            let gap = self.gap.take().filter(|gap| gap.whole);
            *self = Learned { gap, seen: self.seen, ..other };
        }
        more
    }

    /// Begins anew.
    pub fn forget(&mut self) {
        let forgotten = self.forgotten.saturating_add(1);
        *self = Learned { forgotten, seen: self.seen, ..Learned::default() };
    }

    /// How often it was forgotten.
    pub fn forgotten(&self) -> u32 {
        self.forgotten
    }

    /// What starts before anybody asked would have saved less what they would have cost, in replica-seconds, older ones for less.
    pub fn record(&self) -> f64 {
        self.record
    }

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

    /// The count goes up, because of this.
    pub fn raising(&mut self, because: Because) {
        let by = match because {
            Because::Prewarm => By::Plan,
            Because::WakeWith => By::Company,
            _ => return,
        };
        if let Some(gap) = &mut self.gap {
            gap.made = Made::Asked(by);
        }
    }

    /// Looks at the workload. Returns when it is warm; `None` while it is busy.
    pub fn look(&mut self, seen: &Observation, now: Moment, terms: &Terms) -> Option<Warmth> {
        self.follow(seen);
        let last = seen.last_activity.map(|at| at.min(now));
        let worked = last.filter(|at| self.gap.as_ref().is_some_and(|gap| *at > gap.since));
        if seen.is_busy() || worked.is_some() {
            self.seen = true;
            self.end(worked.unwrap_or(now), terms);
        }
        if seen.is_busy() {
            return None;
        }
        let since = last.map_or(seen.ready_since, |at| at.max(seen.ready_since));
        // Who asked may have left before it was ready; then the gap begins with that. What was made unasked begins none.
        let own = self.gap.as_ref().is_some_and(|gap| gap.ripe == Some(since) || since <= gap.since);
        if !own {
            let plan = Plan::next(&self.gaps, terms);
            self.gap = Some(Gap { since, whole: self.seen, plan, made: Made::None, ripe: None });
        }
        self.gap.as_ref().map(|gap| gap.warmth(self.has_earned(), terms, now))
    }

    /// Follows what was made unasked.
    fn follow(&mut self, seen: &Observation) {
        let Some(gap) = &mut self.gap else { return };
        if gap.made != Made::None && seen.ready_since > gap.since {
            gap.ripe = Some(seen.ready_since);
        }
        gap.made = match gap.made {
            Made::Asked(by) if seen.replicas.desired > 0 => Made::There(by),
            Made::There(by) if seen.replicas.desired == 0 => {
                self.prewarms.unused += u64::from(by == By::Plan);
                Made::None
            }
            made => made,
        };
    }

    /// A request came at `at`, the first of a gap.
    fn end(&mut self, at: Moment, terms: &Terms) {
        let Some(gap) = self.gap.take() else { return };
        self.prewarms.used += u64::from(gap.made == Made::There(By::Plan));
        let length = at.since(gap.since);
        // Whatever is planned, a replica is there after so short a gap: it says nothing of what to plan. Nor does one of which
        // nobody knows when it began.
        if gap.whole && length >= LEAST_KEPT {
            let cold = terms.worth(&self.gaps.outlook());
            self.record = self.record * FADING + saved(&gap.plan, length, terms.start_time, cold);
            self.gaps.add(length);
        }
    }
}

impl Gap {
    fn warmth(&self, earned: bool, terms: &Terms, now: Moment) -> Warmth {
        let keep = self.plan.kept();
        if !self.whole {
            // It began before: a replica that is there may be kept or pre-warmed, and goes no earlier than it would have.
            let widths =
                self.plan.prewarms.iter().map(|stretch| stretch.to - stretch.from + terms.start_time);
            let longest = widths.filter(|_| earned).fold(keep, Duration::max);
            return Warmth { until: self.since + longest, prewarm: None };
        }
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

/// What the pre-warms of `plan` save in a gap, less what they cost, in replica-seconds: `cold` for a cold start.
fn saved(plan: &Plan, gap: Duration, start_time: Duration, cold: f64) -> f64 {
    let mut saved = 0.0;
    for stretch in &plan.prewarms {
        let start = stretch.from.saturating_sub(start_time);
        if gap < start {
            break;
        }
        saved -= (gap.min(stretch.to) - start).as_secs_f64();
        if (stretch.from..stretch.to).contains(&gap) {
            saved += cold;
        }
    }
    saved
}

#[cfg(test)]
#[path = "learned_test.rs"]
mod tests;
