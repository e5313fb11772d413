//! What tells a scaler of something that can't be adopted.

use kaos_core::WorkloadId;
use serde_json::Value;

use super::keda::{asks_addon, is_made};
use super::plan::Plan;
use super::sablier;
use crate::safety::{Objects, look};

/// An object that leads to no Deployment that could be adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its namespace.
    pub namespace: String,
    /// `ScaledObject/queue`.
    pub object: String,
    /// A sentence.
    pub why: String,
}

/// Those of namespaces that are `meant` of which no plan has come.
pub(super) fn find(objects: &Objects, plans: &[Plan], meant: impl Fn(&WorkloadId) -> bool) -> Vec<Left> {
    let mut left = Vec::new();
    let read = |object: &Value| {
        let (called, namespace) =
            (format!("{}/{}", look::kind(object), look::name(object)), look::namespace(object));
        plans.iter().any(|plan| plan.workload.namespace() == namespace && plan.sources.contains(&called))
    };
    for kind in ["HTTPScaledObject", "InterceptorRoute", "ScaledObject"] {
        for object in objects.every(kind).filter(|object| !read(object) && !is_made(object)) {
            left.push(Left::of(object, why(object)));
        }
    }
    for object in objects.every("StatefulSet").filter(|object| told(object)) {
        left.push(Left::of(object, "Kaos scales Deployments, no StatefulSets".to_owned()));
    }
    left.retain(|one| {
        let target = one.object.split_once('/').map_or("", |(_, name)| name);
        meant(&WorkloadId::new(&one.namespace, target))
    });
    left
}

impl Left {
    fn of(object: &Value, why: String) -> Self {
        let object_name = format!("{}/{}", look::kind(object), look::name(object));
        Left { namespace: look::namespace(object).to_owned(), object: object_name, why }
    }
}

fn why(object: &Value) -> String {
    if look::kind(object) == "InterceptorRoute" {
        return format!("no Deployment is behind Service {}", look::text(object, "/spec/target/service"));
    }
    let target = object.pointer("/spec/scaleTargetRef").unwrap_or(&Value::Null);
    let (kind, name) = (look::text(target, "/kind"), look::text(target, "/name"));
    if !kind.is_empty() && kind != "Deployment" {
        return format!("Kaos scales Deployments, no {kind}");
    }
    if look::kind(object) == "ScaledObject" && !asks_addon(object) {
        let triggers = look::list(object, "/spec/triggers").iter().map(|one| look::text(one, "/type"));
        let triggers: Vec<&str> = triggers.collect();
        return format!("KEDA scales {name} by {}, not by requests: leave it to KEDA", triggers.join(", "));
    }
    format!("there is no Deployment {name}")
}

/// Whether Sablier or Osiris is told to look after it.
fn told(object: &Value) -> bool {
    let mut annotations = look::entries(object, "/metadata/annotations");
    sablier::is_enabled(object) || annotations.any(|(name, _)| name.starts_with("osiris."))
}
