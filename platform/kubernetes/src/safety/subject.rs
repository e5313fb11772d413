//! The Deployment that is examined, read as Kaos reads it once it is opted in.

use std::collections::BTreeMap;

use kaos_core::WorkloadId;
use kaos_core::annotation::{self, Adoption, Reading};
use kaos_core::policy::Policy;
use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::objects::Objects;
use super::{Survey, look};
use crate::infer::{self, Way};
use crate::object::{Deployment, Pairs, Service};
use crate::wire::{Watched, Wire};

/// What opts in.
const ENABLED: &str = "kaos.dev/enabled";

/// A Deployment and what leads to it.
pub(crate) struct Subject<'a> {
    pub(crate) raw: &'a Value,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) objects: &'a Objects,
    /// The namespace of Kaos.
    pub(crate) system: &'a str,
    pub(crate) read: Deployment,
    pub(crate) adoption: Adoption,
    /// The Services whose selectors match its pods, as they are and as they are read.
    pub(crate) services: Vec<(&'a Value, &'a Service)>,
    /// The way that Kaos would take, or why there is none.
    pub(crate) way: Result<Way, String>,
}

impl<'a> Subject<'a> {
    /// Reads it; `services` are those of its namespace. `Err`: it can't be read. What its annotations have wrong is told to `found`.
    pub(crate) fn read(
        raw: &'a Value,
        workload: &'a WorkloadId,
        survey: &'a Survey<'a>,
        found: &mut Vec<Finding>,
    ) -> Result<Self, String> {
        let (namespace, name) = (workload.namespace(), workload.name());
        let read: Deployment =
            reduced(&opted_in(raw))?.ok_or("it isn't a Deployment, or is being deleted")?;
        let adoption = adoption(&read.annotations, &look::called(raw, namespace), found)?;
        let all = survey.services.get(namespace).map_or(&[][..], Vec::as_slice);
        let leading = infer::leading(all.iter().map(|(_, read)| read), &read.template);
        let way = infer::way(&adoption, name, &read.template, &leading);
        let leads = |read: &Service| leading.iter().any(|one| one.name == read.name);
        let services = all.iter().filter(|(_, read)| leads(read)).map(|(raw, read)| (*raw, read)).collect();
        let (objects, system) = (survey.objects, survey.system);
        Ok(Subject { raw, namespace, name, objects, system, read, adoption, services, way })
    }

    /// `Deployment/NAME`.
    pub(crate) fn called(&self) -> String {
        format!("Deployment/{}", self.name)
    }

    /// The labels of its pods.
    pub(crate) fn labels(&self) -> &Pairs {
        &self.read.template.labels
    }

    /// A member of its pod template's spec.
    pub(crate) fn pod(&self) -> &'a Value {
        self.raw.pointer("/spec/template/spec").unwrap_or(&Value::Null)
    }

    /// Containers that run for as long as the pod does, each with its JSON pointer in the Deployment.
    pub(crate) fn containers(&self) -> Vec<(String, &'a Value)> {
        let sidecar = |(_, one): &(String, &Value)| look::text(one, "/restartPolicy") == "Always";
        let sidecars = look::all(self.raw, "spec/template/spec/initContainers/*").into_iter().filter(sidecar);
        sidecars.chain(look::all(self.raw, "spec/template/spec/containers/*")).collect()
    }

    /// An annotation of it.
    pub(crate) fn annotation(&self, name: &str) -> &'a str {
        look::annotation(self.raw, name)
    }

    /// A command that sets annotations of Kaos on it, whatever they were before: several findings may name one.
    pub(crate) fn annotate(&self, annotations: &str) -> String {
        format!("kubectl annotate deployment {} -n {} {annotations} --overwrite", self.name, self.namespace)
    }

    /// A command that changes it by a JSON patch of one step.
    pub(crate) fn patch(&self, step: &Value) -> String {
        format!("kubectl patch deployment {} -n {} --type=json -p '[{step}]'", self.name, self.namespace)
    }

    /// A command that changes one container by a strategic merge.
    pub(crate) fn patch_container(&self, container: &str, mut change: Value) -> String {
        change["name"] = container.into();
        let patch = json!({"spec": {"template": {"spec": {"containers": [change]}}}});
        format!("kubectl patch deployment {} -n {} -p '{patch}'", self.name, self.namespace)
    }

    /// Where requests are to be sent instead.
    pub(crate) fn proxy(&self) -> String {
        format!("the Service kaos-proxy in {}", self.system)
    }
}

/// As if it were opted in, so that it is read; with what files leave out.
fn opted_in(raw: &Value) -> Value {
    let mut copy = raw.clone();
    let meta = &mut copy["metadata"];
    if let Some(annotations) = meta.get_mut("annotations").filter(|all| all.is_object()) {
        annotations[ENABLED] = "true".into();
    } else {
        meta["annotations"] = json!({ENABLED: "true"});
    }
    if !meta["uid"].is_string() {
        meta["uid"] = "".into();
    }
    copy
}

/// Services of each namespace, as they are and as they are read; those that can't be read lead nowhere.
pub(crate) type Services<'a> = BTreeMap<&'a str, Vec<(&'a Value, Service)>>;

pub(crate) fn services(objects: &Objects) -> Services<'_> {
    let mut all = Services::new();
    for raw in objects.every("Service") {
        if let Ok(Some(read)) = reduced(raw) {
            all.entry(look::namespace(raw)).or_default().push((raw, read));
        }
    }
    all
}

/// An object reduced as when it is watched.
fn reduced<T: Watched>(object: &Value) -> Result<Option<T>, String> {
    let wire: Wire<T> = serde_json::from_str(&object.to_string()).map_err(|error| error.to_string())?;
    wire.kept
}

fn adoption(annotations: &Pairs, object: &str, found: &mut Vec<Finding>) -> Result<Adoption, String> {
    let usual = Policy::cluster(0);
    let all = annotations.iter().map(|(name, value)| (&**name, &**value));
    let wrong = match annotation::read(all, &usual) {
        Reading::Adopted(adoption) => return Ok(adoption),
        Reading::Invalid(wrong) => wrong,
        Reading::Left => Vec::new(),
    };
    found.extend(wrong.iter().map(|wrong| {
        Finding::new(Verdict::Unsafe, Topic::Adoption, "annotation")
            .at(object, format!("metadata.annotations[{}]", wrong.annotation))
            .found(format!("{:?}", wrong.value))
            .why(format!(
                "it isn't allowed, so Kaos doesn't take the Deployment: allowed is {}",
                wrong.allowed
            ))
            .fix("change it, or take it away", "")
    }));
    match annotation::read([(ENABLED, "true")], &usual) {
        Reading::Adopted(adoption) => Ok(adoption),
        Reading::Left | Reading::Invalid(_) => Err("its annotations can't be read".to_owned()),
    }
}

/// A Deployment that can't be read.
pub(crate) fn unreadable(workload: &WorkloadId, why: &str) -> Finding {
    Finding::new(Verdict::Unsafe, Topic::Adoption, "unreadable")
        .at(format!("Deployment/{}", workload.name()), "")
        .found(why)
        .why("what can't be read can't be scaled")
}
