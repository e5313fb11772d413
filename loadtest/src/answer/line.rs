//! What an answer may do to the connection it goes out on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::mpsc;

/// How an answer may end the connection it goes out on.
pub(super) struct Line {
    pub(super) reset: Arc<AtomicBool>,
    pub(super) close: mpsc::Sender<Duration>,
}

impl Line {
    /// The connection is to be reset when it ends.
    pub(super) fn reset(&self) {
        self.reset.store(true, Relaxed);
    }

    /// The connection is to be closed after this long, without a word.
    pub(super) fn close_in(&self, span: Duration) {
        let _ = self.close.try_send(span);
    }
}
