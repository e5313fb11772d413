//! What users must be told of their workloads, Ingresses and HTTPRoutes, as data: Events and `explain` are made from it.

use std::sync::Arc;

use kaos_core::WorkloadId;

/// One thing to be told of one workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The workload.
    pub workload: WorkloadId,
    /// What it is about.
    pub kind: Kind,
    /// A sentence, without a full stop.
    pub text: String,
}

impl Note {
    pub(crate) fn of(workload: &WorkloadId, kind: Kind, text: String) -> Self {
        Note { workload: workload.clone(), kind, text }
    }
}

/// What an object is that isn't a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// An Ingress.
    Ingress,
    /// A GatewayClass.
    GatewayClass,
    /// A Gateway.
    Gateway,
    /// An HTTPRoute.
    HttpRoute,
}

impl Object {
    /// Its API version, and what its kind is called there, in the singular and in the plural.
    pub(crate) fn kind(self) -> (&'static str, &'static str, &'static str) {
        const GATEWAY: &str = "gateway.networking.k8s.io/v1";
        match self {
            Object::Ingress => ("networking.k8s.io/v1", "Ingress", "ingresses"),
            Object::GatewayClass => (GATEWAY, "GatewayClass", "gatewayclasses"),
            Object::Gateway => (GATEWAY, "Gateway", "gateways"),
            Object::HttpRoute => (GATEWAY, "HTTPRoute", "httproutes"),
        }
    }
}

/// One thing to be told of one Ingress or HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectNote {
    /// What it is.
    pub of: Object,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name there.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Arc<str>,
    /// What it is about.
    pub kind: Kind,
    /// A sentence, without a full stop.
    pub text: String,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Annotations, or what they lead to, aren't allowed: the last good ones stay, or it isn't adopted.
    Invalid,
    /// An annotation that Kaos doesn't have has no effect.
    Unsupported,
    /// What an Ingress or an HTTPRoute sends requests to isn't there.
    Backend,
    /// Another has a host and path that this one claims too.
    HostConflict,
    /// A Deployment and a StatefulSet of this name ask to be Kaos's: told to the one that isn't.
    NameTaken,
    /// It asked to be scaled and is only observed.
    ObserveOnly,
    /// Its count above zero is another's.
    HandedOver,
    /// Something was left open and inferred.
    Inferred,
    /// Something has no effect, or less than a reader may think.
    Limited,
}

impl Kind {
    /// A stable word, as Events write reasons.
    pub fn reason(self) -> &'static str {
        match self {
            Kind::Invalid => "InvalidAnnotation",
            Kind::Unsupported => "UnsupportedAnnotation",
            Kind::Backend => "BackendNotFound",
            Kind::HostConflict => "HostConflict",
            Kind::NameTaken => "NameTaken",
            Kind::ObserveOnly => "ObserveOnly",
            Kind::HandedOver => "HandedOver",
            Kind::Inferred => "Inferred",
            Kind::Limited => "Limited",
        }
    }

    /// Whether each leader tells it, not only who sees it change.
    pub(crate) fn is_told_again(self) -> bool {
        self.warns() || self == Kind::HandedOver
    }

    /// Whether there is something for a user to do.
    pub fn warns(self) -> bool {
        matches!(
            self,
            Kind::Invalid
                | Kind::Unsupported
                | Kind::Backend
                | Kind::HostConflict
                | Kind::NameTaken
                | Kind::ObserveOnly
        )
    }
}

/// All that is to be told at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Sorted by workload, then kind.
    pub all: Arc<[Note]>,
    /// Workloads that say `enabled` and aren't allowed as they are: the metric `kaos_invalid_workloads`.
    pub invalid: usize,
    /// What is to be told of Ingresses and HTTPRoutes. Sorted.
    pub objects: Arc<[ObjectNote]>,
}
