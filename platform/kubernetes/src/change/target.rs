//! Counts that another object has: the scale of what the annotation `scale-target` names, whatever its kind.
//!
//! Where objects of a kind are is asked of the API server once. The right to their scales is nobody's but who gives it: what is
//! missing is told as the rule that it takes. A write goes to that object, and then waits until the annotated one has followed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kaos_core::WorkloadId;
use kaos_core::annotation::ScaleTarget;
use kaos_core::platform::Refusal;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::Kubernetes;
use super::call::{Api, Ask, DEADLINE, Turn};
use super::events::{Notice, Of, Reason};
use super::fault::Fault;
use super::object::{Deployment, Meta, Scaled, encode, managed, object};
use super::patch;
use super::scale::{Holding, version};
use crate::controller::Controller;
use crate::directory::Entry;
use crate::rights::{self, Right};

/// From one look at whether the annotated object has followed to the next.
const LOOK: Duration = Duration::from_millis(50);

/// Of a write's time this is left for putting the count back, where the annotated object hasn't followed.
const BACK: Duration = Duration::from_millis(500);

/// Most kinds whose place is remembered; a cluster has a few.
const KINDS: usize = 256;

/// Where the objects of custom kinds are.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<(String, String), Arc<str>>>);

/// What a group's version has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    name: String,
    kind: String,
}

impl Places {
    /// The plural of the kind of `target`. [`Fault::Gone`]: the cluster has no such kind with a scale.
    async fn plural(&self, api: &Api, target: &ScaleTarget) -> Result<Arc<str>, Fault> {
        if let Some(plural) = self.known(target) {
            return Ok(plural);
        }
        let found: Resources = api.read(rights::DISCOVER, root(target)).await?;
        let has = |name: &str| found.resources.iter().any(|one| one.name == name);
        let kind = found.resources.iter().find(|one| one.kind == target.kind && !one.name.contains('/'));
        let kind = kind.filter(|one| has(&format!("{}/scale", one.name))).ok_or(Fault::Gone)?;
        let plural: Arc<str> = kind.name.as_str().into();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KINDS {
            all.clear();
        }
        all.insert((target.api_version(), target.kind.clone()), plural.clone());
        Ok(plural)
    }

    fn known(&self, target: &ScaleTarget) -> Option<Arc<str>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(target.api_version(), target.kind.clone())).cloned()
    }

    /// The path of its scale.
    async fn path(&self, api: &Api, workload: &WorkloadId, target: &ScaleTarget) -> Result<String, Fault> {
        let plural = self.plural(api, target).await?;
        let (namespace, name) = (encode(workload.namespace()), encode(&target.name));
        Ok(format!("{}/namespaces/{namespace}/{}/{name}/scale", root(target), encode(&plural)))
    }

    /// Its count, and the path of its scale.
    pub(crate) async fn read(
        &self,
        api: &Api,
        workload: &WorkloadId,
        target: &ScaleTarget,
    ) -> Result<(u32, String), Fault> {
        let path = self.path(api, workload, target).await?;
        let found: Scaled = api.read(rights::TARGET_SCALE, path.clone()).await?;
        Ok((found.spec.replicas, path))
    }

    /// Its count, if it may be read and written: a write that changes nothing is tried on it.
    pub(crate) async fn count(
        &self,
        api: &Api,
        workload: &WorkloadId,
        target: &ScaleTarget,
    ) -> Result<u32, Fault> {
        let (count, path) = self.read(api, workload, target).await?;
        let trial = format!("{}&dryRun=All", managed(&path));
        let ask = Ask::merge(rights::TARGET_SCALE, trial, &patch::plain_count(count));
        api.call::<Scaled>(&ask, Turn::Other, Instant::now() + DEADLINE, || true).await?;
        Ok(count)
    }

    /// Why `target` can't be scaled, as a sentence that says what to do.
    pub(crate) fn trouble(&self, workload: &WorkloadId, target: &ScaleTarget, fault: &Fault) -> String {
        match (fault, self.known(target)) {
            (Fault::Forbidden(_), Some(plural)) => {
                let (namespace, group) = (workload.namespace(), &target.group);
                let resource =
                    if group.is_empty() { plural.to_string() } else { format!("{plural}.{group}") };
                format!(
                    "not scaled: Kaos may not change the scale of {target}. The rule that it takes: apiGroups [{group:?}], \
                     resources [\"{plural}/scale\"], verbs [get, patch]; as in kubectl create role kaos-scale-target -n \
                     {namespace} --verb=get,patch --resource={resource}/scale, bound to the ServiceAccount kaos-autoscaler"
                )
            }
            (Fault::Gone, Some(_)) => format!("not scaled: there is no {target} in {}", workload.namespace()),
            (Fault::Gone, None) => {
                let (kind, of) = (&target.kind, target.api_version());
                format!("not scaled: the cluster has no {kind} of {of} with a scale")
            }
            _ => format!("not scaled: {target}: {fault}"),
        }
    }
}

fn root(target: &ScaleTarget) -> String {
    match target.group.as_str() {
        "" => format!("/api/{}", encode(&target.version)),
        group => format!("/apis/{}/{}", encode(group), encode(&target.version)),
    }
}

