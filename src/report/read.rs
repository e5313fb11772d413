//! Lines as reports, within bounds. What a proxy sends may be anything.

use std::fmt;
use std::mem::take;

use kaos_core::report::{EndpointLoad, HoldAnswer, HoldState, REPORT_VERSION};
use kaos_core::{EndpointUid, HoldId, ProxyId, Reading, Report, Sums, WorkloadId};
use serde::Deserialize;

use super::LINE;

/// Most bytes of one report over all its lines.
const WHOLE: usize = 64 * 1024 * 1024;

/// Puts a stream of bytes together into reports.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pending: Vec<u8>,
    begun: Option<Report>,
    bytes: usize,
}

/// Why a stream of reports can't be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A line is longer than [`LINE`].
    LongLine,
    /// A report is longer than 64 MiB.
    LongReport,
    /// The version isn't ours.
    Version(u32),
    /// A report ends within another.
    Torn,
    /// It isn't a report at all.
    Malformed(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::LongLine => write!(out, "a line is longer than the {LINE} bytes that are allowed"),
            Unreadable::LongReport => {
                write!(out, "a report is longer than the {WHOLE} bytes that are allowed")
            }
            Unreadable::Version(version) => {
                write!(
                    out,
                    "the version is {version}; allowed is {REPORT_VERSION}: run the same Kaos on both sides"
                )
            }
            Unreadable::Torn => out.write_str("a report begins before the last line of another"),
            Unreadable::Malformed(why) => write!(out, "a line is no report: {why}"),
        }
    }
}

#[derive(Deserialize)]
struct Form {
    version: u32,
}

#[derive(Deserialize)]
struct Line {
    proxy: ProxyId,
    epoch: u64,
    sequence: u64,
    at: u64,
    full: bool,
    #[serde(default)]
    more: bool,
    workloads: Vec<(WorkloadId, Seen)>,
}

#[derive(Deserialize)]
struct Seen {
    running: Sums,
    waiting: Sums,
    #[serde(default)]
    presumed: bool,
    #[serde(default)]
    last_activity: Option<u64>,
    #[serde(default)]
    hold: Option<Answer>,
    #[serde(default)]
    endpoints: Vec<EndpointLoad>,
    #[serde(default)]
    seen: u64,
}

#[derive(Deserialize)]
struct Answer {
    id: HoldId,
    state: State,
    #[serde(default)]
    empty: Vec<EndpointUid>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Draining,
    Confirmed,
    Expired,
    /// Of a version to come: it confirms nothing.
    #[serde(other)]
    Unknown,
}

impl Reader {
    /// Takes what came. Returns the reports that are whole with it, in order.
    pub(crate) fn take(&mut self, mut data: &[u8]) -> Result<Vec<Report>, Unreadable> {
        let mut reports = Vec::new();
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = data.split_at(end + 1);
            data = rest;
            self.keep(head)?;
            let line = take(&mut self.pending);
            reports.extend(self.line(&line)?);
        }
        self.keep(data)?;
        Ok(reports)
    }

    fn keep(&mut self, data: &[u8]) -> Result<(), Unreadable> {
        if self.pending.len() + data.len() > LINE {
            return Err(Unreadable::LongLine);
        }
        self.pending.extend_from_slice(data);
        Ok(())
    }

    fn line(&mut self, text: &[u8]) -> Result<Option<Report>, Unreadable> {
        let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
        let form: Form = serde_json::from_slice(text).map_err(malformed)?;
        if form.version != REPORT_VERSION {
            return Err(Unreadable::Version(form.version));
        }
        let line: Line = serde_json::from_slice(text).map_err(malformed)?;
        self.bytes += text.len();
        if self.bytes > WHOLE {
            return Err(Unreadable::LongReport);
        }
        let more = line.more;
        let report = match self.begun.take() {
            None => line.report(),
            Some(begun) => line.after(begun)?,
        };
        if more {
            self.begun = Some(report);
            return Ok(None);
        }
        self.bytes = 0;
        Ok(Some(report))
    }
}

impl Line {
    fn report(self) -> Report {
        Report {
            version: REPORT_VERSION,
            proxy: self.proxy,
            epoch: self.epoch,
            sequence: self.sequence,
            at: self.at,
            full: self.full,
            workloads: self.workloads.into_iter().map(|(id, seen)| (id, seen.reading())).collect(),
        }
    }

    /// The report that `begun` is the first part of.
    fn after(self, mut begun: Report) -> Result<Report, Unreadable> {
        let next = self.report();
        let same = (&next.proxy, next.epoch, next.sequence, next.full)
            == (&begun.proxy, begun.epoch, begun.sequence, begun.full);
        if !same {
            return Err(Unreadable::Torn);
        }
        begun.workloads.extend(next.workloads);
        Ok(begun)
    }
}

impl Seen {
    fn reading(self) -> Reading {
        Reading {
            running: self.running,
            waiting: self.waiting,
            presumed: self.presumed,
            last_activity: self.last_activity,
            hold: self.hold.and_then(Answer::known),
            endpoints: self.endpoints,
            seen: self.seen,
        }
    }
}

impl Answer {
    fn known(self) -> Option<HoldAnswer> {
        let state = match self.state {
            State::Draining => HoldState::Draining,
            State::Confirmed => HoldState::Confirmed,
            State::Expired => HoldState::Expired,
            State::Unknown => return None,
        };
        Some(HoldAnswer { id: self.id, state, empty: self.empty })
    }
}

#[cfg(test)]
#[path = "read_test.rs"]
mod tests;
