//! Time that leadership is measured in: it goes on while the process is stopped and while the machine sleeps.
//!
//! Tokio's clock stands still during a suspend; another autoscaler has taken over by then. Tests bring a clock of their
//! own, and let it jump.

use std::fmt;
use std::sync::Arc;

use kaos_core::Moment;

/// A clock that never goes backwards.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Clock {
    /// The machine's time since boot, suspends included.
    pub fn boot() -> Self {
        #[cfg(target_os = "linux")]
        const ID: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const ID: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        Clock::new(|| {
            let read = rustix::time::clock_gettime(ID);
            let micros = read.tv_sec.saturating_mul(1_000_000).saturating_add(read.tv_nsec / 1000);
            Moment::from_micros(u64::try_from(micros).unwrap_or(0))
        })
    }

    /// A clock that reads what `read` returns.
    pub fn new(read: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Clock(Arc::new(read))
    }

    /// The time.
    pub fn now(&self) -> Moment {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Clock({:?})", self.now())
    }
}

/// The time for people and for other programs, as RFC 3339 in UTC with microseconds: Kubernetes' `MicroTime`.
pub(crate) fn stamp() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// The same in whole seconds: Kubernetes' `Time`.
pub(crate) fn second() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_a_micro_time() {
        assert_eq!(second().len(), "2026-11-21T10:00:00Z".len(), "{}", second());
        let stamp = stamp();
        assert_eq!(stamp.len(), "2026-11-21T10:00:00.000000Z".len(), "{stamp}");
        assert!(stamp.ends_with('Z'), "{stamp}");
    }

    #[test]
    fn the_clock_goes_on() {
        let clock = Clock::boot();
        let first = clock.now();
        assert!(first > Moment::ZERO);
        assert!(clock.now() >= first);
    }
}
