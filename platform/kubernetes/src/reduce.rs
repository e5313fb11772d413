//! Objects as they were read, reduced to what is kept of them.
//!
//! Nothing that an object says is believed without a look: counts and ports out of range, addresses that no pod has,
//! and names that contradict each other are left out. How objects are read is `wire`'s to know.

mod deployment;
mod gateway;
mod ingress;
mod pod;
mod route;
mod slice;

pub(crate) use deployment::StatefulSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::object::{Kind, Service, ServicePort, Target};
use crate::protobuf::{Message, schema};
use crate::wire::{self, Meta, Parts, ServiceSpec, ServiceSpecPort, Watched};

/// Of no concern is one that has no endpoints by itself, or leads nowhere.
impl Watched for Service {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "services";
    const MESSAGE: Option<&'static Message> = Some(&schema::SERVICE);

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let spec: ServiceSpec = parts.spec()?.unwrap_or_default();
        let kind = match (spec.kind.as_deref(), spec.cluster_ip.as_deref()) {
            (Some("ExternalName"), _) => return Ok(None),
            (Some("LoadBalancer"), _) => Kind::LoadBalancer,
            (Some("NodePort"), _) => Kind::NodePort,
            (_, Some("None")) => Kind::Headless,
            _ => Kind::Cluster,
        };
        let tcp = |port: &&ServiceSpecPort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
        let ports: Box<[ServicePort]> = spec.ports.iter().flatten().filter(tcp).filter_map(port).collect();
        if spec.selector.is_empty() && ports.is_empty() {
            return Ok(None);
        }
        Ok(meta.name.map(|name| Service { name, selector: spec.selector, ports, kind }))
    }
}

fn port(port: &ServiceSpecPort) -> Option<ServicePort> {
    let at = number(port.port?)?;
    let target = match &port.target_port {
        None | Some(IntOrString::Int(0)) => Target::Number(at),
        Some(IntOrString::Int(target)) => Target::Number(number(*target)?),
        Some(IntOrString::String(name)) => Target::Name(name.as_str().into()),
    };
    let name = port.name.as_deref().unwrap_or_default().into();
    let h2c = port.app_protocol.as_deref() == Some("kubernetes.io/h2c");
    Some(ServicePort { name, port: at, target, h2c })
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

/// Named TCP ports of `container`.
fn ports<'a>(container: &'a wire::Container) -> impl Iterator<Item = (Box<str>, u16)> + 'a {
    let tcp = |port: &&wire::ContainerPort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let named =
        |port: &wire::ContainerPort| Some((port.name.as_deref()?.into(), number(port.container_port?)?));
    container.ports.iter().flatten().filter(tcp).filter_map(named)
}
