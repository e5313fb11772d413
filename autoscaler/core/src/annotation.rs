//! What the annotations of a workload say: whether it is Kaos's, under which hosts, and every knob.
//!
//! Whole or not at all: one value that isn't allowed, and nothing of them is adopted; every such value is named. What
//! annotations leave open (the service, its port, the default host) is left open here too: a platform infers it.

mod knative;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::host::HostPattern;
use crate::knob;
use crate::policy::Policy;

pub use target::ScaleTarget;

/// What the names of Kaos's own annotations begin with.
pub const PREFIX: &str = "kaos.dev/";

/// The annotation that opts in.
pub const ENABLED: &str = "kaos.dev/enabled";

/// The annotation that names whose count it is.
pub const SCALE_TARGET: &str = "kaos.dev/scale-target";

/// The annotation that Kaos itself writes: a hold that is in force.
pub const HOLD: &str = "kaos.dev/hold";

/// What the annotations of one workload come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It doesn't say that it is Kaos's.
    Left,
    /// It is.
    Adopted(Adoption),
    /// It says so, but not all that it says is allowed. Never empty; the first [`WRONG`] by name.
    Invalid(Vec<Invalid>),
}

/// A workload that is Kaos's, as far as it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Adoption {
    /// The hosts it claims. Empty: the default host.
    pub hosts: Vec<HostPattern>,
    /// Path prefix, by whole elements.
    pub path: String,
    /// The Service in front of it. `None`: inferred.
    pub service: Option<String>,
    /// The port of that Service. `None`: inferred.
    pub port: Option<Port>,
    /// Whether its count is to be changed.
    pub mode: Asked,
    /// The object that has its count, where that isn't itself.
    pub scale_target: Option<Arc<ScaleTarget>>,
    /// Who decides on its count above zero, where that is said not to be Kaos.
    pub above_zero: Option<String>,
    /// Whether it may sleep although traffic has another way in, or another owns its count.
    pub accepts_bypass: bool,
    /// Whether `readiness` was said.
    pub says_readiness: bool,
    /// Whether `protocol` was said, else it is inferred.
    pub says_protocol: bool,
    /// Its knobs.
    pub policy: Arc<Policy>,
    /// What was understood otherwise than a reader may think: sentences.
    pub notes: Vec<String>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// By its number.
    Number(u16),
    /// By its name.
    Name(String),
}

/// The mode that a workload asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Decided and written.
    Scale,
    /// Decided and journaled; for this reason, a sentence.
    Observe(String),
    /// Not decided.
    Off,
}

/// A value that isn't allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The annotation's whole name.
    pub annotation: String,
    /// Its value, as written, at most [`SHOWN`] characters of it.
    pub value: String,
    /// What is allowed instead.
    pub allowed: String,
}

/// Most characters of a wrong value that are shown.
pub const SHOWN: usize = 120;

/// So many wrong values are named; what comes after them isn't read. An object may have thousands.
pub const WRONG: usize = 20;

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} = {:?}: allowed is {}", self.annotation, self.value, self.allowed)
    }
}

impl std::error::Error for Invalid {}

/// Reads `annotations`; `usual` holds where they say nothing.
///
/// Names that neither Kaos nor Knative's autoscaler uses are none of our business; a name under [`PREFIX`] that doesn't
/// exist is wrong, so that a misspelt one isn't silently without effect.
pub fn read<'a>(annotations: impl IntoIterator<Item = (&'a str, &'a str)>, usual: &Policy) -> Reading {
    let all: BTreeMap<&str, &str> = annotations.into_iter().collect();
    match all.get(ENABLED).copied() {
        None | Some("false") => return Reading::Left,
        Some("true") => {}
        Some(other) => return Reading::Invalid(vec![invalid(ENABLED, other, "true or false")]),
    }
    let mut read = Read { adoption: usual_adoption(), policy: usual.clone(), wrong: Vec::new() };
    knative::read(&mut read, &all);
    for (name, value) in all.range(PREFIX..).take_while(|(name, _)| name.starts_with(PREFIX)) {
        if read.wrong.len() >= WRONG {
            break;
        }
        read.own(name, value.trim());
    }
    read.finish()
}

fn usual_adoption() -> Adoption {
    Adoption {
        hosts: Vec::new(),
        path: "/".to_owned(),
        service: None,
        port: None,
        mode: Asked::Scale,
        scale_target: None,
        above_zero: None,
        accepts_bypass: false,
        says_readiness: false,
        says_protocol: false,
        policy: Arc::default(),
        notes: Vec::new(),
    }
}

fn invalid(annotation: &str, value: &str, allowed: &str) -> Invalid {
    let value = value.chars().take(SHOWN).collect();
    Invalid { annotation: annotation.to_owned(), value, allowed: allowed.to_owned() }
}

/// What has been read so far.
struct Read {
    adoption: Adoption,
    policy: Policy,
    wrong: Vec<Invalid>,
}

