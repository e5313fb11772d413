//! The annotations of ingress-nginx: what Ingresses say that were written for it, as far as Kaos has the same.
//!
//! A value is data, never a template. Semantics: <https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/>.

use std::time::Duration;

use kaos_core::network::Network;
use kaos_core::policy::{Policy, Protocol};
use kaos_core::rule::{Cors, Origin};

use crate::note::Kind;
use crate::object::Pairs;
use crate::wire::line;

/// What their names begin with.
pub(crate) const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// What the annotations of one Ingress ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tuning {
    /// Requests without TLS are sent on, whatever hosts there are certificates for.
    pub(crate) https_only: bool,
    /// Those for hosts that the Ingress has certificates for. `None`: where requests come in with TLS at all.
    pub(crate) https_if_certified: Option<bool>,
    pub(crate) allowed: Option<Box<[Network]>>,
    /// What paths become; empty where that can't be said.
    pub(crate) rewrite: Option<Box<str>>,
    patterns: bool,
    pub(crate) cors: Option<Cors>,
    pub(crate) limits: Limits,
}

/// What counts in the place of a workload's policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    protocol: Option<Protocol>,
    max_request_body: Option<u64>,
    read_timeout: Option<Duration>,
    send_timeout: Option<Duration>,
}

impl Limits {
    /// `policy` with these in it. `None`: it is as it was.
    pub(crate) fn over(&self, policy: &Policy) -> Option<Policy> {
        if *self == Limits::default() {
            return None;
        }
        let mut policy = policy.clone();
        policy.protocol = self.protocol.unwrap_or(policy.protocol);
        policy.max_request_body = self.max_request_body.unwrap_or(policy.max_request_body);
        policy.response_start_timeout = self.read_timeout.unwrap_or(policy.response_start_timeout);
        // One silence counts for both directions.
        let silence = self.read_timeout.max(self.send_timeout);
        policy.stream_idle_timeout = silence.unwrap_or(policy.stream_idle_timeout);
        Some(policy)
    }
}

/// Whether `annotations` may make patterns of paths.
pub(crate) fn has_patterns(annotations: &Pairs) -> bool {
    let names = annotations.iter().filter_map(|(name, _)| name.strip_prefix(PREFIX));
    names.into_iter().any(|name| matches!(name, "use-regex" | "rewrite-target"))
}

/// Reads `annotations`. What isn't allowed, and what Kaos doesn't have, goes to `notes`.
pub(crate) fn read(annotations: &Pairs, notes: &mut Vec<(Kind, String)>) -> Tuning {
    let mut tuning = Tuning::default();
    let mut cors = Sharing::default();
    let mut unknown = Vec::new();
    for (name, value) in annotations {
        let Some(short) = name.strip_prefix(PREFIX) else { continue };
        let value = value.trim();
        let read = match tuning.take(short, value) {
            Some(read) => read,
            None => match cors.take(short, value) {
                Some(read) => read,
                None => {
                    unknown.push(&**name);
                    continue;
                }
            },
        };
        if let Err(allowed) = read {
            let shown: String = line(value).chars().take(SHOWN).collect();
            notes.push((Kind::Invalid, format!("{name} = {shown:?}: allowed is {allowed}")));
        }
    }
    if !unknown.is_empty() {
        let text =
            format!("Kaos doesn't have these annotations, they have no effect: {}", unknown.join(", "));
        notes.push((Kind::Unsupported, text));
    }
    tuning.cors = cors.on.then_some(cors.cors);
    tuning
}

/// Most characters of a wrong value that are shown.
const SHOWN: usize = 120;

/// What was read: nothing is wrong, or this is allowed.
type Read = Result<(), &'static str>;

impl Tuning {
    /// What `path` becomes, if that is something else.
    pub(crate) fn rewrites(&self, path: &str) -> Option<&str> {
        self.rewrite.as_deref().filter(|target| *target != path)
    }

    /// Whether it makes patterns of all the paths of a host that has these.
    pub(crate) fn makes_patterns<'p>(&self, mut paths: impl Iterator<Item = &'p str>) -> bool {
        self.patterns || paths.any(|path| self.rewrites(path).is_some())
    }

    /// Takes the annotation `name`; `None` if it is no such.
    fn take(&mut self, name: &str, value: &str) -> Option<Read> {
        Some(match name {
            "force-ssl-redirect" => flag(value).map(|on| self.https_only = on),
            "ssl-redirect" => flag(value).map(|on| self.https_if_certified = Some(on)),
            "use-regex" => flag(value).map(|on| self.patterns = on),
            "rewrite-target" => {
                if value.starts_with('/') && is_path(value) {
                    self.rewrite = Some(value.into());
                    Ok(())
                } else {
                    // What was to be rewritten mustn't go on as it came: no path has such a target.
                    self.rewrite = Some(Box::default());
                    Err("a path such as /api, or /$2 behind paths such as /api(/|$)(.*)")
                }
            }
            "whitelist-source-range" | "allowlist-source-range" => {
                let networks = value.split(',').map(str::trim).filter(|text| !text.is_empty());
                let networks: Result<Box<[Network]>, String> = networks.map(str::parse).collect();
                let sound = networks.as_ref().is_ok_and(|networks| !networks.is_empty());
                // Of what can't be read nobody may be let in.
                self.allowed = Some(networks.unwrap_or_default());
                if sound {
                    Ok(())
                } else {
                    Err("addresses and ranges such as 10.0.0.0/8, with commas; nobody is let in")
                }
            }
            "proxy-body-size" => size(value).map(|most| self.limits.max_request_body = Some(most)),
            "proxy-read-timeout" => seconds(value).map(|span| self.limits.read_timeout = Some(span)),
            "proxy-send-timeout" => seconds(value).map(|span| self.limits.send_timeout = Some(span)),
            // A connection gets three seconds, whoever asks; most are there already.
            "proxy-connect-timeout" => seconds(value).map(drop),
            "backend-protocol" => protocol(value).map(|protocol| self.limits.protocol = Some(protocol)),
            _ => return None,
        })
    }
}

