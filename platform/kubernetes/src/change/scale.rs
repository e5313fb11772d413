//! The seam: counts and holds, as the autoscaler asks for them.
//!
//! A wake is one PATCH with a test in it, sent as soon as it is heard. What lowers a count is fenced: by the leadership's
//! deadline, by the age and the version of the hold's write, and by the count that is kept for the day Kaos leaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::{Hold, Targets};
use kaos_core::{EndpointUid, HoldId, Moment, WorkloadId, lease};
use tokio::time::Instant;

use super::Kubernetes;
use super::call::{Ask, DEADLINE, Turn};
use super::events::{Notice, Of, Reason};
use super::fault::Fault;
use super::object::{Deployment, Meta, Scaled, deployment, managed};
use super::patch;
use crate::rights;

/// A count is lowered no later than this after its hold's write began: proxies obey it for longer. The difference is for
/// the way to the server.
const HELD: Duration = lease::LONGEST.saturating_sub(Duration::from_secs(1));

/// What we know of the workloads that are held by us. At most one entry per workload; it goes with the hold, or with the
/// workload.
#[derive(Debug, Default)]
pub(crate) struct Holdings(Mutex<HashMap<WorkloadId, Arc<Holding>>>);

/// A hold of ours, and the object as it was when it was written.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    id: HoldId,
    /// Before its write was sent, on the clock that leadership is measured with.
    begun: Moment,
    version: u64,
    generation: i64,
    pub(crate) count: u32,
    /// The pods' label selector, encoded.
    pub(crate) selector: Option<String>,
    /// More than one template's pods are about.
    pub(crate) rolling: bool,
}

impl Holdings {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkloadId, Arc<Holding>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, workload: &WorkloadId, version: u64) -> Option<Arc<Holding>> {
        self.lock().get(workload).filter(|holding| holding.version == version).cloned()
    }

    /// Keeps `holding`, and those of workloads that are still there: of one that went away no hold is ever released.
    fn keep(&self, workload: &WorkloadId, holding: Holding, is_there: impl Fn(&WorkloadId) -> bool) {
        let mut all = self.lock();
        all.retain(|workload, _| is_there(workload));
        all.insert(workload.clone(), Arc::new(holding));
    }
}

impl Platform for Kubernetes {
    async fn scale(&self, workload: &WorkloadId, scale: Scale) -> Result<u64, Refusal> {
        let deadline = Instant::now() + DEADLINE;
        let uid = self.uid(workload)?;
        match scale.expected {
            Expected::Replicas(from) => self.raise(workload, &uid, from, scale.to, deadline).await,
            Expected::Version(version) => {
                self.lower(workload, &uid, version, scale.to, &scale.victims, deadline).await
            }
        }
    }

    async fn hold(&self, workload: &WorkloadId, hold: Option<Hold>) -> Result<u64, Refusal> {
        let deadline = Instant::now() + DEADLINE;
        let uid = self.uid(workload)?;
        match hold {
            Some(hold) => self.mark(workload, &uid, &hold, deadline).await,
            None => self.release(workload, &uid, deadline).await,
        }
    }
}

impl Kubernetes {
    fn uid(&self, workload: &WorkloadId) -> Result<String, Refusal> {
        let entry = self.directory.entry(workload).ok_or(Refusal::Gone)?;
        Ok(entry.uid.to_string())
    }

