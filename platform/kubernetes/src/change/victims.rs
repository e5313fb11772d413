//! Which pods go when a count is lowered but not to zero: those that the proxies confirmed to be empty.
//!
//! The platform takes pods that aren't Ready first and compares the deletion cost only then, within one ReplicaSet and
//! from a cache of its own. So: nothing during a rollout, nothing while another pod isn't Ready, the cost written, seen
//! back through the server's watch cache, 100 ms for the controller's; then the count.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::platform::Refusal;
use kaos_core::{EndpointUid, WorkloadId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, warn};

use super::Kubernetes;
use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::Fault;
use super::object::{List, Meta, Pod, managed, pod, pods};
use super::patch::{self, COST, LEAST_COST, RETIRED};
use super::scale::{Holding, rolling};

/// From the cost's being seen in the server's watch cache to the count: the controller's own cache follows that one.
const SETTLE: Duration = Duration::from_millis(100);

/// Without the right to write costs, it is tried again after this.
const RIGHT_PAUSE: Duration = Duration::from_secs(600);

/// Most pages of a list of pods.
const PAGES: usize = 20;

/// Tries to take a cost back, and the pause before the second; it doubles.
const TRIES: u32 = 6;
const TRY_PAUSE: Duration = Duration::from_secs(1);

/// What a predecessor left behind is taken back after this.
const LEFTOVER: Duration = Duration::from_secs(10);

/// Most costs that wait to be taken back.
pub(crate) const RESTORES: usize = 256;

/// Costs to be taken back.
#[derive(Clone, Debug)]
pub(crate) struct Restore {
    workload: WorkloadId,
    which: Which,
    /// Not before.
    at: Instant,
}

#[derive(Clone, Debug)]
enum Which {
    /// These pods, by name.
    Named(Vec<String>),
    /// All that this selector (encoded) selects.
    Selected(String),
}

/// Pods that are the first to go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retired {
    /// Names of the pods whose cost was written. Empty without the right to.
    pub(crate) pods: Vec<String>,
    /// Those that go.
    pub(crate) victims: Vec<String>,
    /// Those that stay, by uid.
    pub(crate) others: Vec<String>,
}

impl Kubernetes {
    /// Makes `victims` the first to go. On failure nothing of it is left.
    pub(crate) async fn retire(
        &self,
        workload: &WorkloadId,
        holding: &Holding,
        victims: &[EndpointUid],
        deadline: Instant,
    ) -> Result<Retired, Refusal> {
        if holding.rolling {
            return Err(rolling());
        }
        let Some(selector) = holding.selector.as_deref().filter(|_| self.may_retire()) else {
            return Ok(Retired::default());
        };
        let listed = match list(&self.api, workload, selector, "", deadline).await {
            Err(fault @ Fault::Forbidden(_)) => return Ok(self.without(workload, &fault)),
            listed => listed.map_err(Fault::refusal)?,
        };
        let retired = choose(&listed, victims)?;
        let chosen: Vec<Pod> =
            listed.into_iter().filter(|pod| retired.victims.contains(&pod.metadata.uid)).collect();
        let names: Vec<String> = chosen.iter().map(|pod| pod.metadata.name.clone()).collect();
        let result = async {
            let newest = self.write_costs(workload, chosen, deadline).await?;
            let seen = format!("&resourceVersion={newest}&resourceVersionMatch=NotOlderThan");
            let listed = list(&self.api, workload, selector, &seen, deadline).await?;
            Ok::<_, Fault>(listed)
        };
        let listed = match result.await {
            Ok(listed) => listed,
            Err(fault @ Fault::Forbidden(_)) => return Ok(self.without(workload, &fault)),
            Err(fault) => {
                self.restore(workload, names);
                return Err(if fault == Fault::Gone { Refusal::Conflict } else { fault.refusal() });
            }
        };
        let settled = choose(&listed, victims).and_then(|_| marked(&listed, victims));
        if let Err(refusal) = settled {
            self.restore(workload, names);
            return Err(refusal);
        }
        if timeout_at(deadline, sleep(SETTLE)).await.is_err() {
            self.restore(workload, names);
            return Err(Fault::Late.refusal());
        }
        Ok(Retired { pods: names, ..retired })
    }

