//! What annotations leave open, inferred from what is there: the Service, its port, what is spoken on it.
//!
//! Pure: from a Deployment and the Services of its namespace. Whatever can't be told for sure is an error that says what
//! to annotate.

use kaos_core::annotation::{Adoption, Port};

use crate::object::{Action, Kind, Pairs, Service, ServicePort, Target, Template};

/// The way to the pods.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Way {
    /// The Service's name.
    pub(crate) service: Box<str>,
    /// Its port.
    pub(crate) port: ServicePort,
    /// Its pods are found to speak h2c.
    pub(crate) h2c: bool,
    /// What was inferred and may surprise: sentences.
    pub(crate) inferred: Vec<String>,
}

/// Whether `selector` selects pods with `labels`.
fn selects(selector: &Pairs, labels: &Pairs) -> bool {
    // Both are sorted by name.
    let mut labels = labels.iter();
    !selector.is_empty() && selector.iter().all(|wanted| labels.any(|label| label == wanted))
}

/// The Services among `services` that lead to pods of `template`, by name.
pub(crate) fn leading<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    template: &Template,
) -> Vec<&'a Service> {
    let mut found: Vec<_> =
        services.into_iter().filter(|service| selects(&service.selector, &template.labels)).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The way to the pods of `template`, over one of those `leading` there.
pub(crate) fn way(
    adoption: &Adoption,
    workload: &str,
    template: &Template,
    leading: &[&Service],
) -> Result<Way, String> {
    let mut inferred = Vec::new();
    let service = service(adoption, workload, leading, &mut inferred)?;
    let port = port(adoption, template, service, &mut inferred)?.clone();
    let h2c = port.h2c && !adoption.says_protocol;
    if h2c {
        inferred.push(format!(
            "its replicas speak h2c: port {} of its Service {} says kubernetes.io/h2c",
            port.port, service.name
        ));
    }
    Ok(Way { service: service.name.clone(), port, h2c, inferred })
}

fn service<'a>(
    adoption: &Adoption,
    workload: &str,
    leading: &[&'a Service],
    inferred: &mut Vec<String>,
) -> Result<&'a Service, String> {
    if let Some(name) = &adoption.service {
        return leading.iter().copied().find(|service| *service.name == **name).ok_or_else(|| {
            format!("kaos.dev/service = {name:?}: allowed is {}", any_of(leading.iter().map(|it| &*it.name)))
        });
    }
    match leading {
        [] => Err("no Service selects its pods: make one, or mend its selector".to_owned()),
        [only] => {
            inferred.push(format!("its Service is {}", only.name));
            Ok(only)
        }
        several => {
            let named = several.iter().find(|service| *service.name == *workload);
            let usual = several.iter().find(|service| service.kind != Kind::Headless);
            let chosen = named.or(usual).or(several.first()).copied().ok_or("no Service selects its pods")?;
            let names = any_of(several.iter().map(|service| &*service.name));
            inferred
                .push(format!("its Service is {}, of {names}; kaos.dev/service says otherwise", chosen.name));
            Ok(chosen)
        }
    }
}

fn port<'a>(
    adoption: &Adoption,
    template: &Template,
    service: &'a Service,
    inferred: &mut Vec<String>,
) -> Result<&'a ServicePort, String> {
    let ports = &service.ports;
    let shown = || any_of(ports.iter().map(|port| port.port));
    if let Some(wanted) = &adoption.port {
        let is = |port: &&ServicePort| match wanted {
            Port::Number(number) => port.port == *number,
            Port::Name(name) => *port.name == **name,
        };
        let wanted = match wanted {
            Port::Number(number) => number.to_string(),
            Port::Name(name) => name.clone(),
        };
        return ports.iter().find(is).ok_or_else(|| {
            format!(
                "kaos.dev/port = {wanted:?}: allowed is a port of its Service {}: {}",
                service.name,
                shown()
            )
        });
    }
    let probed = readiness_ports(template);
    let exposed =
        |port: &&ServicePort| number(&port.target, template).is_some_and(|port| probed.contains(&port));
    let (port, why) = if let Some(port) = ports.iter().find(exposed) {
        (port, "its readiness probe's")
    } else if let [only] = &**ports {
        (only, "the only one")
    } else if let Some(port) = ports.iter().find(|port| &*port.name == "http") {
        (port, "the one named http")
    } else if ports.is_empty() {
        return Err(format!("its Service {} has no TCP port", service.name));
    } else {
        return Err(format!(
            "which port of its Service {} is meant isn't clear: say kaos.dev/port, {}",
            service.name,
            shown()
        ));
    };
    inferred.push(format!("its port is {} of Service {}: {why}", port.port, service.name));
    Ok(port)
}

/// The ports that readiness probes ask.
fn readiness_ports(template: &Template) -> Vec<u16> {
    let probes = template.containers.iter().filter_map(|container| container.readiness.as_ref());
    let port = |action: &Action| match action {
        Action::Http { port, .. } | Action::Tcp { port, .. } => number(port, template),
        Action::Grpc { port, .. } => Some(*port),
        Action::Exec => None,
    };
    probes.filter_map(|probe| port(&probe.action)).collect()
}

/// The number of a container's port, if `template` tells.
pub(crate) fn number(target: &Target, template: &Template) -> Option<u16> {
    match target {
        Target::Number(number) => Some(*number),
        Target::Name(name) => {
            let mut ports = template.containers.iter().flat_map(|container| &container.ports);
            ports.find(|(named, _)| named == name).map(|(_, port)| *port)
        }
    }
}

/// Why traffic has another way in than through Kaos, or another decides on the count; if so, and if nobody said that it
/// may be.
pub(crate) fn bypassed(adoption: &Adoption, owner: Option<&str>, leading: &[&Service]) -> Option<String> {
    if adoption.accepts_bypass {
        return None;
    }
    const ANYWAY: &str = "kaos.dev/accept-risks=bypass scales it all the same";
    if let Some(owner) = owner {
        return Some(format!("{owner} decides on its count: take it away there; {ANYWAY}"));
    }
    let open = leading.iter().find(|service| matches!(service.kind, Kind::NodePort | Kind::LoadBalancer))?;
    let kind = if open.kind == Kind::NodePort { "NodePort" } else { "LoadBalancer" };
    Some(format!("its Service {} is of type {kind}: requests can come past Kaos; {ANYWAY}", open.name))
}

fn any_of<T: std::fmt::Display>(all: impl Iterator<Item = T>) -> String {
    let all: Vec<String> = all.map(|one| one.to_string()).collect();
    if all.is_empty() { "none, for no Service selects its pods".to_owned() } else { all.join(", ") }
}
