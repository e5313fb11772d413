//! What one Ingress asks for, read from the object alone: hosts and paths with their backends, and certificates.
//!
//! Pure. What can't be done as it is written is left out, and said.

use kaos_core::host::HostPattern;
use kaos_core::route::Matching;
use kaos_core::rule::Rewrite;

use crate::claim::HostRules;
use crate::ingress::{Backend, HostRule, Ingress};
use crate::nginx::{self, Tuning};
use crate::note::Kind;
use crate::object::Name;
use crate::wire::line;

/// One host and path, and where its requests are to go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) host: HostPattern,
    pub(crate) matching: Matching,
    pub(crate) path: Box<str>,
    pub(crate) backend: Backend,
    /// It is for what nobody else claims.
    pub(crate) fallback: bool,
    /// What becomes of its paths.
    pub(crate) rewrite: Option<Rewrite>,
}

/// All that one Ingress asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    pub(crate) all: Vec<Wish>,
    /// Secrets, and the hosts that their certificates are for.
    pub(crate) secrets: Vec<(Box<str>, Vec<HostPattern>)>,
    pub(crate) notes: Vec<(Kind, String)>,
    /// What its annotations say of all of its requests.
    pub(crate) tuning: Tuning,
}

/// What `ingress`, of this name, asks for; `rules` say which hosts it may have.
pub(crate) fn read(name: &Name, ingress: &Ingress, rules: &HostRules) -> Wishes {
    let mut notes = Vec::new();
    let tuning = nginx::read(&ingress.annotations, &mut notes);
    let mut wishes = Wishes { notes, tuning, ..Wishes::default() };
    let mut hosts = Vec::with_capacity(ingress.rules.len());
    for rule in &ingress.rules {
        match host(&name.0, &rule.host, rules) {
            Ok(host) => {
                wishes.take(&host, rule);
                hosts.push(host);
            }
            Err(wrong) => wishes.notes.push((Kind::Invalid, wrong)),
        }
    }
    if let Some(default) = &ingress.default {
        let any = host(&name.0, "", rules);
        // One that has rules is for their hosts first; whether it is for all others depends on nobody's word.
        match any {
            Ok(any) => hosts.push(any),
            Err(wrong) if ingress.rules.is_empty() => wishes.notes.push((Kind::Invalid, wrong)),
            Err(_) => {}
        }
        wishes.fall_back(hosts, default, !ingress.rules.is_empty());
    }
    for tls in &ingress.tls {
        let said = if tls.hosts.is_empty() {
            rules_of(ingress)
        } else {
            tls.hosts.iter().map(|host| &**host).collect()
        };
        let hosts: Vec<HostPattern> =
            said.into_iter().filter_map(|said| host(&name.0, said, rules).ok()).collect();
        wishes.secrets.push((tls.secret.clone(), hosts));
    }
    wishes
}

fn rules_of(ingress: &Ingress) -> Vec<&str> {
    ingress.rules.iter().map(|rule| &*rule.host).collect()
}

/// The hosts that `text` means, if `namespace` may have them.
fn host(namespace: &str, text: &str, rules: &HostRules) -> Result<HostPattern, String> {
    let pattern = match HostPattern::parse(if text.is_empty() { "*" } else { text }) {
        // Of an Ingress, `*` stands for one label (the API's own words on `host`).
        Ok(HostPattern::Suffix(suffix)) => HostPattern::Label(suffix),
        Ok(pattern) => pattern,
        Err(expected) => return Err(format!("host {:?}: {expected}", line(text))),
    };
    if rules.allows(namespace, &pattern) {
        return Ok(pattern);
    }
    Err(format!("its rules for {}: {}", described(&pattern), rules.allowed_to(namespace)))
}

fn described(host: &HostPattern) -> String {
    match host {
        HostPattern::Any => "every host".to_owned(),
        host => format!("host {host}"),
    }
}

impl Wishes {
    fn take(&mut self, host: &HostPattern, rule: &HostRule) {
        for path in &rule.paths {
            let written = if path.path.is_empty() { "/".into() } else { path.path.clone() };
            if !written.starts_with('/') {
                let wrong = format!("path {:?}: allowed is what begins with a slash", line(&path.path));
                self.notes.push((Kind::Invalid, wrong));
                continue;
            }
            let (prefix, rewrite) = match nginx::path(&written, &self.tuning, path.matching.is_none()) {
                Ok(read) => read,
                Err(wrong) => {
                    self.notes.push((Kind::Invalid, wrong));
                    continue;
                }
            };
            // A pattern is for all that it matches, whatever is said beside it.
            let exact = path.matching.filter(|_| prefix == written);
            self.all.push(Wish {
                host: host.clone(),
                matching: exact.unwrap_or(Matching::Prefix),
                path: prefix,
                backend: path.backend.clone(),
                fallback: false,
                rewrite,
            });
        }
    }

    /// What no path of these hosts is for goes to `backend`.
    fn fall_back(&mut self, hosts: Vec<HostPattern>, backend: &Backend, fallback: bool) {
        for host in hosts {
            let is_whole =
                |wish: &Wish| wish.host == host && wish.matching == Matching::Prefix && &*wish.path == "/";
            if !self.all.iter().any(is_whole) {
                let (matching, path) = (Matching::Prefix, "/".into());
                self.all.push(Wish {
                    host,
                    matching,
                    path,
                    backend: backend.clone(),
                    fallback,
                    rewrite: None,
                });
            }
        }
    }
}
