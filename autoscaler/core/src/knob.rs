//! The one table of knobs: the parser, `--help`, the reference page and the error texts are made from it.

mod read;

use std::time::Duration;

use self::read::{
    above_one, bytes, names, no_wake_paths, number, readiness, show_names, show_no_wake_paths, span, whole,
    whole_seconds,
};
use crate::duration;
use crate::policy::{IdleTimeout, Metric, Policy, Prewarm, Protocol, Readiness};

/// One knob of a workload.
pub struct Knob {
    /// Its name: as an annotation's suffix, a flag, a key.
    pub name: &'static str,
    /// What it takes.
    pub allowed: &'static str,
    /// What it is when nothing is said. With a space: depends on the platform.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Reads a value into a policy. `Err` if it isn't allowed; the policy is then unchanged.
    pub set: fn(&mut Policy, &str) -> Result<(), ()>,
    /// Writes the value in a policy, so that `set` reads it back.
    pub show: fn(&Policy) -> String,
}

/// The knob `name`.
pub fn find(name: &str) -> Option<&'static Knob> {
    KNOBS.iter().find(|knob| knob.name == name)
}

/// The knob whose name is nearest to `name`, if one is near: for "did you mean".
pub fn closest(name: &str) -> Option<&'static str> {
    let near = |knob: &Knob| (distance(name, knob.name), knob.name);
    KNOBS.iter().map(near).min().filter(|(far, _)| *far <= 3).map(|(_, name)| name)
}

