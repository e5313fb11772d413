//! Taking Kaos out of a cluster: first what will be put back, as a plan to show; then the same plan, done.
//!
//! Whoever does it leads: it takes the Lease as an autoscaler does, so that none adopts again what is put back. It is not
//! given back at the end, but runs out: by then the autoscalers' last processes have ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::WorkloadId;
use kube::Client;
use tokio::sync::watch;
use tokio::time::timeout;

use super::LEASE;
use super::call::Api;
use super::clock::Clock;
use super::fault::Fault;
use super::lead::{Candidate, Lead, Leadership};
use super::lease::{Lease, Spec};
use super::originals::{Kept, Original, Originals};
use super::restore::{self, Restoration};
use super::target::Places;
use crate::rights;

/// What will be put back.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// By workload.
    pub restorations: Vec<(WorkloadId, Restoration)>,
    /// These are not there any more; nothing is done but to forget them.
    pub gone: Vec<WorkloadId>,
    /// These can't be looked at, for this reason; whether they can is tried again when it is done.
    pub unseen: Vec<(WorkloadId, Trouble)>,
    originals: Vec<Original>,
}

/// Kaos, about to leave.
pub struct Uninstall {
    api: Arc<Api>,
    originals: Originals,
    kept: Kept,
    places: Places,
    namespace: String,
    leadership: Leadership,
    /// Stands for election as long as it is there.
    lead: Option<Lead>,
}

/// What couldn't be done, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(String);

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble(fault.to_string())
    }
}

impl Uninstall {
    /// Of the Kaos in `namespace`, with the rights of `client`.
    pub fn new(client: Client, namespace: &str) -> Self {
        let (api, kept) = (Arc::new(Api::new(client)), Kept::default());
        let originals = Originals::new(api.clone(), namespace, kept.clone());
        let leadership = Leadership::new(Clock::boot());
        let (places, namespace) = (Places::default(), namespace.to_owned());
        Uninstall { api, originals, kept, places, namespace, leadership, lead: None }
    }

    /// Takes the Lease, and keeps it from here on. `Err`: within `patience` an autoscaler didn't let go of it.
    pub async fn lead(&mut self, patience: Duration) -> Result<(), Trouble> {
        let (leads, mut leading) = watch::channel(false);
        let id = format!("uninstall_{:032x}", fastrand::u128(..));
        let candidate = Candidate { namespace: self.namespace.clone(), lease: LEASE.to_owned(), id };
        let path = candidate.path();
        self.lead = Some(Lead::start(self.api.clone(), candidate, self.leadership.clone(), leads));
        if timeout(patience, leading.wait_for(|leads| *leads)).await.is_ok_and(|led| led.is_ok()) {
            return Ok(());
        }
        self.lead = None;
        let (namespace, seconds, why) = (&self.namespace, patience.as_secs(), self.obstacle(path).await);
        Err(Trouble(format!(
            "the Lease {namespace}/{LEASE} couldn't be taken within {seconds} s: {why}; nothing was put back"
        )))
    }

    /// What keeps the Lease at `path` from being ours.
    async fn obstacle(&self, path: String) -> String {
        let lease = match self.api.read::<Lease>(rights::GET_LEASE, path).await {
            Ok(lease) => lease,
            Err(fault) => return fault.to_string(),
        };
        match Spec::of(&lease).holder() {
            Some(holder) => format!(
                "{holder} holds it; stop that, or it adopts again what is put back (kubectl get lease -n {} {LEASE} \
                 says whether it still does)",
                self.namespace
            ),
            None => "nobody holds it, so it can't be written: that takes the right to update it".to_owned(),
        }
    }

    /// What there is to put back. Changes nothing.
    pub async fn plan(&mut self) -> Result<Plan, Trouble> {
        self.originals.load().await?;
        let mut originals: Vec<Original> = self.kept.all().values().cloned().collect();
        originals.sort_by(|one, other| one.workload.cmp(&other.workload));
        let mut plan = Plan::default();
        for original in &originals {
            let workload = original.workload.clone();
            match restore::plan(&self.api, &self.places, original).await {
                Ok(Some(restoration)) => plan.restorations.push((workload, restoration)),
                Ok(None) => plan.gone.push(workload),
                Err(fault) => plan.unseen.push((workload, fault.into())),
            }
        }
        plan.originals = originals;
        Ok(plan)
    }

    /// Does what `plan` says, each workload by itself, and forgets those that were put back. Returns what failed: all of
    /// it, without the Lease.
    pub async fn apply(&mut self, plan: &Plan) -> Vec<(WorkloadId, Trouble)> {
        let leadership = self.leadership.clone();
        let may = || leadership.leads();
        let mut failed = Vec::new();
        let mut done: Vec<WorkloadId> = plan.gone.clone();
        for original in plan.originals.iter().filter(|original| !plan.gone.contains(&original.workload)) {
            let planned = plan.restorations.iter().find(|(workload, _)| *workload == original.workload);
            match self.put_back(original, planned.map(|(_, restoration)| restoration)).await {
                Ok(()) => done.push(original.workload.clone()),
                Err(fault) => failed.push((original.workload.clone(), fault.into())),
            }
        }
        for workload in done {
            if let Err(fault) = self.originals.write(&[(workload.clone(), None)], &may).await {
                failed.push((workload, fault.into()));
            }
        }
        failed
    }

    /// As planned; if there is no plan, or the object was written since, as it is by then.
    async fn put_back(&self, original: &Original, planned: Option<&Restoration>) -> Result<(), Fault> {
        let may = || self.leadership.leads();
        if let Some(planned) = planned {
            match restore::apply(&self.api, &original.workload, planned, may).await {
                Err(Fault::Conflict) => {}
                result => return result,
            }
        }
        match restore::plan(&self.api, &self.places, original).await? {
            Some(again) => restore::apply(&self.api, &original.workload, &again, may).await,
            None => Ok(()),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (workload, Restoration { from, to, hold, retired, .. }) in &self.restorations {
            write!(out, "{workload}: ")?;
            if from == to {
                write!(out, "stays at {to} replicas")?;
            } else {
                write!(out, "{from} to {to} replicas")?;
            }
            if *hold {
                write!(out, ", without its hold")?;
            }
            if !retired.is_empty() {
                write!(out, ", without {} deletion costs", retired.len())?;
            }
            writeln!(out)?;
        }
        for workload in &self.gone {
            writeln!(out, "{workload}: not there any more")?;
        }
        for (workload, why) in &self.unseen {
            writeln!(out, "{workload}: can't be looked at: {why}")?;
        }
        Ok(())
    }
}
