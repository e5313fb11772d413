//! Putting one workload back: the larger of its count and the one found at adoption, no hold, no deletion costs of ours.
//! Where the count above zero is a HorizontalPodAutoscaler's, one is enough: it goes on from there.
//!
//! Used when a workload leaves and when Kaos as a whole does. What is to be done is worked out first, from the object as
//! it is, and then done against that very object.

use kaos_core::WorkloadId;
use tokio::time::Instant;

use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::Fault;
use super::object::{Deployment, Pod, Scaled, managed, object};
use super::originals::Original;
use super::patch::{self, HOLD, RETIRED};
use super::target::Places;
use super::victims::{list, restore_pods};
use crate::controller::Controller;
use crate::rights;
use crate::scaler::{Scaler, Target};
use crate::wire::{Wire, path};

/// What is put back for one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restoration {
    /// Its count, and the one that it gets.
    pub from: u32,
    /// The larger of `from` and the count found at adoption.
    pub to: u32,
    /// A hold is taken away.
    pub hold: bool,
    /// Names of pods whose deletion cost is put back.
    pub retired: Vec<String>,
    controller: Controller,
    /// Where its count is, if another object has it.
    scale: Option<String>,
    uid: String,
}

impl Restoration {
    /// Nothing has to be done.
    pub fn is_nothing(&self) -> bool {
        self.from == self.to && !self.hold && self.retired.is_empty()
    }
}

/// What has to be put back on `found` with `pods`.
fn restoration(
    found: &Deployment,
    pods: &[Pod],
    original: &Original,
    (from, handed): (u32, bool),
) -> Restoration {
    let retired = pods.iter().filter(|pod| pod.metadata.annotations.contains_key(RETIRED));
    // Above zero its count is another's, who goes on from one.
    let before = if handed { original.replicas.min(1) } else { original.replicas };
    Restoration {
        from,
        to: from.max(before),
        hold: found.metadata.annotations.contains_key(HOLD),
        retired: retired.map(|pod| pod.metadata.name.clone()).collect(),
        controller: original.controller,
        scale: None,
        uid: found.metadata.uid.clone(),
    }
}

/// Looks at the workload. `None`: it isn't there any more, or another has its name.
pub(crate) async fn plan(
    api: &Api,
    places: &Places,
    original: &Original,
) -> Result<Option<Restoration>, Fault> {
    let workload = &original.workload;
    let path = object(original.controller, workload, "");
    let found = match api.read::<Deployment>(original.controller.get(), path).await {
        Ok(found) if found.metadata.uid == original.uid => found,
        Ok(_) | Err(Fault::Gone) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let pods = pods(api, workload, &found).await?;
    let own = (found.spec.replicas, None);
    let (count, scale) = match &original.target {
        None => own,
        Some(target) => match places.read(api, workload, target).await {
            Ok((count, path)) => (count, Some(path)),
            // Nobody passes its count on any more.
            Err(Fault::Gone) => own,
            Err(fault) => return Err(fault),
        },
    };
    let handed = count < original.replicas && is_handed(api, original).await?;
    Ok(Some(Restoration { scale, ..restoration(&found, &pods, original, (count, handed)) }))
}

/// Whether a HorizontalPodAutoscaler scales it, as far as may be seen: without the right, or the kind, there is none.
async fn is_handed(api: &Api, original: &Original) -> Result<bool, Fault> {
    let Original { workload, controller, target, .. } = original;
    let scaled = Target::of(*controller, workload.name(), target.as_ref());
    let path = path::<Scaler>(Some(workload.namespace()));
    match api.list::<Wire<Scaler>>(rights::LIST_SCALERS, &path, "", "", Instant::now() + DEADLINE).await {
        Ok(all) => Ok(all.into_iter().any(|one| matches!(one.kept, Ok(Some(one)) if one.target == scaled))),
        Err(Fault::Forbidden(_) | Fault::Gone) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Does it. The hold goes last: until then nobody else lowers the count.
pub(crate) async fn apply(
    api: &Api,
    workload: &WorkloadId,
    restoration: &Restoration,
    may: impl Fn() -> bool,
) -> Result<(), Fault> {
    let deadline = || Instant::now() + DEADLINE;
    let Restoration { from, to, hold, retired, controller, scale, uid } = restoration;
    if from != to {
        let own = object(*controller, workload, "/scale");
        let ask = match scale {
            Some(path) => Ask::patch(rights::TARGET_SCALE, managed(path), &patch::count(None, *from, *to)),
            None => Ask::patch(controller.patch_scale(), managed(&own), &patch::count(Some(uid), *from, *to)),
        };
        match api.call::<Scaled>(&ask, Turn::Other, deadline(), &may).await {
            Ok(_) => {}
            Err(Fault::Gone) if scale.is_none() => {}
            // Its count is another one by now, or another's: it is looked at again.
            Err(Fault::Invalid(_) | Fault::Gone) => return Err(Fault::Conflict),
            Err(fault) => return Err(fault),
        }
    }
    if !retired.is_empty() {
        let found: Deployment = api.read(controller.get(), object(*controller, workload, "")).await?;
        let pods = pods(api, workload, &found).await?;
        restore_pods(api, workload, pods).await?;
    }
    if *hold {
        let path = managed(&object(*controller, workload, "/status"));
        let ask = Ask::merge(controller.patch_status(), path, &patch::held(uid, None));
        match api.call::<Deployment>(&ask, Turn::Other, deadline(), &may).await {
            Ok(_) | Err(Fault::Gone) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// The workload's pods, where they may be read: without that right there are no costs of ours.
async fn pods(api: &Api, workload: &WorkloadId, found: &Deployment) -> Result<Vec<Pod>, Fault> {
    let Some(selector) = found.spec.selector.query() else { return Ok(Vec::new()) };
    match list(api, workload, &selector, "", Instant::now() + DEADLINE).await {
        Err(Fault::Forbidden(_)) => Ok(Vec::new()),
        listed => listed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_larger_count_comes_back_and_what_kaos_wrote_goes() {
        let original = |replicas| Original {
            workload: WorkloadId::new("shop", "cart"),
            controller: Controller::Deployment,
            target: None,
            replicas,
            uid: "u".into(),
        };
        let found = |replicas: u32, annotations: serde_json::Value| -> Deployment {
            serde_json::from_value(json!({
                "metadata": {"uid": "u", "annotations": annotations},
                "spec": {"replicas": replicas},
            }))
            .unwrap()
        };
        for (now, then, to) in [(0, 3, 3), (0, 0, 0), (1, 3, 3), (5, 3, 5)] {
            let plan = restoration(&found(now, json!({})), &[], &original(then), (now, false));
            assert_eq!((plan.from, plan.to, plan.is_nothing()), (now, to, now == to));
        }
        let pod = serde_json::from_value(json!({"metadata": {"name": "p", "annotations": {RETIRED: ""}}}));
        for (now, then, to) in [(0, 3, 1), (0, 0, 0), (2, 3, 2), (5, 3, 5)] {
            let plan = restoration(&found(now, json!({})), &[], &original(then), (now, true));
            assert_eq!(plan.to, to, "{now} of {then}: above one it is another's");
        }
        let plan =
            restoration(&found(2, json!({HOLD: "garbage"})), &[pod.unwrap()], &original(2), (2, false));
        assert!(plan.hold && plan.retired == ["p"] && !plan.is_nothing());
    }
}
