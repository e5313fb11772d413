//! What all served Ingresses come to: where each of their routes leads, what they have to be told, and which backends there
//! have to be for them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kaos_core::host::HostPattern;
use kaos_core::route::{Matching, Route};
use kaos_core::rule::Rule;
use kaos_core::{Policy, WorkloadId};

use crate::build::Door;
use crate::claim::HostRules;
use crate::contest::{Claim, Claimant, Who};
use crate::ingress::{Backend, Ingress};
use crate::nginx::{Limits, Tuning};
use crate::note::{IngressNote, Kind};
use crate::object::{Name, Service, Target};
use crate::plain;
use crate::secret::SecretName;
use crate::state::State;
use crate::wire::line;
use crate::wish::{self, Wish};

/// An Ingress that is served, as others need to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name there.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Arc<str>,
    /// When it was made, in seconds since 1970. They are sorted by it.
    pub created: i64,
    /// The addresses and names that its `status.loadBalancer` says.
    pub told: Box<[Box<str>]>,
    /// The Secrets that it names, and the hosts that their certificates are for.
    pub certificates: Box<[(SecretName, Box<[HostPattern]>)]>,
}

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

/// One Ingress with where its wishes lead, in their order.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) name: &'a Name,
    pub(crate) ingress: &'a Ingress,
    pub(crate) wishes: Vec<Wish>,
    pub(crate) targets: Vec<WorkloadId>,
    pub(crate) secrets: Vec<(Box<str>, Vec<HostPattern>)>,
    pub(crate) notes: Vec<(Kind, String)>,
    tuning: Tuning,
}

/// All that are served.
pub(crate) fn resolve<'a>(state: &'a State, adopted: &Adopted<'_>, rules: &HostRules) -> Vec<Resolved<'a>> {
    let served = state.ingresses.iter().filter(|(_, ingress)| state.classes.serve(ingress));
    served.map(|(name, ingress)| one(state, adopted, rules, name, ingress)).collect()
}

fn one<'a>(
    state: &State,
    adopted: &Adopted<'_>,
    rules: &HostRules,
    name: &'a Name,
    ingress: &'a Ingress,
) -> Resolved<'a> {
    let wishes = wish::read(name, ingress, rules);
    let mut notes = wishes.notes;
    let mut targets = Vec::with_capacity(wishes.all.len());
    for wish in &wishes.all {
        let (target, told) = target(state, adopted, &name.0, &wish.backend);
        targets.push(target);
        if let Some(told) = told.filter(|told| !notes.contains(told)) {
            notes.push(told);
        }
    }
    Resolved {
        name,
        ingress,
        wishes: wishes.all,
        targets,
        secrets: wishes.secrets,
        notes,
        tuning: wishes.tuning,
    }
}

