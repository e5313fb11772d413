//! A listener of a Gateway as it is served: which hosts, how their requests come, by which certificates; and why not.

use kaos_core::condition::Over;
use kaos_core::host::HostPattern;

use crate::claim::HostRules;
use crate::gateway::{Gateway, Listener};
use crate::object::Name;
use crate::secret::SecretName;
use crate::state::State;
use crate::status::{ACCEPTED, Fact, ListenerSays, PROGRAMMED, RESOLVED_REFS};
use crate::wire::gateway::ObjectRef;
use crate::wire::line;

/// A listener as it is served.
pub(crate) struct Open<'a> {
    pub(crate) spec: &'a Listener,
    pub(crate) host: HostPattern,
    pub(crate) over: Over,
    /// Why it isn't served: a reason and a sentence.
    pub(crate) closed: Option<(&'static str, String)>,
    /// What is wrong with what it refers to.
    pub(crate) unresolved: Option<(&'static str, String)>,
    /// It needs a certificate, and none of its own is sound.
    pub(crate) is_bare: bool,
    pub(crate) certificates: Vec<SecretName>,
    /// Routes that are attached to it.
    pub(crate) attached: u32,
    /// The last of them.
    pub(crate) last: Option<&'a Name>,
}

/// Opens the listener `spec` of the Gateway `name`. `waits` is set if it isn't known yet of a certificate whether it is sound.
pub(crate) fn listener<'a>(
    state: &State,
    rules: &HostRules,
    name: &Name,
    spec: &'a Listener,
    waits: &mut bool,
) -> Open<'a> {
    let entrance = &state.entrance;
    let (over, served) = match &*spec.protocol {
        "HTTPS" => (Over::Tls, entrance.https),
        _ => (Over::Plain, entrance.http),
    };
    let host = if spec.host.is_empty() { Ok(HostPattern::Any) } else { HostPattern::parse(&spec.host) };
    let mut closed = spec.refused.as_ref().map(|why| ("UnsupportedValue", why.to_string()));
    if !matches!(&*spec.protocol, "HTTP" | "HTTPS") {
        let text = format!("protocol {}: allowed are HTTP and HTTPS", line(&spec.protocol));
        closed = Some(("UnsupportedProtocol", text));
    } else if served.map(i32::from) != Some(spec.port) {
        closed = Some(("PortUnavailable", unserved(spec.port, over, served)));
    } else if let Err(expected) = &host {
        closed = Some(("UnsupportedValue", format!("hostname {:?}: {expected}", line(&spec.host))));
    }
    let host = host.unwrap_or(HostPattern::Any);
    // Its certificate would be shown for them.
    if over == Over::Tls && closed.is_none() && !rules.allows(&name.0, &host) {
        closed = Some(("HostNotAllowed", format!("host {host}: {}", rules.allowed_to(&name.0))));
    }
    let kind = spec
        .unknown_kind
        .as_ref()
        .map(|kind| ("InvalidRouteKinds", format!("allowedRoutes.kinds {kind}: allowed is HTTPRoute")));
    let (mut certificates, mut wrong, mut sound) = (Vec::new(), None, 0);
    let named = spec.certificates.iter().enumerate().filter(|_| over == Over::Tls);
    for (at, named) in named {
        let judged = certificate(state, name, named).and_then(|secret| {
            let verdict = verdict(state, &secret, waits);
            certificates.push(secret);
            verdict
        });
        match judged {
            Ok(()) => sound += 1,
            Err((reason, why)) => {
                wrong.get_or_insert((reason, format!("tls.certificateRefs[{at}]: {why}")));
            }
        }
    }
    let is_bare = over == Over::Tls && sound == 0;
    if is_bare {
        wrong.get_or_insert((INVALID, "tls.certificateRefs: a Secret has to be named".to_owned()));
    }
    let unresolved = wrong.or(kind);
    Open { spec, host, over, closed, unresolved, is_bare, certificates, attached: 0, last: None }
}

fn unserved(port: i32, over: Over, served: Option<u16>) -> String {
    let (kind, name) = if over == Over::Tls { ("HTTPS", "https") } else { ("HTTP", "http") };
    match served {
        Some(served) => format!(
            "port {port}: allowed for {kind} is {served}, the port {name} of the Service kaos-proxy, by which requests come in"
        ),
        None => format!(
            "port {port}: the Service kaos-proxy has no port {name}, so {kind} isn't taken (for HTTPS: kaos install --tls)"
        ),
    }
}

/// A reason and a sentence.
type Wrong = (&'static str, String);

/// The Secret that a listener of the Gateway `name` means.
fn certificate(state: &State, name: &Name, named: &ObjectRef) -> Result<SecretName, Wrong> {
    let is_secret = named.group.as_deref().unwrap_or_default().is_empty()
        && named.kind.as_deref().unwrap_or("Secret") == "Secret";
    if !is_secret {
        return Err((INVALID, "allowed is a Secret".to_owned()));
    }
    let at: Name = (named.namespace.as_ref().unwrap_or(&name.0).clone(), named.name.clone());
    if !state.gateways.grant("Gateway", &name.0, ("", "Secret"), &at) {
        let text = format!("Secret {}/{}: no ReferenceGrant there allows it", line(&at.0), line(&at.1));
        return Err(("RefNotPermitted", text));
    }
    Ok(SecretName { namespace: at.0.to_string(), name: at.1.to_string() })
}

/// Whether a Secret is sound; where nobody judges that, it is.
fn verdict(state: &State, secret: &SecretName, waits: &mut bool) -> Result<(), Wrong> {
    let Some(verdicts) = &state.verdicts else { return Ok(()) };
    match verdicts.get(secret) {
        Some(verdict) => verdict.clone().map_err(|wrong| (INVALID, format!("Secret {secret}: {wrong}"))),
        None => {
            *waits = true;
            Ok(())
        }
    }
}

/// The reason for a certificate that can't be had.
const INVALID: &str = "InvalidCertificateRef";

impl Open<'_> {
    /// What its status says.
    pub(crate) fn says(&self, gateway: &Gateway) -> ListenerSays {
        let refused = gateway.refused.as_ref().map(|why| ("UnsupportedValue", why.to_string()));
        let closed = refused.as_ref().or(self.closed.as_ref());
        let accepted = match closed {
            None => Fact::is(ACCEPTED, ACCEPTED),
            Some((reason, text)) => Fact::isnt(ACCEPTED, reason, text.clone()),
        };
        let refs = match &self.unresolved {
            None => Fact::is(RESOLVED_REFS, RESOLVED_REFS),
            Some((reason, text)) => Fact::isnt(RESOLVED_REFS, reason, text.clone()),
        };
        let why = closed.or(self.unresolved.as_ref().filter(|_| self.is_bare));
        let programmed = match why {
            None => Fact::is(PROGRAMMED, PROGRAMMED),
            Some((_, text)) => Fact::isnt(PROGRAMMED, "Invalid", text.clone()),
        };
        let conflicted = Fact::isnt("Conflicted", "NoConflicts", "");
        let is_http = matches!(&*self.spec.protocol, "HTTP" | "HTTPS");
        ListenerSays {
            name: self.spec.name.clone(),
            takes_http_routes: is_http && self.spec.takes_http_routes,
            attached: self.attached,
            facts: vec![accepted, programmed, refs, conflicted],
        }
    }
}
