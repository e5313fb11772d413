//! What a proxy may try by itself to find a replica ready before the platform says so.
//!
//! Only where that is the whole truth: what a proxy tries must be all that the platform would. Else nothing is tried, and
//! a note says why.

use kaos_core::policy::Readiness;
use kaos_core::snapshot::{Check, Probe as Try};

use crate::infer;
use crate::object::{Action, Container, Probe, Target, Template};

/// What to try for pods of `template` that serve at `target`, and why nothing, if it is nothing.
pub(crate) fn checks(
    readiness: &Readiness,
    template: &Template,
    target: &Target,
) -> (Vec<Check>, Option<String>) {
    let at_target = |probe: Try| match infer::number(target, template) {
        Some(port) => Ok(vec![Check { port, timeout: std::time::Duration::from_secs(1), probe }]),
        None => Err("no container names the port that its Service targets".to_owned()),
    };
    let found = match readiness {
        Readiness::Ready => return (Vec::new(), None),
        Readiness::Tcp => at_target(Try::Tcp),
        Readiness::Path(path) => at_target(Try::Http { path: path.clone(), tls: false, headers: Vec::new() }),
        Readiness::Probe => own(template),
    };
    match found {
        Ok(checks) => (checks, None),
        Err(why) => (Vec::new(), Some(format!("its pods are ready only once the cluster says so: {why}"))),
    }
}

/// All probes of the pod itself: those for its start first, as the kubelet runs them.
fn own(template: &Template) -> Result<Vec<Check>, String> {
    if template.gated {
        return Err("it has readiness gates".to_owned());
    }
    if template.containers.iter().all(|container| container.readiness.is_none()) {
        return Err("no container has a readiness probe".to_owned());
    }
    let startup = template.containers.iter().filter_map(|of| Some((of, "startup", of.startup.as_ref()?)));
    let readiness =
        template.containers.iter().filter_map(|of| Some((of, "readiness", of.readiness.as_ref()?)));
    startup.chain(readiness).map(|(of, kind, probe)| check(of, kind, probe)).collect()
}

fn check(of: &Container, kind: &str, probe: &Probe) -> Result<Check, String> {
    let refuse = |why: &str| Err(format!("the {kind} probe of container {} {why}", of.name));
    if probe.successes > 1 {
        return refuse("wants several successes in a row");
    }
    let number = |port: &Target| match port {
        Target::Number(port) => Some(*port),
        Target::Name(name) => of.ports.iter().find(|(named, _)| named == name).map(|(_, port)| *port),
    };
    let (port, probe_at) = match &probe.action {
        Action::Exec => return refuse("is a command, which only the node can run"),
        Action::Http { host: true, .. } | Action::Tcp { host: true, .. } => {
            return refuse("asks another host");
        }
        Action::Tcp { port, .. } => (number(port), Try::Tcp),
        Action::Http { port, path, tls, headers, .. } => {
            let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            (number(port), Try::Http { path: path.to_string(), tls: *tls, headers })
        }
        Action::Grpc { port, service } => (Some(*port), Try::Grpc { service: service.to_string() }),
    };
    match port {
        Some(port) => Ok(Check { port, timeout: probe.timeout, probe: probe_at }),
        None => refuse("asks a port that its container doesn't name"),
    }
}