impl Read {
    fn own(&mut self, annotation: &str, value: &str) {
        let name = annotation.strip_prefix(PREFIX).unwrap_or(annotation);
        let done = match name {
            "enabled" | "hold" => Ok(()),
            "host" => hosts(value).map(|hosts| self.adoption.hosts = hosts),
            "path" => path(value).map(|path| self.adoption.path = path),
            "service" => label(value)
                .map(|service| self.adoption.service = Some(service))
                .ok_or("the name of a Service in the same namespace".to_owned()),
            "port" => port(value).map(|port| self.adoption.port = Some(port)),
            "scale-target" => ScaleTarget::parse(value)
                .map(|target| self.adoption.scale_target = Some(Arc::new(target)))
                .ok_or_else(|| target::ALLOWED.to_owned()),
            "mode" => mode(value).map(|mode| self.adoption.mode = mode),
            "accept-risks" => risks(value).map(|()| self.adoption.accepts_bypass = true),
            _ => return self.knob(annotation, name, value),
        };
        if let Err(allowed) = done {
            self.wrong.push(invalid(annotation, value, &allowed));
        }
    }

    /// Sets the knob `name` to what `annotation` says.
    fn knob(&mut self, annotation: &str, name: &str, value: &str) {
        let Some(knob) = knob::find(name) else {
            let allowed = match nearest(name) {
                Some(near) => format!("nothing: there is no such annotation; did you mean {PREFIX}{near}?"),
                None => "nothing: there is no such annotation".to_owned(),
            };
            return self.wrong.push(invalid(annotation, value, &allowed));
        };
        match (knob.set)(&mut self.policy, value) {
            Ok(()) => {
                self.adoption.says_readiness |= name == "readiness";
                self.adoption.says_protocol |= name == "protocol";
            }
            Err(()) => self.wrong.push(invalid(annotation, value, knob.allowed)),
        }
    }

    fn finish(mut self) -> Reading {
        // Knobs that bound each other; with a wrong one among them that would say the same twice.
        if self.wrong.is_empty()
            && let Err((name, allowed)) = self.policy.agree()
        {
            let value = knob::find(name).map(|knob| (knob.show)(&self.policy)).unwrap_or_default();
            self.wrong.push(invalid(&format!("{PREFIX}{name}"), &value, &allowed));
        }
        if !self.wrong.is_empty() {
            return Reading::Invalid(self.wrong);
        }
        self.adoption.policy = Arc::new(self.policy);
        Reading::Adopted(self.adoption)
    }
}

/// The annotations under [`PREFIX`] that are no knobs; every knob is one, too.
pub const NAMES: [&str; 8] =
    ["enabled", "host", "path", "service", "port", "mode", "accept-risks", "scale-target"];

fn nearest(name: &str) -> Option<&'static str> {
    let own = NAMES.iter().copied().find(|own| knob::distance(name, own) <= 2);
    own.or_else(|| knob::closest(name))
}

/// Most hosts of one workload.
const HOSTS: usize = 100;

fn hosts(value: &str) -> Result<Vec<HostPattern>, String> {
    let allowed = || {
        "hosts such as shop.example.com or *.example.com, separated by commas, at most 100 of them".to_owned()
    };
    let read: Result<Vec<_>, _> = value.split(',').map(|host| HostPattern::parse(host.trim())).collect();
    read.ok().filter(|hosts| hosts.len() <= HOSTS && !hosts.contains(&HostPattern::Any)).ok_or_else(allowed)
}

fn path(value: &str) -> Result<String, String> {
    let sound = value.starts_with('/') && value.len() <= 1024 && !value.contains("//");
    let byte = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'*');
    let allowed = "a path that begins with /, without // ? # * or spaces, at most 1024 bytes";
    if sound && value.bytes().all(byte) { Ok(value.to_owned()) } else { Err(allowed.to_owned()) }
}

/// A DNS label (RFC 1123 §2.1).
fn label(value: &str) -> Option<String> {
    let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let sound = (1..=63).contains(&value.len()) && value.bytes().all(byte);
    (sound && !value.starts_with('-') && !value.ends_with('-')).then(|| value.to_owned())
}

fn port(value: &str) -> Result<Port, String> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let read = match digits {
        true => value.parse().ok().filter(|port| *port > 0).map(Port::Number),
        false => label(value).map(Port::Name),
    };
    read.ok_or_else(|| "a port of the Service: its number, 1 to 65535, or its name".to_owned())
}

fn mode(value: &str) -> Result<Asked, String> {
    match value {
        "scale" => Ok(Asked::Scale),
        "observe" => Ok(Asked::Observe("its annotation kaos.dev/mode says observe".to_owned())),
        "off" => Ok(Asked::Off),
        _ => Err("scale, observe or off".to_owned()),
    }
}

fn risks(value: &str) -> Result<(), String> {
    match value.split(',').all(|risk| risk.trim() == "bypass") {
        true => Ok(()),
        false => Err("bypass".to_owned()),
    }
}
