//! Times and durations, as texts have them.

use jiff::Timestamp;

/// Most seconds of a time, so that milliseconds aren't taken for them: these are beyond it since 1973.
const LATEST: f64 = 1e11;
/// Most seconds of a duration.
const LONGEST: f64 = 1e7;

/// What a number of seconds may be.
pub(super) const TIME: &str =
    "a number of seconds from 0 to 100000000000, or a date such as 2026-11-09T13:55:36.250Z";
/// What a duration may be.
pub(super) const DURATION: &str = "a number of seconds from 0 to 10000000";
/// What a duration in milliseconds may be.
pub(super) const MILLIS: &str = "a number of milliseconds from 0 to 10000000000";

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of seconds since whenever.
    Number,
    /// A date.
    Date,
}

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Microseconds since whenever, or since 1970.
    pub(super) micros: i64,
    pub(super) kind: Kind,
    /// It says nothing of what is below a second.
    pub(super) whole: bool,
}

impl Stamp {
    /// A number of seconds, or a date as RFC 3339 has it.
    pub(super) fn read(text: &str) -> Option<Stamp> {
        if let Some(micros) = micros(text, 1e6, LATEST) {
            let micros = i64::try_from(micros).ok()?;
            return Some(Stamp { micros, kind: Kind::Number, whole: false });
        }
        // Years before 0 and beyond 9999 begin with a sign, and are nobody's.
        let date =
            text.parse::<Timestamp>().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))?;
        Some(Stamp { micros: date.as_microsecond(), kind: Kind::Date, whole: !text.contains(['.', ',']) })
    }

    /// A date as access logs have it: `09/Nov/2026:13:55:36 +0000`.
    pub(super) fn common_log(text: &str) -> Option<Stamp> {
        let date = Timestamp::strptime("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
        Some(Stamp { micros: date.as_microsecond(), kind: Kind::Date, whole: true })
    }
}

/// Microseconds of a duration in seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    micros(text, 1e6, LONGEST)
}

/// Microseconds of a duration in milliseconds.
pub(super) fn millis(text: &str) -> Option<u64> {
    micros(text, 1e3, LONGEST * 1e3)
}

/// Microseconds of a number of units from 0 to `most`, each `unit` microseconds. To 2⁵³ of them this is exact.
fn micros(text: &str, unit: f64, most: f64) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    // No number is within no range.
    (0.0..=most).contains(&number).then(|| (number * unit).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_or_a_date() {
        for (text, micros, kind, whole) in [
            ("0", 0, Kind::Number, false),
            ("12.5", 12_500_000, Kind::Number, false),
            ("1731160536.123456", 1_731_160_536_123_456, Kind::Number, false),
            ("1970-01-01T00:00:01Z", 1_000_000, Kind::Date, true),
            ("1970-01-01T01:00:01.25+01:00", 1_250_000, Kind::Date, false),
            ("1969-12-31T23:59:59Z", -1_000_000, Kind::Date, true),
        ] {
            assert_eq!(Stamp::read(text), Some(Stamp { micros, kind, whole }), "{text}");
        }
        for text in
            ["", "-1", "NaN", "inf", "-inf", "1731160536123", "soon", "2026-11-09", "2026-11-09T13:55:36"]
        {
            assert_eq!(Stamp::read(text), None, "{text}");
        }
    }

    #[test]
    fn access_logs_have_dates_of_their_own() {
        let stamp = Stamp { micros: 3_600_000_000, kind: Kind::Date, whole: true };
        assert_eq!(Stamp::common_log("01/Jan/1970:03:00:00 +0200"), Some(stamp));
        for text in ["", "01/Jan/1970:03:00:00", "31/Feb/1970:03:00:00 +0200", "1970-01-01T00:00:01Z"] {
            assert_eq!(Stamp::common_log(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_neither_negative_nor_endless() {
        assert_eq!((seconds("0.25"), seconds("10000000")), (Some(250_000), Some(10_000_000_000_000)));
        assert_eq!((millis("0.25"), millis("1458")), (Some(250), Some(1_458_000)));
        for text in ["", "-0.1", "NaN", "infinity", "10000001", "1s", "1,5"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
