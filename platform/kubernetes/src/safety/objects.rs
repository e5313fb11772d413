//! The objects that are looked at, by kind and namespace, and what couldn't be looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::Topic;
use super::kinds::{self, Kind};
use super::look;
use crate::object::Name;

/// Plain objects. Of several with one name the last one counts, as if it had been applied last.
#[derive(Debug, Default)]
pub struct Objects {
    all: BTreeMap<Box<str>, BTreeMap<Name, Value>>,
    unseen: Vec<Unseen>,
}

/// Objects that couldn't be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// In the plural and with the group: `httproutes.gateway.networking.k8s.io`.
    pub resource: String,
    /// Why, in a few words.
    pub why: String,
    /// There can't be any: the cluster doesn't know the kind.
    pub absent: bool,
    /// What would have been learned.
    pub topic: Topic,
}

impl Objects {
    /// Takes one object, if it is of a kind that is looked at; one without a namespace is of `namespace`. `Err`: why it is no
    /// object at all.
    pub fn take(&mut self, mut object: Value, namespace: &str) -> Result<(), String> {
        if look::text(&object, "/kind").ends_with("List")
            && let Some(Value::Array(items)) = object.get_mut("items").map(Value::take)
        {
            return items.into_iter().try_for_each(|item| self.take(item, namespace));
        }
        let group = look::text(&object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
        let kind = look::kind(&object);
        if kind.is_empty() || look::text(&object, "/apiVersion").is_empty() {
            return Err("no object of Kubernetes: it has no kind or no apiVersion".to_owned());
        }
        if look::name(&object).is_empty() {
            return Err(format!("a {kind} without metadata.name"));
        }
        if let Some(kind) = kinds::find(kind, group) {
            if look::namespace(&object).is_empty() {
                object["metadata"]["namespace"] = namespace.into();
            }
            self.keep(kind, object);
        }
        Ok(())
    }

    /// Takes an object of this kind that has a namespace and a name.
    pub(crate) fn keep(&mut self, kind: &Kind, object: Value) {
        let at = (look::namespace(&object).into(), look::name(&object).into());
        self.all.entry(kind.kept.into()).or_default().insert(at, object);
    }

    pub(crate) fn miss(&mut self, unseen: Unseen) {
        self.unseen.push(unseen);
    }

    /// What couldn't be looked at.
    pub fn unseen(&self) -> &[Unseen] {
        &self.unseen
    }

    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.all.get(kind)?.get(&(namespace.into(), name.into()))
    }

    /// All of a kind.
    pub(crate) fn every(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.all.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// All of a kind in a namespace.
    pub(crate) fn within<'a>(
        &'a self,
        kind: &str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        let first = (Box::from(namespace), Box::from(""));
        let all = self.all.get(kind).into_iter().flat_map(move |all| all.range(first.clone()..));
        all.take_while(move |((of, _), _)| **of == *namespace).map(|(_, object)| object)
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: &str) -> usize {
        self.all.get(kind).map_or(0, BTreeMap::len)
    }
}
