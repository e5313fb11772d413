//! What each policy costs, in a sentence against the first one.

use std::fmt::Write;

use super::say::{decimal, escape, short};
use super::table::Row;

/// A sentence for each policy but the first, against which it is held.
pub(super) fn compared(rows: &[Row<'_>]) -> String {
    let Some((first, others)) = rows.split_first().filter(|(_, others)| !others.is_empty()) else {
        return String::new();
    };
    let mut out = format!("<p>Compared with {}:</p>\n<ul>\n", escape(&first.choice.to_string()));
    for row in others {
        let policy = escape(&row.choice.to_string());
        let cold =
            against(row.figures.cold_requests as f64, first.figures.cold_requests as f64, "cold requests");
        let hours = against(row.replica_hours(), first.replica_hours(), "replica hours");
        // Writing to a String can't fail.
        let _ = writeln!(out, "<li>{policy}: {cold}, {hours}</li>");
    }
    out.push_str("</ul>\n");
    out
}

/// `4.3 times the cold requests`.
fn against(value: f64, first: f64, what: &str) -> String {
    if value == 0.0 {
        return format!("no {what}");
    }
    if first == 0.0 {
        return format!("{} {what} instead of none", short((value * 10.0).round() / 10.0));
    }
    let (ratio, decimals) = match value / first {
        1.0 => return format!("as many {what}"),
        // Two digits that count.
        ratio @ ..0.01 => (ratio, (1.0 - ratio.log10().floor()) as usize),
        ratio @ ..2.0 => (ratio, 2),
        ratio @ ..100.0 => (ratio, 1),
        ratio => (ratio, 0),
    };
    format!("{} times the {what}", decimal(ratio, decimals))
}

#[cfg(test)]
mod tests {
    use kaos_simulate::replay::{Choice, Figures};

    use super::*;

    fn figures(cold_requests: u64) -> Figures {
        let mut figures = Figures::default();
        figures.cold_requests = cold_requests;
        figures
    }

    #[test]
    fn one_alone_is_held_against_nothing() {
        let kaos = figures(10);
        assert_eq!(compared(&[Row::new(Choice::Kaos, &kaos)]), "");
        assert_eq!(compared(&[]), "");
    }

    #[test]
    fn policies_are_held_against_the_first() {
        for (value, first, text) in [
            (43.0, 10.0, "4.3 times the wakes"),
            (102.0, 100.0, "1.02 times the wakes"),
            (5000.0, 10.0, "500 times the wakes"),
            (1.0, 1000.0, "0.0010 times the wakes"),
            (1.0, 100_000.0, "0.000010 times the wakes"),
            (7.0, 7.0, "as many wakes"),
            (0.0, 7.0, "no wakes"),
            (0.0, 0.0, "no wakes"),
            (1234.0, 0.0, "1\u{202f}234 wakes instead of none"),
        ] {
            assert_eq!(against(value, first, "wakes"), text);
        }
        let (kaos, kpa) = (figures(10), figures(43));
        let text = compared(&[Row::new(Choice::Kaos, &kaos), Row::new(Choice::Kpa, &kpa)]);
        assert!(text.contains("<li>kpa: 4.3 times the cold requests, no replica hours</li>"), "{text}");
    }
}
