//! The functions that most requests waited for, each with its figures and its drawing.

use std::cmp::Reverse;
use std::fmt::Write;

use kaos_simulate::replay::Choice;
use kaos_simulate::trace::{Function, Trace};

use super::say::{count, counted, escape, name};
use super::table::{self, Row};
use super::timeline::{self, Band};
use crate::simulate::Ran;

/// Functions that are shown.
const SHOWN: usize = 50;

/// All of them that are shown, folded, the first one open.
pub(super) fn section(trace: &Trace, ran: &[Ran]) -> String {
    let worst = worst(trace, ran);
    let left = trace.functions.len() - worst.len();
    let mut out = format!("<p>{}", told(worst.len(), left));
    if !worst.is_empty() && ran.iter().any(|ran| ran.choice == Choice::Oracle) {
        out.push_str(" The oracle's replicas are known in sum only: it isn't drawn.");
    }
    out.push_str("</p>\n<div class=\"functions\">\n");
    for (at, (place, function)) in worst.iter().enumerate() {
        one(&mut out, *place, function, trace.span, ran, at == 0);
    }
    out.push_str("</div>\n");
    out
}

fn told(shown: usize, left: usize) -> String {
    match (shown, left) {
        (0, _) => "There is none.".to_owned(),
        (_, 0) => "Those with most cold requests, over all policies, first.".to_owned(),
        _ => format!(
            "The {shown} with most cold requests over all policies. {} left out.",
            counted(left as u64, "function is", "functions are")
        ),
    }
}

/// Those with most cold requests over all policies, of as many the busier ones, with their places.
fn worst<'a>(trace: &'a Trace, ran: &[Ran]) -> Vec<(usize, &'a Function)> {
    let mut all: Vec<(usize, &Function)> = trace.functions.iter().enumerate().collect();
    all.sort_by_cached_key(|(place, function)| {
        let outcomes = ran.iter().filter_map(|ran| ran.outcomes.get(*place));
        let cold: u64 = outcomes.map(|outcome| outcome.figures.cold_requests).sum();
        Reverse((cold, function.requests.len()))
    });
    all.truncate(SHOWN);
    all
}

fn one(out: &mut String, place: usize, function: &Function, span: u64, ran: &[Ran], open: bool) {
    let outcomes = || ran.iter().filter_map(|ran| Some((ran.choice, ran.outcomes.get(place)?)));
    let rows: Vec<Row<'_>> = outcomes().map(|(choice, outcome)| Row::new(choice, &outcome.figures)).collect();
    let bands: Vec<Band<'_>> = outcomes()
        .enumerate()
        .filter(|(_, (choice, _))| *choice != Choice::Oracle)
        .map(|(at, (choice, outcome))| (at, choice, outcome.timeline.as_slice()))
        .collect();
    let cold: Vec<String> = outcomes()
        .map(|(choice, outcome)| {
            format!("{} {}", escape(&choice.to_string()), count(outcome.figures.cold_requests))
        })
        .collect();
    // Writing to a String can't fail.
    let _ = write!(
        out,
        "<details{}>\n<summary>{} <span class=\"quiet\">{}; cold: {}</span></summary>\n{}{}</details>\n",
        if open { " open" } else { "" },
        name(&function.name),
        counted(function.requests.len() as u64, "request", "requests"),
        cold.join(", "),
        table::table(&rows, true),
        timeline::drawing(function, span, &bands),
    );
}

#[cfg(test)]
mod tests {
    use kaos_simulate::replay::{Figures, Outcome};

    use super::*;

    fn outcome(cold_requests: u64) -> Outcome {
        let mut figures = Figures::default();
        figures.cold_requests = cold_requests;
        Outcome { figures, timeline: Vec::new() }
    }

    #[test]
    fn the_worst_come_first_and_the_rest_is_counted() {
        let function = |at: u64| Function { name: format!("f{at}"), requests: Vec::new() };
        let trace = Trace { functions: (0..60).map(function).collect(), span: 60_000_000 };
        // The last is the worst under one policy, the first under both together.
        let kaos = (0..60).map(|at| outcome(if at == 0 { 80 } else { at })).collect();
        let kpa = (0..60).map(|at| outcome(if at == 0 { 90 } else { at })).collect();
        let ran = [
            Ran { choice: Choice::Kaos, outcomes: kaos, total: Figures::default() },
            Ran { choice: Choice::Kpa, outcomes: kpa, total: Figures::default() },
        ];
        let worst = worst(&trace, &ran);
        assert_eq!(worst.len(), SHOWN);
        assert_eq!(worst.first().map(|(place, _)| *place), Some(0));
        assert_eq!(worst.get(1).map(|(place, _)| *place), Some(59));
        let section = section(&trace, &ran);
        assert!(section.contains("10 functions are left out"), "{section}");
        assert_eq!(section.matches("<details").count(), SHOWN);
        assert_eq!(section.matches("<details open>").count(), 1);
        assert!(section.contains("cold: kaos 80, kpa 90"), "{section}");
    }

    #[test]
    fn what_is_shown_is_told() {
        assert_eq!(told(0, 0), "There is none.");
        assert!(told(50, 1).ends_with("1 function is left out."));
        assert!(!told(12, 0).contains("left out"));
    }
}
