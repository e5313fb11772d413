//! The live loop: hands snapshots, reports and answers to the [`Line`] as they come, and its writes to the platform.
//!
//! Nothing here waits for the platform: `write.rs` does, in tasks of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::platform::{Platform, Refusal};
use kaos_core::{Moment, ProxyId, Report, Snapshot, WorkloadId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use crate::action::Action;
use crate::collect::Use;
use crate::journal::Journal;
use crate::line::{self, Line};
use crate::write::Writes;

/// Most reports that are taken before the next turn.
const REPORTS: usize = 64;

/// Longest sleep; a longer one is slept in parts.
const NAP: Duration = Duration::from_secs(3600);

/// How this autoscaler differs from another.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names this process and no other, also after a restart.
    pub id: String,
    /// Most replicas that start at once, over all workloads (`--max-starting`).
    pub max_starting: u32,
    /// Whether a workload sleeps only after a request has reached it: where Kaos adopts what ran before.
    pub earn_sleep: bool,
    /// How long after a wake the count isn't raised again: about what a write of it takes.
    pub gather: Duration,
    /// Where `Moment`s count from.
    pub origin: Instant,
}

/// What the loop listens to.
#[derive(Debug)]
pub struct Inputs {
    /// The platform's pictures. The loop ends when their sender is gone.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What the proxies report.
    pub reports: mpsc::Receiver<Report>,
    /// Whether this autoscaler leads.
    pub lead: watch::Receiver<bool>,
    /// The proxies that exist. Empty: those that report.
    pub proxies: watch::Receiver<BTreeSet<ProxyId>>,
    /// What is said of what was learned.
    pub orders: mpsc::Receiver<Order>,
}

/// Something about what was learned. Each is answered once it is done; nobody may wait for that.
#[derive(Debug)]
pub enum Order {
    /// This was learned before. What can't be read is told, and begins anew.
    Recall(Vec<(WorkloadId, Arc<[u8]>)>, oneshot::Sender<()>),
    /// It is to be forgotten. Answered with whether there is such a workload.
    Forget(WorkloadId, oneshot::Sender<bool>),
}

/// Orders on their way.
pub const ORDERS: usize = 16;

impl Inputs {
    /// Of the only autoscaler on one machine: it leads, and its proxies are these.
    pub fn alone(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        reports: mpsc::Receiver<Report>,
        proxies: impl IntoIterator<Item = ProxyId>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let lead = watch::channel(true).1;
        let proxies = watch::channel(proxies.into_iter().collect()).1;
        Inputs { snapshots, reports, lead, proxies, orders }
    }
}

/// The next value of a channel; never, once its sender is gone.
pub(crate) async fn changed<T>(channel: &mut watch::Receiver<T>) {
    if channel.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What comes next; never, once all senders are gone.
async fn received<T>(queue: &mut mpsc::Receiver<T>) -> T {
    match queue.recv().await {
        Some(next) => next,
        None => std::future::pending().await,
    }
}

/// Runs until the platform is gone. Dropping the future stops it and every write in flight.
pub async fn run<P: Platform>(platform: Arc<P>, inputs: Inputs, journal: Arc<Journal>, settings: Settings) {
    let Inputs { mut snapshots, mut reports, mut lead, mut proxies, mut orders } = inputs;
    let Settings { id, max_starting, earn_sleep, gather, origin } = settings;
    let now = || Moment::at(origin, tokio::time::Instant::now().into_std());
    let mut line = Line::new(line::Settings { id, max_starting, earn_sleep, gather }, journal);
    let mut writes = Writes::new(platform);
    line.saw(&snapshots.borrow_and_update().clone(), now());
    line.lead(*lead.borrow_and_update());
    line.proxies(&proxies.borrow_and_update());
    loop {
        for action in line.turn(now()) {
            writes.ask(action);
        }
        for late in writes.start() {
            line.done(&late, &Err(Refusal::Failed("too many writes at once".into())), now());
        }
        let wait = line.next().since(now()).min(NAP);
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                line.saw(&snapshots.borrow_and_update().clone(), now());
            }
            report = received(&mut reports) => {
                take(&mut line, &report, now());
                for _ in 1..REPORTS {
                    let Ok(report) = reports.try_recv() else { break };
                    take(&mut line, &report, now());
                }
            }
            (action, result) = writes.answer() => {
                tell(&action, &result);
                line.done(&action, &result, now());
            }
            () = changed(&mut lead) => line.lead(*lead.borrow_and_update()),
            order = received(&mut orders) => obey(&mut line, order, now()),
            () = changed(&mut proxies) => line.proxies(&proxies.borrow_and_update()),
            () = sleep_until(tokio::time::Instant::now() + wait) => {}
        }
    }
}

fn take(line: &mut Line, report: &Report, now: Moment) {
    match line.heard(report, now) {
        Use::News(_) => {}
        Use::Stale => debug!(proxy = %report.proxy, sequence = report.sequence, "late report ignored"),
        Use::Unreadable => {
            warn!(proxy = %report.proxy, version = report.version, "report of an unknown version ignored");
        }
    }
}

const FORGOTTEN: &str = "what was learned of it is forgotten, as somebody has asked for";

fn obey(line: &mut Line, order: Order, now: Moment) {
    // Who gave the order may not wait for its answer.
    match order {
        Order::Recall(all, done) => {
            for (workload, kept) in all {
                match line.recall(&workload, &kept, now) {
                    Ok(false) => {}
                    Ok(true) => info!(%workload, "{FORGOTTEN}"),
                    Err(why) => {
                        warn!(%workload, %why, "what was learned of it can't be read: it begins anew");
                    }
                }
            }
            let _ = done.send(());
        }
        Order::Forget(workload, done) => {
            let known = line.forget(&workload, now);
            if known {
                info!(%workload, "{FORGOTTEN}");
            }
            let _ = done.send(known);
        }
    }
}

fn tell(action: &Action, result: &Result<u64, Refusal>) {
    let workload = action.workload();
    match (action, result) {
        // The journal tells each change, with its reason.
        (Action::Scale { scale, .. }, Ok(_)) => debug!(%workload, replicas = scale.to, "scaled"),
        // Two autoscalers that hear the same request ask for the same: one of them is second.
        (_, Err(why @ Refusal::Conflict)) => debug!(%workload, %why, "not written"),
        (Action::Scale { scale, .. }, Err(why)) => warn!(%workload, replicas = scale.to, %why, "not scaled"),
        (Action::Hold { hold, .. }, Ok(_)) => debug!(%workload, hold = %hold.id, "held"),
        (Action::Release { .. }, Ok(_)) => debug!(%workload, "released"),
        (Action::Hold { .. } | Action::Release { .. }, Err(why)) => {
            warn!(%workload, %why, "hold not written");
        }
    }
}
