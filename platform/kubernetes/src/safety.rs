//! Whether a Deployment may sleep: what static facts of the cluster's objects say, each with a verdict and a way to mend it.
//!
//! Pure but for `gather`: from plain objects, as an API server sends them or as somebody has written them, to findings. It
//! knows no live Kaos; what Kaos would infer of a Deployment is inferred by the same code.

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

use kaos_core::WorkloadId;

pub use finding::{Finding, Fix, Topic, Verdict};
pub use gather::{Scope, Unreachable, gather};
pub use objects::{Objects, Unseen};

pub use crate::selector::Selector;

use callers::Callers;
use routes::Routes;
use subject::{Services, Subject};

/// All that is known of a cluster, or of some files, ready to be asked about each of its Deployments.
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

    /// The Deployments there are, but for Kaos's own.
    pub fn workloads(&self) -> Vec<WorkloadId> {
        let all = self.objects.every("Deployment");
        let ours = |object: &&serde_json::Value| look::label(object, "app.kubernetes.io/part-of") != "kaos";
        all.filter(ours).map(|object| WorkloadId::new(look::namespace(object), look::name(object))).collect()
    }

    /// The Deployment `workload`, read; what its annotations have wrong goes to `found`. `None`: there is none; `Err`: it can't be
    /// read.
    pub(crate) fn subject<'w>(
        &'w self,
        workload: &'w WorkloadId,
        found: &mut Vec<Finding>,
    ) -> Option<Result<Subject<'w>, String>> {
        let raw = self.objects.get("Deployment", workload.namespace(), workload.name())?;
        Some(Subject::read(raw, workload, self, found))
    }

    /// Whether the Deployment `workload` has labels that `selector` selects.
    pub fn labelled(&self, workload: &WorkloadId, selector: &Selector) -> bool {
        let raw = self.objects.get("Deployment", workload.namespace(), workload.name());
        raw.is_some_and(|raw| selector.selects(&look::labels(raw)))
    }

    /// What speaks for and against a sleep of `workload`, the worst first. `None`: there is no such Deployment.
    pub fn examine(&self, workload: &WorkloadId) -> Option<Vec<Finding>> {
        let mut found = Vec::new();
        let subject = match self.subject(workload, &mut found)? {
            Ok(subject) => subject,
            Err(why) => return Some(vec![subject::unreadable(workload, &why)]),
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
