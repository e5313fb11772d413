//! What was learned of a workload's calls, and what is done about it, for people and scripts.
//!
//! Everything here follows from what is kept and the policy; sentences say no more than that. Times of day are another's.

use std::time::Duration;

use serde::Serialize;

use crate::duration;
use crate::form::Kept;
use crate::gaps::{Gaps, bins};
use crate::policy::Policy;
use crate::warm::{FEW, Plan, Terms};

/// Calls are regular if their gaps differ from their mean by this share of it or less (a standard deviation), or by so many
/// seconds.
const REGULAR: f64 = 0.1;
const REGULAR_SECONDS: f64 = 2.0;

/// A workload's calls, and what is done about them. Seconds are counted from the end of a busy period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Habit {
    /// Gaps that were learned from.
    pub gaps: u64,
    /// Mean of the gaps and their standard deviation in seconds, older ones for less; none before there are a few.
    pub mean_seconds: Option<f64>,
    /// See `mean_seconds`.
    pub deviation_seconds: Option<f64>,
    /// Half of the gaps are shorter; none before there are a few, or if that is beyond four hours.
    pub half_seconds: Option<f64>,
    /// Nine in ten are.
    pub nine_in_ten_seconds: Option<f64>,
    /// A replica is kept for so long.
    pub keep_seconds: f64,
    /// Then, one is started at the first of each pair though nobody asks, and kept to the second.
    pub prewarms_seconds: Vec<(f64, f64)>,
    /// Replicas that were started so and were of use.
    pub prewarms_used: u64,
    /// Those that nobody used.
    pub prewarms_unused: u64,
    /// What such replicas would have saved less what they would have cost, in replica-seconds, older gaps for less. Below zero
    /// none is started.
    pub record_seconds: f64,
    /// How often what was known before was forgotten.
    pub forgotten: u32,
    /// All of that in sentences.
    pub sentences: Vec<String>,
}

impl Habit {
    /// That of a workload of which this is known.
    pub fn new(kept: &Kept, policy: &Policy) -> Habit {
        let (learned, gaps) = (&kept.learned, kept.learned.gaps());
        let plan = Plan::next(gaps, &Terms::new(policy, kept.start_time));
        let known = gaps.count() >= FEW;
        let stretches = plan.prewarms.iter().filter(|_| learned.has_earned());
        let stretches = stretches.map(|one| (one.from.saturating_sub(kept.start_time), one.to));
        let stretches: Vec<(Duration, Duration)> = stretches.collect();
        let (used, unused) = (learned.prewarms().used, learned.prewarms().unused);
        let keep = plan.kept();
        let mut sentences = vec![calls(gaps)];
        sentences.push(match policy.min_scale {
            0 => does(keep, &stretches),
            least => format!("min-scale keeps {least}, whatever was learned"),
        });
        if stretches.is_empty() && !plan.prewarms.is_empty() {
            let lost = -learned.record();
            sentences.push(format!(
                "none is started before a call for now: that would have cost {lost:.0} replica-seconds more than it saved"
            ));
        }
        if used + unused > 0 {
            let all = used.saturating_add(unused);
            sentences.push(format!("of {all} started before a call, {used} were of use"));
        }
        let some = |value: f64| known.then_some(value);
        let share = |share: f64| quantile(gaps, share).filter(|_| known);
        Habit {
            gaps: gaps.count(),
            mean_seconds: some(f64::from(gaps.mean)),
            deviation_seconds: some(deviation(gaps)),
            half_seconds: share(0.5),
            nine_in_ten_seconds: share(0.9),
            keep_seconds: keep.as_secs_f64(),
            prewarms_seconds: stretches
                .iter()
                .map(|(from, to)| (from.as_secs_f64(), to.as_secs_f64()))
                .collect(),
            prewarms_used: used,
            prewarms_unused: unused,
            record_seconds: learned.record(),
            forgotten: learned.forgotten(),
            sentences,
        }
    }
}

fn deviation(gaps: &Gaps) -> f64 {
    f64::from(gaps.variance).sqrt()
}

/// The edge of the first bin up to which this share of the gaps lies; none if it lies beyond the last.
fn quantile(gaps: &Gaps, share: f64) -> Option<f64> {
    let wanted = gaps.common.total() * share;
    let mut sum = 0.0;
    let mut edges = bins().zip(&gaps.common.bins);
    edges.find_map(|((from, width), weight)| {
        sum += f64::from(*weight);
        (sum >= wanted).then_some(from + width)
    })
}

/// What is known of the calls.
fn calls(gaps: &Gaps) -> String {
    let count = gaps.count();
    match count {
        0 => return "nothing is known of its calls yet".into(),
        1 => return "little is known of its calls yet: 1 gap between them".into(),
        _ if count < FEW => return format!("little is known of its calls yet: {count} gaps between them"),
        _ => {}
    }
    let (mean, deviation) = (f64::from(gaps.mean), deviation(gaps));
    if deviation <= (mean * REGULAR).max(REGULAR_SECONDS) {
        let (mean, deviation) = (rounded(mean), rounded(deviation));
        return format!("a call comes {mean} ± {deviation} after the last one has ended (of {count} gaps)");
    }
    let within = |share| quantile(gaps, share).map(rounded);
    match (within(0.5), within(0.9)) {
        (Some(half), Some(most)) if half == most => {
            format!(
                "about nine in ten calls come within {most} after the last one has ended (of {count} gaps)"
            )
        }
        (Some(half), Some(most)) => format!(
            "about half of the calls come within {half} after the last one has ended, nine in ten within {most} (of {count} gaps)"
        ),
        (Some(half), None) => format!(
            "about half of the calls come within {half} after the last one has ended, more than one in ten after 4h (of {count} gaps)"
        ),
        (None, _) => format!(
            "more than half of the calls come more than 4h after the last one has ended (of {count} gaps)"
        ),
    }
}