/// Edits that make one word from the other (Levenshtein).
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.bytes().enumerate().take(64) {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const COUNT: u32 = 1_000_000;

macro_rules! knob {
    ($name:literal, $allowed:literal, $default:literal, $doc:literal, $field:ident = $read:expr, $show:expr) => {
        Knob {
            name: $name,
            allowed: $allowed,
            default: $default,
            doc: $doc,
            set: |policy, text| {
                let read: fn(&str) -> Result<_, ()> = $read;
                policy.$field = read(text)?;
                Ok(())
            },
            show: |policy| {
                let show: fn(&_) -> String = $show;
                show(&policy.$field)
            },
        }
    };
}

fn show_span(span: &Duration) -> String {
    duration::format(*span)
}

/// Every knob of a workload, in the order of the reference page.
pub const KNOBS: &[Knob] = &[
    knob!(
        "metric",
        "concurrency or rps",
        "concurrency",
        "What the target is a target of: requests in flight, or requests a second.",
        metric = |text| match text {
            "concurrency" => Ok(Metric::Concurrency),
            "rps" => Ok(Metric::Rps),
            _ => Err(()),
        },
        |metric| match metric {
            Metric::Concurrency => "concurrency",
            Metric::Rps => "rps",
        }
        .to_owned()
    ),
    knob!(
        "target",
        "a number, 0.01 to 1000000, or default",
        "default",
        "Per replica, before utilization: requests in flight (default: the hard limit if there is one, else 100), or requests a second (200).",
        target = |text| if text == "default" { Ok(None) } else { number(text, 0.01, 1_000_000.0).map(Some) },
        |target: &Option<f64>| target.map_or_else(|| "default".to_owned(), |target| target.to_string())
    ),
    knob!(
        "target-utilization-percentage",
        "a number, 1 to 100",
        "70",
        "The share of the target to steer to, in percent.",
        target_utilization_percentage = |text| number(text, 1.0, 100.0),
        f64::to_string
    ),
    knob!(
        "container-concurrency",
        "a whole number, 0 to 1000000 (0: no limit)",
        "0",
        "The hard limit of requests in flight on one replica.",
        container_concurrency = |text| whole(text, 0, COUNT),
        u32::to_string
    ),
    knob!(
        "window",
        "a duration of whole seconds, 6s to 1h",
        "1m",
        "The stable window: what the average is taken over.",
        window = |text| whole_seconds(text, 6, 3600),
        show_span
    ),
    knob!(
        "panic-window-percentage",
        "a number, 1 to 100",
        "10",
        "The panic window as a share of the stable window, in percent.",
        panic_window_percentage = |text| number(text, 1.0, 100.0),
        f64::to_string
    ),
    knob!(
        "panic-threshold-percentage",
        "a number, 110 to 1000",
        "200",
        "Panic when the panic window needs this share of the ready replicas, in percent.",
        panic_threshold_percentage = |text| number(text, 110.0, 1000.0),
        f64::to_string
    ),
    knob!(
        "max-scale-up-rate",
        "a number above 1, to 1000000",
        "1000",
        "Most growth per decision, as a factor of the ready replicas.",
        max_scale_up_rate = above_one,
        f64::to_string
    ),
    knob!(
        "max-scale-down-rate",
        "a number above 1, to 1000000",
        "2",
        "Most shrinking per decision, as a divisor of the ready replicas.",
        max_scale_down_rate = above_one,
        f64::to_string
    ),
    knob!(
        "min-scale",
        "a whole number, 0 to 1000000",
        "0",
        "Never fewer replicas than this.",
        min_scale = |text| whole(text, 0, COUNT),
        u32::to_string
    ),
    knob!(
        "max-scale",
        "a whole number, 0 to 1000000 (0: no bound)",
        "the CPU cores; in a cluster 10, or the count found at adoption if greater",
        "Never more replicas than this.",
        max_scale = |text| whole(text, 0, COUNT),
        u32::to_string
    ),
    knob!(
        "initial-scale",
        "a whole number, 1 to 1000000",
        "1",
        "The size of the first start.",
        initial_scale = |text| whole(text, 1, COUNT),
        u32::to_string
    ),
    knob!(
        "activation-scale",
        "a whole number, 1 to 1000000",
        "1",
        "The least size when above zero.",
        activation_scale = |text| whole(text, 1, COUNT),
        u32::to_string
    ),
    knob!(
        "scale-down-delay",
        "a duration of whole seconds, 0s to 1h",
        "0s",
        "The maximum of the desired counts over this span is used.",
        scale_down_delay = |text| whole_seconds(text, 0, 3600),
        show_span
    ),
    knob!(
        "idle-timeout",
        "a duration, 1s to 24h, or learned",
        "learned",
        "Nothing in flight or waiting for this long: zero replicas. learned: as long as the workload's own gaps between requests say that it is worth it; a minute before three are known.",
        idle_timeout = |text| match text {
            "learned" => Ok(IdleTimeout::Learned),
            _ => span(text, SECOND, DAY).map(IdleTimeout::After),
        },
        |timeout| match timeout {
            IdleTimeout::Learned => "learned".to_owned(),
            IdleTimeout::After(timeout) => show_span(timeout),
        }
    ),
    knob!(
        "prewarm",
        "off or earned",
        "earned",
        "Where idle-timeout is learned: whether a replica is started when a request is due. earned: while that would have saved more than it cost.",
        prewarm = |text| match text {
            "off" => Ok(Prewarm::Off),
            "earned" => Ok(Prewarm::Earned),
            _ => Err(()),
        },
        |prewarm| match prewarm {
            Prewarm::Off => "off",
            Prewarm::Earned => "earned",
        }
        .to_owned()
    ),
    knob!(
        "cold-start-cost",
        "a duration, 0s to 1h",
        "2m30s",
        "Where idle-timeout is learned: what a cold start is worth for each request that waits for it, in time of an idle replica.",
        cold_start_cost = |text| span(text, Duration::ZERO, HOUR),
        show_span
    ),
    knob!(
        "no-wake-paths",
        "none, or up to 16 paths with a status, such as /healthz=200,/metrics=404: each path once, at most 256 bytes that begin with /, without , = ? # or spaces; a status of 200 to 299 or 400 to 599",
        "none",
        "Requests for these paths (exact: /a isn't /a/; the query doesn't count) wake nothing and keep nothing awake: where no replica is ready they are answered at once with this status, else by a replica.",
        no_wake_paths = no_wake_paths,
        |paths| show_no_wake_paths(paths)
    ),
    knob!(
        "wake-with",
        "none, or up to 16 names of workloads in the same namespace, with commas between them, each once",
        "none",
        "These wake at the same moment as it does, and stay awake while it is, with all that they name in turn.",
        wake_with = names,
        |names| show_names(names)
    ),
    knob!(
        "protocol",
        "http1 or h2c",
        "http1; in a cluster h2c where the Service's port has the appProtocol kubernetes.io/h2c",
        "What replicas speak: HTTP/1.1, or HTTP/2 without TLS (gRPC, mostly). Clients may speak either.",
        protocol = |text| match text {
            "http1" => Ok(Protocol::Http1),
            "h2c" => Ok(Protocol::H2c),
            _ => Err(()),
        },
        |protocol| match protocol {
            Protocol::Http1 => "http1",
            Protocol::H2c => "h2c",
        }
        .to_owned()
    ),
    knob!(
        "start-timeout",
        "a duration, 1s to 24h",
        "1m; in a cluster 10m",
        "A replica that isn't ready within this has failed to start.",
        start_timeout = |text| span(text, SECOND, DAY),
        show_span
    ),
    knob!(
        "readiness",
        "tcp, or a path that begins with / and is answered with 200 to 399; in a cluster also probe (its own probe) and ready (the platform's word)",
        "tcp; in a cluster probe",
        "How a starting replica is found ready.",
        readiness = readiness,
        |readiness| match readiness {
            Readiness::Tcp => "tcp".to_owned(),
            Readiness::Path(path) => path.clone(),
            Readiness::Probe => "probe".to_owned(),
            Readiness::Ready => "ready".to_owned(),
        }
    ),
    knob!(
        "stop-timeout",
        "a duration, 0s to 1h",
        "10s",
        "From SIGTERM to SIGKILL when a replica is stopped.",
        stop_timeout = |text| span(text, Duration::ZERO, Duration::from_secs(3600)),
        show_span
    ),
    knob!(
        "queue-limit",
        "a whole number, 0 to 1000000",
        "1000",
        "Most requests that wait for a replica; one more is answered 503 at once.",
        queue_limit = |text| whole(text, 0, COUNT),
        u32::to_string
    ),
    knob!(
        "queue-timeout",
        "a duration, 1ms to 24h",
        "1m",
        "Longest wait of a request for a replica; then it is answered 504.",
        queue_timeout = |text| span(text, Duration::from_millis(1), DAY),
        show_span
    ),
    knob!(
        "request-timeout",
        "a duration, 0s to 24h (0s: none)",
        "0s",
        "Longest whole request, from its dispatch to its last byte.",
        request_timeout = |text| span(text, Duration::ZERO, DAY),
        show_span
    ),
    knob!(
        "response-start-timeout",
        "a duration, 1ms to 24h",
        "5m",
        "Longest wait for the first byte of a response; never counts the wait for a replica.",
        response_start_timeout = |text| span(text, Duration::from_millis(1), DAY),
        show_span
    ),
    knob!(
        "stream-idle-timeout",
        "a duration, 1s to 24h",
        "5m",
        "Longest silence on a body or an upgraded connection.",
        stream_idle_timeout = |text| span(text, SECOND, DAY),
        show_span
    ),
    knob!(
        "min-transfer-rate",
        "a whole number, 0 to 1000000 (0: any)",
        "240",
        "Bytes a second that a client must send of a body, or take of an answer, on average while it is waited for, after 30s: else its request ends. Upgraded connections, gRPC, uploads whose answer has begun, and answers whose replica is silent aren't measured.",
        min_transfer_rate = |text| whole(text, 0, COUNT),
        u32::to_string
    ),
    knob!(
        "max-request-body",
        "a whole number of bytes, 0 to 1099511627776 (0: any)",
        "0",
        "Largest body of a request; a larger one is answered 413, before it waits or wakes anything if it says its length.",
        max_request_body = bytes,
        u64::to_string
    ),
];
