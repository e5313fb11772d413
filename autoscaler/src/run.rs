//! The live loop: hands snapshots, reports and answers to the [`Line`] as they come, and its writes to the platform.
//!
//! Nothing here waits for the platform: every write is a task of its own with a deadline, and their number is bounded.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use kaos_core::platform::{Platform, Refusal};
use kaos_core::{Moment, ProxyId, Report, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout_at};
use tracing::{debug, info, warn};

use crate::action::Action;
use crate::collect::Use;
use crate::journal::Journal;
use crate::line::{self, Line};

/// A write that isn't answered in this time, its wait for a turn included, has failed as far as we know.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(2);

/// Most writes at once.
const WRITES: usize = 64;

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
}

impl Inputs {
    /// Of the only autoscaler on one machine: it leads, and its proxies are these.
    pub fn alone(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        reports: mpsc::Receiver<Report>,
        proxies: impl IntoIterator<Item = ProxyId>,
    ) -> Self {
        let lead = watch::channel(true).1;
        let proxies = watch::channel(proxies.into_iter().collect()).1;
        Inputs { snapshots, reports, lead, proxies }
    }
}

/// The next value of a channel; never, once its sender is gone.
async fn changed<T>(channel: &mut watch::Receiver<T>) {
    if channel.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The next report; never, once all senders are gone.
async fn received(reports: &mut mpsc::Receiver<Report>) -> Report {
    match reports.recv().await {
        Some(report) => report,
        None => std::future::pending().await,
    }
}

/// Runs until the platform is gone. Dropping the future stops it and every write in flight.
pub async fn run<P: Platform>(platform: Arc<P>, inputs: Inputs, journal: Arc<Journal>, settings: Settings) {
    let Inputs { mut snapshots, mut reports, mut lead, mut proxies } = inputs;
    let Settings { id, max_starting, earn_sleep, origin } = settings;
    let now = || Moment::at(origin, tokio::time::Instant::now().into_std());
    let mut line = Line::new(line::Settings { id, max_starting, earn_sleep }, journal);
    let mut writes =
        Writes { platform, running: JoinSet::new(), asked: HashMap::default(), queue: VecDeque::new() };
    line.saw(&snapshots.borrow_and_update().clone(), now());
    line.lead(*lead.borrow_and_update());
    line.proxies(&proxies.borrow_and_update());
    loop {
        for action in line.turn(now()) {
            writes.queue.push_back((action, tokio::time::Instant::now() + WRITE_DEADLINE));
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

fn tell(action: &Action, result: &Result<u64, Refusal>) {
    let workload = action.workload();
    match (action, result) {
        (Action::Scale { scale, .. }, Ok(_)) => info!(%workload, replicas = scale.to, "scaled"),
        (Action::Scale { scale, .. }, Err(why)) => warn!(%workload, replicas = scale.to, %why, "not scaled"),
        (Action::Hold { hold, .. }, Ok(_)) => debug!(%workload, hold = %hold.id, "held"),
        (Action::Release { .. }, Ok(_)) => debug!(%workload, "released"),
        (Action::Hold { .. } | Action::Release { .. }, Err(why)) => {
            warn!(%workload, %why, "hold not written");
        }
    }
}

/// Writes on their way. The queue is bounded by the line: one write per workload.
struct Writes<P> {
    platform: Arc<P>,
    running: JoinSet<Result<u64, Refusal>>,
    asked: HashMap<tokio::task::Id, Action, FixedState>,
    queue: VecDeque<(Action, tokio::time::Instant)>,
}

impl<P: Platform> Writes<P> {
    /// Starts as many as may run. Returns those whose time was over before their turn.
    fn start(&mut self) -> Vec<Action> {
        let mut late = Vec::new();
        while self.running.len() < WRITES {
            let Some((action, deadline)) = self.queue.pop_front() else { break };
            if deadline <= tokio::time::Instant::now() {
                late.push(action);
                continue;
            }
            let (platform, ask) = (self.platform.clone(), action.clone());
            let task = self.running.spawn(async move {
                let answer = timeout_at(deadline, write(&*platform, &ask)).await;
                answer.unwrap_or_else(|_| Err(Refusal::Failed("the platform didn't answer in 2 s".into())))
            });
            self.asked.insert(task.id(), action);
        }
        late
    }

    /// The next answer; never, while nothing is asked.
    async fn answer(&mut self) -> (Action, Result<u64, Refusal>) {
        loop {
            let (id, result) = match self.running.join_next_with_id().await {
                Some(Ok((id, result))) => (id, result),
                Some(Err(error)) => {
                    (error.id(), Err(Refusal::Failed(format!("the platform's code failed: {error}"))))
                }
                None => std::future::pending().await,
            };
            if let Some(action) = self.asked.remove(&id) {
                return (action, result);
            }
        }
    }
}

async fn write<P: Platform>(platform: &P, action: &Action) -> Result<u64, Refusal> {
    match action {
        Action::Scale { workload, scale } => platform.scale(workload, scale.clone()).await,
        Action::Hold { workload, hold } => platform.hold(workload, Some(hold.clone())).await,
        Action::Release { workload } => platform.hold(workload, None).await,
    }
}
