//! Hands the proxy's reports on to the autoscaler and remembers when the last one came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kaos_core::{Moment, ProxyId, Report};
use tokio::sync::mpsc;

/// Reports on their way; the proxy waits when so many are.
const QUEUED: usize = 64;

/// When the proxy was last heard. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    proxy: ProxyId,
    /// Microseconds since the origin; zero: never.
    at: Arc<AtomicU64>,
}

impl Heard {
    /// Of `proxy`, which was never heard.
    pub(crate) fn new(proxy: ProxyId) -> Self {
        Heard { proxy, at: Arc::new(AtomicU64::new(0)) }
    }

    /// Who is heard.
    pub(crate) fn proxy(&self) -> &ProxyId {
        &self.proxy
    }

    /// When it was last heard.
    pub(crate) fn last(&self) -> Option<Moment> {
        let at = self.at.load(Ordering::Relaxed);
        (at > 0).then(|| Moment::from_micros(at))
    }

    /// A way for reports, whose end the autoscaler gets.
    pub(crate) fn relay(&self) -> (mpsc::Sender<Report>, mpsc::Receiver<Report>) {
        let (sender, mut heard) = mpsc::channel::<Report>(QUEUED);
        let (on, reports) = mpsc::channel(QUEUED);
        let at = self.at.clone();
        tokio::spawn(async move {
            while let Some(report) = heard.recv().await {
                at.store(report.at.max(1), Ordering::Relaxed);
                if on.send(report).await.is_err() {
                    return;
                }
            }
        });
        (sender, reports)
    }
}
