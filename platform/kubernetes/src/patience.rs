//! How long to wait before a watch is tried again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between two tries of a watch: from 200 ms to 2 s, so that a view is fresh within 5 s of the API server's return.
///
/// Success doesn't shorten it, time does: a watch that always breaks right after its list isn't hammered.
#[derive(Debug)]
pub(crate) struct Patience {
    step: u32,
    last: Instant,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { step: 0, last: Instant::now() }
    }
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(2);
    const FORGIVEN: Duration = Duration::from_secs(20);

    /// Waits for the time of the next try.
    pub(crate) async fn pause(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.last) > Self::FORGIVEN {
            self.step = 0;
        }
        let pause = (Self::FIRST * 2_u32.pow(self.step.min(8))).min(Self::LONGEST);
        self.step += 1;
        self.last = now + pause;
        // All proxies lose an API server in the same instant; they needn't come back in the same one.
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}
