//! What is kept of Ingresses and their classes, and which of them are Kaos's to serve.

use std::collections::BTreeMap;

use kaos_core::route::Matching;

use crate::object::{Pairs, Target};

/// What an IngressClass names as its controller when Kaos serves its Ingresses.
pub const CONTROLLER: &str = "kaos.dev/ingress";

/// An Ingress, whoever serves it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ingress {
    /// `spec.ingressClassName`, or what was said before there was such a field.
    pub(crate) class: Option<Box<str>>,
    /// Those of ingress-nginx, no others.
    pub(crate) annotations: Pairs,
    /// What gets the requests that no rule is for.
    pub(crate) default: Option<Backend>,
    pub(crate) rules: Box<[HostRule]>,
    pub(crate) tls: Box<[Tls]>,
}

/// The paths of one host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HostRule {
    /// As it is written; empty for every host.
    pub(crate) host: Box<str>,
    pub(crate) paths: Box<[PathRule]>,
}

/// One path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PathRule {
    pub(crate) path: Box<str>,
    /// `None`: it is the controller's to say how.
    pub(crate) matching: Option<Matching>,
    pub(crate) backend: Backend,
}

/// What requests go to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Backend {
    /// A Service of the Ingress's namespace, and its port.
    Service(Box<str>, Target),
    /// Something else, of this kind.
    Other(Box<str>),
}

/// A Secret with a certificate for hosts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tls {
    pub(crate) secret: Box<str>,
    pub(crate) hosts: Box<[Box<str>]>,
}

/// An IngressClass whose controller is Kaos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Ingresses that name no class are of this one.
    pub(crate) is_default: bool,
}

/// Which Ingresses are served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    /// Those of this class, and no others, whatever is known of it.
    pub(crate) only: Option<Box<str>>,
    /// Else those of these.
    pub(crate) known: BTreeMap<Box<str>, Class>,
}

impl Classes {
    /// Whether `ingress` is Kaos's to serve.
    pub(crate) fn serve(&self, ingress: &Ingress) -> bool {
        match (&ingress.class, &self.only) {
            (Some(class), Some(only)) => class == only,
            (Some(class), None) => self.known.contains_key(class),
            (None, Some(_)) => false,
            (None, None) => self.known.values().any(|class| class.is_default),
        }
    }
}
