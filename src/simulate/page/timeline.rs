//! The drawing of one function: its arrivals, and below them how many replicas each policy had.
//!
//! However many changes and arrivals there are, a band has two points for each column of pixels at most, and the strip of
//! arrivals one bar for each of [`BUCKETS`].

use std::fmt::Write;
use std::time::Duration;

use kaos_core::duration;
use kaos_simulate::replay::{Change, Choice};
use kaos_simulate::trace::Function;

use super::say::{clip, count, escape};
use super::style::colour;

/// Columns of pixels from the beginning to the end.
const COLUMNS: u64 = 800;
/// Left of them, for the names of policies, and right of them, for what the height stands for.
const LEFT: u64 = 100;
const RIGHT: u64 = 100;
const STRIP: u64 = 30;
const BAND: u64 = 26;
const GAP: u64 = 12;
/// For the hours, below.
const FOOT: u64 = 20;
/// Bars of arrivals, at most.
const BUCKETS: u64 = 480;
const TICKS: u64 = 8;
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 86_400 * SECOND;

/// What a policy did: its place among all, and its changes.
pub(super) type Band<'a> = (usize, Choice, &'a [Change]);

/// The drawing. `span`: microseconds of the trace; what comes after is left out. Empty if there is no time to draw.
pub(super) fn drawing(function: &Function, span: u64, bands: &[Band<'_>]) -> String {
    if span == 0 {
        return String::new();
    }
    let bottom = STRIP + bands.len() as u64 * (BAND + GAP);
    let mut out = format!(
        "<div class=\"wide\"><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Arrivals and replicas over time\">\n",
        LEFT + COLUMNS + RIGHT,
        bottom + FOOT
    );
    hours(&mut out, span, bottom);
    arrivals(&mut out, function, span);
    for (at, band) in bands.iter().enumerate() {
        draw(&mut out, band, span, STRIP + (at as u64 + 1) * (BAND + GAP));
    }
    out.push_str("</svg></div>\n");
    out
}

/// Lines at round times, with hours and minutes below.
fn hours(out: &mut String, span: u64, bottom: u64) {
    let step = step(span, TICKS).max(MINUTE);
    for at in (0..=span / step).map(|tick| tick * step) {
        let (x, minutes) = (place(at, span), at / MINUTE);
        // Writing to a String can't fail.
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{x:.1} 0V{bottom}\"/>\
             <text class=\"quiet\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}:{:02}</text>",
            bottom + 15,
            minutes / 60,
            minutes % 60
        );
    }
}

/// A bar for each stretch of time in which requests came.
fn arrivals(out: &mut String, function: &Function, span: u64) {
    let step = step(span, BUCKETS);
    let buckets = buckets(function, span, step);
    let most = buckets.iter().copied().max().unwrap_or(0);
    aside(out, "arrivals", STRIP);
    let unit = duration::format(Duration::from_micros(step));
    mark(out, &format!("{} in {unit}", count(most)), STRIP);
    out.push_str("<path class=\"bars\" d=\"");
    for (at, requests) in buckets.iter().enumerate().filter(|(_, requests)| **requests > 0) {
        let from = at as u64 * step;
        let (left, right) = (place(from, span), place((from + step).min(span), span));
        // A single request is still seen.
        let top = STRIP as f64 - (*requests as f64 / most as f64 * (STRIP - 4) as f64).max(1.0);
        let _ = write!(out, "M{left:.1} {STRIP}V{top:.1}H{right:.1}V{STRIP}");
    }
    out.push_str("\"/>\n");
}

/// Requests in each `step` of the time.
fn buckets(function: &Function, span: u64, step: u64) -> Vec<u64> {
    let mut buckets = vec![0; span.div_ceil(step) as usize];
    let last = buckets.len().saturating_sub(1);
    for request in &function.requests {
        if let Some(bucket) = buckets.get_mut(((request.at / step) as usize).min(last)) {
            *bucket += 1;
        }
    }
    buckets
}

/// Replicas over time, as high as the most of them.
fn draw(out: &mut String, (at, choice, changes): &Band<'_>, span: u64, base: u64) {
    let steps = steps(changes, span);
    let most = steps.iter().map(|(_, replicas)| *replicas).max().unwrap_or(0);
    aside(out, &choice.to_string(), base);
    mark(out, &count(u64::from(most)), base);
    let end = LEFT + COLUMNS;
    let _ = writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {base}H{end}\"/>");
    // Without an outline, which would fill what is but a short gap.
    let _ = write!(out, "<path class=\"band {}\" d=\"M{LEFT} {base}", colour(*at));
    for (column, replicas) in &steps {
        let height = f64::from(*replicas) / f64::from(most.max(1)) * BAND as f64;
        let _ = write!(out, "H{}V{:.1}", LEFT + column, base as f64 - height);
    }
    let _ = writeln!(out, "H{end}V{base}Z\"/>");
}

