//! Recorded arrivals, read from what people have of them: [`azure()`] reads counts per minute, [`requests()`] one request a
//! line.
//!
//! Knows no policy and opens no file. Files are read as streams: what is kept of a request is its [`Request`], and of a name
//! one copy. The same files and the same seed are the same trace.

mod arrivals;
mod azure;
mod combined;
mod json;
mod lines;
mod quantiles;
mod rows;
mod table;
mod time;

#[cfg(test)]
mod any_test;
#[cfg(test)]
mod azure_test;
#[cfg(test)]
mod combined_test;
#[cfg(test)]
mod json_test;
#[cfg(test)]
mod rows_test;

use std::fmt;
use std::io::BufRead;

use self::arrivals::{Arrival, Arrivals};
use self::lines::Lines;
use crate::random::Random;

/// Microseconds that a replica works on a request whose duration nobody has recorded.
pub const TAKES: u64 = 100_000;
/// Most requests of a trace.
const MOST: u64 = 1_000_000_000;
/// The workload of requests that name none.
const ALL: &str = "all";
/// Microseconds.
const MINUTE: u64 = 60_000_000;

/// Recorded arrivals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Each with its requests, in the order in which the file first names them.
    pub functions: Vec<Function>,
    /// Microseconds from its beginning to its end.
    pub span: u64,
}

/// One function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// In order of `at`.
    pub requests: Vec<Request>,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Microseconds since the trace's beginning.
    pub at: u64,
    /// Microseconds that a replica works on it.
    pub takes: u64,
}

/// A file to read.
pub struct Source<'a> {
    /// How errors name it.
    pub name: &'a str,
    /// What is in it.
    pub read: &'a mut dyn BufRead,
}

/// What is wrong with a file. Prints as one line: `file:line: column "name": what was got, what is allowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    file: String,
    /// From 1; 0 for the file as a whole.
    line: u64,
    /// Of a table, or the member of an object.
    column: Option<String>,
    what: String,
}

impl TraceError {
    /// A file that is wrong as a whole.
    fn whole(file: &str, what: impl Into<String>) -> Self {
        TraceError { file: file.to_owned(), line: 0, column: None, what: what.into() }
    }

    /// The same, in a column.
    fn within(self, column: &str) -> Self {
        TraceError { column: Some(column.to_owned()), ..self }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.file)?;
        if self.line > 0 {
            write!(out, "{}:", self.line)?;
        }
        if let Some(column) = &self.column {
            write!(out, " column {}:", excerpt(column))?;
        }
        write!(out, " {}", self.what)
    }
}

impl std::error::Error for TraceError {}

/// Reads the format of the Azure Functions Trace 2019.
///
/// `invocations`: the columns `HashOwner`, `HashApp` and `HashFunction`, perhaps `Trigger`, and one of counts for each minute,
/// named by its number, in ascending order. The trace begins with the first of these minutes and ends with the last; a minute
/// that is left out is silent. A count is spread over its minute, evenly and at random. Rows of the same function add up. A
/// function has the name of its `HashFunction`, or `owner/app/function` where several have that one.
///
/// `durations`: per function the columns `percentile_Average_` 0, 1, 25, 50, 75, 99 and 100 in milliseconds, between which the
/// duration of each request is drawn on straight lines; `Count` decides between several rows of one function (the
/// greatest, or the first of those); `Average`, `Minimum` and `Maximum` aren't looked at. A function without a row takes
/// [`TAKES`] for each request, as all do without such a file. Durations don't change when requests arrive.
///
/// The error names the file, the line and the column: what isn't a table, has no rows or isn't UTF-8, an unknown column or one
/// too many or too few, a count that isn't a whole number up to 10,000,000, a duration that isn't from 0 to 10,000,000 s, more
/// than a thousand million requests.
pub fn azure(invocations: Source<'_>, durations: Option<Source<'_>>, seed: u64) -> Result<Trace, TraceError> {
    azure::read(invocations, durations, seed)
}

/// Reads a file of one request a line. Its first line that isn't blank says what it is.
///
/// - `{`: an access log of JSON objects, Kaos's own or nginx's. The time is `msec`, `ts`, `timestamp`, `@timestamp`, `time`,
///   `time_iso8601` or `time_local`, the first of these that there is; the workload is `workload` (with `namespace/` before
///   it), `host`, `http_host` or `server_name`, as written. A line with `request_time` (seconds) was written at the request's
///   end: it came that long before. One with `duration_ms` is Kaos's own: it came at its time, and a replica worked on it for
///   that less `queue_ms`. What Kaos answered itself for no workload, or by no-wake-paths, isn't counted, nor are lines of
///   Kaos's log and the first line of `kaos up`; what it refused, or whose client left, before a
///   replica had it takes [`TAKES`].
/// - A line as nginx's or Apache's `combined`: one workload `all`, or several by a virtual host before the address, as
///   written, or by the upstream's name as ingress-nginx writes it. A number of seconds after the agent is how long before its
///   time the request came.
/// - Anything else is the header of a table: `time` (seconds as a number, or RFC 3339), `workload`, `duration` (seconds), in
///   any order, of which only `time` has to be there.
///
/// A request without a duration takes [`TAKES`]; one without a workload belongs to `all`. Numbers are exact. Where no date of
/// the file has a fraction of a second, requests are spread over their seconds, evenly and at random. The lines may be
/// in any order: they are sorted. The trace begins with the first arrival and ends with the last request's end, at
/// a whole minute. A log's last line that has no end and can't be read is torn, and left out.
///
/// The error names the file and the line, and the column or member: what can't be understood, is longer than 1 MiB or has a
/// wrong number of cells; a table or a name that isn't UTF-8; a time that isn't from 0 to 100,000,000,000 s and no date;
/// dates and numbers in one file; a duration that isn't from 0 to 10,000,000 s; no request at all, or more than a thousand
/// million.
pub fn requests(source: Source<'_>, seed: u64) -> Result<Trace, TraceError> {
    let name = source.name;
    let mut lines = Lines::new(source);
    if !lines.advance()? {
        return Err(TraceError::whole(name, "is empty"));
    }
    lines.again();
    let mut arrivals = Arrivals::new(seed);
    let first = lines.text();
    let (is_json, is_combined) = (first.trim_start().starts_with('{'), combined::is_one(&first));
    drop(first);
    if is_json {
        json::read(&mut lines, &mut arrivals)?;
    } else if is_combined {
        combined::read(&mut lines, &mut arrivals)?;
    } else {
        rows::read(lines, &mut arrivals)?;
    }
    arrivals.finish().ok_or_else(|| TraceError::whole(name, "holds no request"))
}

/// Takes the request of this line of a log. What clients wrote may be no UTF-8; a name has to be.
fn take(lines: &Lines<'_>, arrivals: &mut Arrivals, arrival: Arrival<'_>) -> Result<(), TraceError> {
    lines.check(arrival.workload)?;
    arrivals.add(lines.number(), arrival).map_err(|what| lines.wrong(what))
}

/// What randomness is for: each use has a stream of its own, so that none shifts another.
#[derive(Clone, Copy)]
enum Use {
    Arrivals = 1,
    Durations = 2,
}

/// The randomness of the function at `index`, whatever was drawn for others.
fn stream(seed: u64, purpose: Use, index: usize) -> Random {
    let mixed = Random::new(seed).bits() ^ purpose as u64;
    let mixed = Random::new(mixed).bits().wrapping_add(index as u64);
    Random::new(Random::new(mixed).bits())
}

/// `text` in quotes, escaped, and not for ever.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
