//! Backends of Ingresses that aren't adopted: a Service's endpoints as they are. Nobody's count, no sleep.

use std::sync::Arc;

use kaos_core::policy::Protocol;
use kaos_core::snapshot::{Mode, Phase, Replicas, Workload};
use kaos_core::{Policy, WorkloadId};

use crate::gather;
use crate::object::{Service, ServicePort, Target};
use crate::state::State;

/// What a backend is called: no Deployment has a colon in its name.
pub(crate) fn id(namespace: &str, service: &str, port: &Target) -> WorkloadId {
    match port {
        Target::Number(number) => WorkloadId::new(namespace, &format!("{service}:{number}")),
        Target::Name(name) => WorkloadId::new(namespace, &format!("{service}:{name}")),
    }
}

/// The Service and the port behind the name of a backend; `None` for a Deployment's.
pub(crate) fn parts(id: &WorkloadId) -> Option<(&str, Target)> {
    let (service, port) = id.name().split_once(':')?;
    let number = port.parse().map(Target::Number);
    Some((service, number.unwrap_or_else(|_| Target::Name(port.into()))))
}

/// The port of `service` that is meant.
pub(crate) fn port<'s>(service: &'s Service, wanted: &Target) -> Option<&'s ServicePort> {
    service.ports.iter().find(|port| match wanted {
        Target::Number(number) => port.port == *number,
        Target::Name(name) => port.name == *name,
    })
}

/// What backends are admitted by where nothing else is said.
#[derive(Debug)]
pub(crate) struct Policies([Arc<Policy>; 2]);

impl Default for Policies {
    fn default() -> Self {
        let usual = Policy::cluster(1);
        let h2c = Policy { protocol: Protocol::H2c, ..usual.clone() };
        Policies([Arc::new(usual), Arc::new(h2c)])
    }
}

/// The backend `id` as it stands: without endpoints where there is no such Service or port.
pub(crate) fn build(id: &WorkloadId, state: &State, policies: &Policies) -> Workload {
    let found = parts(id).and_then(|(name, wanted)| {
        let service = state.service(id.namespace(), name)?;
        Some((name, port(service, &wanted)?))
    });
    let h2c = found.is_some_and(|(_, port)| port.h2c);
    let mut workload = Workload::new(id.clone(), policies.0[usize::from(h2c)].clone());
    workload.mode = Mode::Plain;
    if let Some((service, port)) = found {
        let slices = state.slices(id.namespace(), service);
        (workload.endpoints, _) = gather::endpoints(port, slices, None, gather::Of::Anything);
    }
    let count = |phase| workload.endpoints.iter().filter(|endpoint| endpoint.phase == phase).count();
    let count = |phase| u32::try_from(count(phase)).unwrap_or(u32::MAX);
    let (ready, starting) = (count(Phase::Ready), count(Phase::Starting));
    workload.replicas = Replicas { desired: ready.saturating_add(starting), ready, starting };
    workload
}
