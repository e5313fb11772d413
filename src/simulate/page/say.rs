//! Numbers, times and names, as the page writes them.

use std::time::Duration;

use crate::process::log::printable;

/// Between thousands, and before a unit: narrow, and no line ends there.
pub(super) const THIN: char = '\u{202f}';
/// Stands where there is no number.
pub(super) const NONE: &str = "–";
/// Characters of a name that are shown.
const SHOWN: usize = 60;
/// Characters of a name that hovering shows. A name may be as long as a line of a log.
const KEPT: usize = 2000;

/// `12 345`.
pub(super) fn count(count: u64) -> String {
    grouped(&count.to_string())
}

/// `1 request`, `12 345 requests`.
pub(super) fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// `1 234.5`.
pub(super) fn decimal(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some((whole, rest)) => format!("{}.{rest}", grouped(whole)),
        None => grouped(&text),
    }
}

/// With as many decimals as it needs, six digits at most: `0.5`, `20`, `1 500`.
pub(super) fn short(value: f64) -> String {
    let exponent = if value > 0.0 { value.log10().floor() } else { 0.0 };
    let text = decimal(value, (5.0 - exponent).clamp(0.0, 12.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// `0.52%`.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NONE.to_owned();
    }
    let percent = part as f64 / whole as f64 * 100.0;
    if part > 0 && percent < 0.005 { "<0.01%".to_owned() } else { format!("{percent:.2}%") }
}

/// `350 ms`, `1.2 s`, `2.5 min`, `24.0 h`. As text, not as HTML.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match seconds {
        0.0 => format!("0{THIN}s"),
        0.0..0.0005 => format!("<1{THIN}ms"),
        0.0005..0.9995 => format!("{:.0}{THIN}ms", seconds * 1e3),
        0.9995..120.0 => format!("{seconds:.1}{THIN}s"),
        120.0..7200.0 => format!("{:.1}{THIN}min", seconds / 60.0),
        _ => format!("{}{THIN}h", decimal(seconds / 3600.0, 1)),
    }
}

pub(super) fn hours(span: Duration) -> f64 {
    span.as_secs_f64() / 3600.0
}

/// `text` so that it stays text between tags and in an attribute's quotes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(letter),
        }
    }
    safe
}

/// `text`, or its beginning and its end: `most` characters with what stands for the rest.
pub(super) fn clip(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let (head, tail) = (most / 2, most.saturating_sub(most / 2 + 1));
    text.chars().take(head).chain(['…']).chain(text.chars().skip(length - tail)).collect()
}

/// A name from a file, as HTML. Whatever it holds, it neither ends its element nor turns the line around it.
pub(super) fn name(text: &str) -> String {
    if text.is_empty() {
        return "<span class=\"quiet\">(no name)</span>".to_owned();
    }
    let whole = printable(&clip(text, KEPT));
    let shown = clip(&whole, SHOWN);
    let title = if shown == whole { String::new() } else { format!(" title=\"{}\"", escape(&whole)) };
    format!("<bdi{title}>{}</bdi>", escape(&shown))
}

/// The same where no element may stand.
pub(super) fn bare(text: &str) -> String {
    escape(&clip(&printable(&clip(text, KEPT)), SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(count(7), "7");
        assert_eq!(count(123), "123");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(decimal(1234.56, 1), "1\u{202f}234.6");
        assert_eq!(counted(1, "policy", "policies"), "1 policy");
        assert_eq!(counted(0, "policy", "policies"), "0 policies");
    }

    #[test]
    fn ticks_have_the_decimals_that_they_need() {
        for (value, text) in
            [(0.0, "0"), (0.1 * 3.0, "0.3"), (0.002, "0.002"), (20.0, "20"), (1e7, "10 000 000")]
        {
            assert_eq!(short(value), text.replace(' ', "\u{202f}"));
        }
    }

    #[test]
    fn what_is_no_number_is_written_as_none() {
        assert_eq!(decimal(f64::NAN, 1), NONE);
        assert_eq!(decimal(f64::INFINITY, 1), NONE);
        assert_eq!(share(0, 0), NONE);
        assert_eq!(share(1, 1_000_000), "<0.01%");
        assert_eq!(share(0, 10), "0.00%");
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        for (micros, text) in [
            (0, "0 s"),
            (300, "<1 ms"),
            (350_000, "350 ms"),
            (999_900, "1.0 s"),
            (1_210_000, "1.2 s"),
            (150_000_000, "2.5 min"),
            (86_400_000_000, "24.0 h"),
        ] {
            assert_eq!(span(Duration::from_micros(micros)), text.replace(' ', "\u{202f}"));
        }
    }

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        assert_eq!(clip("größer", 6), "größer");
        assert_eq!(clip("größeres", 5), "gr…es");
        assert_eq!(clip(&"x".repeat(100), 60).chars().count(), 60);
        let long = format!("shop/{}/end", "ü".repeat(100));
        let shown = name(&long);
        assert!(shown.contains(&format!("title=\"{long}\"")) && shown.contains("/end</bdi>"), "{shown}");
        assert_eq!(name("shop"), "<bdi>shop</bdi>");
        assert!(name(&"<".repeat(1_000_000)).len() < 10_000);
    }

    #[test]
    fn a_hostile_name_is_text() {
        assert_eq!(name("</bdi><a b='c'>&\0"), "<bdi>&lt;/bdi&gt;&lt;a b=&#39;c&#39;&gt;&amp;\\u{0}</bdi>");
        assert_eq!(bare("</title>"), "&lt;/title&gt;");
    }
}
