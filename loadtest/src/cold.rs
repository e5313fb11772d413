//! `loadtest cold`: what Kaos adds to a cold start.
//!
//! One request at a time, on a connection that was opened before, to a function that is at zero. Its answer carries the program's
//! own stamps, so with S the moment the request was written, F the first byte of the answer, M the moment the program began (its
//! `main`) and L the moment it listened:
//!
//! ```text
//! added = (F − S) − (L − M)
//!       = before (M − S: noticing, deciding, starting the process up to its main)
//!       + after  (F − L: noticing that it listens, connecting, forwarding, answering)
//! ```
//!
//! F − S is taken from the monotonic clock, the rest from the wall clock that both processes share.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderMap;
use serde::Serialize;
use tokio::net::TcpStream;

use crate::admin::Admin;
use crate::exchange::{Exchanged, exchange_on};
use crate::failure::Failure;
use crate::phases;
use crate::summary::Quantiles;
use crate::tally::Latencies;

/// Longest wait for a function to go to zero, and for a cold answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Most of the random pause before each request, so that no tick of Kaos is always hit at the same place.
const PAUSE: Duration = Duration::from_millis(20);

/// Failures of one function after which it is left: what fails so often won't be measured.
const MOST_FAILURES: u64 = 5;

/// A function to measure.
pub struct Subject {
    /// Its name, with host `NAME.localhost`.
    pub name: String,
    /// How often.
    pub rounds: u32,
}

/// What was measured of one function. Milliseconds.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// The function.
    pub name: String,
    /// Cold answers.
    pub cold: u64,
    /// Answers by a process that had been started before: not counted in the figures.
    pub warm: u64,
    /// Requests without a good answer, with the last reason.
    pub failed: u64,
    /// See `failed`.
    pub last_failure: Option<String>,
    /// F − S.
    pub total_ms: Quantiles,
    /// L − M.
    pub own_ms: Quantiles,
    /// What Kaos added.
    pub added_ms: Quantiles,
    /// Of it, before the program's main.
    pub before_ms: Quantiles,
    /// Of it, after the program listened.
    pub after_ms: Quantiles,
    /// Median of the total by median of the program's own.
    pub ratio: f64,
}

/// Measures one function.
pub async fn measure(target: SocketAddr, admin: &Admin, subject: &Subject) -> Result<Measured, String> {
    let [mut total, mut own, mut added, mut before, mut after] =
        std::array::from_fn(|_| Latencies::default());
    let (mut warm, mut failed, mut last_failure) = (0, 0, None);
    for _ in 0..subject.rounds {
        admin.wait_for_zero(&subject.name, PATIENCE).await?;
        let exchanged = match once(target, &subject.name).await {
            Ok(exchanged) => exchanged,
            Err(why) => {
                failed += 1;
                last_failure = Some(why);
                if failed == MOST_FAILURES {
                    break;
                }
                continue;
            }
        };
        let Some(split) = Split::of(&exchanged) else {
            warm += 1;
            continue;
        };
        for (latencies, span) in [
            (&mut total, split.total),
            (&mut own, split.own),
            (&mut added, split.total.saturating_sub(split.own)),
            (&mut before, split.before),
            (&mut after, split.total.saturating_sub(split.own + split.before)),
        ] {
            latencies.record(span);
        }
    }
    let ratio = total.quantile(0.5).as_secs_f64() / own.quantile(0.5).as_secs_f64().max(1e-6);
    let [total_ms, own_ms, added_ms, before_ms, after_ms] =
        [total, own, added, before, after].map(|latencies| Quantiles::new(&latencies));
    let (name, cold) = (subject.name.clone(), total_ms.count);
    Ok(Measured {
        name,
        cold,
        warm,
        failed,
        last_failure,
        total_ms,
        own_ms,
        added_ms,
        before_ms,
        after_ms,
        ratio,
    })
}

