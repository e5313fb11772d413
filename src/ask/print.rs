//! Answers on stdout: tables, times as people say them, JSON. A reader that has gone away is no failure.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::clock;
use crate::failure::Failure;
use crate::process::log::printable;

/// Writes `text` to stdout. Some of it comes from replicas and from a cluster: control characters are escaped.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    raw(&escaped(text))
}

fn escaped(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Writes `text` to stdout as it is.
pub(crate) fn raw(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes `value` as indented JSON.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// Rows of cells as columns that are as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A row of a table.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

/// The time of day of an RFC 3339 timestamp, in this machine's zone.
pub(crate) fn time(timestamp: &str) -> String {
    timestamp.parse().map_or_else(|_| "-".into(), clock::time_of_day)
}

/// As [`time`], with milliseconds: decisions follow each other quickly.
pub(crate) fn fine_time(timestamp: &str) -> String {
    timestamp.parse().map_or_else(|_| "-".into(), clock::fine_time_of_day)
}

/// How far away a timestamp is: `12s ago`, `in 48s`, `now`; `-` if there is none.
pub(crate) fn distance(timestamp: &str) -> String {
    let Ok(then) = timestamp.parse::<Timestamp>() else { return "-".into() };
    let age = clock::age(then);
    match age.as_secs() {
        0 => "now".into(),
        seconds if seconds > 0 => format!("{} ago", rough(age)),
        _ => format!("in {}", rough(-age)),
    }
}

/// A length of time, in two units at most.
pub(crate) fn length(span: Duration) -> String {
    rough(SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX))
}

/// Two units at most: `48s`, `3m 10s`, `2h 5m`, `3d 4h`.
fn rough(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1 replica`, `2 replicas`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let text = table(&[row(["NAME", "STATE", "URL"]), row(["größe", "zero", ""])]);
        assert_eq!(text, "NAME   STATE  URL\ngröße  zero\n");
    }

    #[test]
    fn what_a_replica_said_moves_no_cursor() {
        assert_eq!(escaped("a\tb\n\x1b[2Jc\u{9b}1m\n"), "a\tb\n\\u{1b}[2Jc\\u{9b}1m\n");
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (190, "3m 10s"), (7500, "2h 5m"), (273_600, "3d 4h")]
        {
            assert_eq!(rough(SignedDuration::from_secs(seconds)), text);
        }
        assert_eq!(distance(""), "-");
        assert_eq!(
            distance("2020-01-01T00:00:00Z").split_once("d ").map(|(_, rest)| rest.ends_with("ago")),
            Some(true)
        );
    }
}
