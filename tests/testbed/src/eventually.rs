//! Waiting for a condition, with a deadline: never for a span of time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::process::LOOK;

/// Longest wait for anything that should take moments.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives a value. Panics after [`PATIENCE`], with `what` was waited for.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(LOOK).await;
    }
}
