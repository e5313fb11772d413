//! Which pods go when a count is lowered but not to zero: those that the proxies confirmed to be empty.
//!
//! The platform takes pods that aren't Ready first and compares the deletion cost only then, within one ReplicaSet and
//! from a cache of its own. So: nothing during a rollout, nothing while another pod isn't Ready, the cost written, seen
//! back through the server's watch cache, 100 ms for the controller's; then the count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kaos_core::platform::Refusal;
use kaos_core::snapshot::Targets;
use kaos_core::{EndpointUid, WorkloadId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, warn};

use super::Kubernetes;
use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::Fault;
use super::object::{Meta, Pod, managed, pod, pods};
use super::patch::{self, COST, LEAST_COST, RETIRED};
use super::scale::{Holding, rolling};
use crate::directory::Directory;
use crate::rights;

/// From the cost's being seen in the server's watch cache to the count: the controller's own cache follows that one.
const SETTLE: Duration = Duration::from_millis(100);

/// Without the right to write costs, it is tried again after this.
const RIGHT_PAUSE: Duration = Duration::from_secs(600);

/// Tries to take a cost back, and the pause before the second; it doubles.
const TRIES: u32 = 6;
const TRY_PAUSE: Duration = Duration::from_secs(1);

/// What a predecessor left behind, or what may still be on its way, is taken back after this.
const LEFTOVER: Duration = Duration::from_secs(10);

/// Most costs that wait to be taken back.
pub(crate) const RESTORES: usize = 256;

/// Costs to be taken back.
#[derive(Clone, Debug)]
pub(crate) struct Restore {
    workload: WorkloadId,
    /// Of the pods that this selects (encoded),
    selector: String,
    /// those with these names; `None`: all.
    pods: Option<Vec<String>>,
    /// Not before.
    at: Instant,
}

/// Workloads whose costs are being written, or have just been: an earlier attempt's aren't taken back meanwhile, since those
/// of one pod are the same.
#[derive(Debug, Default)]
pub(crate) struct Retiring(Mutex<HashMap<WorkloadId, Instant>>);

impl Retiring {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkloadId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the count was written and the platform has surely made its choice.
    fn begin(&self, workload: &WorkloadId) {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|_, until| *until > now);
        all.insert(workload.clone(), now + DEADLINE + LEFTOVER);
    }

    fn end(&self, workload: &WorkloadId) {
        self.lock().remove(workload);
    }

    fn is(&self, workload: &WorkloadId) -> bool {
        self.lock().get(workload).is_some_and(|until| *until > Instant::now())
    }
}

/// Pods that are the first to go, by uid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retired {
    /// Those that go. Empty without the right to choose.
    pub(crate) victims: Vec<String>,
    /// Those that stay.
    pub(crate) others: Vec<String>,
}

/// Costs that were written, or may have been: dropped, it has them taken back, however the write of the count ended.
#[derive(Debug)]
pub(crate) struct Costs {
    restores: mpsc::Sender<Restore>,
    retiring: Arc<Retiring>,
    workload: WorkloadId,
    selector: String,
    pods: Vec<String>,
    /// Every cost is known to be written, and none is on its way any more.
    written: bool,
    /// The count may have been written: the platform first gets the time to choose.
    pub(crate) sent: bool,
}

impl Costs {
    /// They have done their work: their pods go.
    pub(crate) fn keep(mut self) {
        self.pods.clear();
    }
}

impl Drop for Costs {
    fn drop(&mut self) {
        if !self.sent {
            self.retiring.end(&self.workload);
        }
        if self.pods.is_empty() {
            return;
        }
        let settled = self.written && !self.sent;
        let at = if settled { Instant::now() } else { Instant::now() + LEFTOVER };
        let (workload, selector) = (self.workload.clone(), std::mem::take(&mut self.selector));
        let pods = Some(std::mem::take(&mut self.pods));
        enqueue(&self.restores, Restore { workload, selector, pods, at });
    }
}