/// What the annotations on CORS say.
struct Sharing {
    on: bool,
    cors: Cors,
}

impl Default for Sharing {
    /// As ingress-nginx has it where nothing else is said.
    fn default() -> Self {
        let cors = Cors {
            origins: Box::default(),
            methods: "GET, PUT, POST, DELETE, PATCH, OPTIONS".to_owned(),
            headers: "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,\
                      Authorization"
                .to_owned(),
            exposed: String::new(),
            credentials: true,
            max_age: 1_728_000,
        };
        Sharing { on: false, cors }
    }
}

impl Sharing {
    fn take(&mut self, name: &str, value: &str) -> Option<Read> {
        Some(match name {
            "enable-cors" => flag(value).map(|on| self.on = on),
            "cors-allow-credentials" => flag(value).map(|on| self.cors.credentials = on),
            "cors-allow-methods" => names(value).map(|names| self.cors.methods = names),
            "cors-allow-headers" => names(value).map(|names| self.cors.headers = names),
            "cors-expose-headers" => names(value).map(|names| self.cors.exposed = names),
            "cors-max-age" => match value.parse() {
                Ok(seconds) => {
                    self.cors.max_age = seconds;
                    Ok(())
                }
                Err(_) => Err("a number of seconds"),
            },
            "cors-allow-origin" => match origins(value) {
                Some(origins) => {
                    self.cors.origins = origins;
                    Ok(())
                }
                None => {
                    // Of what can't be read no page may read anything.
                    self.cors.origins = [Origin::Exact(String::new())].into();
                    Err("origins such as https://example.com or https://*.example.com, with commas, or *")
                }
            },
            _ => return None,
        })
    }
}

fn flag(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false"),
    }
}

/// Whether it may stand in a request target as it is.
fn is_path(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'?' | b'%'))
}

/// A size as nginx writes it: `8m`.
fn size(value: &str) -> Result<u64, &'static str> {
    const ALLOWED: &str = "a size such as 8m or 500k, 0 for any";
    let (digits, unit) = match value.char_indices().next_back().filter(|(_, last)| last.is_ascii_alphabetic())
    {
        Some((at, unit)) => (value.get(..at).unwrap_or_default(), unit.to_ascii_lowercase()),
        None => (value, 'b'),
    };
    let factor = match unit {
        'b' => 1,
        'k' => 1 << 10,
        'm' => 1 << 20,
        'g' => 1 << 30,
        _ => return Err(ALLOWED),
    };
    let number: u64 = digits.parse().map_err(|_| ALLOWED)?;
    number.checked_mul(factor).ok_or(ALLOWED)
}

/// A number of seconds, with the unit or without.
fn seconds(value: &str) -> Result<Duration, &'static str> {
    let number = value.strip_suffix('s').unwrap_or(value).parse::<u64>().ok();
    let span = number.filter(|number| (1..=86_400).contains(number)).map(Duration::from_secs);
    span.ok_or("a number of seconds, 1 to 86400")
}

fn protocol(value: &str) -> Result<Protocol, &'static str> {
    match value.to_ascii_uppercase().as_str() {
        "HTTP" | "AUTO_HTTP" => Ok(Protocol::Http1),
        "GRPC" => Ok(Protocol::H2c),
        _ => Err("HTTP or GRPC: Kaos speaks no TLS with backends"),
    }
}

/// Names of methods or fields, with commas: `*` is one.
fn names(value: &str) -> Result<String, &'static str> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte);
    let all: Vec<&str> = value.split(',').map(str::trim).collect();
    if all.iter().all(|name| !name.is_empty() && name.bytes().all(sound)) {
        return Ok(all.join(", "));
    }
    Err("names with commas between them")
}

fn origins(value: &str) -> Option<Box<[Origin]>> {
    let all: Vec<&str> = value.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
    if all.contains(&"*") {
        return Some(Box::default());
    }
    if all.is_empty() {
        return None;
    }
    all.into_iter().map(origin).collect()
}

fn origin(text: &str) -> Option<Origin> {
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").filter(|(scheme, _)| !scheme.is_empty())?;
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match rest.strip_prefix('*') {
        Some(rest) if rest.starts_with('.') && rest.bytes().all(sound) => {
            Some(Origin::Label(format!("{scheme}://"), rest.to_owned()))
        }
        None if !rest.is_empty() && rest.bytes().all(sound) => Some(Origin::Exact(lower)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "nginx_test.rs"]
mod tests;
