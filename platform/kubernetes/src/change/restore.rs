//! Putting one workload back: the larger of its count and the one found at adoption, no hold, no deletion costs of ours.
//!
//! Used when a workload leaves and when Kaos as a whole does. What is to be done is worked out first, from the object as
//! it is, and then done against that very object.

use kaos_core::WorkloadId;
use tokio::time::Instant;

use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::Fault;
use super::object::{Deployment, Pod, Scaled, deployment, managed};
use super::originals::Original;
use super::patch::{self, HOLD, RETIRED};
use super::victims::{list, restore_pods};
use crate::rights;

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
    uid: String,
}

impl Restoration {
    /// Nothing has to be done.
    pub fn is_nothing(&self) -> bool {
        self.from == self.to && !self.hold && self.retired.is_empty()
    }
}

/// What has to be put back on `found` with `pods`.
fn restoration(found: &Deployment, pods: &[Pod], original: &Original) -> Restoration {
    let retired = pods.iter().filter(|pod| pod.metadata.annotations.contains_key(RETIRED));
    Restoration {
        from: found.spec.replicas,
        to: found.spec.replicas.max(original.replicas),
        hold: found.metadata.annotations.contains_key(HOLD),
        retired: retired.map(|pod| pod.metadata.name.clone()).collect(),
        uid: found.metadata.uid.clone(),
    }
}

/// Looks at the workload. `None`: it isn't there any more, or another has its name.
pub(crate) async fn plan(api: &Api, original: &Original) -> Result<Option<Restoration>, Fault> {
    let workload = &original.workload;
    let found = match api.read::<Deployment>(rights::GET_DEPLOYMENT, deployment(workload, "")).await {
        Ok(found) if found.metadata.uid == original.uid => found,
        Ok(_) | Err(Fault::Gone) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let pods = pods(api, workload, &found).await?;
    Ok(Some(restoration(&found, &pods, original)))
}

/// Does it. The hold goes last: until then nobody else lowers the count.
pub(crate) async fn apply(
    api: &Api,
    workload: &WorkloadId,
    restoration: &Restoration,
    may: impl Fn() -> bool,
) -> Result<(), Fault> {
    let deadline = || Instant::now() + DEADLINE;
    let Restoration { from, to, hold, retired, uid } = restoration;
    if from != to {
        let path = managed(&deployment(workload, "/scale"));
        let ask = Ask::patch(rights::PATCH_SCALE, path, &patch::count(uid, *from, *to));
        match api.call::<Scaled>(&ask, Turn::Other, deadline(), &may).await {
            Ok(_) | Err(Fault::Gone) => {}
            // Its count is another one by now: it is looked at again.
            Err(Fault::Invalid(_)) => return Err(Fault::Conflict),
            Err(fault) => return Err(fault),
        }
    }
    if !retired.is_empty() {
        let found: Deployment = api.read(rights::GET_DEPLOYMENT, deployment(workload, "")).await?;
        let pods = pods(api, workload, &found).await?;
        restore_pods(api, workload, pods).await?;
    }
    if *hold {
        let path = managed(&deployment(workload, "/status"));
        let ask = Ask::merge(rights::PATCH_STATUS, path, &patch::held(uid, None));
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
        let original =
            |replicas| Original { workload: WorkloadId::new("shop", "cart"), replicas, uid: "u".into() };
        let found = |replicas: u32, annotations: serde_json::Value| -> Deployment {
            serde_json::from_value(json!({
                "metadata": {"uid": "u", "annotations": annotations},
                "spec": {"replicas": replicas},
            }))
            .unwrap()
        };
        for (now, then, to) in [(0, 3, 3), (0, 0, 0), (1, 3, 3), (5, 3, 5)] {
            let plan = restoration(&found(now, json!({})), &[], &original(then));
            assert_eq!((plan.from, plan.to, plan.is_nothing()), (now, to, now == to));
        }
        let pod = serde_json::from_value(json!({"metadata": {"name": "p", "annotations": {RETIRED: ""}}}));
        let plan = restoration(&found(2, json!({HOLD: "garbage"})), &[pod.unwrap()], &original(2));
        assert!(plan.hold && plan.retired == ["p"] && !plan.is_nothing());
    }
}
