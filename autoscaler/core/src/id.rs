//! Names of things: workloads, endpoints, proxies, holds. Cheap to clone, ordered, printable.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A workload: what is scaled. `namespace/name`; the namespace of local functions is `local`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct WorkloadId {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl WorkloadId {
    /// The workload `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        WorkloadId { namespace: namespace.into(), name: name.into() }
    }

    /// The namespace part.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name part.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

impl From<WorkloadId> for String {
    fn from(id: WorkloadId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for WorkloadId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(WorkloadId::new(namespace, name))
            }
            _ => Err(format!("workload {text:?}: expected namespace/name")),
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identity with this text.
            pub fn new(text: &str) -> Self {
                $name(text.into())
            }

            /// The text of the identity.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// One replica for its whole life: never reused, unlike its address.
    EndpointUid
}
text_id! {
    /// One proxy process, as its reports name it.
    ProxyId
}
text_id! {
    /// One attempt to hold a workload or some of its replicas; never reused.
    HoldId
}
