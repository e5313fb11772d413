//! What a watch says of objects of one kind: all of them, or one.

use crate::object::Name;
use crate::wire::Watched;

/// What is listed, in which namespace. `None`: in all, or in none.
pub(crate) type List = (&'static str, Option<Box<str>>);

/// That of the proxies' Service.
pub(crate) const ENTRANCE: List = ("entrance", None);

/// What a watch has to say of objects of one kind.
#[derive(Debug)]
pub(crate) enum Part<T> {
    /// These are all there are in this namespace (`None`: in the cluster). One that can't be read is `None`: it stays as
    /// it is known.
    All(Option<Box<str>>, Vec<(Name, Option<T>)>),
    /// This one is as given; `None`: gone, or of no concern.
    One(Name, Option<T>),
}

impl<T: Watched> Part<T> {
    pub(crate) fn list(&self) -> Option<List> {
        self.list_of(T::PLURAL)
    }
}

impl<T> Part<T> {
    pub(crate) fn list_of(&self, plural: &'static str) -> Option<List> {
        match self {
            Part::All(scope, _) => Some((plural, scope.clone())),
            Part::One(..) => None,
        }
    }
}