/// One cold request, checked.
async fn once(target: SocketAddr, name: &str) -> Result<Exchanged, String> {
    let stream = TcpStream::connect(target).await.map_err(|error| Failure::connecting(&error).to_string())?;
    tokio::time::sleep(PAUSE.mul_f64(fastrand::f64())).await;
    let head = format!("GET / HTTP/1.1\r\nhost: {name}.localhost\r\nconnection: close\r\n\r\n");
    let exchanged = match tokio::time::timeout(PATIENCE, exchange_on(stream, &head)).await {
        Ok(exchanged) => exchanged.map_err(|failure| failure.to_string())?,
        Err(_late) => return Err(Failure::Timeout.to_string()),
    };
    if exchanged.status != 200 || exchanged.body != b"ok\n" {
        let body: String = String::from_utf8_lossy(&exchanged.body).chars().take(300).collect();
        return Err(format!("status {}, body {body:?}", exchanged.status));
    }
    Ok(exchanged)
}

/// One cold answer, taken apart.
struct Split {
    total: Duration,
    own: Duration,
    before: Duration,
}

impl Split {
    /// `None` if the program had begun before the request was sent: it wasn't cold.
    fn of(exchanged: &Exchanged) -> Option<Split> {
        let started = stamp(&exchanged.headers, "x-answer-started-micros")?;
        let listening = stamp(&exchanged.headers, "x-answer-listening-micros")?;
        let before = started.checked_sub(exchanged.sent_wall)?;
        let cold = phases::is_cold(&exchanged.headers);
        cold.then(|| Split {
            total: exchanged.first_byte - exchanged.sent,
            own: Duration::from_micros(listening.saturating_sub(started)),
            before: Duration::from_micros(before),
        })
    }
}

fn stamp(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

impl Measured {
    /// The header of the table for people.
    pub fn header() -> String {
        let columns = [
            "function",
            "cold",
            "warm",
            "failed",
            "added p50",
            "p90",
            "p99",
            "max",
            "before",
            "after",
            "own",
            "ratio",
        ];
        columns.map(|column| format!("{column:>10}")).join(" ")
    }

    /// One row of the table for people: milliseconds; `before`, `after` and `own` are medians.
    pub fn row(&self) -> String {
        let counts = [self.cold, self.warm, self.failed].map(|count| format!("{count:>10}")).join(" ");
        let added = &self.added_ms;
        let spans = [
            added.p50,
            added.p90,
            added.p99,
            added.max,
            self.before_ms.p50,
            self.after_ms.p50,
            self.own_ms.p50,
        ];
        let spans = spans.map(|millis| format!("{millis:>10.2}")).join(" ");
        format!("{:>10} {counts} {spans} {:>10.4}", self.name, self.ratio)
    }

    /// What kept it from being measured, if anything did.
    pub fn unmet(&self, rounds: u32) -> Option<String> {
        let name = &self.name;
        if let Some(why) = &self.last_failure {
            return Some(format!("{name}: {} requests failed, the last with: {why}", self.failed));
        }
        (self.cold < u64::from(rounds))
            .then(|| format!("{name}: {} of {rounds} answers were cold", self.cold))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn exchanged(started: u64, listening: u64, cold: bool) -> Exchanged {
        let mut headers = HeaderMap::new();
        headers.insert("x-answer-started-micros", started.into());
        headers.insert("x-answer-listening-micros", listening.into());
        if cold {
            headers.insert("x-kaos-cold-start", http::HeaderValue::from_static("true"));
        }
        let sent = Instant::now();
        let first_byte = sent + Duration::from_millis(10);
        Exchanged { status: 200, headers, body: vec![], sent, sent_wall: 1_000_000, first_byte }
    }

    #[test]
    fn a_cold_answer_is_taken_apart() {
        let split = Split::of(&exchanged(1_002_000, 1_007_000, true)).unwrap();
        let micros = [split.total, split.own, split.before].map(|span| span.as_micros());
        assert_eq!(micros, [10_000, 5_000, 2_000]);
    }

    #[test]
    fn a_warm_answer_is_none() {
        assert!(Split::of(&exchanged(999_000, 999_500, true)).is_none());
        assert!(Split::of(&exchanged(1_002_000, 1_007_000, false)).is_none());
    }
}
