//! What keeps what was learned while a process decides, and writes it a last time when that ends.

use std::sync::Arc;
use std::time::Duration;

use kaos_autoscaler::keep::{Signals, keep};
use kaos_autoscaler::{Journal, Order};
use kaos_core::platform::Shelf;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait for the last write.
const LAST: Duration = Duration::from_secs(3);

/// A task that keeps.
pub(crate) struct Keeping {
    end: watch::Sender<bool>,
    keeper: JoinHandle<()>,
}

impl Keeping {
    /// Begins to keep what `journal` has on `shelf`, while this process leads; what is there goes out by `orders`. It is written
    /// at once when `soon` says so.
    pub(crate) fn start(
        shelf: impl Shelf,
        journal: Arc<Journal>,
        orders: mpsc::Sender<Order>,
        lead: watch::Receiver<bool>,
        soon: Arc<Notify>,
    ) -> Keeping {
        let (end, ends) = watch::channel(false);
        let keeper = tokio::spawn(keep(shelf, journal, orders, Signals { lead, soon, end: ends }));
        Keeping { end, keeper }
    }

    /// Writes a last time.
    pub(crate) async fn end(&mut self) {
        self.end.send_replace(true);
        if timeout(LAST, &mut self.keeper).await.is_err() {
            tracing::warn!("what was learned last isn't kept: it couldn't be written in time");
        }
    }
}
