//! What is kept of an EndpointSlice.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kaos_core::EndpointUid;
use kaos_core::snapshot::Phase;

use super::number;
use crate::object::{Address, Slice};

/// The label that names a slice's Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// What is kept of `slice`. `None`: it is no Service's, or its addresses aren't numbers.
pub(crate) fn slice(slice: &EndpointSlice) -> Option<Slice> {
    if !matches!(slice.address_type.as_str(), "IPv4" | "IPv6") {
        return None;
    }
    let meta = &slice.metadata;
    let tcp = |port: &&EndpointPort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let port =
        |port: &EndpointPort| Some((port.name.as_deref().unwrap_or_default().into(), number(port.port?)?));
    let namespace = meta.namespace.as_deref()?;
    Some(Slice {
        name: meta.name.as_deref()?.into(),
        service: meta.labels.as_ref()?.get(SERVICE)?.as_str().into(),
        ports: slice.ports.iter().flatten().filter(tcp).filter_map(port).collect(),
        addresses: slice
            .endpoints
            .iter()
            .flatten()
            .filter_map(|endpoint| address(endpoint, namespace))
            .collect(),
    })
}

/// The first address of `endpoint`: the others are of the same pod. `None` if it is no pod's.
fn address(endpoint: &Endpoint, namespace: &str) -> Option<Address> {
    let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?;
    if pod.namespace.as_deref().is_some_and(|of| of != namespace) {
        return None;
    }
    Some(Address {
        uid: EndpointUid::new(pod.uid.as_deref()?),
        pod: pod.name.as_deref()?.into(),
        ip: endpoint.addresses.first()?.parse().ok().filter(reachable)?,
        phase: phase(endpoint.conditions.as_ref()),
    })
}

/// Absent conditions are unknown; an unknown `ready` is to be read as true (the API's own words).
fn phase(conditions: Option<&EndpointConditions>) -> Phase {
    let said = |read: fn(&EndpointConditions) -> Option<bool>| conditions.and_then(read);
    match (said(|all| all.terminating), said(|all| all.ready)) {
        (Some(true), _) => Phase::Terminating,
        (_, Some(false)) => Phase::Starting,
        _ => Phase::Ready,
    }
}

/// Whether a pod can have this address. Slices are written by users too: none of them shall lead to the machine itself,
/// to a cloud's metadata service or to a crowd.
pub(super) fn reachable(ip: &IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast())
        }
    }
}
