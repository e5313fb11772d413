//! What watches say: one change of the cluster after the other.

use kaos_core::WorkloadId;

use crate::controller::Controller;
use crate::entry::Entrance;
use crate::gateway::{Gateway, GatewayClass, Grant, HttpRoute, Space};
use crate::ingress::{Class, Ingress};
use crate::kept::Stated;
use crate::object::{Deployment, Service, Slice};
use crate::part::{ENTRANCE, List, Part};
use crate::pods::Pods;
use crate::scaler::Scaler;

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