    /// A count that must still be `from`. From zero it needs no leader: whoever hears who waits, wakes. Above zero too it
    /// has a wake's turn: capacity never waits for what takes it away.
    async fn raise(
        &self,
        workload: &WorkloadId,
        uid: &str,
        from: u32,
        to: u32,
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        let (wakes, turn) = (from == 0, Turn::Wake);
        let may = || wakes || self.leadership.leads();
        let path = managed(&deployment(workload, "/scale"));
        let ask = Ask::patch(rights::PATCH_SCALE, path.clone(), &patch::count(uid, from, to));
        let wrote = match self.api.call::<Scaled>(&ask, turn, deadline, may).await {
            // The test failed, or the patch doesn't say what we think: the object itself decides.
            Err(Fault::Invalid(why)) => {
                let found = Ask::get(rights::GET_SCALE, deployment(workload, "/scale"));
                let found: Scaled = self.call(&found, turn, deadline, may).await?;
                let count = found.spec.replicas;
                match () {
                    () if found.metadata.uid != uid => return Err(Refusal::Gone),
                    () if count == to => return version(&found.metadata),
                    () if count != from => return Err(Refusal::Conflict),
                    () => {}
                }
                tracing::debug!(%workload, why, "the count is the one expected: written against its version");
                let patch = patch::count_since(uid, &found.metadata.resource_version, to);
                self.call::<Scaled>(&Ask::merge(rights::PATCH_SCALE, path, &patch), turn, deadline, may)
                    .await?
            }
            other => other.map_err(Fault::refusal)?,
        };
        self.scaled(workload, uid, from, to);
        version(&wrote.metadata)
    }

    /// A count that goes down, against the version of the hold's write.
    async fn lower(
        &self,
        workload: &WorkloadId,
        uid: &str,
        held_at: u64,
        to: u32,
        victims: &[EndpointUid],
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        self.may_lower(workload, uid)?;
        let holding = self.holdings.of(workload, held_at).ok_or(Refusal::Conflict)?;
        if !self.is_obeyed(&holding) {
            let why = "its hold was written too long ago: proxies may not obey it any more";
            return Err(Refusal::Failed(why.to_owned()));
        }
        if to == 0 || victims.is_empty() {
            let version = self.lower_since(workload, uid, &holding, to, deadline).await?;
            self.scaled(workload, uid, holding.count, to);
            return Ok(version);
        }
        let (retired, mut costs) = self.retire(workload, &holding, victims, deadline).await?;
        costs.sent = true;
        let result = self.lower_since(workload, uid, &holding, to, deadline).await;
        // The server said no: nothing is on its way any more.
        costs.sent = !matches!(result, Err(Refusal::Conflict | Refusal::Gone));
        let version = result?;
        costs.keep();
        self.compare(workload, uid, &holding, retired);
        self.scaled(workload, uid, holding.count, to);
        Ok(version)
    }

    async fn lower_since(
        &self,
        workload: &WorkloadId,
        uid: &str,
        holding: &Holding,
        to: u32,
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        let may = || self.leadership.leads() && self.is_obeyed(holding);
        let path = managed(&deployment(workload, "/scale"));
        let mut since = holding.version.to_string();
        loop {
            let ask = Ask::merge(rights::PATCH_SCALE, path.clone(), &patch::count_since(uid, &since, to));
            match self.api.call::<Scaled>(&ask, Turn::Other, deadline, may).await {
                Ok(wrote) => return version(&wrote.metadata),
                Err(Fault::Conflict) => {}
                Err(fault) => return Err(fault.refusal()),
            }
            // Something was written since. Only if the hold is still ours and the spec is the same, it was harmless.
            let ask = Ask::get(rights::GET_DEPLOYMENT, deployment(workload, ""));
            let found: Deployment = self.call(&ask, Turn::Other, deadline, may).await?;
            let meta = &found.metadata;
            let ours = found.hold().is_some_and(|hold| hold.id == holding.id);
            if meta.uid != uid {
                return Err(Refusal::Gone);
            }
            if ours && found.spec.replicas == to {
                return version(meta);
            }
            if !ours || found.metadata.generation != holding.generation || meta.resource_version == since {
                return Err(Refusal::Conflict);
            }
            since.clone_from(&meta.resource_version);
        }
    }

    /// Whether every proxy surely still obeys this hold of ours.
    fn is_obeyed(&self, holding: &Holding) -> bool {
        self.clock.now() < holding.begun + HELD
    }