/// Waits until the annotated object's own count is `to`. Its version then; `None`: it hasn't followed by `deadline`.
pub(crate) async fn followed(
    api: &Api,
    controller: Controller,
    workload: &WorkloadId,
    to: u32,
    deadline: Instant,
) -> Option<u64> {
    loop {
        let ask = Ask::get(controller.get(), object(controller, workload, ""));
        let found = api.call::<Deployment>(&ask, Turn::Other, deadline, || true).await.ok()?;
        if found.spec.replicas == to {
            return found.metadata.version();
        }
        if Instant::now() + LOOK >= deadline {
            return None;
        }
        sleep(LOOK).await;
    }
}

/// Where a workload's count is.
pub(crate) struct Place<'a> {
    /// Of its scale.
    pub(crate) path: String,
    /// The rights to read it and to change it.
    pub(crate) get: Right,
    pub(crate) patch: Right,
    /// Who must have it. `None`: it is another object's, of which no more than a name is said.
    pub(crate) uid: Option<&'a str>,
}

impl Kubernetes {
    /// Where its count is.
    pub(crate) async fn place<'a>(
        &self,
        workload: &WorkloadId,
        entry: &'a Entry,
    ) -> Result<Place<'a>, Refusal> {
        let Entry { controller, uid, target, .. } = entry;
        let Some(target) = target else {
            let (path, get, patch) =
                (object(*controller, workload, "/scale"), controller.get_scale(), controller.patch_scale());
            return Ok(Place { path, get, patch, uid: Some(uid) });
        };
        let path = self.places.path(&self.api, workload, target).await;
        let path = path.map_err(|fault| self.refusal(workload, entry, fault))?;
        Ok(Place { path, get: rights::TARGET_SCALE, patch: rights::TARGET_SCALE, uid: None })
    }

    /// What the autoscaler is told of a `fault` where the count is. If that is another object, people are told, too: it isn't
    /// the workload that is gone, and the right to it is theirs to give.
    pub(crate) fn refusal(&self, workload: &WorkloadId, entry: &Entry, fault: Fault) -> Refusal {
        let theirs = matches!(fault, Fault::Gone | Fault::Forbidden(_));
        let Some(target) = entry.target.as_ref().filter(|_| theirs) else { return fault.refusal() };
        let why = self.places.trouble(workload, target, &fault);
        self.not_scaled(workload, entry, why.clone());
        match fault.refusal() {
            Refusal::Later { after, .. } => Refusal::Later { after, why },
            _ => Refusal::Failed(why),
        }
    }

    fn not_scaled(&self, workload: &WorkloadId, entry: &Entry, note: String) {
        let (of, workload, uid) = (Of::Workload(entry.controller), workload.clone(), entry.uid.to_string());
        self.events.tell(Notice { of, workload, uid, reason: Reason::TargetNotScaled, note });
    }

    /// The version from which on the workload shows `to`: that of what `wrote` it; or its own, where another object has the count and
    /// it has followed.
    pub(crate) async fn shown(
        &self,
        workload: &WorkloadId,
        entry: &Entry,
        wrote: &Meta,
        to: u32,
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        let followed = match entry.target {
            Some(_) => followed(&self.api, entry.controller, workload, to, deadline).await,
            None => None,
        };
        followed.map_or_else(|| version(wrote), Ok)
    }

    /// A count of `target` that goes down under `holding`.
    ///
    /// The hold is on the annotated object and the count on another, so that no one write can have both for its precondition: that
    /// the hold is still ours is looked at after the other's version was, and before it is written. What takes the hold away within
    /// these milliseconds wakes the workload again. The hold goes with the answer: by then the annotated object has followed, or
    /// the count is back, for whoever follows later would stop what serves again.
    pub(crate) async fn lower_target(
        &self,
        workload: &WorkloadId,
        entry: &Entry,
        target: &ScaleTarget,
        (holding, to): (&Holding, u32),
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        let may = || self.leadership.leads() && self.is_obeyed(holding);
        let refused = |fault| self.refusal(workload, entry, fault);
        let path = self.place(workload, entry).await?.path;
        let ask = Ask::get(rights::TARGET_SCALE, path.clone());
        let found = self.api.call::<Scaled>(&ask, Turn::Other, deadline, may).await.map_err(refused)?;
        if found.spec.replicas != holding.count {
            return Err(Refusal::Conflict);
        }
        let ask = Ask::get(entry.controller.get(), object(entry.controller, workload, ""));
        let held: Deployment = self.call(&ask, Turn::Other, deadline, may).await?;
        if !holding.is_on(&held, &entry.uid) {
            return Err(Refusal::Conflict);
        }
        let (uid, since) = (&found.metadata.uid, &found.metadata.resource_version);
        let ask = Ask::merge(rights::TARGET_SCALE, managed(&path), &patch::count_since(uid, since, to));
        self.api.call::<Scaled>(&ask, Turn::Other, deadline, may).await.map_err(refused)?;
        let patience = deadline - BACK;
        if let Some(version) = followed(&self.api, entry.controller, workload, to, patience).await {
            return Ok(version);
        }
        let back = Ask::patch(rights::TARGET_SCALE, managed(&path), &patch::count(None, to, holding.count));
        let back = self.api.call::<Scaled>(&back, Turn::Other, deadline, || true).await;
        let put = back.map_or_else(|fault| format!("not put back: {fault}"), |_| "put back".to_owned());
        let why = format!(
            "not scaled: {} hasn't followed {target} to {to} replicas within {:?}; {put}",
            entry.controller.kind(),
            DEADLINE.saturating_sub(BACK)
        );
        self.not_scaled(workload, entry, why.clone());
        Err(Refusal::Failed(why))
    }
}
