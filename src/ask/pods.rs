//! What the pods of a workload have written, from the API server: every replica's lines, and with `--follow` those of
//! replicas that come later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use kaos_kubernetes::change::{Selector, encode};
use kaos_kubernetes::controller::Controller;
use serde::Deserialize;
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
    let selector = selector(&object(cluster, namespace, name).await?)?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    let (lines, mut written) = mpsc::channel::<Vec<u8>>(AHEAD);
    let (mut reading, mut known) = (JoinSet::new(), BTreeSet::new());
    let mut look = interval(LOOK);
    let (mut looked, mut refused) = (false, None);
    let mut since: BTreeMap<String, String> = BTreeMap::new();
    loop {
        tokio::select! {
            Some(line) = written.recv() => show(&line)?,
            Some(Ok(ended)) = reading.join_next() => {
                let Ended { pod, last, why, for_good } = ended;
                refused = why.or(refused);
                if follow && for_good {
                    return refused.map_or(Ok(()), Err);
                }
                if follow {
                    // It may only have been silent for longer than a connection lasts.
                    known.remove(&pod);
                    since.extend(last.map(|last| (pod, last)));
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
                    let last = since.get(&name).cloned();
                    let path = path(namespace, &name, container(pod), follow, last.as_deref());
                    reading.spawn(read(cluster.clone(), path, name, last, lines.clone()));
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

/// How the reading of one pod's lines ended.
struct Ended {
    pod: String,
    /// The time of the last line that was shown, as the API server writes it.
    last: Option<String>,
    why: Option<Failure>,
    /// Asking again is no use: the user has no right to it.
    for_good: bool,
}

impl Ended {
    fn well(pod: String, last: Option<String>) -> Self {
        Ended { pod, last, why: None, for_good: false }
    }

    fn badly(pod: String, last: Option<String>, why: Failure, for_good: bool) -> Self {
        Ended { pod, last, why: Some(why), for_good }
    }
}

/// Where the lines of `pod` are; those after `since`, if that is said.
fn path(namespace: &str, pod: &str, container: &str, follow: bool, since: Option<&str>) -> String {
    let which = match since {
        Some(since) => format!("sinceTime={}", encode(since)),
        None => format!("tailLines={RECENT}"),
    };
    let follow = if follow { "&follow=true" } else { "" };
    format!(
        "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&timestamps=true&{which}{follow}"
    )
}

/// The container whose lines are meant: the one that the pod says, else its first.
fn container(pod: &Value) -> &str {
    match text(pod, "/metadata/annotations/kubectl.kubernetes.io~1default-container") {
        "" => text(pod, "/spec/containers/0/name"),
        said => said,
    }
}

/// The Deployment or StatefulSet of this name; of both the one that is Kaos's.
async fn object(cluster: &Cluster, namespace: &str, name: &str) -> Result<Value, Failure> {
    let path = |kind: Controller| format!("/apis/apps/v1/namespaces/{namespace}/{}/{name}", kind.plural());
    let asks = |object: &Value| text(object, "/metadata/annotations/kaos.dev~1enabled") == "true";
    let deployment = cluster.json(&path(Controller::Deployment)).await;
    if deployment.as_ref().is_ok_and(asks) {
        return deployment;
    }
    match cluster.json(&path(Controller::StatefulSet)).await {
        Ok(set) if asks(&set) || deployment.is_err() => Ok(set),
        _ => deployment,
    }
}

/// What selects the pods of `workload`, as a query has it.
fn selector(workload: &Value) -> Result<String, Failure> {
    let said = workload.pointer("/spec/selector").and_then(|said| Selector::deserialize(said).ok());
    said.and_then(|selector| selector.query())
        .ok_or_else(|| Failure::Failed("its selector can't be read: its pods aren't known".into()))
}

/// Reads one pod's lines to their end; those up to `last` were shown already.
async fn read(
    cluster: Cluster,
    path: String,
    pod: String,
    mut last: Option<String>,
    lines: mpsc::Sender<Vec<u8>>,
) -> Ended {
    let response = match cluster.stream(&path).await {
        Ok(response) if response.status().is_success() => response,
        Ok(response) => {
            let status = response.status();
            let why = Failure::Failed(format!("pod {pod}: the API server has no lines of it: {status}"));
            let for_good = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            return Ended::badly(pod, last, why, for_good);
        }
        Err(failure) => return Ended::badly(pod, last, failure, false),
    };
    let (mut body, mut pending) = (response.into_body(), Vec::new());
    let mut open = true;
    while open {
        match body.frame().await {
            Some(Ok(frame)) => pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            _ => open = false,
        }
        while let Some(line) = next_line(&mut pending, open) {
            let (at, text) = parted(&line);
            if !is_news(&at, last.as_deref()) {
                continue;
            }
            if lines.send(shown(&pod, &at, &text)).await.is_err() {
                return Ended::well(pod, last);
            }
            last = if at.is_empty() { last } else { Some(at) };
        }
    }
    Ended::well(pod, last)
}

/// Whether a line of `at` comes after `last`. One without a time can't be told and is shown.
fn is_news(at: &str, last: Option<&str>) -> bool {
    match (at.parse::<jiff::Timestamp>(), last.map(str::parse::<jiff::Timestamp>)) {
        (Ok(at), Some(Ok(last))) => at > last,
        _ => true,
    }
}

/// The next line; the last one may have no end once nothing more is `open`.
fn next_line(pending: &mut Vec<u8>, open: bool) -> Option<Vec<u8>> {
    match pending.iter().position(|byte| *byte == b'\n') {
        Some(end) => Some(pending.drain(..=end).collect()),
        None if pending.len() >= LONGEST || !open && !pending.is_empty() => Some(std::mem::take(pending)),
        None => None,
    }
}

/// A line's time, as the API server writes it in front, and the rest.
fn parted(line: &[u8]) -> (String, String) {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\n', '\r']);
    match line.split_once(' ') {
        Some((at, text)) if at.parse::<jiff::Timestamp>().is_ok() => (at.to_owned(), text.to_owned()),
        _ => (String::new(), line.to_owned()),
    }
}

fn shown(pod: &str, at: &str, line: &str) -> Vec<u8> {
    format!("{}\n", json!({ "at": at, "replica": pod, "line": line })).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_never_those_of_a_whole_namespace() {
        let of = |selector: Value| selector_of(&selector);
        assert_eq!(of(json!({ "matchLabels": { "app": "shop" } })), Ok("app%3Dshop".into()));
        for nothing in
            [json!({}), Value::Null, json!({ "matchExpressions": [{ "key": "x", "operator": "Near" }] })]
        {
            assert!(of(nothing).is_err());
        }
    }

    fn selector_of(said: &Value) -> Result<String, Failure> {
        selector(&json!({ "spec": { "selector": said } }))
    }

    #[test]
    fn a_line_is_parted_from_its_time() {
        let part = |text: &str| parted(text.as_bytes());
        let at = "2026-01-01T00:00:00.123456789Z";
        assert_eq!(part(&format!("{at} hello there\n")), (at.into(), "hello there".into()));
        assert_eq!(part("no time"), (String::new(), "no time".into()));
        assert_eq!(part(""), (String::new(), String::new()));
    }

    #[test]
    fn what_was_shown_isnt_shown_again() {
        let last = Some("2026-01-01T01:00:00.5+01:00");
        assert!(!is_news("2026-01-01T00:00:00.5Z", last));
        assert!(is_news("2026-01-01T00:00:00.500000001Z", last));
        assert!(is_news("", last) && is_news("2026-01-01T00:00:00Z", None));
        let again = path("n", "p", "c", true, last);
        assert!(
            again.ends_with("&timestamps=true&sinceTime=2026-01-01T01%3A00%3A00.5%2B01%3A00&follow=true"),
            "{again}"
        );
    }

    #[test]
    fn lines_come_whole_and_long_ones_in_parts() {
        let mut pending = b"one\ntw".to_vec();
        assert_eq!(next_line(&mut pending, true).unwrap(), b"one\n");
        assert_eq!(next_line(&mut pending, true), None);
        assert_eq!(next_line(&mut pending.clone(), false).unwrap(), b"tw");
        pending.resize(LONGEST, b'x');
        assert_eq!(next_line(&mut pending, true).unwrap().len(), LONGEST);
    }
}
