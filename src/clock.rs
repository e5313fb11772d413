//! Timestamps for people: the one place where wall-clock time is read.
//!
//! Rules count in [`Moment`]s, which never jump. A moment becomes a timestamp when it is shown, by its distance from the
//! present, so that a clock that was set right shows right.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kaos_core::Moment;

/// Turns moments into timestamps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    began: Timestamp,
}

impl Clock {
    /// A clock whose moments count from `origin`.
    pub(crate) fn new(origin: Instant) -> Self {
        Clock { origin, began: before_present(origin.elapsed()) }
    }

    /// The present.
    pub(crate) fn now(&self) -> Moment {
        Moment::at(self.origin, Instant::now())
    }

    /// When `moment` was or will be.
    pub(crate) fn timestamp(&self, moment: Moment) -> Timestamp {
        let now = self.now();
        if moment > now {
            let ahead = SignedDuration::try_from(moment.since(now)).unwrap_or(SignedDuration::MAX);
            return Timestamp::now().checked_add(ahead).unwrap_or(Timestamp::MAX);
        }
        before_present(now.since(moment))
    }

    /// `moment` as RFC 3339 in UTC with milliseconds.
    pub(crate) fn rfc3339(&self, moment: Moment) -> String {
        rfc3339(self.timestamp(moment))
    }

    /// Where moments count from.
    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// When the origin was.
    pub(crate) fn began(&self) -> Timestamp {
        self.began
    }
}

fn before_present(span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// A timestamp as programs read it: RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(timestamp: Timestamp) -> String {
    format!("{timestamp:.3}")
}

/// The present as programs read it.
pub(crate) fn rfc3339_now() -> String {
    rfc3339(Timestamp::now())
}

/// The present as people read it on this machine: the time of day in its time zone.
pub(crate) fn time_of_day_now() -> String {
    time_of_day(Timestamp::now())
}

/// A timestamp as people read it on this machine: the time of day in its time zone.
pub(crate) fn time_of_day(timestamp: Timestamp) -> String {
    timestamp.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// As [`time_of_day`], with milliseconds.
pub(crate) fn fine_time_of_day(timestamp: Timestamp) -> String {
    timestamp.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
}

/// A timestamp as access logs have it since NCSA httpd: to the second, in this machine's time zone.
pub(crate) fn common_log(timestamp: Timestamp) -> String {
    timestamp.to_zoned(TimeZone::system()).strftime("%d/%b/%Y:%H:%M:%S %z").to_string()
}

/// How long ago `then` was: negative if it is ahead.
pub(crate) fn age(then: Timestamp) -> SignedDuration {
    Timestamp::now().duration_since(then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_by_its_distance_from_the_present() {
        let clock = Clock::new(Instant::now());
        let (early, late) = (Moment::from_secs(10), Moment::from_secs(3610));
        let hour = clock.timestamp(late).duration_since(clock.timestamp(early));
        assert!((hour.as_secs() - 3600).abs() <= 1, "{hour}");
        let text = clock.rfc3339(Moment::ZERO);
        let common = common_log(clock.timestamp(Moment::ZERO));
        assert_eq!(common.len(), "01/Jan/2026:00:00:00 +0000".len(), "{common}");
        assert!(text.ends_with('Z') && text.len() == "2026-01-01T00:00:00.000Z".len(), "{text}");
    }
}
