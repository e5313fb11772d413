//! Objects as the API server sends them, reduced to what is kept of them.
//!
//! Nothing that an object says is believed without a look: counts and ports out of range, addresses that no pod has,
//! and names that contradict each other are left out.

mod deployment;
mod pod;
mod slice;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(crate) use deployment::deployment;
pub(crate) use pod::pod;
pub(crate) use slice::slice;

use crate::object::{Kind, Name, Pairs, Service, ServicePort, Target};

/// What is kept of a Service. `None`: it selects no pods.
pub(crate) fn service(service: &core::Service) -> Option<Service> {
    let spec = service.spec.as_ref()?;
    let kind = match (spec.type_.as_deref(), spec.cluster_ip.as_deref()) {
        (Some("ExternalName"), _) => return None,
        (Some("LoadBalancer"), _) => Kind::LoadBalancer,
        (Some("NodePort"), _) => Kind::NodePort,
        (_, Some("None")) => Kind::Headless,
        _ => Kind::Cluster,
    };
    let selector = pairs(spec.selector.as_ref(), |_| true);
    if selector.is_empty() {
        return None;
    }
    let tcp = |port: &&core::ServicePort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let ports = spec.ports.iter().flatten().filter(tcp).filter_map(port).collect();
    Some(Service { name: service.metadata.name.as_deref()?.into(), selector, ports, kind })
}

fn port(port: &core::ServicePort) -> Option<ServicePort> {
    let at = number(port.port)?;
    let target = match &port.target_port {
        None | Some(IntOrString::Int(0)) => Target::Number(at),
        Some(IntOrString::Int(target)) => Target::Number(number(*target)?),
        Some(IntOrString::String(name)) => Target::Name(name.as_str().into()),
    };
    let name = port.name.as_deref().unwrap_or_default().into();
    let h2c = port.app_protocol.as_deref() == Some("kubernetes.io/h2c");
    Some(ServicePort { name, port: at, target, h2c })
}

/// Namespace and name of an object. `None`: it hasn't both.
pub(crate) fn name(object: &impl kube::Resource) -> Option<Name> {
    let meta = object.meta();
    Some((meta.namespace.as_deref()?.into(), meta.name.as_deref()?.into()))
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

fn target(port: &IntOrString) -> Option<Target> {
    match port {
        IntOrString::Int(port) => number(*port).map(Target::Number),
        IntOrString::String(name) => Some(Target::Name(name.as_str().into())),
    }
}

fn pairs(map: Option<&BTreeMap<String, String>>, keep: impl Fn(&str) -> bool) -> Pairs {
    let pair = |(name, value): (&String, &String)| (name.as_str().into(), value.as_str().into());
    map.into_iter().flatten().filter(|(name, _)| keep(name)).map(pair).collect()
}

/// Named TCP ports of `container`.
fn ports<'a>(container: &'a core::Container) -> impl Iterator<Item = (Box<str>, u16)> + 'a {
    let tcp = |port: &&core::ContainerPort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let named =
        |port: &core::ContainerPort| Some((port.name.as_deref()?.into(), number(port.container_port)?));
    container.ports.iter().flatten().filter(tcp).filter_map(named)
}

/// Most characters of a message that is passed on.
const MESSAGE: usize = 300;

/// A message of the platform as one short line.
fn line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE).collect();
    line.trim().to_owned()
}