    async fn mark(
        &self,
        workload: &WorkloadId,
        uid: &str,
        hold: &Hold,
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        self.may_lower(workload, uid)?;
        let some = matches!(hold.targets, Targets::Endpoints(_));
        if some && self.directory.entry(workload).is_some_and(|entry| entry.rolling) {
            return Err(rolling());
        }
        let begun = self.clock.now();
        let path = managed(&deployment(workload, "/status"));
        let ask = Ask::merge(rights::PATCH_STATUS, path, &patch::held(uid, Some(hold)));
        let wrote: Deployment = self.call(&ask, Turn::Other, deadline, || self.leadership.leads()).await?;
        let written = version(&wrote.metadata)?;
        let holding = Holding {
            id: hold.id.clone(),
            begun,
            version: written,
            generation: wrote.metadata.generation,
            count: wrote.spec.replicas,
            selector: wrote.spec.selector.query(),
            rolling: wrote.is_rolling(),
        };
        let is_there =
            |workload: &WorkloadId| self.directory.entry(workload).is_some_and(|entry| entry.adopted);
        self.holdings.keep(workload, holding, is_there);
        Ok(written)
    }

    /// Takes the hold away, whoever wrote it: nobody waits for a leader.
    async fn release(&self, workload: &WorkloadId, uid: &str, deadline: Instant) -> Result<u64, Refusal> {
        let ours = self.holdings.lock().remove(workload).is_some();
        let path = managed(&deployment(workload, "/status"));
        let ask = Ask::merge(rights::PATCH_STATUS, path, &patch::held(uid, None));
        let wrote: Deployment = self.call(&ask, Turn::Wake, deadline, || true).await?;
        // Of our own holds it is known what became of the costs.
        let left = self.directory.entry(workload).and_then(|entry| entry.hold.clone());
        if let Some(Hold { targets: Targets::Endpoints(_), .. }) = left.filter(|_| !ours) {
            self.restore_all(workload, wrote.spec.selector.query());
        }
        version(&wrote.metadata)
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        ask: &Ask,
        turn: Turn,
        deadline: Instant,
        may: impl Fn() -> bool,
    ) -> Result<T, Refusal> {
        self.api.call(ask, turn, deadline, may).await.map_err(Fault::refusal)
    }

    /// What lowers counts needs the leadership, and the count to come back to.
    fn may_lower(&self, workload: &WorkloadId, uid: &str) -> Result<(), Refusal> {
        if !self.leadership.leads() {
            return Err(Fault::Deposed.refusal());
        }
        if !self.kept.has(workload, uid) {
            let why = "its count isn't kept yet in Kaos's ConfigMaps; without that it couldn't come back";
            return Err(Refusal::Failed(why.to_owned()));
        }
        Ok(())
    }

    fn scaled(&self, workload: &WorkloadId, uid: &str, from: u32, to: u32) {
        let (reason, note) = match (from, to) {
            (0, _) => (Reason::ScaledFromZero, format!("woken: 0 to {to} replicas; kaos explain says why")),
            (_, 0) => (
                Reason::ScaledToZero,
                format!("asleep: {from} to 0 replicas, nothing has come for long enough"),
            ),
            _ if to > from => (Reason::ScaledUp, format!("{from} to {to} replicas")),
            _ => (Reason::ScaledDown, format!("{from} to {to} replicas")),
        };
        self.events.tell(Notice {
            of: Of::Deployment,
            workload: workload.clone(),
            uid: uid.to_owned(),
            reason,
            note,
        });
    }
}

/// Refused: several templates' pods are about.
pub(crate) fn rolling() -> Refusal {
    Refusal::Failed("a rollout is under way: which of its pods would go can't be chosen".to_owned())
}

fn version(meta: &Meta) -> Result<u64, Refusal> {
    let unreadable = || {
        let got = &meta.resource_version;
        Refusal::Failed(format!(
            "resourceVersion {got:?} is no number: Kaos needs an API server whose versions count up"
        ))
    };
    meta.version().ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_when_it_goes_away_is_forgotten() {
        let holding = || Holding {
            id: HoldId::new("h"),
            begun: Moment::ZERO,
            version: 1,
            generation: 1,
            count: 1,
            selector: None,
            rolling: false,
        };
        let (gone, stays) = (WorkloadId::new("shop", "preview-1"), WorkloadId::new("shop", "cart"));
        let holdings = Holdings::default();
        holdings.keep(&gone, holding(), |_| true);
        holdings.keep(&stays, holding(), |workload| *workload == stays);
        assert_eq!(holdings.lock().keys().collect::<Vec<_>>(), [&stays]);
    }
}
