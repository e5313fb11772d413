//! `kaos explain --advice`: how much a workload slept, or would have, what that cost, and which idle timeout would cost less.

use std::fmt::Write;
use std::time::Duration;

use kaos_core::advice::{LEAST_PAUSES, LEAST_WATCHED};
use serde_json::Value;

use super::print::{counted, distance, json, length, print, row, table, time};
use super::{client, count, find, list, ls, text};
use crate::cli::{AskOne, Form};
use crate::failure::Failure;

/// Runs the command.
pub(crate) fn advice(one: &AskOne) -> Result<(), Failure> {
    let answer = client::run(async {
        let kaos = find(&one.ask).await?;
        kaos.json(&format!("/v1/advice/{}", kaos.path_of(&one.name)?)).await
    })?;
    match one.ask.output.form {
        Form::Json => json(&answer),
        Form::Text => print(&lines(&answer)),
    }
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_default()
}

fn seconds(value: &Value, path: &str) -> Duration {
    Duration::try_from_secs_f64(number(value, path)).unwrap_or_default()
}

/// Whole percent of the time that it was watched.
fn share(part: Duration, whole: Duration) -> String {
    let whole = whole.as_secs_f64().max(f64::MIN_POSITIVE);
    format!("{:.0} %", part.as_secs_f64() / whole * 100.0)
}

fn lines(answer: &Value) -> String {
    let name = ls::name(answer);
    let watched = answer.get("watched").filter(|watched| !watched.is_null());
    let Some(watched) = watched else {
        return match text(answer, "/mode") {
            "off" => format!("{name}: mode off, so it isn't watched and there is no advice\n"),
            _ => format!("{name}: it was only just found; ask again in a moment\n"),
        };
    };
    let observed = text(answer, "/mode") == "observe";
    let (since, span) = (text(watched, "/since"), seconds(watched, "/watched_seconds"));
    let how = if observed { "only observed, nothing is changed" } else { "scaled" };
    let mut out = format!("{name}: {how}; watched since {} ({})\n", time(since), distance(since));
    // Writing to a String can't fail.
    let _ = writeln!(out, "\n{}", sleeps(watched, observed, span));
    if observed {
        let _ = writeln!(out, "{}", start(watched));
    }
    let _ = writeln!(out, "{}", verdict(watched, text(answer, "/idle_timeout"), span));
    if !matches!(text(watched, "/verdict/word"), "too-short" | "too-few") {
        let mut rows = vec![row(["IDLE TIMEOUT", "SLEPT", "COLD STARTS", "KEPT IDLE"])];
        rows.extend(list(watched, "/offers").iter().map(|offer| offered(offer, span)));
        let _ = write!(out, "\nEach idle timeout on the same pauses, with one replica:\n{}", table(&rows));
    }
    out
}

fn sleeps(watched: &Value, observed: bool, span: Duration) -> String {
    let slept = share(seconds(watched, "/slept_seconds"), span);
    let cold_starts = count(watched, "/cold_starts");
    let verb = if observed { "Would have slept" } else { "Slept" };
    let mut said = format!("{verb} {slept} of {}, {}", length(span), counted(cold_starts, "cold start"));
    if cold_starts > 0 {
        let waits = ["/wait_p50_seconds", "/wait_p95_seconds"].map(|path| number(watched, path));
        let _ = write!(said, ", wait p50 {:.1} s, p95 {:.1} s", waits[0], waits[1]);
    }
    let used = number(watched, "/replica_seconds") / 3600.0;
    let _ = write!(said, "; {used:.1} replica hours");
    said
}

fn start(watched: &Value) -> String {
    let took = number(watched, "/start_seconds");
    if watched.pointer("/start_is_assumed").and_then(Value::as_bool) == Some(true) {
        format!("A start is taken to be {took:.1} s: none was seen yet")
    } else {
        format!("A start is taken to be {took:.1} s, as the last one was")
    }
}

