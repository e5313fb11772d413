//! What other scalers have been told of a Deployment, in Kaos's words: KEDA's HTTP add-on, Knative, OpenFaaS, Sablier, Osiris.
//!
//! Pure but for `gather` and `apply`: from plain objects to annotations of Kaos, each with where it comes from, to what has no
//! equal and why, and to the steps by which the other scaler lets go. Whether Kaos takes an annotation is asked of Kaos's own parser.

mod addon;
mod apply;
mod draft;
mod interceptor;
mod keda;
mod knative;
mod left;
mod openfaas;
mod osiris;
mod plan;
#[cfg(test)]
mod plan_test;
mod remark;
mod sablier;

use kaos_core::WorkloadId;
use kube::Client;

pub use apply::{Applied, apply};
pub use left::Left;
pub use plan::{Line, Plan};
pub use remark::{Remark, Step, Verdict};

use crate::controller::Controller;
pub use crate::safety::gather::MANAGER;
use crate::safety::gather::fetch;
use crate::safety::kinds::{KINDS, Kind, OTHERS};
use crate::safety::subject::Subject;
use crate::safety::{Objects, Scope, Survey, Unreachable};
use draft::Draft;

/// What is looked at beside [`OTHERS`].
const LOOKED_AT: [&str; 5] =
    ["Service", "StatefulSet", "ScaledObject", "HTTPScaledObject", "InterceptorRoute"];

/// Everything of `scope` that tells a scaler what to do, and what it is told of. `Err`: its Deployments can't be read.
pub async fn gather(client: &Client, scope: &Scope) -> Result<Objects, Unreachable> {
    let wanted = |kind: &&'static Kind| LOOKED_AT.contains(&kind.kind);
    fetch(client, scope, |_| KINDS.iter().filter(wanted).chain(&OTHERS).collect()).await
}

/// What other scalers have been told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// For each Deployment of which they have been told something, by namespace and name.
    pub plans: Vec<Plan>,
    /// What leads to no Deployment that could be adopted.
    pub left: Vec<Left>,
}

/// Reads what others have been told of those Deployments that are `meant`; `system` is the namespace in which Kaos is, or
/// would be.
pub fn read(objects: &Objects, system: &str, meant: impl Fn(&WorkloadId) -> bool) -> Told {
    let survey = Survey::new(objects, system);
    let mut plans: Vec<Plan> = Vec::new();
    let all = survey.workloads().into_iter().filter(|(controller, _)| *controller == Controller::Deployment);
    for (controller, workload) in all.filter(|(_, workload)| meant(workload)) {
        // One that can't be read can't be adopted either; `kaos check` says why.
        if let Some(Ok(subject)) = survey.subject(controller, &workload, &mut Vec::new()) {
            plans.extend(planned(&subject));
        }
    }
    let made = knative::services(objects).filter_map(|service| knative::made(service, objects, system));
    plans.extend(made.filter(|plan| meant(&plan.workload)));
    plans.sort_by(|one, other| one.workload.cmp(&other.workload));
    let left = left::find(objects, &plans, &meant);
    Told { plans, left }
}

/// What is said of one Deployment. `None`: nothing.
fn planned(subject: &Subject<'_>) -> Option<Plan> {
    let mut draft = Draft::default();
    keda::read(subject, &mut draft);
    knative::read(subject, &mut draft);
    openfaas::read(subject, &mut draft);
    sablier::read(subject, &mut draft);
    osiris::read(subject, &mut draft);
    (!draft.sources.is_empty()).then(|| plan::settle(draft, subject))
}
