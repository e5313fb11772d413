//! What one Ingress asks for, read from the object alone: hosts and paths with their backends, and certificates.
//!
//! Pure. What can't be done as it is written is left out, and said.

use std::collections::HashSet;

use kaos_core::host::HostPattern;
use kaos_core::pattern::Pattern;
use kaos_core::route::Matching;
use kaos_core::rule::Rewrite;

use crate::claim::HostRules;
use crate::ingress::{Backend, HostRule, Ingress};
use crate::nginx::{self, Tuning};
use crate::note::Kind;
use crate::object::Name;
use crate::patterns::Patterns;
use crate::wire::line;

/// One host and path, and where its requests are to go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) host: HostPattern,
    pub(crate) matching: Matching,
    pub(crate) path: Box<str>,
    /// The path as a pattern, if it is one.
    pub(crate) pattern: Option<Pattern>,
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

/// The hosts whose paths `ingress`, of this name, makes patterns of: its own, and those of everybody else.
pub(crate) fn patterned(name: &Name, ingress: &Ingress, rules: &HostRules) -> Vec<HostPattern> {
    if !nginx::has_patterns(&ingress.annotations) {
        return Vec::new();
    }
    let tuning = nginx::read(&ingress.annotations, &mut Vec::new());
    let made = |rule: &&HostRule| tuning.makes_patterns(rule.paths.iter().map(|path| written(&path.path)));
    let hosts = ingress.rules.iter().filter(made);
    hosts.filter_map(|rule| host(&name.0, &rule.host, rules).ok()).collect()
}

/// What `ingress`, of this name, asks for; `rules` say which hosts it may have, and `patterned` are those whose paths are patterns.
pub(crate) fn read(
    name: &Name,
    ingress: &Ingress,
    rules: &HostRules,
    patterned: &HashSet<HostPattern>,
    patterns: &mut Patterns,
) -> Wishes {
    let mut notes = Vec::new();
    let tuning = nginx::read(&ingress.annotations, &mut notes);
    let mut wishes = Wishes { notes, tuning, ..Wishes::default() };
    let mut hosts = Vec::with_capacity(ingress.rules.len());
    for rule in &ingress.rules {
        match host(&name.0, &rule.host, rules) {
            Ok(host) => {
                wishes.take(&host, rule, patterned.contains(&host).then_some(&mut *patterns));
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

/// A path as it is meant.
fn written(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

impl Wishes {
    /// Takes the paths of one host; with `patterns` they are such.
    fn take(&mut self, host: &HostPattern, rule: &HostRule, mut patterns: Option<&mut Patterns>) {
        for path in &rule.paths {
            let written = written(&path.path);
            match self.path(written, patterns.as_deref_mut()) {
                Ok((pattern, rewrite)) => self.all.push(Wish {
                    host: host.clone(),
                    matching: path.matching.unwrap_or(if written == "/" {
                        Matching::Prefix
                    } else {
                        Matching::Text
                    }),
                    path: written.into(),
                    pattern,
                    backend: path.backend.clone(),
                    fallback: false,
                    rewrite,
                }),
                Err(wrong) => {
                    self.notes
                        .push((Kind::Invalid, format!("path {:?} is left out: {wrong}", line(written))));
                }
            }
        }
    }

    /// What a path is, and becomes. `Err`: why it can't be had.
    fn path(
        &self,
        path: &str,
        patterns: Option<&mut Patterns>,
    ) -> Result<(Option<Pattern>, Option<Rewrite>), String> {
        if !path.starts_with('/') {
            return Err("allowed is what begins with a slash".to_owned());
        }
        if self.tuning.rewrite.as_deref() == Some("") {
            return Err("what it is to become can't be said".to_owned());
        }
        let Some(pattern) = patterns.map(|patterns| patterns.read(path)).transpose()? else {
            return Ok((None, None));
        };
        let rewrite = self
            .tuning
            .rewrites(path)
            .map(|target| Rewrite::Pattern { pattern: pattern.clone(), target: target.to_owned() });
        Ok((Some(pattern), rewrite))
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
                    pattern: None,
                    backend: backend.clone(),
                    fallback,
                    rewrite: None,
                });
            }
        }
    }
}
