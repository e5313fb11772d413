//! Ports beside the one that Kaos serves: on nodes, and of its Service.

use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;

/// Ports of these names are asked by machines that bear it when nobody answers.
const WATCHERS: [&str; 8] = ["metrics", "prometheus", "health", "admin", "probe", "debug", "pprof", "jmx"];

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let host = subject.pod().get("hostNetwork").and_then(Value::as_bool) == Some(true);
    if host {
        found.push(on_network(subject));
    } else {
        found.extend(on_nodes(subject));
    }
    found.extend(others(subject));
}

const PAST: &str = "requests that come this way neither wake it nor keep it awake";

fn on_network(subject: &Subject<'_>) -> Finding {
    Finding::new(Verdict::Unsafe, Topic::WaysIn, "host-network")
        .at(subject.called(), "spec.template.spec.hostNetwork")
        .found("true")
        .why(format!("its ports are those of its node: {PAST}, and two of it never fit on one node"))
        .fix(
            "take it off the nodes' network",
            subject.patch(&json!({"op": "remove", "path": "/spec/template/spec/hostNetwork"})),
        )
}

fn on_nodes(subject: &Subject<'_>) -> Vec<Finding> {
    let ports = look::all(subject.raw, "spec/template/spec/containers/*/ports/*/hostPort").into_iter();
    let ports = ports.filter(|(_, port)| port.as_i64().is_some_and(|port| port > 0));
    ports
        .map(|(at, port)| {
            Finding::new(Verdict::Unsafe, Topic::WaysIn, "host-port")
                .at(subject.called(), look::field(&at))
                .found(port.to_string())
                .why(format!("it is reached at its node's address: {PAST}"))
                .fix(
                    format!("send its clients to {}, then close it", subject.proxy()),
                    subject.patch(&json!({"op": "remove", "path": at})),
                )
        })
        .collect()
}

/// Ports of its Service that Kaos doesn't serve.
fn others(subject: &Subject<'_>) -> Vec<Finding> {
    let Ok(way) = &subject.way else { return Vec::new() };
    let Some((raw, _)) = subject.services.iter().find(|(_, read)| read.name == way.service) else {
        return Vec::new();
    };
    let ports = look::all(raw, "spec/ports/*").into_iter();
    let protocol = |port: &Value| look::text(port, "/protocol").replace("TCP", "");
    let other = |(_, port): &(String, &Value)| {
        look::whole(port, "/port") != Some(way.port.port.into()) || !protocol(port).is_empty()
    };
    ports
        .filter(other)
        .map(|(at, port)| {
            let (number, name) = (look::whole(port, "/port").unwrap_or_default(), look::text(port, "/name"));
            let shown = [number.to_string(), name.to_owned(), protocol(port)];
            let shown: Vec<&str> = shown.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            let watched = WATCHERS.iter().any(|word| name.contains(word));
            let verdict = if watched { Verdict::Fine } else { Verdict::Unsafe };
            let finding = Finding::new(verdict, Topic::WaysIn, "port-other")
                .at(look::called(raw, subject.namespace), look::field(&at))
                .found(format!("port {}", shown.join(" ")));
            match watched {
                true => finding.why("who watches it finds nobody while it sleeps"),
                false => finding
                    .why(format!("Kaos serves port {} alone: what comes to this one neither wakes it nor keeps it awake", way.port.port))
                    .fix("take the port away if nobody uses it, or let what serves it be a workload of its own", ""),
            }
        })
        .collect()
}
