//! The replicas of a workload: one endpoint per pod, over any number of slices and address families.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kaos_core::EndpointUid;
use kaos_core::snapshot::{Endpoint, Phase, StartTimes};

use crate::addresses::Address;
use crate::directory::PodName;
use crate::object::{Pod, ServicePort, Slice, Target};

/// Endpoints, sorted by UID, and what their pods are called.
pub(crate) type Gathered = (Vec<Endpoint>, HashMap<EndpointUid, PodName>);

/// What is an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// A pod.
    Pods,
    /// A pod, or an address that somebody has written down.
    Anything,
}

/// The endpoints behind `port`: those of `slices`, and those of `pods` that no slice lists yet.
pub(crate) fn endpoints<'a>(
    port: &ServicePort,
    slices: impl IntoIterator<Item = &'a Slice>,
    pods: Option<&HashMap<Box<str>, Pod>>,
    of: Of,
) -> Gathered {
    let mut found: HashMap<EndpointUid, (Address, u16)> = HashMap::new();
    for slice in slices {
        let Some((_, number)) = slice.ports.iter().find(|(name, _)| *name == port.name) else { continue };
        for address in slice.addresses.iter().filter(|it| of == Of::Anything || !it.pod.is_empty()) {
            merge(&mut found, address, *number);
        }
    }
    for pod in pods.into_iter().flat_map(HashMap::values) {
        let Some(address) = &pod.address else { continue };
        let number = match &port.target {
            Target::Number(number) => Some(*number),
            Target::Name(name) => {
                pod.ports.iter().find(|(named, _)| named == name).map(|(_, number)| *number)
            }
        };
        if let Some(number) = number {
            merge(&mut found, address.clone(), number);
        }
    }
    let names = found.iter().map(|(uid, (address, _))| (uid.clone(), name(&address.pod))).collect();
    let mut all: Vec<Endpoint> =
        found.into_iter().map(|(uid, (address, port))| endpoint(uid, &address, port)).collect();
    all.sort_by(|one, other| one.uid.cmp(&other.uid));
    (all, names)
}

fn endpoint(uid: EndpointUid, address: &Address, port: u16) -> Endpoint {
    Endpoint {
        uid,
        address: SocketAddr::new(address.ip, port),
        phase: address.phase,
        start: StartTimes::default(),
    }
}

/// Terminating is final; ready is what anybody says. Of several addresses the lowest stands, IPv4 before IPv6: the same
/// one in whatever order they come.
fn merge(found: &mut HashMap<EndpointUid, (Address, u16)>, address: Address, port: u16) {
    let Some((known, known_port)) = found.get_mut(&address.uid) else {
        found.insert(address.uid.clone(), (address, port));
        return;
    };
    known.phase = match (known.phase, address.phase) {
        (Phase::Terminating, _) | (_, Phase::Terminating) => Phase::Terminating,
        (Phase::Ready, _) | (_, Phase::Ready) => Phase::Ready,
        (Phase::Starting, Phase::Starting) => Phase::Starting,
    };
    if (address.ip, port) < (known.ip, *known_port) {
        (known.ip, *known_port) = (address.ip, port);
    }
}

/// A ReplicaSet names its pods after itself, with five more characters; names at the limit are cut, and tell nothing.
fn name(pod: &Arc<str>) -> PodName {
    let set =
        pod.rsplit_once('-').filter(|(_, end)| end.len() == 5 && pod.len() < 63).map(|(set, _)| set.into());
    PodName { name: pod.clone(), replica_set: set }
}