/// The most replicas of each column of pixels, where that is another number than in the one before. Begins at 0.
fn steps(changes: &[Change], span: u64) -> Vec<(u64, u32)> {
    let mut changes = changes.iter().filter(|(at, _)| *at < span).peekable();
    let mut steps = Vec::new();
    let (mut now, mut shown) = (0, 0);
    for column in 0..COLUMNS {
        let mut most = now;
        while let Some((_, replicas)) = changes.next_if(|(at, _)| place_in(*at, span) <= column) {
            now = *replicas;
            most = most.max(now);
        }
        if most != shown {
            steps.push((column, most));
            shown = most;
        }
    }
    steps
}

/// The column of pixels that a time falls into.
fn place_in(at: u64, span: u64) -> u64 {
    (u128::from(at) * u128::from(COLUMNS) / u128::from(span)) as u64
}

fn place(at: u64, span: u64) -> f64 {
    LEFT as f64 + at as f64 / span as f64 * COLUMNS as f64
}

/// What a band is, left of it.
fn aside(out: &mut String, text: &str, base: u64) {
    let text = escape(&clip(text, 15));
    let _ = writeln!(out, "<text x=\"0\" y=\"{}\">{text}</text>", base - 4);
}

/// What its height stands for, right of it. As HTML.
fn mark(out: &mut String, most: &str, base: u64) {
    let x = LEFT + COLUMNS + 6;
    let _ = writeln!(out, "<text class=\"quiet\" x=\"{x}\" y=\"{}\">max {most}</text>", base - 4);
}

/// A round time that `span` holds no more than `most` times.
fn step(span: u64, most: u64) -> u64 {
    const SECONDS: [u64; 19] =
        [1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200];
    let round = SECONDS.iter().map(|seconds| seconds * SECOND).find(|step| step * most >= span);
    round.unwrap_or_else(|| span.div_ceil(DAY * most).next_power_of_two() * DAY)
}

#[cfg(test)]
mod tests {
    use kaos_simulate::trace::Request;

    use super::*;

    fn function(arrivals: &[u64]) -> Function {
        let requests = arrivals.iter().map(|at| Request { at: *at, takes: SECOND }).collect();
        Function { name: "shop".to_owned(), requests }
    }

    #[test]
    fn changes_of_one_column_become_their_most() {
        let span = COLUMNS * SECOND;
        let changes =
            [(100, 3), (200, 9), (300, 1), (5 * SECOND, 0), (7 * SECOND + 1, 2), (7 * SECOND + 2, 0)];
        // In column 5 one was still there for a moment.
        assert_eq!(steps(&changes, span), [(0, 9), (1, 1), (6, 0), (7, 2), (8, 0)]);
        assert!(steps(&[(span, 4)], span).is_empty(), "after the end");
        assert!(steps(&[], span).is_empty());
    }

    #[test]
    fn a_band_stays_small_whatever_happened() {
        let span = DAY;
        let changes: Vec<Change> =
            (0..100_000).map(|at| (at * (span / 100_000), (at * 7919 % 1000) as u32)).collect();
        assert!(steps(&changes, span).len() as u64 <= COLUMNS);
        let drawing = drawing(&function(&[]), span, &[(0, Choice::Kaos, &changes)]);
        assert!(drawing.len() < 20_000, "{}", drawing.len());
        assert!(drawing.matches(['H', 'V']).count() < 2000);
    }

    #[test]
    fn arrivals_are_counted_in_round_times() {
        for (span, most, seconds) in [
            (60, BUCKETS, 1),
            (86_400, BUCKETS, 180),
            (14 * 86_400, BUCKETS, 3600),
            (60, TICKS, 10),
            (86_400, TICKS, 10_800),
            (14 * 86_400, TICKS, 2 * 86_400),
            (100_000_000_000, BUCKETS, 4096 * 86_400),
        ] {
            assert_eq!(step(span * SECOND, most), seconds * SECOND, "{span} s");
        }
        let function = function(&[0, MINUTE, MINUTE + 1, 2 * MINUTE]);
        assert_eq!(buckets(&function, 2 * MINUTE, MINUTE), [1, 3], "what comes at the end is in the last");
    }

    #[test]
    fn hours_and_minutes_stand_below() {
        let drawing = drawing(&function(&[]), 86_400 * SECOND, &[]);
        assert!(drawing.contains(">0:00<") && drawing.contains(">21:00<") && drawing.contains(">24:00<"));
    }

    #[test]
    fn no_time_is_no_drawing() {
        assert_eq!(drawing(&function(&[0]), 0, &[(0, Choice::Kaos, &[(0, 1)])]), "");
    }

    #[test]
    fn the_longest_trace_has_a_place_for_its_end() {
        let span = 100_000_000_000 * SECOND;
        assert_eq!(place_in(span - 1, span), COLUMNS - 1);
    }
}
