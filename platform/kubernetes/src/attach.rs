//! What Kaos's Gateways and the HTTPRoutes that are attached to them come to: routes, certificates, and what their statuses say
//! (<https://gateway-api.sigs.k8s.io/reference/spec/>).

use std::collections::{BTreeMap, BTreeSet};

use kaos_core::condition::Over;
use kaos_core::host::HostPattern;

use crate::claim::HostRules;
use crate::contest::Who;
use crate::gateway::{GROUP, Gateway, HttpRoute};
use crate::kept::{Stand, Stated};
use crate::listener::{Open, listener};
use crate::note::Object;
use crate::object::Name;
use crate::onward::{self, Onward};
use crate::plan::Served;
use crate::plan::{Planned, Resolved};
use crate::secret::SecretName;
use crate::serve::Adopted;
use crate::state::State;
use crate::status::{ACCEPTED, Fact, ListenerSays, PROGRAMMED, RESOLVED_REFS, Say, Wanted};
use crate::wire::gateway::ParentRef;
use crate::wire::line;

/// What Gateways of Kaos's classes can do, by the names of Gateway API's features. Sorted.
pub(crate) const FEATURES: &[&str] = &[
    "Gateway",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
];

/// A Gateway that is served, with its listeners.
struct Opened<'a> {
    gateway: &'a Gateway,
    stand: &'a Stand,
    listeners: Vec<Open<'a>>,
    /// It isn't known yet of each certificate whether it is sound.
    waits: bool,
}

/// All that there is for them.
pub(crate) fn resolve<'a>(state: &'a State, adopted: &Adopted<'_>, rules: &HostRules) -> Resolved<'a> {
    let mut resolved = Resolved::default();
    let all = &state.gateways;
    if all.only.is_none() {
        for (name, class) in all.classes.iter() {
            let fact = match class.object.has_parameters {
                false => Fact::is(ACCEPTED, ACCEPTED),
                true => {
                    Fact::isnt(ACCEPTED, "InvalidParameters", "spec.parametersRef: Kaos has no parameters")
                }
            };
            resolved.wanted.push(Wanted::new(Object::GatewayClass, name, Say::Class(vec![fact], FEATURES)));
        }
    }
    let served = all.all.iter().filter(|(_, gateway)| all.serve(&gateway.object.class));
    let mut opened: BTreeMap<&Name, Opened<'a>> =
        served.map(|(name, gateway)| (name, open(state, rules, name, gateway))).collect();
    for (name, route) in all.routes.iter() {
        attach(state, adopted, rules, (name, route), &mut opened, &mut resolved);
    }
    for (name, opened) in opened {
        if let Some(served) = opened.served() {
            resolved.served.push(served);
        }
        if !opened.waits {
            resolved.wanted.push(Wanted::new(Object::Gateway, name, opened.says(state)));
        }
    }
    resolved
}

fn open<'a>(state: &State, rules: &HostRules, name: &Name, gateway: &'a Stated<Gateway>) -> Opened<'a> {
    let Stated { object: gateway, stand } = gateway;
    let mut waits = false;
    let listeners = gateway.listeners.iter();
    let listeners = listeners.map(|spec| listener(state, rules, name, spec, &mut waits)).collect();
    Opened { gateway, stand, listeners, waits }
}

/// Attaches one route, wherever it wants to.
fn attach<'a>(
    state: &State,
    adopted: &Adopted<'_>,
    rules: &HostRules,
    (name, route): (&'a Name, &'a Stated<HttpRoute>),
    opened: &mut BTreeMap<&Name, Opened<'a>>,
    resolved: &mut Resolved<'a>,
) {
    let Stated { object: route, stand } = route;
    let mut led: Option<Onward> = None;
    // Several references, and several listeners, may come to the same.
    let mut ways: BTreeSet<Way> = BTreeSet::new();
    let mut says: Vec<(ParentRef, Vec<Fact>)> = Vec::new();
    for parent in &route.parents {
        let is_gateway = parent.group.as_deref().unwrap_or(GROUP) == GROUP
            && parent.kind.as_deref().unwrap_or("Gateway") == "Gateway";
        let at: Name = (parent.namespace.as_ref().unwrap_or(&name.0).clone(), parent.name.clone());
        let Some(gateway) = opened.get_mut(&at).filter(|_| is_gateway) else { continue };
        let led = led.get_or_insert_with(|| onward::read(state, adopted, name, route));
        let accepted = match gateway.take(state, rules, (&at, name), parent, route, &mut ways) {
            Ok(()) => Fact::is(ACCEPTED, ACCEPTED),
            Err((reason, text)) => Fact::isnt(ACCEPTED, reason, text),
        };
        let refs = match &led.unresolved {
            None => Fact::is(RESOLVED_REFS, RESOLVED_REFS),
            Some((reason, text)) => Fact::isnt(RESOLVED_REFS, reason, text.clone()),
        };
        says.push((parent.clone(), vec![accepted, refs]));
    }
    // What was said of a parent that is none any more is taken back.
    if !says.is_empty() || stand.status.contains(crate::gateway::CONTROLLER) {
        resolved.wanted.push(Wanted::new(Object::HttpRoute, name, Say::Route(says)));
    }
    if let Some(led) = led.filter(|_| !ways.is_empty()) {
        let (uid, created) = (stand.uid.clone(), stand.created);
        let plans = ways.iter().flat_map(|(host, over, port)| led.plans(host, *over, *port)).collect();
        resolved.planned.push(Planned { who: Who::HttpRoute(name), uid, created, plans, notes: led.notes });
    }
}

