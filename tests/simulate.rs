//! `kaos simulate` as a user runs it: files in, a table, JSON or a page out; and what is wrong with a file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::fmt::Write;

use serde_json::Value;
use support::{kaos, said};

/// Runs `kaos simulate` in a folder with `requests.csv`.
fn simulate(requests: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("requests.csv"), requests).unwrap();
    let from = ["simulate", "--requests", "requests.csv"];
    let ran = said(&kaos(dir.path()).args(from).args(arguments).output().unwrap());
    if arguments.contains(&"--html") {
        let page = std::fs::read_to_string(dir.path().join("page.html")).unwrap();
        return (ran.0, page, ran.2);
    }
    ran
}

/// A call each ten minutes for a day, of a tenth of a second each.
fn timer() -> String {
    let mut text = "time,workload,duration\n".to_owned();
    for call in 0..144 {
        writeln!(text, "{},shop,0.1", call * 600).unwrap();
    }
    text
}

#[test]
fn policies_stand_side_by_side() {
    let (code, text, errors) = simulate(&timer(), &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.starts_with("144 requests of 1 function in 23h51m"), "{text}");
    let lines: Vec<&str> = text.lines().skip(2).collect();
    let policies: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(policies, ["POLICY", "kaos", "kpa", "fixed:5m", "oracle"]);
}

#[test]
fn a_timer_is_awaited_where_idle_is_learned() {
    let arguments = ["--output", "json", "--policy", "kaos"];
    let (code, text, errors) = simulate(&timer(), &arguments);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    let told = &told[0];
    assert_eq!((told["policy"].as_str(), told["requests"].as_u64()), (Some("kaos"), Some(144)));
    // The first, and the second: nothing was known of when it would come.
    assert_eq!(told["cold_requests"], 2, "{told}");
    assert_eq!(told["prewarms_used"], 142, "{told}");
    assert_eq!(told["wait_seconds"]["max"], 1.0, "{told}");
    let (idle, busy) = (told["idle_seconds"].as_f64().unwrap(), told["busy_seconds"].as_f64().unwrap());
    assert!((busy - 14.4).abs() < 0.01, "{told}");
    assert!(idle < 0.2 * 86_400.0, "asleep for four fifths of the day: {told}");
}

#[test]
fn each_function_is_told_of_where_that_is_asked_for() {
    let requests = "time,workload,duration\n1,shop,0.1\n2,cart,0.1\n3,cart,0.1\n";
    let arguments = ["--output", "json", "--policy", "fixed:1m", "--per-function"];
    let (_, text, _) = simulate(requests, &arguments);
    let told: Value = serde_json::from_str(&text).unwrap();
    let mut rows: Vec<(&str, u64)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["function"].as_str().unwrap(), row["requests"].as_u64().unwrap()))
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, [("cart", 2), ("shop", 1)]);
}

#[test]
fn the_page_needs_nothing_else() {
    let (code, page, errors) = simulate(&timer(), &["--html", "page.html"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for from_elsewhere in ["src=", "<script", "@import", "url("] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }
    assert!(page.contains("requests.csv") && page.contains("kpa") && page.contains("<svg"));
}

#[test]
fn a_wrong_file_is_78_and_names_its_place() {
    for (requests, parts) in [
        ("", &["requests.csv:"][..]),
        ("time,workload,duration\n1,shop,0.1\n-2,shop,0.1\n", &["requests.csv:3:", "-2"]),
        ("time,workload,duration\n1,shop,soon\n", &["requests.csv:2:", "soon", "duration"]),
        ("time,workload,colour\n1,shop,red\n", &["requests.csv:1:", "colour"]),
    ] {
        let (code, text, errors) = simulate(requests, &[]);
        assert_eq!((code, text.as_str()), (Some(78), ""), "{errors}");
        assert!(parts.iter().all(|part| errors.contains(part)), "{errors}");
    }
}

#[test]
fn a_wrong_command_line_is_2_and_says_what_is_allowed() {
    for (arguments, part) in [
        (&["--policy", "knative"][..], "allowed is kaos, kpa, oracle, or fixed:T"),
        (&["--set", "target"], "allowed is a knob and its value"),
        (&["--set", "targt=1"], "did you mean target?"),
        (&["--set", "target=0"], "allowed is a number"),
        (&["--set", "min-scale=5", "--set", "max-scale=2"], "min-scale (5) must not be above max-scale (2)"),
        (&["--start-time", "2"], "allowed is a duration"),
        (&["--invocations", "x.csv"], "cannot be used with"),
    ] {
        let (code, _, errors) = simulate(&timer(), arguments);
        assert!(code == Some(2) && errors.contains(part), "{arguments:?}: {code:?} {errors}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (code, _, errors) = said(&kaos(dir.path()).arg("simulate").output().unwrap());
    assert!(code == Some(2) && errors.contains("--requests"), "{errors}");
    let missing = ["simulate", "--requests", "nowhere.csv"];
    let (code, _, errors) = said(&kaos(dir.path()).args(missing).output().unwrap());
    assert!(code == Some(1) && errors.contains("nowhere.csv"), "{errors}");
}
