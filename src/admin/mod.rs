//! The admin port: metrics, health, state and journal. Read-only: what it shows, others own.

mod answer;
mod exposition;
mod health;
mod logs;
mod metrics;
mod problem;
mod process;
mod serve;
mod workload;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use kaos_autoscaler::Journal;
use kaos_core::{Snapshot, Workload, WorkloadId};
use kaos_local::Logs;
use kaos_proxy::{Proxy, Totals};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::instance::Instance;
use crate::up::Heard;
use problem::Problem;

pub(crate) use serve::{bind, serve};
pub(crate) use workload::{Load, url};

/// Most followers of logs at once.
const FOLLOWERS: usize = 32;

/// Everything that questions are answered from.
pub(crate) struct Desk {
    /// Makes timestamps of moments.
    pub(crate) clock: Clock,
    /// Which Kaos this is.
    pub(crate) instance: Arc<Instance>,
    /// What the platform says is.
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What was counted; gone once the proxy is.
    pub(crate) proxy: Weak<Proxy>,
    /// What was decided.
    pub(crate) journal: Arc<Journal>,
    /// What replicas wrote.
    pub(crate) logs: Logs,
    /// When proxies were heard.
    pub(crate) heard: Heard,
    /// Whether no more requests are taken.
    pub(crate) draining: watch::Receiver<bool>,
    /// Held by the autoscaler while it runs.
    pub(crate) autoscaler: Weak<()>,
    /// Places for followers of logs.
    pub(crate) followers: Arc<Semaphore>,
}

/// Places for followers of logs.
pub(crate) fn followers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(FOLLOWERS))
}

/// What the data line has of each workload.
pub(crate) fn loads(totals: &Totals) -> BTreeMap<WorkloadId, Load> {
    let load = |totals: &kaos_proxy::WorkloadTotals| Load {
        in_flight: totals.counts.running.open(),
        waiting: totals.waiting.into(),
        last_activity: totals.counts.last_activity,
    };
    totals.workloads.iter().map(|(id, totals)| (id.clone(), load(totals))).collect()
}

impl Desk {
    async fn totals(&self) -> Result<Totals, Problem> {
        match self.proxy.upgrade() {
            Some(proxy) => Ok(proxy.gather().await),
            None => Err(Problem::NoFigures),
        }
    }

    async fn loads(&self) -> Result<BTreeMap<WorkloadId, Load>, Problem> {
        self.totals().await.map(|totals| loads(&totals))
    }

    fn shown(&self, workload: &Workload, loads: &BTreeMap<WorkloadId, Load>) -> Value {
        let book = self.journal.book(&workload.id);
        let load = loads.get(&workload.id).copied().unwrap_or_default();
        workload::shown(workload, load, book.as_deref(), self.instance.listen, &self.clock)
    }

    /// When each proxy was last heard, in seconds since 1970.
    fn heard(&self) -> Vec<(String, f64)> {
        let at = self.heard.last().map(|at| self.clock.timestamp(at).as_duration().as_secs_f64());
        at.map(|at| (self.heard.proxy().to_string(), at)).into_iter().collect()
    }
}
