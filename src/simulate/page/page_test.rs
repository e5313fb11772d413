use std::time::Duration;

use kaos_core::Policy;
use kaos_simulate::replay::{Choice, Figures, Outcome, Settings, replay};
use kaos_simulate::trace::{Function, Request, Trace};

use super::page;
use crate::simulate::{Curve, Picture, Point, Ran};

const SECOND: u64 = 1_000_000;
const HOSTILE: &str =
    "</title></style><script src=//x>alert(1)</script>\" onload='x' <!-- ]]> \0\u{202e}&lt;";
const CHOICES: [Choice; 4] =
    [Choice::Kaos, Choice::Kpa, Choice::Fixed(Duration::from_secs(300)), Choice::Oracle];

fn function(name: &str, seconds: impl Iterator<Item = u64>) -> Function {
    let requests = seconds.map(|second| Request { at: second * SECOND, takes: SECOND / 5 }).collect();
    Function { name: name.to_owned(), requests }
}

fn two_hours() -> Trace {
    let busy = function("shop", (0..7200).filter(|second| second % 600 < 40));
    Trace { functions: vec![busy, function("rare", [30, 4000].into_iter())], span: 7200 * SECOND }
}

fn ran(trace: &Trace, choice: Choice) -> Ran {
    let settings =
        Settings { policy: Policy::default(), start_time: Duration::from_millis(1200), timelines: true };
    let outcomes = replay(trace, &choice, &settings);
    let mut total = Figures::default();
    outcomes.iter().for_each(|outcome| total.add(&outcome.figures));
    Ran { choice, outcomes, total }
}

fn curve(name: &str) -> Curve {
    let point = |at: u32| Point {
        label: format!("{at}s"),
        cold_requests: u64::from(2000 / at),
        replica_hours: f64::from(at) / 40.0,
    };
    Curve { name: name.to_owned(), points: [10, 50, 150, 400].map(point).into() }
}

fn written(trace: &Trace, source: &str, ran: &[Ran], curves: &[Curve]) -> String {
    let page = page(&Picture { trace, source, start_time: Duration::from_millis(1200), ran, curves });
    assert_eq!(unclosed(&page), None, "{page}");
    for odd in ["NaN", ">inf", " inf", "\"inf"] {
        assert!(!page.contains(odd), "{odd}: {page}");
    }
    page
}

/// What is wrong with the tags of `page`, if anything.
fn unclosed(page: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap_or_default();
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        if let Some(name) = name.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{tag}> in {open:?}"));
            }
        } else if !tag.ends_with('/') && !["!doctype", "meta", "link"].contains(&name) {
            open.push(name);
        }
        if tag.matches('"').count() % 2 == 1 {
            return Some(format!("quotes of <{tag}>"));
        }
    }
    open.pop().map(str::to_owned)
}

#[test]
fn every_policy_is_in_each_table() {
    let trace = two_hours();
    let ran = CHOICES.map(|choice| ran(&trace, choice));
    let page = written(&trace, "requests.csv", &ran, &[curve("fixed, by timeout"), curve("kaos, by worth")]);
    for name in ["kaos", "kpa", "fixed:5m", "oracle"] {
        let rows = format!("</span>{name}</th>");
        assert_eq!(page.matches(&rows).count(), 1 + 2, "{name}: {page}");
    }
    assert!(page.contains("<h1>482 requests to 2 functions in 2.0\u{202f}h</h1>"), "{page}");
    assert!(page.contains("From <bdi>requests.csv</bdi>, replayed under 4 policies"));
    assert!(page.contains("<li>kpa: ") && page.contains("Compared with kaos:"));
    assert_eq!(page.matches("class=\"band").count(), 2 * 3, "the oracle has no timeline");
    assert_eq!(page.matches("<circle").count(), 4 + 2 * 4);
}

#[test]
fn the_page_needs_nothing_else() {
    let trace = two_hours();
    let page = written(&trace, "requests.csv", &[ran(&trace, Choice::Kaos)], &[curve("fixed")]);
    for outside in ["http:", "https:", "src=", "url(", "@import", "<script", "onclick"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn hostile_names_stay_in_their_place() {
    let long = HOSTILE.repeat(20_000);
    let names = [HOSTILE, "", "shop", &long];
    let functions = names.map(|name| function(name, [30].into_iter())).into();
    let trace = Trace { functions, span: 60 * SECOND };
    let page = written(&trace, HOSTILE, &[ran(&trace, Choice::Kaos)], &[curve(HOSTILE)]);
    for odd in ["<script", "<!--", "\" onload", "' onload", "\0"] {
        assert!(!page.contains(odd), "{odd}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("</title>").count(), 1 + 1 + 4);
    assert!(page.contains("(no name)"));
    assert!(page.len() < 100_000, "{}", page.len());
}

#[test]
fn an_empty_trace_makes_a_page() {
    let trace = Trace::default();
    let ran = CHOICES.map(|choice| ran(&trace, choice));
    let page = written(&trace, "empty.csv", &ran, &[]);
    assert!(page.contains("0 requests to 0 functions") && page.contains("There is none."), "{page}");
    written(&trace, "", &[], &[]);
}

#[test]
fn a_policy_without_replica_time_makes_a_page() {
    let trace = two_hours();
    let outcomes = vec![Outcome::default(); 2];
    let idle = Ran { choice: Choice::Kpa, outcomes, total: Figures::default() };
    written(&trace, "requests.csv", &[ran(&trace, Choice::Kaos), idle], &[curve("fixed")]);
    let lacking = Ran { choice: Choice::Kpa, outcomes: Vec::new(), total: Figures::default() };
    written(&trace, "requests.csv", &[lacking, ran(&trace, Choice::Kaos)], &[]);
}

#[test]
fn many_changes_and_many_requests_make_a_small_page() {
    let busy = function("busy", (0..200_000).map(|at| at * 86_400 / 200_000));
    let trace = Trace { functions: vec![busy], span: 86_400 * SECOND };
    let timeline = (0..100_000_u64).map(|at| (at * 864_000, (at * 7919 % 1000) as u32)).collect();
    let outcomes = vec![Outcome { timeline, ..Outcome::default() }];
    let ran = CHOICES.map(|choice| Ran { choice, outcomes: outcomes.clone(), total: Figures::default() });
    let page = written(&trace, "requests.csv", &ran, &[]);
    // Three bands and the arrivals; fifty functions, then, have 5 MB.
    assert!(page.len() < 80_000, "{}", page.len());
}
