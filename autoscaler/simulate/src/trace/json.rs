//! Access logs of one JSON object a line: Kaos's own, nginx's, and others that use these names.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::arrivals::{Arrival, Arrivals};
use super::lines::Lines;
use super::time::{self, Stamp};
use super::{TAKES, TraceError, excerpt, take};

/// A value that nobody has looked at yet.
type Raw<'a> = Option<&'a RawValue>;

/// The members that matter; others are passed over.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    msec: Raw<'a>,
    #[serde(borrow)]
    ts: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow, rename = "@timestamp")]
    at_timestamp: Raw<'a>,
    #[serde(borrow)]
    time: Raw<'a>,
    #[serde(borrow)]
    time_iso8601: Raw<'a>,
    #[serde(borrow)]
    time_local: Raw<'a>,
    #[serde(borrow)]
    namespace: Raw<'a>,
    #[serde(borrow)]
    workload: Raw<'a>,
    #[serde(borrow)]
    host: Raw<'a>,
    #[serde(borrow)]
    http_host: Raw<'a>,
    #[serde(borrow)]
    server_name: Raw<'a>,
    #[serde(borrow)]
    request_time: Raw<'a>,
    #[serde(borrow)]
    duration_ms: Raw<'a>,
    #[serde(borrow)]
    queue_ms: Raw<'a>,
    #[serde(borrow)]
    refusal: Raw<'a>,
    #[serde(borrow)]
    replica: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    level: Raw<'a>,
    #[serde(borrow)]
    target: Raw<'a>,
    #[serde(borrow)]
    started_at: Raw<'a>,
}

/// What is wrong: in which member, if in one, and what.
type Wrong = (Option<&'static str>, String);

/// Reads all requests.
pub(super) fn read(lines: &mut Lines<'_>, arrivals: &mut Arrivals) -> Result<(), TraceError> {
    while lines.advance()? {
        let place = |(member, what): Wrong| match member {
            Some(member) => lines.wrong(what).within(member),
            None => lines.wrong(what),
        };
        let add = |object: &Object<'_>| match taken(object).map_err(place)? {
            Some((workload, arrival)) => take(lines, arrivals, Arrival { workload: &workload, ..arrival }),
            None => Ok(()),
        };
        match parsed(lines.text().trim(), add).unwrap_or_else(|what| Err(lines.wrong(what))) {
            Err(_) if lines.is_torn() => break,
            done => done?,
        }
    }
    Ok(())
}

/// What `then` makes of the object in `line`. nginx escapes as JSON does only where it was told to, else a quote is `\x22`.
fn parsed<T>(line: &str, then: impl FnOnce(&Object<'_>) -> T) -> Result<T, String> {
    let error = match serde_json::from_str(line) {
        Ok(object) => return Ok(then(&object)),
        Err(error) => error,
    };
    if line.contains("\\x")
        && let Ok(object) = serde_json::from_str(&line.replace("\\x", "\\u00"))
    {
        return Ok(then(&object));
    }
    let told = error.to_string();
    let why = told.split(" at line ").next().unwrap_or_default();
    Err(format!("not an object of JSON: {why} at byte {}: {}", error.column(), excerpt(line)))
}

/// The request of an object with its workload's name; `None` if it tells of none that reached a workload.
fn taken<'a>(object: &Object<'a>) -> Result<Option<(Cow<'a, str>, Arrival<'static>)>, Wrong> {
    if is_passed_over(object) {
        return Ok(None);
    }
    let stamp = stamp(object)?;
    let (before, takes) = durations(object)?;
    Ok(Some((workload(object)?, Arrival { workload: "", stamp, before, takes })))
}

/// Whether it is a line of Kaos's log, what `kaos up` says first, or a request that no workload has heard of.
fn is_passed_over(object: &Object<'_>) -> bool {
    let is_request = object.duration_ms.is_some() || object.request_time.is_some();
    let is_log = object.level.is_some() && object.target.is_some() || object.started_at.is_some();
    let is_unheard = match object.refusal {
        Some(refusal) => object.workload.is_none() || refusal.get() == "\"no-wake\"",
        None => false,
    };
    is_log && !is_request || is_unheard
}

fn stamp(object: &Object<'_>) -> Result<Stamp, Wrong> {
    let names = [
        ("msec", object.msec),
        ("ts", object.ts),
        ("timestamp", object.timestamp),
        ("@timestamp", object.at_timestamp),
        ("time", object.time),
        ("time_iso8601", object.time_iso8601),
        ("time_local", object.time_local),
    ];
    for (name, raw) in names {
        if let Some(raw) = raw {
            let read = |text: &str| Stamp::read(text).or_else(|| Stamp::common_log(text));
            return value(name, raw, time::TIME, read);
        }
    }
    let names = names.map(|(name, _)| name).join(", ");
    Err((None, format!("no time; expected one of the members {names}")))
}

/// Microseconds from its arrival to its stamp, and that a replica worked on it.
fn durations(object: &Object<'_>) -> Result<(u64, u64), Wrong> {
    if let Some(raw) = object.duration_ms {
        let all = value("duration_ms", raw, time::MILLIS, time::millis)?;
        let queue = match object.queue_ms {
            Some(raw) => value("queue_ms", raw, time::MILLIS, time::millis)?,
            None => 0,
        };
        let left = object.status.is_some_and(|status| status.get() == "499");
        let unserved = object.replica.is_none() && (object.refusal.is_some() || left);
        return Ok((0, if unserved { TAKES } else { all.saturating_sub(queue) }));
    }
    let Some(raw) = object.request_time else { return Ok((0, TAKES)) };
    let read = |text: &str| if matches!(text, "" | "-") { Some(None) } else { time::seconds(text).map(Some) };
    let took = value("request_time", raw, time::DURATION, read)?;
    Ok(took.map_or((0, TAKES), |took| (took, took)))
}

fn workload<'a>(object: &Object<'a>) -> Result<Cow<'a, str>, Wrong> {
    let names = [
        ("workload", object.workload),
        ("host", object.host),
        ("http_host", object.http_host),
        ("server_name", object.server_name),
    ];
    for (name, raw) in names {
        let Some(raw) = raw else { continue };
        let text = string(raw).ok_or_else(|| wrong(name, raw, "a text"))?;
        if name == "workload"
            && !text.contains('/')
            && let Some(namespace) = object.namespace.and_then(string)
        {
            return Ok(format!("{namespace}/{text}").into());
        }
        if !matches!(&*text, "" | "-") {
            return Ok(text);
        }
    }
    Ok("".into())
}

/// What `read` makes of a member that is a text or a number.
fn value<T>(
    name: &'static str,
    raw: &RawValue,
    expected: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Wrong> {
    let number = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let text = if number { Some(raw.get().into()) } else { string(raw) };
    text.and_then(|text| read(text.trim())).ok_or_else(|| wrong(name, raw, expected))
}

/// A text, copied only if something in it is escaped.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().strip_prefix('"')?.strip_suffix('"') {
        Some(plain) if !plain.contains('\\') => Some(plain.into()),
        _ => serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned),
    }
}

fn wrong(name: &'static str, raw: &RawValue, expected: &str) -> Wrong {
    let got = match string(raw) {
        Some(text) => excerpt(&text),
        None => excerpt(raw.get()),
    };
    (Some(name), format!("got {got}; expected {expected}"))
}