/// A host, how its requests come, and the port that they come by.
type Way = (HostPattern, Over, u16);

/// Most of them for one route: each of its matches is a route of its own for each.
const WAYS: usize = 256;

impl<'a> Opened<'a> {
    /// Attaches a route by one of its references, and adds where its requests come. `Err`: why it isn't accepted.
    fn take(
        &mut self,
        state: &State,
        rules: &HostRules,
        (own, name): (&Name, &'a Name),
        parent: &ParentRef,
        route: &HttpRoute,
        ways: &mut BTreeSet<Way>,
    ) -> Result<(), (&'static str, String)> {
        let named = |open: &&mut Open<'a>| {
            parent.section_name.as_ref().is_none_or(|section| *section == open.spec.name)
                && parent.port.is_none_or(|port| port == open.spec.port)
        };
        let mut named: Vec<&mut Open<'a>> = self.listeners.iter_mut().filter(named).collect();
        if named.is_empty() {
            return Err((
                "NoMatchingParent",
                "the Gateway has no listener of this sectionName and port".to_owned(),
            ));
        }
        named.retain(|open| open.spec.takes_http_routes && state.gateways.takes(open.spec, &own.0, &name.0));
        if named.is_empty() {
            let text = format!("allowedRoutes of the listener let no HTTPRoute of namespace {} in", name.0);
            return Err(("NotAllowedByListeners", text));
        }
        let hosts = hosts(route)?;
        named.retain(|open| hosts.iter().any(|host| meet(&open.host, host).is_some()));
        if named.is_empty() {
            let text = "none of its hostnames is one of a listener's".to_owned();
            return Err(("NoMatchingListenerHostname", text));
        }
        if let Some(wrong) = &route.refused {
            return Err(("UnsupportedValue", format!("{wrong}; nothing of this route is done")));
        }
        let is_served = |open: &Open<'_>| self.gateway.refused.is_none() && open.closed.is_none();
        if let Some(open) = named.first().filter(|_| !named.iter().any(|open| is_served(open))) {
            let listener = &open.spec.name;
            let text = format!("its listener {listener} isn't served: the Gateway's status says why");
            return Err(("NoMatchingParent", text));
        }
        let mut new: BTreeSet<Way> = BTreeSet::new();
        for open in named.iter().filter(|open| is_served(open)) {
            let port = u16::try_from(open.spec.port).unwrap_or_default();
            let common = hosts.iter().filter_map(|host| meet(&open.host, host));
            new.extend(common.map(|host| (host, open.over, port)));
        }
        // Whoever may have a host may lend it by what its Gateway allows.
        let allowed = |host: &HostPattern| rules.allows(&own.0, host) || rules.allows(&name.0, host);
        if let Some((host, ..)) = new.iter().find(|(host, ..)| !allowed(host)) {
            let text = format!("host {host}: {}; nothing of this route is done", rules.allowed_to(&name.0));
            return Err(("HostNotAllowed", text));
        }
        let all = ways.union(&new).count();
        if all > WAYS {
            let text = format!(
                "its listeners come to {all} hosts: allowed are {WAYS}; name hostnames or a sectionName"
            );
            return Err(("UnsupportedValue", text));
        }
        ways.extend(new);
        // A route that names a listener twice is attached to it once.
        for open in named.into_iter().filter(|open| open.last != Some(name)) {
            (open.attached, open.last) = (open.attached + 1, Some(name));
        }
        Ok(())
    }