impl Kubernetes {
    /// Makes `victims` the first to go. Without the right to, nobody is chosen.
    pub(crate) async fn retire(
        &self,
        workload: &WorkloadId,
        holding: &Holding,
        victims: &[EndpointUid],
        deadline: Instant,
    ) -> Result<(Retired, Costs), Refusal> {
        self.retiring.begin(workload);
        let mut costs = Costs {
            restores: self.restores.clone(),
            retiring: self.retiring.clone(),
            workload: workload.clone(),
            selector: holding.selector.clone().unwrap_or_default(),
            pods: Vec::new(),
            written: false,
            sent: false,
        };
        if holding.rolling {
            return Err(rolling());
        }
        let Some(selector) = holding.selector.as_deref().filter(|_| self.may_retire(workload)) else {
            return Ok((Retired::default(), costs));
        };
        let written = self.mark_victims(workload, selector, victims, &mut costs, deadline).await;
        let listed = match written {
            Ok(listed) => listed,
            Err(Stopped::Refused(refusal)) => return Err(refusal),
            Err(Stopped::Failed(fault @ Fault::Forbidden(_))) => {
                self.without(workload, &fault);
                return Ok((Retired::default(), costs));
            }
            // A pod that is gone by now.
            Err(Stopped::Failed(Fault::Gone)) => return Err(Refusal::Conflict),
            Err(Stopped::Failed(fault)) => return Err(fault.refusal()),
        };
        let retired = choose(&listed, victims)?;
        marked(&listed, victims)?;
        timeout_at(deadline, sleep(SETTLE)).await.map_err(|_| Fault::Late.refusal())?;
        Ok((retired, costs))
    }

    /// Writes the costs, and returns the pods as the server's watch cache shows them after that.
    async fn mark_victims(
        &self,
        workload: &WorkloadId,
        selector: &str,
        victims: &[EndpointUid],
        costs: &mut Costs,
        deadline: Instant,
    ) -> Result<Vec<Pod>, Stopped> {
        let listed = list(&self.api, workload, selector, "", deadline).await?;
        let retired = choose(&listed, victims).map_err(Stopped::Refused)?;
        let chosen: Vec<Pod> =
            listed.into_iter().filter(|pod| retired.victims.contains(&pod.metadata.uid)).collect();
        costs.pods = chosen.iter().map(|pod| pod.metadata.name.clone()).collect();
        let newest = self.write_costs(workload, chosen, deadline).await?;
        costs.written = true;
        let seen = format!("&resourceVersion={newest}&resourceVersionMatch=NotOlderThan");
        Ok(list(&self.api, workload, selector, &seen, deadline).await?)
    }

    fn may_retire(&self, workload: &WorkloadId) -> bool {
        let without = self.without_right.lock().unwrap_or_else(PoisonError::into_inner);
        without.get(workload.namespace()).is_none_or(|until| self.clock.now() >= *until)
    }

    /// Kubernetes chooses, then. Said once in [`RIGHT_PAUSE`] for each namespace.
    fn without(&self, workload: &WorkloadId, fault: &Fault) {
        let mut without = self.without_right.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        without.retain(|_, until| *until > now);
        without.insert(workload.namespace().to_owned(), now + RIGHT_PAUSE);
        warn!(%workload, why = %fault, "replicas to stop can't be chosen: scaling down follows Kubernetes' own order");
    }

    /// Writes the cost of each pod. Returns the newest version written.
    async fn write_costs(
        &self,
        workload: &WorkloadId,
        pods: Vec<Pod>,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        let mut writes = JoinSet::new();
        for Pod { metadata: meta, .. } in pods {
            let (api, leadership) = (self.api.clone(), self.leadership.clone());
            let path = managed(&pod(workload.namespace(), &meta.name, "/status"));
            writes.spawn(async move {
                let before = match meta.annotations.get(RETIRED) {
                    Some(before) => Some(before.clone()),
                    None => meta.annotations.get(COST).cloned(),
                };
                let body = patch::retired(&meta.uid, before.as_deref());
                let ask = Ask::merge(rights::PATCH_POD_STATUS, path, &body);
                let wrote: Pod = api.call(&ask, Turn::Other, deadline, || leadership.leads()).await?;
                wrote.metadata.version().ok_or_else(|| Fault::Failed("a pod's version is no number".into()))
            });
        }
        let (mut newest, mut failed) = (0, None);
        while let Some(wrote) = writes.join_next().await {
            match wrote.unwrap_or_else(|why| Err(Fault::Failed(why.to_string()))) {
                Ok(version) => newest = newest.max(version),
                Err(fault) => failed = Some(fault),
            }
        }
        failed.map_or(Ok(newest), Err)
    }

    /// Takes every cost of ours back from the pods that `selector` selects, once the platform has surely made its choice
    /// if a count was just lowered.
    pub(crate) fn restore_all(&self, workload: &WorkloadId, selector: Option<String>) {
        if let Some(selector) = selector {
            let at = Instant::now() + LEFTOVER;
            enqueue(&self.restores, Restore { workload: workload.clone(), selector, pods: None, at });
        }
    }
}

fn enqueue(restores: &mpsc::Sender<Restore>, restore: Restore) {
    if let Err(full) = restores.try_send(restore) {
        let workload = full.into_inner().workload;
        warn!(%workload, "a deletion cost stays: too many wait to be taken back");
    }
}

