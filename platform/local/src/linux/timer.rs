//! A timer of the kernel: the runtime's own has steps of a millisecond and rounds up, which would double the shortest
//! wait between two probes.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;

/// Waits more exactly than `tokio::time`, for the price of a descriptor.
pub(crate) struct Timer {
    /// Asked for its readiness alone, and read as a pipe is.
    descriptor: Receiver,
}

impl Timer {
    /// Fails if no descriptor is left. To be called within a tokio runtime.
    pub(crate) fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Timer { descriptor: Receiver::from_owned_fd_unchecked(timer)? })
    }

    /// Returns when `at` has passed.
    pub(crate) async fn until(&self, at: Instant) -> io::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.wait(left).await?;
        }
    }

    async fn wait(&self, span: Duration) -> io::Result<()> {
        let value =
            Timespec { tv_sec: span.as_secs().cast_signed(), tv_nsec: i64::from(span.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        let mut expirations = [0; 8];
        loop {
            self.descriptor.readable().await?;
            match self.descriptor.try_read(&mut expirations) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_as_often_as_asked_and_not_for_the_past() {
        let timer = Timer::new().unwrap();
        for micros in [0, 1, 300, 1000] {
            let at = Instant::now() + Duration::from_micros(micros);
            timer.until(at).await.unwrap();
            assert!(Instant::now() >= at);
        }
    }
}
