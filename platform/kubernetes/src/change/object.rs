//! The few fields of the API's objects that writers read, and the paths where they are.
//!
//! Read leniently: a field that is missing or new breaks nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kaos_core::WorkloadId;
use kaos_core::snapshot::Hold;
use serde::Deserialize;

use super::patch::HOLD;
use crate::controller::Controller;

/// The name under which Kaos's writes are found in `managedFields`.
pub(crate) const FIELD_MANAGER: &str = "kaos";

/// `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) generation: i64,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) deletion_timestamp: Option<String>,
}

impl Meta {
    /// The version as a number, as snapshots count it.
    pub(crate) fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }
}

/// A scale.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Scaled {
    pub(crate) metadata: Meta,
    pub(crate) spec: ScaledSpec,
}

/// The `spec` of a scale: `replicas` is left out when it is 0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ScaledSpec {
    pub(crate) replicas: u32,
}

/// A Deployment, or a StatefulSet: they are alike in what is read here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Deployment {
    pub(crate) metadata: Meta,
    pub(crate) spec: DeploymentSpec,
    status: DeploymentStatus,
}

/// The `spec` of a Deployment.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct DeploymentSpec {
    pub(crate) replicas: u32,
    pub(crate) selector: Selector,
}

impl Default for DeploymentSpec {
    fn default() -> Self {
        // The server's own default.
        DeploymentSpec { replicas: 1, selector: Selector::default() }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentStatus {
    observed_generation: i64,
    replicas: u32,
    updated_replicas: u32,
}

impl Deployment {
    /// Pods of more than one template are about, or are about to be.
    pub(crate) fn is_rolling(&self) -> bool {
        self.status.observed_generation < self.metadata.generation
            || self.status.updated_replicas < self.status.replicas
    }

    /// The hold that it is marked with, if that is readable.
    pub(crate) fn hold(&self) -> Option<Hold> {
        serde_json::from_str(self.metadata.annotations.get(HOLD)?).ok()
    }
}

/// A label selector, as objects of the API have it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Selector {
    /// As a query's value, encoded. `None` if it selects everything, or can't be said.
    pub fn query(&self) -> Option<String> {
        let labels = self.match_labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let expressions = self.match_expressions.iter();
        let expressions =
            expressions.map(|one| (one.key.as_str(), one.operator.as_str(), one.values.join(",")));
        crate::selector::text(labels, expressions).map(|text| encode(&text))
    }
}

/// A pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Meta,
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Pod {
    /// On its way out, or over.
    pub(crate) fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some() || matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    /// Ready in the platform's eyes.
    pub(crate) fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

/// Some of a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct List<T> {
    #[serde(default)]
    pub(crate) metadata: ListMeta,
    pub(crate) items: Vec<T>,
}

/// `metadata` of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListMeta {
    /// Where the next page begins.
    #[serde(rename = "continue")]
    pub(crate) next: String,
}

/// A Deployment or StatefulSet, or one of its subresources with a slash before it.
pub(crate) fn object(controller: Controller, id: &WorkloadId, part: &str) -> String {
    let (namespace, name, plural) = (encode(id.namespace()), encode(id.name()), controller.plural());
    format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}{part}")
}

/// A pod, or one of its subresources with a slash before it.
pub(crate) fn pod(namespace: &str, name: &str, part: &str) -> String {
    format!("/api/v1/namespaces/{}/pods/{}{part}", encode(namespace), encode(name))
}

/// The pods of a namespace.
pub(crate) fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{}/pods", encode(namespace))
}

/// Makes `path` a write of ours.
pub(crate) fn managed(path: &str) -> String {
    format!("{path}?fieldManager={FIELD_MANAGER}")
}

/// Percent-encodes everything but unreserved characters (RFC 3986).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_becomes_a_query() {
        let selector: Selector = serde_json::from_value(serde_json::json!({
            "matchLabels": {"app": "shop"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }))
        .unwrap();
        assert_eq!(selector.query().unwrap(), "app%3Dshop%2Ctier%20in%20%28a%2Cb%29%2C%21old");
        assert_eq!(Selector::default().query(), None);
        let unknown =
            serde_json::json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": []}]});
        assert_eq!(serde_json::from_value::<Selector>(unknown).unwrap().query(), None);
    }

    #[test]
    fn no_name_leaves_its_place_in_a_path() {
        let path = object(Controller::Deployment, &WorkloadId::new("a/b", "../c?d"), "/scale");
        assert_eq!(path, "/apis/apps/v1/namespaces/a%2Fb/deployments/..%2Fc%3Fd/scale");
    }

    #[test]
    fn a_rollout_is_seen_before_and_while_it_goes_on() {
        let deployment = |generation: i64, observed: i64, all: u32, updated: u32| -> Deployment {
            serde_json::from_value(serde_json::json!({
                "metadata": {"generation": generation},
                "status": {"observedGeneration": observed, "replicas": all, "updatedReplicas": updated},
            }))
            .unwrap()
        };
        assert!(!deployment(3, 3, 4, 4).is_rolling());
        assert!(deployment(4, 3, 4, 4).is_rolling(), "not seen by the controller yet");
        assert!(deployment(4, 4, 5, 1).is_rolling(), "pods of the old template are left");
    }

    #[test]
    fn what_is_missing_is_nothing() {
        let scale: Scaled =
            serde_json::from_str(r#"{"metadata":{"resourceVersion":"12"},"spec":{}}"#).unwrap();
        assert_eq!((scale.spec.replicas, scale.metadata.version()), (0, Some(12)));
        let ready = r#"{"metadata":{},"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
        let pod: Pod = serde_json::from_str(ready).unwrap();
        assert!(pod.is_ready() && !pod.is_leaving());
    }
}
