//! What is kept of an EndpointSlice.

use std::net::IpAddr;

use kaos_core::snapshot::Phase;

use super::number;
use crate::addresses::Loose;
use crate::object::Slice;
use crate::protobuf::{Message, schema};
use crate::wire::{Conditions, Meta, Parts, SliceEndpoint, SlicePort, Watched};

/// The label that names a slice's Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// Of no concern is one that is no Service's, or whose addresses aren't numbers.
impl Watched for Slice {
    const GROUP: &'static str = "discovery.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "endpointslices";
    const MESSAGE: Option<&'static Message> = Some(&schema::SLICE);

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        if !matches!(parts.address_type()?.as_deref(), Some("IPv4" | "IPv6")) {
            return Ok(None);
        }
        let Some(service) = meta.label(SERVICE).map(Into::into) else { return Ok(None) };
        let (Some(namespace), Some(name)) = (meta.namespace.as_deref(), meta.name) else { return Ok(None) };
        let tcp = |port: &&SlicePort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
        let port =
            |port: &SlicePort| Some((port.name.as_deref().unwrap_or_default().into(), number(port.port?)?));
        let ports = parts.ports()?.unwrap_or_default().iter().filter(tcp).filter_map(port).collect();
        let endpoints = parts.endpoints()?.unwrap_or_default();
        let addresses = endpoints.iter().filter_map(|endpoint| address(endpoint, namespace)).collect();
        Ok(Some(Slice { name, service, ports, addresses }))
    }
}

/// The first address of `endpoint`: the others are of the same pod. One that isn't said to be anything's is known by the
/// address. `None` if it is something else's than a pod's.
fn address<'a>(endpoint: &'a SliceEndpoint, namespace: &str) -> Option<Loose<'a>> {
    let address = &**endpoint.addresses.as_ref()?.first()?;
    let (uid, pod) = match &endpoint.target_ref {
        None => (address, ""),
        Some(target) if target.kind.as_deref() != Some("Pod") => return None,
        Some(target) if target.namespace.as_deref().is_some_and(|of| of != namespace) => return None,
        Some(target) => (target.uid.as_deref()?, target.name.as_deref()?),
    };
    let ip = address.parse().ok().filter(reachable)?;
    Some(Loose { uid, pod, ip, phase: phase(endpoint.conditions) })
}

/// Absent conditions are unknown; an unknown `ready` is to be read as true (the API's own words).
fn phase(conditions: Option<Conditions>) -> Phase {
    let said = |read: fn(Conditions) -> Option<bool>| conditions.and_then(read);
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
