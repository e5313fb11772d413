//! The annotation `scale-target`: the object whose `scale` has the count, where that isn't the annotated one itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object of the same namespace that has the subresource `scale`, as `scaleTargetRef` has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ScaleTarget {
    /// Such as `example.com`; empty for the core group.
    pub group: String,
    /// Such as `v1alpha1`.
    pub version: String,
    /// Such as `Search`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What is allowed.
pub(super) const ALLOWED: &str = "APIVERSION/KIND/NAME of an object of the same namespace that has a scale, such as \
                                  example.com/v1/Search/shop; a Deployment or StatefulSet is annotated itself";

impl ScaleTarget {
    /// Reads `APIVERSION/KIND/NAME`. `None`: it isn't allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (group, version, kind, name) = match parts[..] {
            [group, version, kind, name] if is_subdomain(group) => (group, version, kind, name),
            [version, kind, name] => ("", version, kind, name),
            _ => return None,
        };
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let versioned = version.starts_with('v') && version.len() <= 63 && version.bytes().all(lower);
        let named = kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.len() <= 63;
        let sound = versioned && named && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let own = group == "apps" && ["Deployment", "StatefulSet"].contains(&kind);
        let of = |text: &str| text.to_owned();
        (sound && is_subdomain(name) && !own).then(|| ScaleTarget {
            group: of(group),
            version: of(version),
            kind: of(kind),
            name: of(name),
        })
    }

    /// Its API version: `example.com/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// RFC 1123 §2.1, as Kubernetes has it.
fn is_subdomain(text: &str) -> bool {
    let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let ends = |label: &str| label.is_empty() || label.starts_with('-') || label.ends_with('-');
    text.len() <= 253 && text.bytes().all(byte) && !text.split('.').any(ends)
}

impl fmt::Display for ScaleTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.api_version(), self.kind, self.name)
    }
}

impl From<ScaleTarget> for String {
    fn from(target: ScaleTarget) -> String {
        target.to_string()
    }
}

impl TryFrom<String> for ScaleTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        ScaleTarget::parse(&text).ok_or_else(|| format!("scale target {text:?}: allowed is {ALLOWED}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_named_by_api_version_kind_and_name() {
        for (text, group, version) in [
            ("example.com/v1alpha1/Search/shop", "example.com", "v1alpha1"),
            ("v1/ReplicationController/shop-1.old", "", "v1"),
            ("apps/v1/ReplicaSet/shop", "apps", "v1"),
        ] {
            let target = ScaleTarget::parse(text).unwrap();
            assert_eq!((target.group.as_str(), target.version.as_str()), (group, version));
            assert_eq!(target.to_string(), text);
        }
        for wrong in [
            "",
            "shop",
            "Search/shop",
            "example.com/v1/Search",
            "example.com/v1/search/shop",
            "example.com/1/Search/shop",
            "example.com/v1/Search/../x",
            "example.com/v1/Search/Shop",
            "/v1/Search/shop",
            "a/b/v1/Search/shop",
            "example.com/v1/Sea rch/shop",
            "apps/v1/Deployment/shop",
            "apps/v1/StatefulSet/shop",
        ] {
            assert_eq!(ScaleTarget::parse(wrong), None, "{wrong}");
        }
    }
}
