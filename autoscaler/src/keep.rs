//! What was learned outlives this process: it is read when it begins and when it comes to lead, and written every now and then
//! by the one that leads, and at the end.
//!
//! Nothing waits for it: where it can't be read or written, that is said once, and scaling goes on with what is known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::WorkloadId;
use kaos_core::platform::{Refusal, Shelf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use crate::journal::Journal;
use crate::run::{Order, changed};

/// Between two looks, each with a write of what is new.
pub const EVERY: Duration = Duration::from_secs(30);
/// What is kept of a workload that nobody has seen for so long is dropped.
const GONE: Duration = Duration::from_secs(3600);
/// Tries in a row where others write at the same time.
const TRIES: usize = 3;
/// Longest wait for the last write.
const LAST: Duration = Duration::from_secs(2);

/// What it listens to.
#[derive(Debug)]
pub struct Signals {
    /// Whether this autoscaler leads: the others only read.
    pub lead: watch::Receiver<bool>,
    /// To be written soon.
    pub soon: Arc<Notify>,
    /// Set to true: written a last time, and over. So it is when the sender is gone.
    pub end: watch::Receiver<bool>,
}

/// Keeps what `journal` has of what was learned on `shelf`, and hands what is found there to the line, by `orders`.
pub async fn keep<S: Shelf>(
    shelf: S,
    journal: Arc<Journal>,
    orders: mpsc::Sender<Order>,
    mut signals: Signals,
) {
    let mut keeper =
        Keeper { shelf, journal, orders, kept: HashMap::new(), absent: HashMap::new(), read: false };
    let mut said = String::new();
    loop {
        let leads = *signals.lead.borrow_and_update();
        match keeper.pass(leads).await {
            Ok(()) => said.clear(),
            Err(why) => {
                let text = why.to_string();
                if text != said {
                    warn!(why = text, "what was learned can't be kept for now; scaling goes on");
                    said = text;
                }
            }
        }
        let next = Instant::now() + EVERY;
        tokio::select! {
            () = changed(&mut signals.lead) => {}
            () = signals.soon.notified() => {}
            () = ended(&mut signals.end) => {
                if *signals.lead.borrow() && keeper.read {
                    // Whoever ends doesn't wait for long.
                    let _ = timeout(LAST, keeper.write()).await;
                }
                return;
            }
            () = sleep_until(next) => {}
        }
    }
}

/// Until the end is there.
async fn ended(end: &mut watch::Receiver<bool>) {
    // A sender that is gone is one, too.
    let _ = end.wait_for(|end| *end).await;
}

struct Keeper<S> {
    shelf: S,
    journal: Arc<Journal>,
    orders: mpsc::Sender<Order>,
    /// What is on the shelf, as far as it is known.
    kept: HashMap<WorkloadId, Arc<[u8]>>,
    /// Workloads that are kept and aren't there, since when.
    absent: HashMap<WorkloadId, Instant>,
    /// Whether the shelf was ever read: before, nothing is written over what is there.
    read: bool,
}

impl<S: Shelf> Keeper<S> {
    /// A look, and a write where this one leads.
    async fn pass(&mut self, leads: bool) -> Result<(), Refusal> {
        if !leads && self.read {
            // What the leader keeps is looked at again by who comes to lead.
            return Ok(());
        }
        let mut last = Ok(());
        for _ in 0..TRIES {
            self.look().await?;
            if !leads {
                return Ok(());
            }
            last = self.write().await;
            if last != Err(Refusal::Conflict) {
                break;
            }
        }
        last
    }

    /// Hands over what others have written, and waits until the line has taken it.
    async fn look(&mut self) -> Result<(), Refusal> {
        let news = self.shelf.look().await?;
        self.read = true;
        if news.is_empty() {
            return Ok(());
        }
        self.kept.extend(news.iter().cloned());
        let (done, taken) = oneshot::channel();
        // Where nobody takes orders any more this ends, too.
        if self.orders.send(Order::Recall(news, done)).await.is_ok() {
            let _ = taken.await;
        }
        Ok(())
    }

    /// Writes what isn't on the shelf yet, and drops what is there of workloads that are long gone.
    async fn write(&mut self) -> Result<(), Refusal> {
        let books: HashMap<WorkloadId, Option<Arc<[u8]>>> =
            self.journal.all().into_iter().map(|(id, book)| (id, book.kept())).collect();
        let now = Instant::now();
        self.absent.retain(|id, _| self.kept.contains_key(id) && !books.contains_key(id));
        let away = self.kept.keys().filter(|id| !books.contains_key(*id));
        let gone =
            away.filter(|id| now.duration_since(*self.absent.entry((*id).clone()).or_insert(now)) >= GONE);
        let mut entries: Vec<_> = gone.map(|id| (id.clone(), None)).collect();
        let learned = books.into_iter().filter_map(|(id, learned)| Some((id, learned?)));
        let news = learned.filter(|(id, learned)| self.kept.get(id) != Some(learned));
        entries.extend(news.map(|(id, learned)| (id, Some(learned))));
        if entries.is_empty() {
            return Ok(());
        }
        self.shelf.put(&entries).await?;
        for (id, learned) in entries {
            match learned {
                Some(learned) => self.kept.insert(id, learned),
                None => self.kept.remove(&id),
            };
        }
        Ok(())
    }
}
