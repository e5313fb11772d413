//! `kaos ls`: one line for each workload.

use serde_json::Value;

use super::print::{distance, json, print, row, table};
use super::{LOCAL, client, count, find, text};
use crate::cli::{Ask, Form};
use crate::failure::Failure;

/// Runs the command.
pub(crate) fn ls(ask: &Ask) -> Result<(), Failure> {
    let answer = client::run(async { find(ask).await?.json("/v1/workloads").await })?;
    match ask.output.form {
        Form::Json => json(&answer),
        Form::Text => print(&lines(answer.as_array().map_or(&[], Vec::as_slice))),
    }
}

fn lines(workloads: &[Value]) -> String {
    if workloads.is_empty() {
        return "nothing is adopted\n".into();
    }
    let header = row(["NAME", "STATE", "READY", "DESIRED", "IN-FLIGHT", "WAITING", "LAST-REQUEST", "URL"]);
    let line = |workload: &Value| {
        let number = |path: &str| count(workload, path).to_string();
        row([
            &name(workload),
            text(workload, "/state"),
            &number("/replicas/ready"),
            &number("/replicas/desired"),
            &number("/in_flight"),
            &number("/waiting"),
            &distance(text(workload, "/last_request_at")),
            text(workload, "/url"),
        ])
    };
    table(&std::iter::once(header).chain(workloads.iter().map(line)).collect::<Vec<_>>())
}

/// The name of a workload as people type it.
pub(crate) fn name(workload: &Value) -> String {
    match text(workload, "/namespace") {
        LOCAL => text(workload, "/name").to_owned(),
        namespace => format!("{namespace}/{}", text(workload, "/name")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_name_state_replicas_load_and_where() {
        let workload = json!({
            "namespace": "local", "name": "shop", "state": "serving", "url": "http://shop.localhost:8080/",
            "replicas": {"desired": 3, "ready": 2, "starting": 1}, "in_flight": 14, "waiting": 5,
        });
        let text = lines(&[workload]);
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["shop", "serving", "2", "3", "14", "5", "-", "http://shop.localhost:8080/"]);
    }
}
