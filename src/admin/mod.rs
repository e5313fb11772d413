//! The admin port: metrics, health, state and journal. Read-only: what it shows, others own.

mod advice;
mod answer;
mod control;
mod exposition;
mod health;
mod logs;
mod metrics;
mod problem;
mod process;
mod reports;
mod response;
mod serve;
mod workload;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use kaos_autoscaler::Journal;
use kaos_autoscaler::journal::Book;
use kaos_core::{EndpointUid, Snapshot, Workload, WorkloadId};
use kaos_local::Logs;
use kaos_proxy::{Proxy, Totals};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::instance::Instance;
use crate::report::{Heard, Hub, Load};
use crate::tls::Kept;
use problem::Problem;

pub(crate) use control::{Control, bind_control};
pub(crate) use health::Check;
pub(crate) use serve::{bind, serve};
pub(crate) use workload::told;
pub(crate) use workload::url;

/// Most followers of logs at once.
const FOLLOWERS: usize = 32;

/// Everything that questions are answered from.
pub(crate) struct Desk {
    /// Makes timestamps of moments.
    pub(crate) clock: Clock,
    /// Which Kaos this is.
    pub(crate) instance: Arc<Instance>,
    /// Where clients reach every workload. `None`: by its hosts, at the usual port.
    pub(crate) reached: Option<SocketAddr>,
    /// What the platform says is.
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where requests are counted.
    pub(crate) data: Data,
    /// What was decided, if this process decides.
    pub(crate) journal: Option<Arc<Journal>>,
    /// What replicas wrote, if this process runs them.
    pub(crate) logs: Option<Logs>,
    /// What proxies have reported to this process.
    pub(crate) heard: Arc<Heard>,
    /// Where autoscalers come for reports, if this process makes them.
    pub(crate) hub: Option<Hub>,
    /// What the platform has to say of workloads, if it says anything.
    pub(crate) remarks: Option<Arc<dyn Remarks>>,
    /// What became of writes to a cluster, if this process writes to one.
    pub(crate) written: Option<Box<dyn Fn() -> Written + Send + Sync>>,
    /// What clients with TLS are shown, if any come.
    pub(crate) tls: Option<Arc<Kept>>,
    /// What health consists of.
    pub(crate) checks: Vec<Check>,
    /// Places for followers of logs.
    pub(crate) followers: Arc<Semaphore>,
}

/// What became of writes to a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// Replicas chosen to be stopped, by what the cluster did: took those, took another, or nobody saw.
    pub(crate) choices: [u64; 3],
    /// Events that weren't written: too many, or refused.
    pub(crate) dropped_events: u64,
}

/// What the platform has to say of workloads beyond their state.
pub(crate) trait Remarks: Send + Sync {
    /// How many workloads are configured wrongly.
    fn invalid(&self) -> usize;

    /// What there is to say of one.
    fn of(&self, workload: &WorkloadId) -> Vec<Remark>;

    /// What people call a replica of `workload`; its UID says nothing to them.
    fn pod(&self, workload: &WorkloadId, replica: &EndpointUid) -> Option<Arc<str>>;
}

/// One thing that there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Remark {
    /// A stable word.
    pub(crate) reason: &'static str,
    /// Whether there is something to do about it.
    pub(crate) warns: bool,
    /// A sentence.
    pub(crate) text: String,
}

/// Where requests are counted.
pub(crate) enum Data {
    /// By the proxy of this process; empty before it runs, and gone once that is.
    Own(Arc<OnceLock<Weak<Proxy>>>),
    /// By proxies that report to this process.
    #[cfg(feature = "kubernetes")]
    Reported,
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
    /// What the proxy of this process has counted; `None` if it has none.
    async fn totals(&self) -> Result<Option<Totals>, Problem> {
        match &self.data {
            Data::Own(proxy) => match proxy.get().and_then(Weak::upgrade) {
                Some(proxy) => Ok(Some(proxy.gather().await)),
                None => Err(Problem::NoFigures),
            },
            #[cfg(feature = "kubernetes")]
            Data::Reported => Ok(None),
        }
    }

    async fn loads(&self) -> Result<BTreeMap<WorkloadId, Load>, Problem> {
        let totals = self.totals().await?;
        Ok(totals.map_or_else(|| self.heard.loads(), |totals| loads(&totals)))
    }

    fn book(&self, id: &WorkloadId) -> Option<Arc<Book>> {
        self.journal.as_ref()?.book(id)
    }

    fn shown(&self, workload: &Workload, loads: &BTreeMap<WorkloadId, Load>) -> Value {
        let book = self.book(&workload.id);
        let load = loads.get(&workload.id).copied().unwrap_or_default();
        let mut shown = workload::shown(workload, load, book.as_deref(), self.reached, &self.clock);
        if let Some(remarks) = &self.remarks {
            shown["notes"] = json!(remarks.of(&workload.id));
            for (at, endpoint) in workload.endpoints.iter().enumerate() {
                shown["endpoints"][at]["pod"] = json!(remarks.pod(&workload.id, &endpoint.uid));
            }
        }
        shown
    }

    /// When each proxy was last heard, in seconds since 1970.
    fn heard(&self) -> Vec<(String, f64)> {
        let at = |at| self.clock.timestamp(at).as_duration().as_secs_f64();
        self.heard.last().into_iter().map(|(id, last)| (id.to_string(), at(last))).collect()
    }
}
