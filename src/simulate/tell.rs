//! What `kaos simulate` says: a table for people, a list for programs.

use std::time::Duration;

use kaos_simulate::replay::{Figures, Settings};
use kaos_simulate::trace::Trace;
use serde_json::{Value, json};

use super::Ran;
use crate::ask::print::{counted, row, table};

/// A list with an object for each policy; with `per_function`, for each function of each policy.
pub(super) fn json(trace: &Trace, ran: &[Ran], per_function: bool) -> Value {
    let of = |ran: &Ran| -> Vec<Value> {
        let policy = ran.choice.to_string();
        if !per_function {
            return vec![object(&policy, trace.functions.len(), &ran.total)];
        }
        let functions = trace.functions.iter().zip(&ran.outcomes);
        let one = functions.map(|(function, outcome)| {
            let mut object = object(&policy, 1, &outcome.figures);
            object["function"] = function.name.as_str().into();
            object
        });
        one.collect()
    };
    ran.iter().flat_map(of).collect()
}

fn object(policy: &str, functions: usize, figures: &Figures) -> Value {
    let waits = figures.waits();
    json!({
        "policy": policy,
        "functions": functions,
        "requests": figures.requests,
        "cold_requests": figures.cold_requests,
        "starts": figures.starts,
        "prewarms": figures.prewarms.used + figures.prewarms.unused,
        "prewarms_used": figures.prewarms.used,
        "wait_seconds": {
            "p50": waits.p50.as_secs_f64(),
            "p95": waits.p95.as_secs_f64(),
            "p99": waits.p99.as_secs_f64(),
            "max": waits.max.as_secs_f64(),
        },
        "replica_seconds": figures.replica_time().as_secs_f64(),
        "busy_seconds": figures.busy_time().as_secs_f64(),
        "idle_seconds": figures.idle_time().as_secs_f64(),
    })
}

const COLUMNS: [&str; 10] =
    ["COLD", "SHARE", "STARTS", "PRE-WARMS", "WAIT P50", "P95", "P99", "MAX", "REPLICA HOURS", "IDLE"];

/// What was replayed, and a line for each policy; with `per_function`, for each function of each policy.
pub(super) fn text(trace: &Trace, ran: &[Ran], settings: &Settings, per_function: bool) -> String {
    let requests: usize = trace.functions.iter().map(|function| function.requests.len()).sum();
    let head = format!(
        "{} of {} in {}; a start takes {}\n\n",
        counted(requests as u64, "request"),
        counted(trace.functions.len() as u64, "function"),
        kaos_core::duration::format(Duration::from_secs(trace.span / 1_000_000)),
        kaos_core::duration::format(settings.start_time),
    );
    let mut names = vec!["POLICY"];
    names.extend(per_function.then_some("FUNCTION"));
    names.extend(COLUMNS);
    let mut rows: Vec<Vec<String>> = vec![names.into_iter().map(str::to_owned).collect()];
    for one in ran {
        let policy = one.choice.to_string();
        if !per_function {
            rows.push([vec![policy], cells(&one.total)].concat());
            continue;
        }
        for (function, outcome) in trace.functions.iter().zip(&one.outcomes) {
            rows.push([vec![policy.clone(), function.name.clone()], cells(&outcome.figures)].concat());
        }
    }
    format!("{head}{}", table(&rows))
}

fn cells(figures: &Figures) -> Vec<String> {
    let waits = figures.waits();
    let hours = |span: Duration| format!("{:.1}", span.as_secs_f64() / 3600.0);
    let seconds = |span: Duration| format!("{:.2}s", span.as_secs_f64());
    let share =
        if figures.requests == 0 { 0.0 } else { figures.cold_requests as f64 / figures.requests as f64 };
    let prewarms = figures.prewarms;
    row([
        &figures.cold_requests.to_string(),
        &format!("{:.2}%", share * 100.0),
        &figures.starts.to_string(),
        &format!("{} of {}", prewarms.used, prewarms.used + prewarms.unused),
        &seconds(waits.p50),
        &seconds(waits.p95),
        &seconds(waits.p99),
        &seconds(waits.max),
        &hours(figures.replica_time()),
        &hours(figures.idle_time()),
    ])
}