/// What a replica does after a call.
fn does(keep: Duration, stretches: &[(Duration, Duration)]) -> String {
    let told = |span: &Duration| rounded(span.as_secs_f64());
    let mut text = format!("after a call a replica is kept for {}", told(&keep));
    for (at, (from, to)) in stretches.iter().enumerate() {
        let again = if at == 0 { "; asleep from then on, another is started" } else { ", then" };
        text.push_str(&format!("{again} at {}, to wait until {}", told(from), told(to)));
    }
    text
}

/// Tenths below ten seconds, whole seconds from there on.
fn rounded(seconds: f64) -> String {
    let millis = if seconds < 10.0 { (seconds * 10.0).round() * 100.0 } else { seconds.round() * 1000.0 };
    let whole = millis as u64;
    match whole {
        // As a person says it: not 900ms.
        100..1000 => format!("0.{}s", whole / 100),
        1000..10_000 if !whole.is_multiple_of(1000) => format!("{}.{}s", whole / 1000, whole % 1000 / 100),
        _ => duration::format(Duration::from_millis(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learned::{Learned, Prewarms};

    fn learns(knobs: &[(&str, &str)]) -> Policy {
        let learned = [("idle-timeout", "learned")];
        Policy::default().with(learned.iter().chain(knobs).copied()).unwrap()
    }

    fn kept(gaps: impl IntoIterator<Item = f64>, record: f64, used: u64, unused: u64) -> Kept {
        let mut known = Gaps::default();
        gaps.into_iter().for_each(|gap| known.add(Duration::from_secs_f64(gap)));
        let learned = Learned::new(known, record, Prewarms { used, unused }, 0);
        Kept { learned, start_time: Duration::from_secs(2) }
    }

    fn said(kept: &Kept, policy: &Policy) -> Vec<String> {
        Habit::new(kept, policy).sentences
    }

    #[test]
    fn a_timer_is_told_with_its_pace() {
        // As mean and deviation are: half of them 4 s early, half of them late.
        let timer = kept((0..40).map(|at| if at % 2 == 0 { 296.0 } else { 304.0 }), 100.0, 31, 2);
        let habit = Habit::new(&timer, &learns(&[]));
        assert_eq!(
            habit.sentences,
            [
                "a call comes 5m ± 4s after the last one has ended (of 40 gaps)",
                "after a call a replica is kept for 1s; asleep from then on, another is started at 4m18s, to wait until 5m40s",
                "of 33 started before a call, 31 were of use",
            ]
        );
        assert_eq!((habit.keep_seconds, &habit.prewarms_seconds[..]), (1.0, &[(258.0, 340.0)][..]));
        assert_eq!((habit.mean_seconds.map(f64::round), habit.half_seconds), (Some(300.0), Some(320.0)));
    }

    #[test]
    fn what_is_little_is_said_to_be_little() {
        let policy = learns(&[]);
        assert_eq!(
            said(&Kept::default(), &policy),
            ["nothing is known of its calls yet", "after a call a replica is kept for 1m"]
        );
        let two = Habit::new(&kept([300.0, 300.0], 0.0, 0, 0), &policy);
        assert_eq!(two.sentences[0], "little is known of its calls yet: 2 gaps between them");
        assert_eq!((two.mean_seconds, two.half_seconds), (None, None));
    }

    #[test]
    fn who_comes_irregularly_is_told_by_shares() {
        let policy = learns(&[]);
        let mixed = kept((0..60).map(|at| [5.0, 15.0, 200.0][at % 3]), 0.0, 0, 0);
        let told = &said(&mixed, &policy)[0];
        assert_eq!(
            told,
            "about half of the calls come within 20s after the last one has ended, nine in ten within 3m40s (of 60 gaps)"
        );
        let seldom = kept((0..9).map(|at| [3600.0, 90_000.0, 40_000.0][at % 3]), 0.0, 0, 0);
        assert!(said(&seldom, &policy)[0].starts_with("more than half of the calls come more than 4h"));
        let days = kept((0..9).map(|at| [60.0, 60.0, 90_000.0][at % 3]), 0.0, 0, 0);
        assert!(said(&days, &policy)[0].contains("more than one in ten after 4h"));
    }

    #[test]
    fn a_bad_record_and_knobs_that_rule_it_out_are_said() {
        let bad = kept([300.0; 20], -12.4, 0, 0);
        let told = said(&bad, &learns(&[]));
        assert_eq!(told[1], "after a call a replica is kept for 1s");
        assert_eq!(
            told[2],
            "none is started before a call for now: that would have cost 12 replica-seconds more than it saved"
        );
        let off = said(&kept([300.0; 20], 5.0, 0, 0), &learns(&[("prewarm", "off")]));
        assert_eq!(off.len(), 2, "{off:?}");
        let least = said(&kept([300.0; 20], 5.0, 0, 0), &learns(&[("min-scale", "2")]));
        assert_eq!(least[1], "min-scale keeps 2, whatever was learned");
    }

    #[test]
    fn spans_are_told_as_people_say_them() {
        for (seconds, text) in
            [(0.0, "0s"), (0.04, "0s"), (0.26, "0.3s"), (1.0, "1s"), (9.94, "9.9s"), (61.2, "1m1s")]
        {
            assert_eq!(rounded(seconds), text);
        }
    }
}
