//! Waits for a moment more exactly than the runtime's timer, which has steps of a millisecond: a timer of the kernel.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A clock that began at a moment, and can be waited on.
pub struct Pace {
    timer: AsyncFd<OwnedFd>,
    begun: Instant,
}

impl Pace {
    /// Begins at `begun`, which may lie ahead. Fails if the kernel has no descriptor left.
    pub fn new(begun: Instant) -> io::Result<Pace> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "`register` is unsafe for descriptors that may be swapped: this one never is"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Pace { timer, begun })
    }

    /// Returns when `at` has passed since the beginning.
    pub async fn until(&self, at: Duration) -> io::Result<()> {
        loop {
            let left = (self.begun + at).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.wait(left).await?;
        }
    }

    async fn wait(&self, span: Duration) -> io::Result<()> {
        let value = Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?)) {
                Ok(read) => return read.map(drop),
                Err(_not_ready) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn never_returns_too_early() {
        let begun = Instant::now();
        let pace = Pace::new(begun).unwrap();
        for millis in [0, 1, 1, 3, 10, 2] {
            let at = Duration::from_millis(millis);
            pace.until(at).await.unwrap();
            assert!(begun.elapsed() >= at);
        }
    }
}