    fn served(&self) -> Option<Served> {
        let mut certificates: BTreeMap<&SecretName, Vec<HostPattern>> = BTreeMap::new();
        let is_open = |open: &&Open<'_>| self.gateway.refused.is_none() && open.closed.is_none();
        for open in self.listeners.iter().filter(is_open) {
            for secret in &open.certificates {
                certificates.entry(secret).or_default().push(open.host.clone());
            }
        }
        // Whoever judges certificates has to know those that were found wrong, too.
        let certificates: Box<[_]> =
            certificates.into_iter().map(|(secret, hosts)| (secret.clone(), hosts.into())).collect();
        let created = self.stand.created;
        (!certificates.is_empty()).then_some(Served { of: Object::Gateway, created, certificates })
    }

    fn says(&self, state: &State) -> Say {
        let listeners: Vec<ListenerSays> =
            self.listeners.iter().map(|open| open.says(self.gateway)).collect();
        let entrance = &state.entrance;
        let works = |open: &&Open<'_>| open.closed.is_none() && !open.is_bare;
        let working = self.listeners.iter().filter(works).count();
        let (mut accepted, mut programmed) = match working {
            0 => {
                let text = "none of its listeners can be served: their conditions say why";
                (Fact::isnt(ACCEPTED, "ListenersNotValid", text), Fact::isnt(PROGRAMMED, "Invalid", text))
            }
            some if some == self.listeners.len() => {
                (Fact::is(ACCEPTED, ACCEPTED), Fact::is(PROGRAMMED, PROGRAMMED))
            }
            _ => {
                let mut accepted = Fact::is(ACCEPTED, "ListenersNotValid");
                "some of its listeners can't be served: their conditions say why"
                    .clone_into(&mut accepted.message);
                (accepted, Fact::is(PROGRAMMED, PROGRAMMED))
            }
        };
        if entrance.addresses.is_empty() {
            let text = "the Service kaos-proxy, by which requests come in, has no address yet";
            programmed = Fact::isnt(PROGRAMMED, "AddressNotAssigned", text);
        }
        for (kind, value) in &self.gateway.addresses {
            if !matches!(&**kind, "IPAddress" | "Hostname") {
                let text = format!("spec.addresses: allowed are IPAddress and Hostname, not {}", line(kind));
                accepted = Fact::isnt(ACCEPTED, "UnsupportedAddress", text);
            } else if !value.is_empty() && !entrance.addresses.contains(value) {
                let text = format!(
                    "spec.addresses {}: allowed are {}, those of the Service kaos-proxy",
                    line(value),
                    entrance.addresses.join(", ")
                );
                programmed = Fact::isnt(PROGRAMMED, "AddressNotUsable", text);
            }
        }
        let parameters = self
            .gateway
            .has_parameters
            .then_some("spec.infrastructure.parametersRef: Kaos has no parameters");
        if let Some(wrong) = parameters {
            accepted = Fact::isnt(ACCEPTED, "InvalidParameters", wrong);
        }
        if let Some(wrong) = &self.gateway.refused {
            accepted = Fact::isnt(ACCEPTED, "UnsupportedValue", &**wrong);
        }
        if !accepted.is && programmed.is {
            programmed = Fact::isnt(PROGRAMMED, "Invalid", accepted.message.clone());
        }
        Say::Gateway { addresses: entrance.addresses.clone(), facts: vec![accepted, programmed], listeners }
    }
}

/// The hosts of a route; every one, if it names none.
fn hosts(route: &HttpRoute) -> Result<Vec<HostPattern>, (&'static str, String)> {
    if route.hosts.is_empty() {
        return Ok(vec![HostPattern::Any]);
    }
    let read = |host: &str| {
        HostPattern::parse(host)
            .map_err(|expected| ("UnsupportedValue", format!("hostname {:?}: {expected}", line(host))))
    };
    route.hosts.iter().map(|host| read(host)).collect()
}

/// The hosts that are both a listener's and a route's.
fn meet(one: &HostPattern, other: &HostPattern) -> Option<HostPattern> {
    use HostPattern::{Any, Exact, Label, Suffix};
    let below = |host: &str, suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
    match (one, other) {
        (Any, host) | (host, Any) => Some(host.clone()),
        (Exact(a), Exact(b)) => (a == b).then(|| one.clone()),
        (Exact(host), Suffix(suffix)) => below(host, suffix).then(|| one.clone()),
        (Suffix(suffix), Exact(host)) => below(host, suffix).then(|| other.clone()),
        (Suffix(a), Suffix(b)) if a.ends_with(b.as_str()) => Some(one.clone()),
        (Suffix(a), Suffix(b)) if b.ends_with(a.as_str()) => Some(other.clone()),
        // Gateway API has no such hosts.
        (Label(_), _) | (_, Label(_)) | (Suffix(_), Suffix(_)) => None,
    }
}
