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
use super::fault::Fault;
use super::object::{Deployment, Scaled, encode, managed, object};
use super::patch;
use super::scale::Holding;
use crate::controller::Controller;
use crate::directory::Entry;
use crate::rights;

/// From one look at whether the annotated object has followed to the next.
const LOOK: Duration = Duration::from_millis(50);

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
    /// The plural of the kind of `target`.
    async fn plural(&self, api: &Api, target: &ScaleTarget) -> Result<Arc<str>, Fault> {
        let key = (target.api_version(), target.kind.clone());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(plural) = known {
            return Ok(plural);
        }
        let nothing = || Fault::Failed(format!("the cluster has no {} of {} with a scale", key.1, key.0));
        let found: Resources = match api.read(rights::DISCOVER, root(target)).await {
            Err(Fault::Gone) => return Err(nothing()),
            found => found?,
        };
        let has = |name: &str| found.resources.iter().any(|one| one.name == name);
        let kind = found.resources.iter().find(|one| one.kind == target.kind && !one.name.contains('/'));
        let kind = kind.filter(|one| has(&format!("{}/scale", one.name))).ok_or_else(nothing)?;
        let plural: Arc<str> = kind.name.as_str().into();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < KINDS {
            all.insert(key, plural.clone());
        }
        Ok(plural)
    }

    /// The path of its scale.
    pub(crate) async fn scale(
        &self,
        api: &Api,
        workload: &WorkloadId,
        target: &ScaleTarget,
    ) -> Result<String, Fault> {
        let plural = self.plural(api, target).await?;
        let (namespace, name) = (encode(workload.namespace()), encode(&target.name));
        Ok(format!("{}/namespaces/{namespace}/{}/{name}/scale", root(target), encode(&plural)))
    }

    /// Its count, if it may be read and written: a write that changes nothing is tried on it.
    pub(crate) async fn count(
        &self,
        api: &Api,
        workload: &WorkloadId,
        target: &ScaleTarget,
    ) -> Result<u32, Fault> {
        let path = self.scale(api, workload, target).await?;
        let found: Scaled = api.read(rights::TARGET_SCALE, path.clone()).await?;
        let count = found.spec.replicas;
        let trial = format!("{}&dryRun=All", managed(&path));
        let ask = Ask::merge(rights::TARGET_SCALE, trial, &patch::plain_count(count));
        api.call::<Scaled>(&ask, Turn::Other, Instant::now() + DEADLINE, || true).await?;
        Ok(count)
    }

    /// Why `target` can't be scaled, as a sentence that says what to do.
    pub(crate) fn trouble(&self, workload: &WorkloadId, target: &ScaleTarget, fault: &Fault) -> String {
        let key = (target.api_version(), target.kind.clone());
        let plural = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        match (fault, plural) {
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
            (Fault::Gone, _) => format!("not scaled: there is no {target} in {}", workload.namespace()),
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

impl Kubernetes {
    /// A count of `target` that must still be `from`, as one of the workload itself is raised.
    pub(crate) async fn raise_target(
        &self,
        workload: &WorkloadId,
        entry: &Entry,
        target: &ScaleTarget,
        (from, to): (u32, u32),
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        let may = || from == 0 || self.leadership.leads();
        let path = self.places.scale(&self.api, workload, target).await.map_err(Fault::refusal)?;
        let ask = Ask::patch(rights::TARGET_SCALE, managed(&path), &patch::count(None, from, to));
        let wrote = match self.api.call::<Scaled>(&ask, Turn::Wake, deadline, may).await {
            // The test failed: done by another, or another count by now.
            Err(Fault::Invalid(_)) => {
                let ask = Ask::get(rights::TARGET_SCALE, path);
                let found = self.api.call::<Scaled>(&ask, Turn::Wake, deadline, may).await;
                let found = found.map_err(Fault::refusal)?;
                if found.spec.replicas != to {
                    return Err(Refusal::Conflict);
                }
                found
            }
            wrote => {
                let wrote = wrote.map_err(Fault::refusal)?;
                self.scaled(workload, entry, from, to);
                wrote
            }
        };
        self.after(workload, entry, &wrote, to, deadline).await
    }

    /// A count of `target` that goes down under `holding`.
    ///
    /// The hold is on the annotated object and the count on another, so that no one write can have both for its precondition: that
    /// the hold is still ours is looked at after the other's version was, and before it is written. What takes the hold away within
    /// these milliseconds wakes the workload again.
    pub(crate) async fn lower_target(
        &self,
        workload: &WorkloadId,
        entry: &Entry,
        target: &ScaleTarget,
        (holding, to): (&Holding, u32),
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        let may = || self.leadership.leads() && self.is_obeyed(holding);
        let path = self.places.scale(&self.api, workload, target).await.map_err(Fault::refusal)?;
        let ask = Ask::get(rights::TARGET_SCALE, path.clone());
        let found =
            self.api.call::<Scaled>(&ask, Turn::Other, deadline, may).await.map_err(Fault::refusal)?;
        if found.spec.replicas != holding.count {
            return Err(Refusal::Conflict);
        }
        let ask = Ask::get(entry.controller.get(), object(entry.controller, workload, ""));
        let held = self.api.call::<Deployment>(&ask, Turn::Other, deadline, may).await;
        if !holding.is_on(&held.map_err(Fault::refusal)?, &entry.uid) {
            return Err(Refusal::Conflict);
        }
        let (uid, since) = (&found.metadata.uid, &found.metadata.resource_version);
        let ask = Ask::merge(rights::TARGET_SCALE, managed(&path), &patch::count_since(uid, since, to));
        let wrote =
            self.api.call::<Scaled>(&ask, Turn::Other, deadline, may).await.map_err(Fault::refusal)?;
        self.after(workload, entry, &wrote, to, deadline).await
    }

    /// The version of the annotated object once it shows the count that was written, else that of the write: until then a hold
    /// stays, for its pods don't go yet and would be sent requests.
    async fn after(
        &self,
        workload: &WorkloadId,
        entry: &Entry,
        wrote: &Scaled,
        to: u32,
        deadline: Instant,
    ) -> Result<u64, Refusal> {
        match followed(&self.api, entry.controller, workload, to, deadline).await {
            Some(version) => Ok(version),
            None => super::scale::version(&wrote.metadata),
        }
    }
}