/// Where requests for `backend` go, and what there is to be told of it.
fn target(
    state: &State,
    adopted: &Adopted<'_>,
    namespace: &str,
    backend: &Backend,
) -> (WorkloadId, Option<(Kind, String)>) {
    let (service, wanted) = match backend {
        Backend::Service(service, wanted) => (service, wanted),
        Backend::Other(kind) => {
            let text = format!("its backend {kind} is no Service: allowed is a Service with a port");
            return (plain::id(namespace, "", &Target::Name(kind.clone())), Some((Kind::Backend, text)));
        }
    };
    let Some(found) = state.service(namespace, service) else {
        let text = format!(
            "its backend Service {} isn't there, or has no endpoints of its own (type ExternalName): its requests are \
             answered 503",
            line(service)
        );
        return (plain::id(namespace, service, wanted), Some((Kind::Backend, text)));
    };
    let Some(port) = plain::port(found, wanted) else {
        return (plain::id(namespace, service, wanted), Some((Kind::Backend, no_port(found, wanted))));
    };
    if let Some(id) = adopted.ports.get(&(namespace, &**service, port.port)) {
        return ((*id).clone(), None);
    }
    let past = adopted.services.get(&(namespace, &**service)).map(|id| {
        let text = format!(
            "port {} of Service {service} isn't where {id} takes its requests: those for it go to its pods past Kaos, wake \
             nothing and keep nothing awake",
            port.port
        );
        (Kind::Limited, text)
    });
    (plain::id(namespace, service, &Target::Number(port.port)), past)
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

impl Resolved<'_> {
    /// What it claims.
    pub(crate) fn claimant(&self) -> Claimant<'_> {
        let claims = self.wishes.iter().zip(&self.targets).map(|(wish, target)| Claim {
            host: &wish.host,
            matching: wish.matching,
            path: &wish.path,
            target,
            quiet: wish.fallback,
        });
        Claimant { who: Who::Ingress(self.name), created: self.ingress.created, claims: claims.collect() }
    }

    /// What there is to be told of it.
    pub(crate) fn told(&self) -> impl Iterator<Item = IngressNote> {
        self.notes.iter().map(|(kind, text)| self.note(*kind, text.clone()))
    }

    /// Something to be told of it.
    pub(crate) fn note(&self, kind: Kind, text: String) -> IngressNote {
        IngressNote {
            namespace: self.name.0.clone(),
            name: self.name.1.clone(),
            uid: self.ingress.uid.clone(),
            kind,
            text,
        }
    }

    /// The routes of its claims that were granted.
    pub(crate) fn routes(&self, granted: &[bool]) -> impl Iterator<Item = Granted> {
        let all = self.wishes.iter().zip(&self.targets).zip(granted);
        all.filter(|(_, granted)| **granted).map(|((wish, target), _)| Granted {
            host: wish.host.clone(),
            matching: wish.matching,
            path: wish.path.clone(),
            target: target.clone(),
            rule: Rule {
                https_only: self.tuning.https_only
                    || self.tuning.https_if_certified && self.is_certified(&wish.host),
                allowed: self.tuning.allowed.clone(),
                rewrite: wish.rewrite.clone(),
                cors: self.tuning.cors.clone(),
                policy: None,
            },
            limits: self.tuning.limits.clone(),
        })
    }

    /// Whether it names a certificate for `host`.
    fn is_certified(&self, host: &HostPattern) -> bool {
        let covers = |named: &HostPattern| match (named, host) {
            (HostPattern::Label(suffix), HostPattern::Exact(host)) => {
                host.find('.').is_some_and(|at| host.get(at..) == Some(suffix.as_str()))
            }
            (named, host) => named == host,
        };
        self.secrets.iter().any(|(_, hosts)| hosts.iter().any(covers))
    }

    pub(crate) fn served(&self) -> Served {
        let secret = |name: &str| SecretName { namespace: self.name.0.to_string(), name: name.to_owned() };
        let certificates = self.secrets.iter().map(|(name, hosts)| (secret(name), hosts.clone().into()));
        Served {
            namespace: self.name.0.clone(),
            name: self.name.1.clone(),
            uid: self.ingress.uid.clone(),
            created: self.ingress.created,
            told: self.ingress.told.clone(),
            certificates: certificates.collect(),
        }
    }
}

/// A route that stands.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) host: HostPattern,
    pub(crate) matching: Matching,
    pub(crate) path: Box<str>,
    pub(crate) target: WorkloadId,
    /// What is done with its requests; its policy is to be found.
    pub(crate) rule: Rule,
    pub(crate) limits: Limits,
}

impl Granted {
    /// The route to the workload of this index, whose policy is this.
    pub(crate) fn route(&self, workload: usize, policy: &Policy) -> Route {
        let rule = Rule { policy: self.limits.over(policy).map(Arc::new), ..self.rule.clone() };
        Route { workload, rule: (rule != Rule::default()).then(|| Arc::new(rule)) }
    }
}

/// The backends that `routes` lead to and nobody has adopted.
pub(crate) fn backends(routes: &[Granted]) -> BTreeSet<WorkloadId> {
    let targets = routes.iter().map(|route| &route.target);
    targets.filter(|target| plain::parts(target).is_some()).cloned().collect()
}
