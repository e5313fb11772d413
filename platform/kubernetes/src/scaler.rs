//! HorizontalPodAutoscalers, as far as whose count they decide on: from one up it is theirs, and Kaos goes from zero to one and
//! back. One that goes to zero itself has to go by the load that Kaos tells it; those that don't, and those that KEDA made, leave
//! nothing to Kaos.

use std::collections::{HashMap, HashSet};

use kaos_core::annotation::{self, ScaleTarget};
use serde::Deserialize;
use serde_json::Value;

use crate::controller::Controller;
use crate::object::{Deployment, Name};
use crate::protobuf::Message;
use crate::wire::{Meta, Parts, Watched, line};

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scaler {
    pub(crate) name: Box<str>,
    pub(crate) target: Target,
    /// It goes no lower, and from zero nowhere but where this is zero.
    pub(crate) least: u32,
    pub(crate) most: u32,
    /// The ScaledObject that KEDA made it from.
    pub(crate) keda: Option<Box<str>>,
    /// The workload whose load it asks Kaos for.
    pub(crate) load_of: Option<Box<str>>,
}

/// What a HorizontalPodAutoscaler scales, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// Such as `apps`; empty for the core group.
    pub(crate) group: Box<str>,
    /// Such as `Deployment`.
    pub(crate) kind: Box<str>,
    pub(crate) name: Box<str>,
}

impl Target {
    /// What has the count of `deployment`.
    pub(crate) fn of_deployment(deployment: &Deployment) -> Self {
        let named = deployment.annotation(annotation::SCALE_TARGET).and_then(ScaleTarget::parse);
        Target::of(deployment.controller, deployment.id.name(), named.as_ref())
    }

    /// What has the count of the Deployment or StatefulSet `name`: itself, or what its `scale-target` names.
    pub(crate) fn of(controller: Controller, name: &str, named: Option<&ScaleTarget>) -> Self {
        match named {
            Some(ScaleTarget { group, kind, name, .. }) => Target {
                group: group.as_str().into(),
                kind: kind.as_str().into(),
                name: name.as_str().into(),
            },
            None => Target { group: "apps".into(), kind: controller.kind().into(), name: name.into() },
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    scale_target_ref: Option<TargetRef>,
    min_replicas: Option<i32>,
    max_replicas: Option<i32>,
    metrics: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetRef {
    api_version: Option<Box<str>>,
    kind: Option<Box<str>>,
    name: Option<Box<str>>,
}

/// Of no concern is one that scales nothing, or is on its way out.
impl Watched for Scaler {
    const GROUP: &'static str = "autoscaling";
    const VERSION: &'static str = "v2";
    const PLURAL: &'static str = "horizontalpodautoscalers";
    const MESSAGE: Option<&'static Message> = None;

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let spec: Spec = parts.spec()?.unwrap_or_default();
        if meta.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let keda = keda(&meta);
        let (Some(name), Some(to)) = (meta.name, spec.scale_target_ref) else { return Ok(None) };
        let (Some(kind), Some(target)) = (to.kind, to.name) else { return Ok(None) };
        let group = to.api_version.as_deref().and_then(|version| version.split_once('/'));
        let count = |count: Option<i32>| count.map(|count| u32::try_from(count).unwrap_or(0));
        Ok(Some(Scaler {
            name,
            target: Target { group: group.map_or("", |(group, _)| group).into(), kind, name: target },
            least: count(spec.min_replicas).unwrap_or(1),
            most: count(spec.max_replicas).unwrap_or(1),
            keda,
            load_of: spec.metrics.iter().flatten().find_map(load_of).map(Into::into),
        }))
    }
}

/// KEDA owns what it makes, and labels it (`pkg/util` and `controllers/keda/hpa.go` of kedacore/keda).
fn keda(meta: &Meta<'_>) -> Option<Box<str>> {
    let mut owners = meta.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.kind.as_deref() == Some("ScaledObject"));
    let owner = owner.and_then(|owner| owner.name.as_deref());
    owner.or_else(|| meta.label("scaledobject.keda.sh/name")).map(|name| line(name).into())
}

/// The metric under which autoscalers ask for a workload's load.
pub const LOAD: &str = "kaos_load";
/// The label that says of which workload.
pub const LOAD_OF: &str = "workload";

/// The workload whose load is what `metric`, one of an autoscaler's, asks for: as a label that must match, and by no more.
pub(crate) fn load_of(metric: &Value) -> Option<&str> {
    let asked = metric.pointer("/external/metric")?;
    let labels = asked.pointer("/selector/matchLabels")?.as_object()?;
    let more = asked.pointer("/selector/matchExpressions").and_then(Value::as_array);
    let alone = labels.len() == 1 && more.is_none_or(Vec::is_empty);
    if metric["type"] != "External" || asked["name"] != LOAD || !alone {
        return None;
    }
    labels.get(LOAD_OF)?.as_str()
}

impl Scaler {
    /// Who decides on the count of the workload `name` in Kaos's place, between zero and one too: a sentence's beginning.
    pub(crate) fn owns(&self, workload: &str) -> Option<String> {
        let name = line(&self.name);
        match &self.keda {
            Some(object) => Some(format!("KEDA (ScaledObject {object}, HPA {name})")),
            None if self.least == 0 && !self.knows(workload) => Some(format!(
                "HPA {name} (minReplicas: 0; with 1 Kaos does 0 ↔ 1 and it the rest, or with the metric {LOAD} of this workload it \
                 goes by what Kaos knows)"
            )),
            None => None,
        }
    }

