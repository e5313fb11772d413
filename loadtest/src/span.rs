//! Durations as people write them: `300ms`, `2s`, `1m`. Flags, queries and scenario files all read them here.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Longest duration that is accepted: a day. Nothing here runs longer.
pub const LONGEST: Duration = Duration::from_secs(86_400);

const UNITS: [(&str, f64); 5] = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Reads `NUMBER UNIT` without a space between, such as `1.5s`; a bare `0` is zero. The error says what was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let expected = || {
        format!("{text:?} is no duration: expected a number with us, ms, s, m or h, such as 250ms, up to 24h")
    };
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(expected)?;
    let (number, unit) = text.split_at(split);
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale).ok_or_else(expected)?;
    let seconds = number.parse::<f64>().map_err(|_| expected())? * scale;
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= LONGEST).ok_or_else(expected)
}

/// Writes a duration for people: three significant digits at most, in the unit that suits.
pub fn show(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let digits = if value >= 100.0 { 0 } else { usize::from(value < 10.0) + 1 };
    format!("{value:.digits$} {unit}")
}

/// For `#[serde(deserialize_with)]`: a duration written as text.
pub fn read<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    parse(&text).map_err(serde::de::Error::custom)
}

/// For `#[serde(default, deserialize_with)]`: a duration written as text, if it is there.
pub fn read_some<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    read(input).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, micros) in [
            ("300ms", 300_000),
            ("2s", 2_000_000),
            ("1.5s", 1_500_000),
            ("1m", 60_000_000),
            ("0", 0),
            ("50us", 50),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "5", "ms", "-1s", "1 s", "1..2s", "1d", "25h", "1e3s", "99999999999999999999h", "."]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_in_the_unit_that_suits() {
        for (micros, text) in
            [(12, "12.0 µs"), (1_234, "1.23 ms"), (250_000, "250 ms"), (61_000_000, "61.0 s"), (0, "0.00 µs")]
        {
            assert_eq!(show(Duration::from_micros(micros)), text);
        }
    }
}
