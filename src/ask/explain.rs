//! `kaos explain`: why a workload has the replicas that it has, what comes next, and how it came to that.

use std::fmt::Write;

use serde_json::{Value, json};

use super::print::{counted, distance, fine_time, json, print, row, table, time};
use super::{client, count, describe, find, list, text};
use crate::cli::{AskOne, Form};
use crate::failure::Failure;

/// Decisions that are shown to people.
const SHOWN: usize = 12;

/// Runs the command.
pub(crate) fn explain(one: &AskOne) -> Result<(), Failure> {
    let (workload, journal, since) = client::run(async {
        let kaos = find(&one.ask).await?;
        let state = kaos.workload(&one.name).await?;
        let journal = kaos.json(&format!("/v1/journal/{}", kaos.path_of(&one.name)?)).await?;
        // Another autoscaler may have led before, and taken its journal with it.
        let since = if kaos.is_here() { Value::Null } else { kaos.json("/v1/instance").await? };
        Ok((state, journal, text(&since, "/started_at").to_owned()))
    })?;
    match one.ask.output.form {
        Form::Json if since.is_empty() => json(&json!({ "workload": workload, "journal": journal })),
        Form::Json => json(&json!({ "workload": workload, "journal": journal, "since": since })),
        Form::Text => {
            let mut said = lines(&workload, list(&journal, ""));
            if !since.is_empty() {
                let _ = writeln!(
                    said,
                    "\nThe autoscaler that leads knows this since {} ({}).",
                    time(&since),
                    distance(&since)
                );
            }
            print(&said)
        }
    }
}

fn lines(workload: &Value, journal: &[Value]) -> String {
    let mut out = format!("{}\n\n", describe::summary(workload));
    // Writing to a String can't fail.
    let _ = match describe::failure(workload) {
        Some(failure) => writeln!(out, "It can't start: {failure}"),
        None => writeln!(out, "{}", why(workload, journal)),
    };
    let _ = writeln!(out, "{}", next(workload));
    for (at, sentence) in list(workload, "/learned/sentences").iter().filter_map(Value::as_str).enumerate() {
        let _ = writeln!(out, "{}{sentence}", if at == 0 { "Learned: " } else { "         " });
    }
    let forgotten = text(workload, "/learned/forgotten_at");
    if !forgotten.is_empty() {
        let _ = writeln!(
            out,
            "What was learned before was forgotten at {} ({}).",
            time(forgotten),
            distance(forgotten)
        );
    }
    for note in list(workload, "/notes") {
        let _ = writeln!(out, "{}: {}", text(note, "/reason"), text(note, "/text"));
    }
    if journal.is_empty() {
        return out;
    }
    let mut rows = vec![row(["AT", "REPLICAS", "BECAUSE", "REASON"])];
    rows.extend(journal.iter().take(SHOWN).map(decision));
    let _ = write!(out, "\n{}", table(&rows));
    if journal.len() > SHOWN {
        let _ = writeln!(out, "({} older; all with --output json)", journal.len() - SHOWN);
    }
    out
}

/// The present count and the decision that made it.
fn why(workload: &Value, journal: &[Value]) -> String {
    let desired = count(workload, "/replicas/desired");
    let replicas = if desired == 0 { "No replica".into() } else { counted(desired, "replica") };
    let made = journal.iter().find(|entry| text(entry, "/decision") == "scale");
    match made.filter(|entry| count(entry, "/to") == desired) {
        Some(entry) => format!(
            "{replicas} because {} ({}, {})",
            reason(entry),
            time(text(entry, "/at")),
            distance(text(entry, "/at"))
        ),
        None => match journal.first() {
            Some(entry) => format!("{replicas}: {}", reason(entry)),
            None => format!("{replicas}: nothing was decided yet"),
        },
    }
}

fn reason(entry: &Value) -> String {
    let (word, sentence) = (text(entry, "/because/word"), text(entry, "/because/sentence"));
    format!("{sentence} [{word}]")
}

fn next(workload: &Value) -> String {
    match text(workload, "/next/at") {
        "" => "Next: nothing until a request comes or the load changes".into(),
        at => format!("Next: {} ({}): {}", time(at), distance(at), text(workload, "/next/then")),
    }
}

fn decision(entry: &Value) -> Vec<String> {
    let (from, to) = (count(entry, "/from"), count(entry, "/to"));
    let replicas = if from == to { format!("{from}") } else { format!("{from} → {to}") };
    let mut sentence = text(entry, "/because/sentence").replace('\n', " ");
    if let Some(why) = entry.pointer("/outcome/failed").and_then(Value::as_str) {
        sentence.push_str(&format!("; it wasn't done: {why}"));
    }
    let again = count(entry, "/count");
    if again > 1 {
        sentence.push_str(&format!(" (decided {again} times, until {})", time(text(entry, "/until"))));
    }
    row([&fine_time(text(entry, "/at")), &replicas, text(entry, "/because/word"), &sentence])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(decision: &str, from: u32, to: u32, word: &str, sentence: &str) -> Value {
        json!({
            "at": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:09Z", "count": 3, "decision": decision,
            "from": from, "to": to, "because": { "word": word, "sentence": sentence }, "outcome": "done",
        })
    }

    #[test]
    fn the_count_is_explained_by_the_decision_that_made_it() {
        let workload = json!({
            "namespace": "local", "name": "shop", "state": "serving", "in_flight": 14, "waiting": 0,
            "replicas": { "desired": 2, "ready": 2, "starting": 0 },
            "next": { "at": "2026-01-01T00:01:00Z", "then": "zero unless a request comes" },
            "learned": { "sentences": ["a call comes", "after a call"], "forgotten_at": "2026-01-01T00:00:00Z" },
        });
        let journal = [
            entry("stay", 2, 2, "steady", "2 carry 14 in flight"),
            entry(
                "scale",
                1,
                2,
                "backlog",
                "14 waiting, more than 1 replicas have free slots for: 2 are needed",
            ),
        ];
        let text = lines(&workload, &journal);
        assert!(
            text.starts_with("shop: serving, 2 of 2 replicas ready; 14 in flight, 0 waiting\n"),
            "{text}"
        );
        assert!(text.contains("\n2 replicas because 14 waiting, more than 1 replicas"), "{text}");
        assert!(
            text.contains(
                "\nLearned: a call comes\n         after a call\nWhat was learned before was forgotten at"
            ),
            "{text}"
        );
        assert!(text.contains("zero unless a request comes") && text.contains("1 → 2"), "{text}");
    }

    #[test]
    fn a_start_that_fails_is_said() {
        let workload = json!({
            "namespace": "local", "name": "shop", "state": "failed",
            "failure": { "because": "exited", "detail": "exit status 1\n", "attempts": 2, "retry_at": "" },
        });
        let text = lines(&workload, &[]);
        assert!(
            text.contains("It can't start: 2 failed starts in a row (exited): exit status 1\n"),
            "{text}"
        );
    }
}
