//! What watches say: one change of the cluster after the other.

use kaos_core::WorkloadId;

use crate::controller::Controller;
use crate::entry::Entrance;
use crate::gateway::{Gateway, GatewayClass, Grant, HttpRoute, Space};
use crate::ingress::{Class, Ingress};
use crate::kept::Stated;
use crate::object::{Deployment, Name, Service, Slice};
use crate::scaler::Scaler;
use crate::waking::Pods;
use crate::watches::{ENTRANCE, List};
use crate::wire::Watched;

/// What a watch has to say of objects of one kind.
#[derive(Debug)]
pub(crate) enum Part<T> {
    /// These are all there are in this namespace (`None`: in the cluster). One that can't be read is `None`: it stays as
    /// it is known.
    All(Option<Box<str>>, Vec<(Name, Option<T>)>),
    /// This one is as given; `None`: gone, or of no concern.
    One(Name, Option<T>),
}

/// One change of the cluster.
#[derive(Debug)]
pub(crate) enum Change {
    /// Deployments or StatefulSets: each kind has a watch of its own.
    Deployments(Controller, Part<Deployment>),
    Scalers(Part<Scaler>),
    Services(Part<Service>),
    Slices(Part<Slice>),
    Ingresses(Part<Stated<Ingress>>),
    Classes(Part<Class>),
    GatewayClasses(Part<Stated<GatewayClass>>),
    Gateways(Part<Stated<Gateway>>),
    Routes(Part<Stated<HttpRoute>>),
    Grants(Part<Grant>),
    Spaces(Part<Space>),
    /// The proxies' Service. `None`: it isn't there.
    Entrance(Option<Entrance>),
    /// Pods of a waking workload, from its watch of this number.
    Pods(WorkloadId, u64, Pods),
}

impl Change {
    /// The list that it is, if it is a whole one.
    pub(crate) fn list(&self) -> Option<List> {
        match self {
            Change::Deployments(controller, part) => part.list_of(controller.plural()),
            Change::Scalers(part) => part.list(),
            Change::Services(part) => part.list(),
            Change::Slices(part) => part.list(),
            Change::Ingresses(part) => part.list(),
            Change::Classes(part) => part.list(),
            Change::GatewayClasses(part) => part.list(),
            Change::Gateways(part) => part.list(),
            Change::Routes(part) => part.list(),
            Change::Grants(part) => part.list(),
            Change::Spaces(part) => part.list(),
            Change::Entrance(_) => Some(ENTRANCE),
            Change::Pods(..) => None,
        }
    }
}

impl<T: Watched> Part<T> {
    fn list(&self) -> Option<List> {
        self.list_of(T::PLURAL)
    }
}

impl<T> Part<T> {
    fn list_of(&self, plural: &'static str) -> Option<List> {
        match self {
            Part::All(scope, _) => Some((plural, scope.clone())),
            Part::One(..) => None,
        }
    }
}