/// Why nobody was chosen.
enum Stopped {
    Refused(Refusal),
    Failed(Fault),
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Stopped::Failed(fault)
    }
}

/// Who goes and who stays, if it is certain that those chosen would go.
fn choose(pods: &[Pod], victims: &[EndpointUid]) -> Result<Retired, Refusal> {
    let is_victim = |pod: &&Pod| victims.iter().any(|uid| uid.as_str() == pod.metadata.uid);
    let live = || pods.iter().filter(|pod| !pod.is_leaving());
    let chosen: Vec<String> = live().filter(is_victim).map(|pod| pod.metadata.uid.clone()).collect();
    if chosen.len() < victims.len() {
        return Err(Refusal::Conflict);
    }
    let mut others = Vec::new();
    for pod in live().filter(|pod| !is_victim(pod)) {
        if !pod.is_ready() {
            let name = &pod.metadata.name;
            let why = format!("pod {name} isn't Ready: Kubernetes would take it before those that are empty");
            return Err(Refusal::Failed(why));
        }
        others.push(pod.metadata.uid.clone());
    }
    Ok(Retired { victims: chosen, others })
}

/// Every victim shows its cost.
fn marked(pods: &[Pod], victims: &[EndpointUid]) -> Result<(), Refusal> {
    let marked = |pod: &Pod| pod.metadata.annotations.get(COST).is_some_and(|cost| cost == LEAST_COST);
    let all =
        pods.iter().filter(|pod| victims.iter().any(|uid| uid.as_str() == pod.metadata.uid)).all(marked);
    if all { Ok(()) } else { Err(Refusal::Conflict) }
}

/// The pods that `selector` (encoded) selects. `more` goes into the query of the first page.
pub(crate) async fn list(
    api: &Api,
    workload: &WorkloadId,
    selector: &str,
    more: &str,
    deadline: Instant,
) -> Result<Vec<Pod>, Fault> {
    let query = format!("&labelSelector={selector}");
    api.list(rights::LIST_PODS, &pods(workload.namespace()), &query, more, deadline).await
}

/// Takes costs back as they come, one workload at a time. Ends with the queue's last sender.
pub(crate) async fn restore(
    api: Arc<Api>,
    directory: Arc<Directory>,
    retiring: Arc<Retiring>,
    mut queue: mpsc::Receiver<Restore>,
) {
    // Another autoscaler's attempt shows by its hold.
    let wanted = |workload: &WorkloadId| {
        let held = directory.entry(workload).and_then(|entry| entry.hold.clone());
        retiring.is(workload) || held.is_some_and(|hold| matches!(hold.targets, Targets::Endpoints(_)))
    };
    while let Some(restore) = queue.recv().await {
        sleep_until(restore.at).await;
        let workload = &restore.workload;
        let mut pause = TRY_PAUSE;
        for attempt in 1..=TRIES {
            match restore_once(&api, &restore, wanted).await {
                Ok(()) => break,
                Err(fault @ Fault::Forbidden(_)) => {
                    debug!(%workload, why = %fault, "no right to deletion costs");
                    break;
                }
                Err(fault) if attempt == TRIES => {
                    warn!(%workload, why = %fault, "a deletion cost stays");
                }
                Err(_) => {
                    sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }
}

async fn restore_once(
    api: &Api,
    restore: &Restore,
    wanted: impl Fn(&WorkloadId) -> bool,
) -> Result<(), Fault> {
    let mut found = list(api, &restore.workload, &restore.selector, "", Instant::now() + DEADLINE).await?;
    // Looked at after the list: what is written from here on has other versions than those found.
    if wanted(&restore.workload) {
        return Err(Fault::Conflict);
    }
    if let Some(names) = &restore.pods {
        found.retain(|pod| names.contains(&pod.metadata.name));
    }
    restore_pods(api, &restore.workload, found).await
}

/// Takes every cost of ours back from `pods`.
pub(crate) async fn restore_pods(api: &Api, workload: &WorkloadId, pods: Vec<Pod>) -> Result<(), Fault> {
    for Pod { metadata: Meta { name, uid, resource_version, annotations, deletion_timestamp, .. }, .. } in
        pods
    {
        let Some(before) = annotations.get(RETIRED).filter(|_| deletion_timestamp.is_none()) else {
            continue;
        };
        let cost = annotations.get(COST).map(String::as_str);
        let body = patch::restored(&uid, &resource_version, before, cost);
        let ask = Ask::merge(
            rights::PATCH_POD_STATUS,
            managed(&pod(workload.namespace(), &name, "/status")),
            &body,
        );
        match api.call::<Pod>(&ask, Turn::Other, Instant::now() + DEADLINE, || true).await {
            Ok(_) | Err(Fault::Gone) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