    fn may_retire(&self) -> bool {
        let until = self.no_right_until.load(std::sync::atomic::Ordering::Relaxed);
        self.clock.now().micros() >= until
    }

    /// Kubernetes chooses, then. Said once in [`RIGHT_PAUSE`].
    fn without(&self, workload: &WorkloadId, fault: &Fault) -> Retired {
        let until = self.clock.now() + RIGHT_PAUSE;
        self.no_right_until.store(until.micros(), std::sync::atomic::Ordering::Relaxed);
        warn!(%workload, why = %fault, "replicas to stop can't be chosen: scaling down follows Kubernetes' own order");
        Retired::default()
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
                let ask = Ask::merge("patch pods/status", path, &body);
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

    /// Takes the costs of these pods back, soon.
    pub(crate) fn restore(&self, workload: &WorkloadId, pods: Vec<String>) {
        if !pods.is_empty() {
            self.enqueue(Restore {
                workload: workload.clone(),
                which: Which::Named(pods),
                at: Instant::now(),
            });
        }
    }

    /// Takes every cost of ours back from the pods that `selector` selects, once the platform has surely made its choice
    /// if a count was just lowered.
    pub(crate) fn restore_all(&self, workload: &WorkloadId, selector: Option<String>) {
        if let Some(selector) = selector {
            let at = Instant::now() + LEFTOVER;
            self.enqueue(Restore { workload: workload.clone(), which: Which::Selected(selector), at });
        }
    }

    fn enqueue(&self, restore: Restore) {
        if let Err(full) = self.restores.try_send(restore) {
            let workload = full.into_inner().workload;
            warn!(%workload, "a deletion cost stays: too many wait to be taken back");
        }
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
    Ok(Retired { pods: Vec::new(), victims: chosen, others })
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
    let mut query = more.to_owned();
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let ask = Ask::get("list pods", pods(workload.namespace(), selector, &query));
        let page: List<Pod> = api.call(&ask, Turn::Other, deadline, || true).await?;
        found.extend(page.items);
        if page.metadata.next.is_empty() {
            return Ok(found);
        }
        query = format!("&continue={}", super::object::encode(&page.metadata.next));
    }
    Err(Fault::Failed(format!("more than {} pods match one selector", PAGES * 500)))
}

/// Takes costs back as they come, one workload at a time. Ends with the queue's last sender.
pub(crate) async fn restore(api: Arc<Api>, mut queue: mpsc::Receiver<Restore>) {
    while let Some(Restore { workload, which, at }) = queue.recv().await {
        sleep_until(at).await;
        let mut pause = TRY_PAUSE;
        for attempt in 1..=TRIES {
            match restore_once(&api, &workload, &which).await {
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

async fn restore_once(api: &Api, workload: &WorkloadId, which: &Which) -> Result<(), Fault> {
    let found = match which {
        Which::Selected(selector) => list(api, workload, selector, "", Instant::now() + DEADLINE).await?,
        Which::Named(names) => {
            let mut found = Vec::new();
            for name in names {
                match api.read::<Pod>("get pods", pod(workload.namespace(), name, "")).await {
                    Ok(pod) => found.push(pod),
                    Err(Fault::Gone) => {}
                    Err(fault) => return Err(fault),
                }
            }
            found
        }
    };
    restore_pods(api, workload, found).await
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
        let ask =
            Ask::merge("patch pods/status", managed(&pod(workload.namespace(), &name, "/status")), &body);
        match api.call::<Pod>(&ask, Turn::Other, Instant::now() + DEADLINE, || true).await {
            Ok(_) | Err(Fault::Gone) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