    /// Whether it goes to zero itself, by the load of the workload `name`.
    pub(crate) fn sleeps(&self, workload: &str) -> bool {
        self.least == 0 && self.knows(workload)
    }

    fn knows(&self, workload: &str) -> bool {
        self.load_of.as_deref() == Some(workload)
    }

    /// As it is called where the count above zero is its own.
    pub(crate) fn called(&self) -> String {
        format!("HPA {}", line(&self.name))
    }
}

/// All that are known, by what they scale.
#[derive(Debug, Default)]
pub(crate) struct Scalers {
    /// By namespace and target; sorted by name.
    by_target: HashMap<(Box<str>, Target), Vec<Scaler>>,
    targets: HashMap<Name, Target>,
}

impl Scalers {
    /// Those that scale `target`, by name.
    pub(crate) fn on(&self, namespace: &str, target: Target) -> &[Scaler] {
        self.by_target.get(&(namespace.into(), target)).map_or(&[], Vec::as_slice)
    }

    /// The names of those that are known, of one namespace or of all.
    pub(crate) fn names(&self, scope: Option<&str>) -> HashSet<Name> {
        let in_scope = |name: &&Name| scope.is_none_or(|scope| *name.0 == *scope);
        self.targets.keys().filter(in_scope).cloned().collect()
    }

    /// Puts one in its place, or takes it away. What it scaled before and scales now, where that changes anything.
    pub(crate) fn put(&mut self, name: &Name, scaler: Option<Scaler>) -> Vec<Target> {
        let before = self.targets.get(name).cloned();
        if let (Some(before), Some(scaler)) = (&before, &scaler)
            && self.on(&name.0, before.clone()).contains(scaler)
        {
            return Vec::new();
        }
        let mut touched = Vec::new();
        if let Some(target) = before {
            let key = (name.0.clone(), target);
            if let Some(all) = self.by_target.get_mut(&key) {
                all.retain(|known| known.name != name.1);
                if all.is_empty() {
                    self.by_target.remove(&key);
                }
            }
            self.targets.remove(name);
            touched.push(key.1);
        }
        if let Some(scaler) = scaler {
            let target = scaler.target.clone();
            let all = self.by_target.entry((name.0.clone(), target.clone())).or_default();
            all.push(scaler);
            all.sort_by(|one, other| one.name.cmp(&other.name));
            self.targets.insert(name.clone(), target.clone());
            touched.push(target);
        }
        touched
    }
}
