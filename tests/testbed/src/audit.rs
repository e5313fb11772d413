//! What the API server was asked, from its audit log: by whom, for what, when, and what it answered.
//!
//! Written when a response is complete (for a watch also when it begins), which may be a moment after the client has it:
//! wait for the entries of an answered request.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::Deserialize;

/// What is written: every request, with its body. The API server's own requests are left out.
pub(crate) const POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "users": ["system:apiserver"]},
    {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*"]},
    {"level": "Request"}
  ]
}"#;

/// The audit log of a control plane.
#[derive(Clone, Debug)]
pub struct Audit(pub(crate) PathBuf);

impl Audit {
    /// The entries that `filter` wants, in the order of writing.
    pub fn entries(&self, filter: impl Fn(&AuditEntry) -> bool) -> Vec<AuditEntry> {
        let log = fs::read_to_string(&self.0).unwrap_or_default();
        // The last line may be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(filter).collect()
    }
}

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AuditEntry {
    /// `ResponseStarted` (long-running requests), `ResponseComplete` or `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who asked.
    pub user: User,
    /// The client's name for itself.
    #[serde(default)]
    pub user_agent: String,
    /// What was asked about; none for requests like `/version`.
    pub object_ref: Option<ObjectReference>,
    /// What was answered.
    pub response_status: Option<ResponseStatus>,
    /// The body of a write.
    pub request_object: Option<serde_json::Value>,
    /// When the request reached the API server.
    pub request_received_timestamp: MicroTime,
    /// When this stage was reached.
    pub stage_timestamp: MicroTime,
}

impl AuditEntry {
    /// Whether it is about this kind of thing: `deployments`, or `deployments/scale`.
    pub fn is_about(&self, resource: &str) -> bool {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        self.object_ref
            .as_ref()
            .is_some_and(|object| object.resource == resource && object.subresource == subresource)
    }

    /// The HTTP status of the answer; zero if there was none.
    pub fn code(&self) -> u16 {
        self.response_status.as_ref().map_or(0, |status| status.code)
    }
}

/// Who asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct User {
    /// As RBAC names it: `system:serviceaccount:NAMESPACE:NAME` for a service account.
    pub username: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// What else is known of it, such as which of a service account's tokens it was.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a request was about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObjectReference {
    /// In the plural: `deployments`.
    pub resource: String,
    /// `scale`, `status`; empty if none.
    pub subresource: String,
    /// Empty for what has none.
    pub namespace: String,
    /// Empty for a list.
    pub name: String,
    /// `apps`; empty for the core group.
    pub api_group: String,
}

/// What was answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ResponseStatus {
    /// The HTTP status.
    pub code: u16,
}
