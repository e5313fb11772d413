//! What is read of the metadata that all kinds share.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kaos_core::annotation;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::nginx;
use crate::object::Pairs;

/// What the names of annotations begin with that are read.
const READ: [&str; 5] = [
    annotation::PREFIX,
    "autoscaling.knative.dev/",
    nginx::PREFIX,
    "kubernetes.io/ingress.class",
    "ingressclass.kubernetes.io/",
];

/// The metadata of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta<'a> {
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) uid: Option<Box<str>>,
    pub(crate) resource_version: Option<Box<str>>,
    pub(crate) generation: Option<i64>,
    pub(crate) creation_timestamp: Option<Time>,
    /// Whether there is one says that it is on its way out.
    pub(crate) deletion_timestamp: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "strings")]
    pub(crate) labels: Pairs,
    /// Those that are read of some kind, no others.
    #[serde(default, deserialize_with = "annotations")]
    pub(crate) annotations: Pairs,
    pub(crate) owner_references: Option<Vec<Owner>>,
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
}

/// Who owns an object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owner {
    pub(crate) api_version: Option<Box<str>>,
    pub(crate) kind: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
}

/// Who wrote fields of an object last, and which.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Writer {
    pub(crate) manager: Option<Box<str>>,
    pub(crate) subresource: Option<Box<str>>,
    pub(crate) time: Option<Time>,
    fields_v1: Option<Fields>,
}

/// Of the thousand fields that a writer may have, the one that is asked about.
#[derive(Debug, Deserialize)]
struct Fields {
    #[serde(rename = "f:spec")]
    spec: Option<SpecFields>,
}

#[derive(Debug, Deserialize)]
struct SpecFields {
    #[serde(rename = "f:replicas")]
    replicas: Option<IgnoredAny>,
}

impl Meta<'_> {
    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(named, _)| **named == *name).map(|(_, value)| &**value)
    }

    /// The value of an annotation that is read.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(named, _)| **named == *name).map(|(_, value)| &**value)
    }

    /// Who wrote what, by the API server's own books: long, so they are read only where they are asked for.
    pub(crate) fn writers(&self) -> Result<Vec<Writer>, String> {
        super::part("metadata.managedFields", self.managed_fields).map(Option::unwrap_or_default)
    }
}

impl Writer {
    /// Whether `spec.replicas` is among what it wrote.
    pub(crate) fn writes_count(&self) -> bool {
        let spec = self.fields_v1.as_ref().and_then(|fields| fields.spec.as_ref());
        spec.is_some_and(|spec| spec.replicas.is_some())
    }
}

/// A map of strings.
pub(super) fn strings<'de, D: Deserializer<'de>>(from: D) -> Result<Pairs, D::Error> {
    from.deserialize_option(Strings { keep: |_| true })
}

fn annotations<'de, D: Deserializer<'de>>(from: D) -> Result<Pairs, D::Error> {
    let keep = |name: &str| READ.iter().any(|prefix| name.starts_with(prefix));
    from.deserialize_option(Strings { keep })
}

/// Reads a map of strings, of which only those are kept whose names are wanted: others may be whole manifests.
struct Strings {
    keep: fn(&str) -> bool,
}

impl<'de> Visitor<'de> for Strings {
    type Value = Pairs;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map of strings")
    }

    fn visit_none<E>(self) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Pairs, D::Error> {
        from.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut all: Vec<(Box<str>, Box<str>)> = Vec::new();
        while let Some(name) = map.next_key::<Box<str>>()? {
            if (self.keep)(&name) {
                all.push((name, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        // They come sorted (https://pkg.go.dev/encoding/json#Marshal: "map keys are sorted"), which costs nothing to see.
        all.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(all.into())
    }
}
