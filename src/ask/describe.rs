//! `kaos describe`: everything that is known of one workload.

use std::fmt::Write;

use serde_json::Value;

use super::print::{counted, distance, json, print, row, table, time};
use super::{client, count, find, list, ls, text};
use crate::cli::{AskOne, Form};
use crate::failure::Failure;

/// Runs the command.
pub(crate) fn describe(one: &AskOne) -> Result<(), Failure> {
    let answer = client::run(async { find(&one.ask).await?.workload(&one.name).await })?;
    match one.ask.output.form {
        Form::Json => json(&answer),
        Form::Text => print(&lines(&answer)),
    }
}

/// What it does at the moment, in one sentence.
pub(crate) fn summary(workload: &Value) -> String {
    let desired = count(workload, "/replicas/desired");
    format!(
        "{}: {}, {} of {} ready; {} in flight, {} waiting",
        ls::name(workload),
        text(workload, "/state"),
        count(workload, "/replicas/ready"),
        counted(desired, "replica"),
        count(workload, "/in_flight"),
        count(workload, "/waiting"),
    )
}

/// Why it can't start, if it can't; else nothing.
pub(crate) fn failure(workload: &Value) -> Option<String> {
    let failure = workload.get("failure").filter(|failure| !failure.is_null())?;
    Some(format!(
        "{} in a row ({}): {}\nThe next is tried {} if requests wait.",
        counted(count(failure, "/attempts"), "failed start"),
        text(failure, "/because"),
        text(failure, "/detail").trim_end(),
        distance(text(failure, "/retry_at")),
    ))
}

fn lines(workload: &Value) -> String {
    let mut out = format!("{}\n", summary(workload));
    if let Some(failure) = failure(workload) {
        out.push_str(&format!("{failure}\n"));
    }
    let hosts: Vec<&str> = list(workload, "/hosts").iter().filter_map(Value::as_str).collect();
    let last = text(workload, "/last_request_at");
    let facts = [
        row(["url", text(workload, "/url")]),
        row(["hosts", &hosts.join(", ")]),
        row(["path", text(workload, "/path")]),
        row(["last request", &distance(last)]),
        row(["last wake", &wake(workload)]),
    ];
    // Writing to a String can't fail.
    let _ = write!(out, "\n{}", table(&facts));
    for (at, note) in list(workload, "/notes").iter().enumerate() {
        let apart = if at == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{apart}{}: {}", text(note, "/reason"), text(note, "/text"));
    }
    let replicas = list(workload, "/endpoints");
    if !replicas.is_empty() {
        let mut rows = vec![row(["REPLICA", "PHASE", "ADDRESS", "READY"])];
        rows.extend(replicas.iter().map(replica));
        let _ = write!(out, "\n{}", table(&rows));
    }
    let _ = write!(out, "\n{}", table(&knobs(workload)));
    out
}

fn wake(workload: &Value) -> String {
    match text(workload, "/last_wake/at") {
        "" => "-".into(),
        at => format!("{} ({}): {}", time(at), distance(at), text(workload, "/last_wake/because/sentence")),
    }
}

fn replica(endpoint: &Value) -> Vec<String> {
    let ready = text(endpoint, "/ready_at");
    let name = Some(text(endpoint, "/pod")).filter(|pod| !pod.is_empty());
    let name = name.unwrap_or(text(endpoint, "/uid"));
    row([name, text(endpoint, "/phase"), text(endpoint, "/address"), &distance(ready)])
}

fn knobs(workload: &Value) -> Vec<Vec<String>> {
    let policy = workload.get("policy").and_then(Value::as_object);
    let shown = kaos_core::knob::KNOBS.iter().filter_map(|knob| {
        let value = policy?.get(knob.name)?;
        Some(vec![knob.name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)])
    });
    std::iter::once(row(["KNOB", "VALUE"])).chain(shown).collect()
}
