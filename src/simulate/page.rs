//! The page of `kaos simulate --html`: what was replayed, what each policy costs, and how its replicas came and went.
//!
//! One file that needs nothing else: no script, no font, no network. Names come from files that others wrote; they are
//! escaped, and however long they are, the page stays small enough to be opened.

mod axis;
mod compare;
mod curve;
mod functions;
mod place;
mod say;
mod style;
mod table;
mod timeline;

#[cfg(test)]
mod page_test;

use std::fmt::Write;
use std::time::Duration;

use kaos_simulate::replay::Choice;

use self::say::{bare, counted, escape, name, span};
use self::table::Row;
use super::Picture;

/// The page as a whole.
pub(super) fn page(picture: &Picture<'_>) -> String {
    let rows: Vec<Row<'_>> = picture.ran.iter().map(|ran| Row::new(ran.choice, &ran.total)).collect();
    let mut out = head(picture);
    // Writing to a String can't fail.
    let _ = write!(
        out,
        "<section>\n<h2>What each policy costs</h2>\n{}{}{}{WORDS}</section>\n",
        table::table(&rows, false),
        marks(picture),
        compare::compared(&rows),
    );
    let _ = write!(
        out,
        "<section>\n<h2>Cold requests against replica time</h2>\n{}</section>\n",
        curve::figure(picture.ran, picture.curves),
    );
    let _ = write!(
        out,
        "<section>\n<h2>Functions</h2>\n{}</section>\n</main>\n</body>\n</html>\n",
        functions::section(picture.trace, picture.ran),
    );
    out
}

fn head(picture: &Picture<'_>) -> String {
    let requests: u64 = picture.trace.functions.iter().map(|function| function.requests.len() as u64).sum();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>kaos simulate: {title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n\
         <h1>{requests} to {functions} in {span}</h1>\n\
         <p>From {source}, replayed under {policies}. A replica is ready {start} after it was asked for.</p>\n",
        title = bare(picture.source),
        style = style::STYLE,
        requests = counted(requests, "request", "requests"),
        functions = counted(picture.trace.functions.len() as u64, "function", "functions"),
        span = escape(&span(Duration::from_micros(picture.trace.span))),
        source = name(picture.source),
        policies = counted(picture.ran.len() as u64, "policy", "policies"),
        start = escape(&span(picture.start_time)),
    )
}

/// What a browser may do with the page: apply its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What the marks in the table mean.
fn marks(picture: &Picture<'_>) -> String {
    let real = picture.ran.iter().filter(|ran| ran.choice != Choice::Oracle).count();
    let mut told = Vec::new();
    if real > 1 {
        told.push("Bold: the least of a column, where less is better.");
    }
    if real < picture.ran.len() {
        told.push("The oracle knows the future: it shows what is left to gain.");
    }
    if told.is_empty() { String::new() } else { format!("<p class=\"quiet\">{}</p>\n", told.join(" ")) }
}

const WORDS: &str = "\
<details>
<summary>What the words mean</summary>
<dl>
<dt>cold requests</dt><dd>Those that waited for a replica to start, and their share of all.</dd>
<dt>starts</dt><dd>Replicas that were started, whatever for.</dd>
<dt>pre-warms</dt><dd>Replicas that were started before anybody asked: used if a request came while they were there.</dd>
<dt>wait</dt><dd>Of those requests that waited, for a start or for a place, and only of those: half of them no longer \
than p50, 95 of a hundred no longer than p95.</dd>
<dt>replica hours</dt><dd>From when replicas were asked for to when they were gone. Busy: with requests in flight. Idle: \
starting, or kept.</dd>
</dl>
</details>
";
