//! Whether a workload may sleep: what static facts of the cluster's objects say, each with a verdict and a way to mend it.
//!
//! Pure but for `gather`: from plain objects, as an API server sends them or as somebody has written them, to findings. It
//! knows no live Kaos; what Kaos would infer of a workload is inferred by the same code.

mod callers;
pub(crate) mod count;
mod finding;
pub(crate) mod gather;
pub(crate) mod kinds;
pub(crate) mod look;
mod objects;
mod policy;
mod ports;
mod questions;
mod routes;
#[cfg(test)]
mod safety_test;
mod services;
mod start;
mod stop;
pub(crate) mod subject;
#[cfg(test)]
pub(crate) mod testing;
mod volumes;
#[cfg(test)]
mod ways_test;
mod writers;
#[cfg(test)]
mod writers_test;

use kaos_core::{WorkloadId, annotation};
use serde_json::Value;

pub use finding::{Finding, Fix, Topic, Verdict};
pub use gather::{Scope, Unreachable, gather};
pub use objects::{Objects, Unseen};

pub use crate::selector::Selector;

use crate::controller::Controller;
use callers::Callers;
use routes::Routes;
use subject::{Services, Subject};

/// All that is known of a cluster, or of some files, ready to be asked about each of its workloads.
pub struct Survey<'a> {
    objects: &'a Objects,
    services: Services<'a>,
    routes: Routes<'a>,
    callers: Callers,
    system: &'a str,
}

impl<'a> Survey<'a> {
    /// Of `objects`; `system` is the namespace in which Kaos is, or would be.
    pub fn new(objects: &'a Objects, system: &'a str) -> Self {
        let (services, routes) = (subject::services(objects), Routes::index(objects));
        Survey { objects, services, routes, callers: Callers::index(objects), system }
    }

    /// The Deployments there are, but for Kaos's own; and the StatefulSets that are opted in: most others answer no requests.
    pub fn workloads(&self) -> Vec<(Controller, WorkloadId)> {
        let named =
            |controller, object| (controller, WorkloadId::new(look::namespace(object), look::name(object)));
        let all = self.objects.every(Controller::Deployment.kind());
        let others = |object: &&Value| look::label(object, "app.kubernetes.io/part-of") != "kaos";
        let all = all.filter(others).map(|object| named(Controller::Deployment, object));
        let sets = self.objects.every(Controller::StatefulSet.kind());
        let asks = |object: &&Value| look::annotation(object, annotation::ENABLED) == "true";
        all.chain(sets.filter(asks).map(|object| named(Controller::StatefulSet, object))).collect()
    }

    /// The workload, read; what its annotations have wrong goes to `found`. `None`: there is none of this kind; `Err`: it can't be
    /// read.
    pub(crate) fn subject<'w>(
        &'w self,
        controller: Controller,
        workload: &'w WorkloadId,
        found: &mut Vec<Finding>,
    ) -> Option<Result<Subject<'w>, String>> {
        let raw = self.object(controller, workload)?;
        Some(Subject::read(raw, controller, workload, self, found))
    }

    /// Whether there is such a workload.
    pub fn has(&self, controller: Controller, workload: &WorkloadId) -> bool {
        self.object(controller, workload).is_some()
    }

    /// Whether the workload has labels that `selector` selects.
    pub fn labelled(&self, controller: Controller, workload: &WorkloadId, selector: &Selector) -> bool {
        self.object(controller, workload).is_some_and(|raw| selector.selects(&look::labels(raw)))
    }

    fn object(&self, controller: Controller, workload: &WorkloadId) -> Option<&'a Value> {
        self.objects.get(controller.kind(), workload.namespace(), workload.name())
    }

    /// What speaks for and against a sleep of `workload`, the worst first. `None`: there is none of this kind.
    pub fn examine(&self, controller: Controller, workload: &WorkloadId) -> Option<Vec<Finding>> {
        let mut found = Vec::new();
        let subject = match self.subject(controller, workload, &mut found)? {
            Ok(subject) => subject,
            Err(why) => return Some(vec![subject::unreadable(controller, workload, &why)]),
        };
        services::examine(&subject, &mut found);
        self.routes.examine(&subject, &mut found);
        ports::examine(&subject, &mut found);
        policy::examine(&subject, &mut found);
        self.callers.examine(&subject, &mut found);
        count::examine(&subject, &mut found);
        writers::examine(&subject, &mut found);
        volumes::examine(&subject, &mut found);
        start::examine(&subject, &mut found);
        stop::examine(&subject, &mut found);
        questions::examine(&subject, &mut found);
        if subject.adoption.accepts_bypass {
            found.iter_mut().for_each(Finding::accept);
        }
        self.clear(&subject, &mut found);
        found.sort_by_key(|finding| (finding.verdict, finding.topic));
        Some(found)
    }

    /// A topic on which nothing was found is fine, if all that belongs to it could be looked at.
    fn clear(&self, subject: &Subject<'_>, found: &mut Vec<Finding>) {
        for topic in Topic::CLEAR {
            let told = |finding: &Finding| finding.topic == topic && finding.verdict != Verdict::Question;
            let unseen = self.objects.unseen().iter().any(|unseen| unseen.topic == topic && !unseen.absent);
            if !unseen && !found.iter().any(told) {
                found.push(
                    Finding::new(Verdict::Fine, topic, "nothing-found")
                        .found(topic.nothing(subject.way.is_ok())),
                );
            }
        }
    }
}
