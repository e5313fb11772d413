//! Objects of one kind as they are known, and each with what its status says.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::object::Name;
use crate::part::Part;
use crate::protobuf::Message;
use crate::wire::{Meta, Parts, Watched};

/// An object, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Stated<T> {
    pub(crate) object: T,
    pub(crate) stand: Stand,
}

/// What the API server, and controllers, say of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) uid: Arc<str>,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) generation: i64,
    pub(crate) version: Arc<str>,
    /// Its status, as JSON. Empty: it has none.
    pub(crate) status: Arc<str>,
}

impl<T> Stated<T> {
    /// The same, for who doesn't ask what its status says: a change of that alone is none.
    pub(crate) fn without_status(mut self) -> Self {
        (self.stand.status, self.stand.version) = (Arc::default(), Arc::default());
        self
    }
}

impl<T: Watched> Watched for Stated<T> {
    const GROUP: &'static str = T::GROUP;
    const VERSION: &'static str = T::VERSION;
    const PLURAL: &'static str = T::PLURAL;
    const MESSAGE: Option<&'static Message> = T::MESSAGE;
    const NAMESPACED: bool = T::NAMESPACED;
    const OPTIONAL: bool = T::OPTIONAL;

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let stand = Stand {
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            created: meta.creation_timestamp.as_ref().map_or(i64::MAX, |created| created.0.as_second()),
            generation: meta.generation.unwrap_or_default(),
            version: meta.resource_version.as_deref().unwrap_or_default().into(),
            status: parts.status_text().into(),
        };
        Ok(T::reduce(meta, parts)?.map(|object| Stated { object, stand }))
    }
}

/// All of a kind, by name.
#[derive(Debug)]
pub(crate) struct Kept<T>(BTreeMap<Name, Box<T>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(BTreeMap::new())
    }
}

impl<T> Kept<T> {
    /// Takes what a watch says; `changed` gets each object as it was and as it is.
    pub(crate) fn take(&mut self, part: Part<T>, mut changed: impl FnMut(Option<&T>, Option<&T>)) {
        let mut put = |all: &mut BTreeMap<Name, Box<T>>, name: Name, object: Option<T>| {
            let object = object.map(Box::new);
            changed(all.get(&name).map(Box::as_ref), object.as_deref());
            match object {
                Some(object) => drop(all.insert(name, object)),
                None => drop(all.remove(&name)),
            }
        };
        match part {
            Part::One(name, object) => put(&mut self.0, name, object),
            Part::All(scope, there) => {
                let in_scope = |name: &&Name| scope.as_ref().is_none_or(|scope| name.0 == *scope);
                let mut gone: HashSet<Name> = self.0.keys().filter(in_scope).cloned().collect();
                for (name, object) in there {
                    gone.remove(&name);
                    // One that can't be read stays as it is known.
                    if object.is_some() {
                        put(&mut self.0, name, object);
                    }
                }
                gone.into_iter().for_each(|name| put(&mut self.0, name, None));
            }
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &Name) -> Option<&T> {
        self.0.get(name).map(Box::as_ref)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &T)> {
        self.0.iter().map(|(name, object)| (name, &**object))
    }

    /// Those of one namespace.
    pub(crate) fn of(&self, namespace: &str) -> impl Iterator<Item = &T> {
        let from: Name = (namespace.into(), Box::default());
        let namespace: Box<str> = namespace.into();
        self.0.range(from..).take_while(move |((of, _), _)| *of == namespace).map(|(_, object)| &**object)
    }
}