fn verdict(watched: &Value, idle_timeout: &str, span: Duration) -> String {
    match text(watched, "/verdict/word") {
        "too-short" => {
            format!(
                "Watched only {}: too short for advice, which takes {}",
                length(span),
                length(LEAST_WATCHED)
            )
        }
        "too-few" => format!(
            "Only {} between requests: too few for advice, which takes {LEAST_PAUSES}",
            counted(count(watched, "/pauses"), "pause")
        ),
        "set" => {
            let timeout = seconds(watched, "/verdict/idle_timeout_seconds");
            let is_it = |offer: &&Value| seconds(offer, "/idle_timeout_seconds") == timeout;
            let offer = list(watched, "/offers").iter().find(is_it).unwrap_or(&Value::Null);
            format!(
                "Suggests idle-timeout {} in place of {idle_timeout}: slept {}, {}",
                kaos_core::duration::format(timeout),
                share(seconds(offer, "/slept_seconds"), span),
                counted(count(offer, "/cold_starts"), "cold start"),
            )
        }
        _ => format!("No fixed idle-timeout is worth a change from {idle_timeout}"),
    }
}

fn offered(offer: &Value, span: Duration) -> Vec<String> {
    row([
        &kaos_core::duration::format(seconds(offer, "/idle_timeout_seconds")),
        &share(seconds(offer, "/slept_seconds"), span),
        &count(offer, "/cold_starts").to_string(),
        &length(seconds(offer, "/kept_seconds")),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(mode: &str, verdict: &Value) -> Value {
        json!({
            "namespace": "default", "name": "shop", "mode": mode, "idle_timeout": "1m",
            "watched": {
                "since": "2026-01-01T00:00:00Z", "watched_seconds": 604_800.0, "slept_seconds": 429_408.0,
                "replica_seconds": 180_000.0, "cold_starts": 34, "wait_p50_seconds": 2.1,
                "wait_p95_seconds": 2.3, "pauses": 40, "start_seconds": 2.1, "start_is_assumed": false,
                "verdict": verdict,
                "offers": [{
                    "idle_timeout_seconds": 240.0, "slept_seconds": 399_168.0, "cold_starts": 9,
                    "kept_seconds": 7200.0,
                }],
            },
        })
    }

    #[test]
    fn what_is_observed_is_told_as_what_would_have_been() {
        let said = lines(&answer("observe", &json!({ "word": "set", "idle_timeout_seconds": 240.0 })));
        for part in [
            "default/shop: only observed, nothing is changed; watched since ",
            "\nWould have slept 71 % of 7d 0h, 34 cold starts, wait p50 2.1 s, p95 2.3 s; 50.0 replica hours\n",
            "\nA start is taken to be 2.1 s, as the last one was\n",
            "\nSuggests idle-timeout 4m in place of 1m: slept 66 %, 9 cold starts\n",
            "\n4m            66 %   9            2h 0m\n",
        ] {
            assert!(said.contains(part), "{part:?} in {said}");
        }
    }

    #[test]
    fn what_is_scaled_is_told_as_it_was() {
        let said = lines(&answer("scale", &json!({ "word": "keep" })));
        assert!(said.contains("\nSlept 71 % of ") && !said.contains("A start is taken"), "{said}");
        assert!(said.contains("\nNo fixed idle-timeout is worth a change from 1m\n"), "{said}");
    }

    #[test]
    fn what_is_no_ground_for_advice_is_said() {
        let mut short = answer("observe", &json!({ "word": "too-short" }));
        short["watched"]["watched_seconds"] = 190.into();
        short["watched"]["start_is_assumed"] = true.into();
        let said = lines(&short);
        assert!(said.contains("Watched only 3m 10s: too short for advice, which takes 1h 0m"), "{said}");
        assert!(said.contains("none was seen yet") && !said.contains("IDLE TIMEOUT"), "{said}");
        let few = lines(&answer("scale", &json!({ "word": "too-few" })));
        assert!(few.contains("Only 40 pauses between requests: too few for advice, which takes 10"), "{few}");
        let off = lines(&json!({ "namespace": "local", "name": "shop", "mode": "off", "watched": null }));
        assert_eq!(off, "shop: mode off, so it isn't watched and there is no advice\n");
    }
}
