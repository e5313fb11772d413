//! A workload and its journal as JSON: the form that `/v1` promises.

use std::net::SocketAddr;

use kaos_autoscaler::journal::{Book, Entry};
use kaos_core::form::Kept;
use kaos_core::habit::Habit;
use kaos_core::host::HostPattern;
use kaos_core::policy::IdleTimeout;
use kaos_core::snapshot::{Phase, StartFailure, Targets, Workload};
use kaos_core::{Decision, Endpoint, Moment, Policy};
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::report::Load;

/// The workload as `/v1/workloads` shows it.
pub(crate) fn shown(
    workload: &Workload,
    load: Load,
    book: Option<&Book>,
    reached: Option<SocketAddr>,
    clock: &Clock,
) -> Value {
    let at = |moment: Option<Moment>| moment.map(|moment| clock.rfc3339(moment));
    let next = book
        .and_then(Book::next)
        .map(|next| json!({ "at": clock.rfc3339(next.at), "then": next.then.explain() }));
    json!({
        "namespace": workload.id.namespace(),
        "name": workload.id.name(),
        "hosts": workload.hosts,
        "path": workload.path,
        "url": url(&workload.hosts, &workload.path, reached),
        "state": state(workload, load.waiting),
        "replicas": workload.replicas,
        "handed_to": workload.handed_to.as_ref().map(|to| &to.who),
        "in_flight": load.in_flight,
        "waiting": load.waiting,
        "policy": policy(&workload.policy),
        "last_request_at": at(load.last_activity),
        "learned": book.and_then(|book| learned(book, &workload.policy, clock)),
        "last_wake": book.and_then(|book| last_wake(book, workload, clock)),
        "next": next,
        "failure": workload.failure.as_ref().map(|failure| failed(failure, clock)),
        "endpoints": workload.endpoints.iter().map(|one| endpoint(one, clock)).collect::<Vec<_>>(),
    })
}

/// One word for what it does.
fn state(workload: &Workload, waiting: u64) -> &'static str {
    let known = workload.failure.as_ref().is_some_and(|failure| failure.known);
    let replicas = workload.replicas;
    match workload.hold.as_ref().map(|hold| &hold.targets) {
        _ if known && replicas.ready == 0 => "failed",
        Some(Targets::All) => "holding",
        _ if replicas.ready > 0 => "serving",
        _ if replicas.desired > 0 || replicas.starting > 0 || waiting > 0 => "waking",
        _ => "zero",
    }
}

/// Where a browser finds what answers for `hosts` and `path`: at `reached`, if that is said, else by name.
pub(crate) fn url(hosts: &[HostPattern], path: &str, reached: Option<SocketAddr>) -> String {
    let host = hosts.iter().find_map(|host| match host {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Suffix(_) | HostPattern::Label(_) | HostPattern::Any => None,
    });
    let Some(listen) = reached else {
        return host.map_or_else(String::new, |host| format!("http://{host}{path}"));
    };
    let port = listen.port();
    let open = hosts.contains(&HostPattern::Any);
    let host = match host {
        Some(host) if !open => host,
        // Every host reaches it: the address itself is the surest.
        _ if listen.ip().is_unspecified() => "127.0.0.1".into(),
        _ if listen.is_ipv6() => format!("[{}]", listen.ip()),
        _ => listen.ip().to_string(),
    };
    format!("http://{host}:{port}{path}")
}

/// Every knob under its name; numbers as numbers.
fn policy(policy: &Policy) -> Value {
    let value = |text: String| match text.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < 1e15 => Value::from(number as i64),
        Ok(number) if number.is_finite() => Value::from(number),
        _ => Value::from(text),
    };
    policy.knobs().map(|(name, text)| (name.to_owned(), value(text))).collect::<Map<_, _>>().into()
}

fn endpoint(endpoint: &Endpoint, clock: &Clock) -> Value {
    let at = |moment: Option<Moment>| moment.map(|moment| clock.rfc3339(moment));
    json!({
        "uid": endpoint.uid,
        "address": endpoint.address,
        "phase": endpoint.phase,
        "decided_at": at(endpoint.start.decided),
        "started_at": at(endpoint.start.started),
        "ready_at": at(endpoint.start.ready),
    })
}

fn failed(failure: &StartFailure, clock: &Clock) -> Value {
    json!({
        "because": failure.because,
        "detail": failure.detail,
        "attempts": failure.attempts,
        "retry_at": clock.rfc3339(failure.retry_at),
    })
}

fn last_wake(book: &Book, workload: &Workload, clock: &Clock) -> Option<Value> {
    let wake = |entry: &Entry| {
        matches!(entry.decision, Decision::Scale { .. }) && entry.observation.replicas.desired == 0
    };
    let entry = book.entries().into_iter().find(wake)?;
    let ready = |endpoint: &Endpoint| {
        endpoint.start.ready.filter(|at| *at >= entry.at && endpoint.phase == Phase::Ready)
    };
    let ready = workload.endpoints.iter().filter_map(ready).min();
    let told = entry.told(|moment| clock.rfc3339(moment));
    Some(json!({
        "at": told.at,
        "to": told.to,
        "because": told.because,
        "ready_at": ready.map(|at| clock.rfc3339(at)),
    }))
}

/// What was learned of its calls, where that decides.
fn learned(book: &Book, policy: &Policy, clock: &Clock) -> Option<Value> {
    if policy.idle_timeout != IdleTimeout::Learned {
        return None;
    }
    // What this process wrote itself can be read.
    let kept = book.kept().and_then(|kept| Kept::read(&kept).ok()).unwrap_or_default();
    let mut habit = json!(Habit::new(&kept, policy));
    habit["forgotten_at"] = json!(book.forgotten().map(|at| clock.rfc3339(at)));
    Some(habit)
}

/// The journal of a workload, newest first.
pub(crate) fn journal(book: &Book, clock: &Clock) -> Value {
    book.entries().iter().map(|entry| told(entry, clock)).collect()
}

/// One entry of a journal. Moments are timestamps, those in `observed` too.
pub(crate) fn told(entry: &Entry, clock: &Clock) -> Value {
    let mut shown = json!(entry.told(|moment| clock.rfc3339(moment)));
    if let Some(observed) = shown.get_mut("observed").and_then(Value::as_object_mut) {
        stamp(observed, clock);
    }
    shown
}

/// Turns the moments of an observation into timestamps. Zero, where it stands for "not", is left out.
fn stamp(observed: &mut Map<String, Value>, clock: &Clock) {
    for name in ["last_activity", "ready_since", "rest_until", "contested_until"] {
        match observed.get(name).and_then(Value::as_u64) {
            Some(0) | None => drop(observed.remove(name)),
            Some(micros) => {
                observed.insert(name.to_owned(), clock.rfc3339(Moment::from_micros(micros)).into());
            }
        }
    }
    for path in [["heard", "from"], ["failure", "retry_at"]] {
        let [outer, inner] = path;
        let moment = observed.get_mut(outer).and_then(|value| value.get_mut(inner));
        if let Some(value) = moment
            && let Some(micros) = value.as_u64()
        {
            *value = clock.rfc3339(Moment::from_micros(micros)).into();
        }
    }
}

#[cfg(test)]
#[path = "workload_test.rs"]
mod tests;
