//! What the pods of a workload have written, from the API server: every replica's lines, and with `--follow` those of
//! replicas that come later.

use std::collections::BTreeSet;
use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::cluster::Cluster;
use super::{list, text};
use crate::failure::Failure;

/// Lines of the past, per pod.
const RECENT: usize = 1000;
/// Between two looks for new pods.
const LOOK: Duration = Duration::from_secs(2);
/// Lines on their way to stdout; pods wait when so many are.
const AHEAD: usize = 256;
/// Longest line that is put together; a longer one comes in parts.
const LONGEST: usize = 64 * 1024;

/// Hands each line to `show`, as the admin port of `kaos up` writes it.
pub(crate) async fn logs(
    cluster: &Cluster,
    workload: &str,
    follow: bool,
    show: impl Fn(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (namespace, name) = workload.split_once('/').unwrap_or_default();
    let deployment =
        cluster.json(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")).await?;
    let selector = selector(deployment.pointer("/spec/selector").unwrap_or(&Value::Null));
    let pods = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    let (lines, mut written) = mpsc::channel::<Vec<u8>>(AHEAD);
    let (mut reading, mut known) = (JoinSet::new(), BTreeSet::new());
    let mut look = interval(LOOK);
    let (mut looked, mut refused) = (false, None);
    loop {
        tokio::select! {
            Some(line) = written.recv() => show(&line)?,
            Some(ended) = reading.join_next() => {
                if let Ok(Err(why)) = ended {
                    refused = Some(why);
                }
            }
            _ = look.tick(), if follow || !looked => {
                looked = true;
                let present = cluster.json(&pods).await?;
                for pod in list(&present, "/items") {
                    let name = text(pod, "/metadata/name").to_owned();
                    if text(pod, "/status/startTime").is_empty() || !known.insert(name.clone()) {
                        continue;
                    }
                    let path = path(namespace, &name, container(pod), follow);
                    reading.spawn(read(cluster.clone(), path, name, lines.clone()));
                }
            }
            () = std::future::ready(()), if !follow && looked && reading.is_empty() => {
                while let Ok(line) = written.try_recv() {
                    show(&line)?;
                }
                return refused.map_or(Ok(()), Err);
            }
        }
    }
}

fn path(namespace: &str, pod: &str, container: &str, follow: bool) -> String {
    let follow = if follow { "&follow=true" } else { "" };
    format!(
        "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&timestamps=true&tailLines={RECENT}{follow}"
    )
}

/// The container whose lines are meant: the one that the pod says, else its first.
fn container(pod: &Value) -> &str {
    match text(pod, "/metadata/annotations/kubectl.kubernetes.io~1default-container") {
        "" => text(pod, "/spec/containers/0/name"),
        said => said,
    }
}

/// A selector as a query has it.
fn selector(selector: &Value) -> String {
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let equal = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let said = list(selector, "/matchExpressions").iter().filter_map(|expression| {
        let key = text(expression, "/key");
        let values: Vec<&str> = list(expression, "/values").iter().filter_map(Value::as_str).collect();
        match text(expression, "/operator") {
            "In" => Some(format!("{key} in ({})", values.join(","))),
            "NotIn" => Some(format!("{key} notin ({})", values.join(","))),
            "Exists" => Some(key.to_owned()),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        }
    });
    let mut query = String::new();
    for byte in equal.chain(said).collect::<Vec<_>>().join(",").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => query.push(char::from(byte)),
            other => query.push_str(&format!("%{other:02X}")),
        }
    }
    query
}

/// Reads one pod's lines to their end.
async fn read(
    cluster: Cluster,
    path: String,
    pod: String,
    lines: mpsc::Sender<Vec<u8>>,
) -> Result<(), Failure> {
    let response = cluster.stream(&path).await?;
    if !response.status().is_success() {
        let why = format!("pod {pod}: the API server has no lines of it: {}", response.status());
        return Err(Failure::Failed(why));
    }
    let (mut body, mut pending) = (response.into_body(), Vec::new());
    while let Some(Ok(frame)) = body.frame().await {
        pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while let Some(line) = next_line(&mut pending) {
            if lines.send(shown(&pod, &line)).await.is_err() {
                return Ok(());
            }
        }
    }
    if !pending.is_empty() {
        let _ = lines.send(shown(&pod, &pending)).await;
    }
    Ok(())
}

fn next_line(pending: &mut Vec<u8>) -> Option<Vec<u8>> {
    match pending.iter().position(|byte| *byte == b'\n') {
        Some(end) => Some(pending.drain(..=end).collect()),
        None if pending.len() >= LONGEST => Some(std::mem::take(pending)),
        None => None,
    }
}

/// `line` begins with its time, as the API server writes it.
fn shown(pod: &str, line: &[u8]) -> Vec<u8> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\n', '\r']);
    let (at, text) = match line.split_once(' ') {
        Some((at, text)) if at.parse::<jiff::Timestamp>().is_ok() => (at, text),
        _ => ("", line),
    };
    format!("{}\n", json!({ "at": at, "replica": pod, "line": text })).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_becomes_a_query() {
        let labels = json!({ "matchLabels": { "app": "shop", "example.com/tier": "a" }, "matchExpressions": [
            { "key": "x", "operator": "In", "values": ["a", "b"] }, { "key": "y", "operator": "DoesNotExist" },
        ] });
        assert_eq!(selector(&labels), "app%3Dshop%2Cexample.com%2Ftier%3Da%2Cx%20in%20%28a%2Cb%29%2C%21y");
        assert_eq!(selector(&Value::Null), "");
    }

    #[test]
    fn a_line_keeps_its_time_and_its_pod() {
        let line = |text: &str| serde_json::from_slice::<Value>(&shown("p", text.as_bytes())).unwrap();
        let timed = line("2026-01-01T00:00:00.123456789Z hello there\n");
        assert_eq!(
            (&timed["at"], &timed["line"]),
            (&json!("2026-01-01T00:00:00.123456789Z"), &json!("hello there"))
        );
        assert_eq!(line("no time")["line"], "no time");
        assert_eq!(line("")["line"], "");
    }

    #[test]
    fn lines_come_whole_and_long_ones_in_parts() {
        let mut pending = b"one\ntw".to_vec();
        assert_eq!(next_line(&mut pending).unwrap(), b"one\n");
        assert_eq!(next_line(&mut pending), None);
        pending.resize(LONGEST, b'x');
        assert_eq!(next_line(&mut pending).unwrap().len(), LONGEST);
    }
}
