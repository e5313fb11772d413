//! What all served Ingresses come to: where each of their routes leads, and what they have to be told.

use std::collections::HashMap;

use kaos_core::WorkloadId;
use kaos_core::condition::Over;
use kaos_core::host::HostPattern;
use kaos_core::rule::Rule;

use crate::build::Door;
use crate::claim::HostRules;
use crate::contest::Who;
use crate::ingress::{Backend, Ingress};
use crate::kept::{Stand, Stated};
use crate::note::{Kind, Object};
use crate::object::{Name, Service, Target};
use crate::patterns::Patterns;
use crate::plain;
use crate::plan::{Goal, Plan, Planned, Resolved, Served};
use crate::secret::SecretName;
use crate::state::State;
use crate::status::{Say, Wanted};
use crate::wire::line;
use crate::wish::{self, Wishes};

/// The adopted workloads by the Services, and ports, that lead to them.
#[derive(Debug, Default)]
pub(crate) struct Adopted<'a> {
    ports: HashMap<(&'a str, &'a str, u16), &'a WorkloadId>,
    services: HashMap<(&'a str, &'a str), &'a WorkloadId>,
}

impl<'a> Adopted<'a> {
    /// Of several behind one Service the first that is added stands.
    pub(crate) fn add(&mut self, id: &'a WorkloadId, doors: &'a [Door]) {
        for (service, ports) in doors {
            self.services.entry((id.namespace(), &**service)).or_insert(id);
            for port in ports {
                self.ports.entry((id.namespace(), &**service, *port)).or_insert(id);
            }
        }
    }
}

/// All that are served.
pub(crate) fn resolve<'a>(
    state: &'a State,
    adopted: &Adopted<'_>,
    rules: &HostRules,
    patterns: &mut Patterns,
) -> Resolved<'a> {
    let mut resolved = Resolved::default();
    let served = state.ingresses.iter().filter(|(_, ingress)| state.classes.serve(&ingress.object));
    let mut served: Vec<_> = served.collect();
    // The oldest have what there is a bounded number of.
    served.sort_by_key(|(_, ingress)| ingress.stand.created);
    let patterned =
        served.iter().flat_map(|(name, ingress)| wish::patterned(name, &ingress.object, rules)).collect();
    for (name, ingress) in served {
        let wishes = wish::read(name, &ingress.object, rules, &patterned, patterns);
        one(state, adopted, (name, ingress), wishes, &mut resolved);
    }
    patterns.sweep();
    resolved
}

fn one<'a>(
    state: &State,
    adopted: &Adopted<'_>,
    (name, ingress): (&'a Name, &Stated<Ingress>),
    wishes: Wishes,
    resolved: &mut Resolved<'a>,
) {
    let Wishes { all, secrets, mut notes, tuning } = wishes;
    let if_certified = tuning.https_if_certified.unwrap_or(state.entrance.https.is_some());
    let mut plans = Vec::with_capacity(all.len());
    for wish in all {
        let (target, told) = backend(state, adopted, &name.0, &wish.backend);
        if let Some(told) = told.filter(|told| !notes.contains(told)) {
            notes.push(told);
        }
        let https_only = tuning.https_only || if_certified && is_certified(&secrets, &wish.host);
        let (allowed, cors) = (tuning.allowed.clone(), tuning.cors.clone());
        plans.push(Plan {
            host: wish.host,
            matching: wish.matching,
            path: wish.path,
            pattern: wish.pattern,
            over: Over::Either,
            when: None,
            goal: Goal::To(target),
            rule: Rule { https_only, allowed, cors, rewrite: wish.rewrite, ..Rule::default() },
            limits: tuning.limits.clone(),
            fallback: wish.fallback,
        });
    }
    let secret = |named: &str| SecretName { namespace: name.0.to_string(), name: named.to_owned() };
    let certificates = secrets.into_iter().map(|(named, hosts)| (secret(&named), hosts.into())).collect();
    let Stand { uid, created, .. } = ingress.stand.clone();
    resolved.served.push(Served { of: Object::Ingress, created, certificates });
    resolved.wanted.push(Wanted::new(Object::Ingress, name, Say::Points(state.entrance.addresses.clone())));
    resolved.planned.push(Planned { who: Who::Ingress(name), uid, created, plans, notes });
}

/// Whether one of these certificates is named for `host`.
fn is_certified(secrets: &[(Box<str>, Vec<HostPattern>)], host: &HostPattern) -> bool {
    let covers = |named: &HostPattern| match (named, host) {
        (HostPattern::Label(suffix), HostPattern::Exact(host)) => {
            host.find('.').is_some_and(|at| host.get(at..) == Some(suffix.as_str()))
        }
        (named, host) => named == host,
    };
    secrets.iter().any(|(_, hosts)| hosts.iter().any(covers))
}

/// Where requests for `backend` go, and what there is to be told of it.
fn backend(
    state: &State,
    adopted: &Adopted<'_>,
    namespace: &str,
    backend: &Backend,
) -> (WorkloadId, Option<(Kind, String)>) {
    match backend {
        Backend::Service(service, wanted) => match target(state, adopted, namespace, service, wanted) {
            Ok((id, past)) => (id, past.map(|text| (Kind::Limited, text))),
            Err(text) => {
                let text = format!("{text}: its requests are answered 503");
                (plain::id(namespace, service, wanted), Some((Kind::Backend, text)))
            }
        },
        Backend::Other(kind) => {
            let text = format!("its backend {kind} is no Service: allowed is a Service with a port");
            (plain::id(namespace, "", &Target::Name(kind.clone())), Some((Kind::Backend, text)))
        }
    }
}

/// Where requests for this port of a Service go, and what of it goes past Kaos. `Err`: why there is nothing.
pub(crate) fn target(
    state: &State,
    adopted: &Adopted<'_>,
    namespace: &str,
    service: &str,
    wanted: &Target,
) -> Result<(WorkloadId, Option<String>), String> {
    let found = state.service(namespace, service).ok_or_else(|| {
        format!(
            "its backend Service {} isn't there, or has no endpoints of its own (type ExternalName)",
            line(service)
        )
    })?;
    let port = plain::port(found, wanted).ok_or_else(|| no_port(found, wanted))?;
    if let Some(id) = adopted.ports.get(&(namespace, service, port.port)) {
        return Ok(((*id).clone(), None));
    }
    let past = adopted.services.get(&(namespace, service)).map(|id| {
        format!(
            "port {} of Service {service} isn't where {id} takes its requests: those for it go to its pods past Kaos, wake \
             nothing and keep nothing awake",
            port.port
        )
    });
    Ok((plain::id(namespace, service, &Target::Number(port.port)), past))
}

fn no_port(service: &Service, wanted: &Target) -> String {
    let wanted = match wanted {
        Target::Number(number) => number.to_string(),
        Target::Name(name) => line(name),
    };
    let ports: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
    let allowed = if ports.is_empty() { "none, for it has no TCP port".to_owned() } else { ports.join(", ") };
    format!("port {wanted} of its backend Service {}: allowed is {allowed}", service.name)
}
