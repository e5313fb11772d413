//! What is kept of an HTTPRoute: what its rules come to, and the first thing in it that Kaos doesn't have.

use kaos_core::condition::Condition;
use kaos_core::host::HostPattern;
use kaos_core::route::Matching;
use kaos_core::rule::{Edits, may_edit};

use super::gateway::port;
use crate::gateway::{BackendRef, GROUP, HttpRoute, Match, NewPath, Redirection, RouteRule};
use crate::object::Pairs;
use crate::protobuf::Message;
use crate::wire::gateway::{
    HeaderModifier, HeaderValue, HttpBackendRef, HttpRouteFilter, HttpRouteMatch, HttpRouteRule,
    HttpRouteSpec, NamedMatch, ObjectRef, PathModifier, RequestRedirect, Rest, UrlRewrite,
};
use crate::wire::{Meta, Parts, Watched, line};

/// Of no concern is one that is on its way out.
impl Watched for HttpRoute {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "httproutes";
    const MESSAGE: Option<&'static Message> = None;
    const OPTIONAL: bool = true;

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        if meta.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let spec: HttpRouteSpec = parts.spec()?.unwrap_or_default();
        let read = known(&spec.rest).map_err(|wrong| format!("spec.{wrong}")).and_then(|()| {
            let rules = spec.rules.into_iter().flatten().enumerate();
            rules.map(|(at, rule)| self::rule(rule).map_err(|wrong| format!("rules[{at}].{wrong}"))).collect()
        });
        let (rules, refused) = match read {
            Ok(rules) => (rules, None),
            Err(wrong) => (Box::default(), Some(wrong.into())),
        };
        Ok(Some(HttpRoute {
            parents: spec.parent_refs.unwrap_or_default().into(),
            hosts: spec.hostnames.unwrap_or_default().into(),
            rules,
            refused,
        }))
    }
}

/// Whether nothing is left that nothing was made of.
fn known(rest: &Rest) -> Result<(), String> {
    match rest.keys().next() {
        Some(field) => Err(format!("{}: Kaos doesn't have it", line(field))),
        None => Ok(()),
    }
}

fn rule(spec: HttpRouteRule) -> Result<RouteRule, String> {
    known(&spec.rest)?;
    let mut rule = RouteRule::default();
    for (at, filter) in spec.filters.into_iter().flatten().enumerate() {
        take(&mut rule, filter).map_err(|wrong| format!("filters[{at}].{wrong}"))?;
    }
    let matches = spec.matches.unwrap_or_default();
    let all = matches.into_iter().enumerate();
    let read = all.map(|(at, asked)| self::asked(asked).map_err(|wrong| format!("matches[{at}].{wrong}")));
    rule.matches = read.collect::<Result<_, _>>()?;
    if rule.matches.is_empty() {
        let (matching, path) = (Matching::Prefix, "/".into());
        rule.matches = Box::new([Match { matching, path, when: None }]);
    }
    let prefixed = |path: &Option<NewPath>| matches!(path, Some(NewPath::Prefix(_)));
    let replaces =
        prefixed(&rule.path) || rule.redirect.as_ref().is_some_and(|redirect| prefixed(&redirect.path));
    if replaces && rule.matches.iter().any(|asked| asked.matching != Matching::Prefix) {
        return Err("filters: ReplacePrefixMatch is for matches of the type PathPrefix".to_owned());
    }
    if rule.redirect.is_some() && (rule.host.is_some() || rule.path.is_some()) {
        return Err("filters: URLRewrite has no meaning beside RequestRedirect".to_owned());
    }
    let backends = spec.backend_refs.into_iter().flatten().enumerate();
    let backends =
        backends.map(|(at, given)| backend(given).map_err(|wrong| format!("backendRefs[{at}].{wrong}")));
    rule.backends = backends.collect::<Result<_, _>>()?;
    Ok(rule)
}

fn backend(given: HttpBackendRef) -> Result<BackendRef, String> {
    known(&given.rest)?;
    if given.filters.is_some_and(|filters| !filters.is_empty()) {
        return Err("filters: Kaos has them for whole rules".to_owned());
    }
    let to = ObjectRef { group: given.group, kind: given.kind, namespace: given.namespace, name: given.name };
    Ok(BackendRef { to, port: port(given.port), weight: given.weight.unwrap_or(1) })
}

fn asked(spec: HttpRouteMatch) -> Result<Match, String> {
    known(&spec.rest)?;
    let (kind, value) = match spec.path {
        Some(path) => {
            known(&path.rest).map_err(|wrong| format!("path.{wrong}"))?;
            (path.kind, path.value)
        }
        None => (None, None),
    };
    let matching = match kind.as_deref() {
        None | Some("PathPrefix") => Matching::Prefix,
        Some("Exact") => Matching::Exact,
        Some(kind) => return Err(format!("path.type {}: allowed are Exact and PathPrefix", line(kind))),
    };
    let path = value.unwrap_or_else(|| "/".into());
    if !path.starts_with('/') {
        return Err(format!("path.value {:?}: allowed is what begins with a slash", line(&path)));
    }
    let when = Condition {
        method: spec.method,
        headers: pairs("headers", spec.headers, |name| name.to_ascii_lowercase().into())?,
        query: pairs("queryParams", spec.query_params, |name| name.into())?,
    };
    let when = (when != Condition::default()).then(|| Box::new(when));
    Ok(Match { matching, path, when })
}

/// What is asked of each name; of several for one the first counts.
fn pairs(
    what: &str,
    given: Option<Vec<NamedMatch>>,
    normal: impl Fn(&str) -> Box<str>,
) -> Result<Pairs, String> {
    let mut all: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (at, one) in given.into_iter().flatten().enumerate() {
        known(&one.rest).map_err(|wrong| format!("{what}[{at}].{wrong}"))?;
        if let Some(kind) = one.kind.as_deref().filter(|kind| *kind != "Exact") {
            return Err(format!("{what}[{at}].type {}: allowed is Exact", line(kind)));
        }
        let name = normal(&one.name);
        if !all.iter().any(|(known, _)| *known == name) {
            all.push((name, one.value));
        }
    }
    all.sort();
    Ok(all.into())
}

fn take(rule: &mut RouteRule, filter: HttpRouteFilter) -> Result<(), String> {
    let lacking = |field: &str| format!("{field}: it is missing");
    match &*filter.kind {
        "RequestHeaderModifier" => {
            let given = filter.request_header_modifier.ok_or_else(|| lacking("requestHeaderModifier"))?;
            rule.request = edits(given).map_err(|wrong| format!("requestHeaderModifier.{wrong}"))?;
        }
        "ResponseHeaderModifier" => {
            let given = filter.response_header_modifier.ok_or_else(|| lacking("responseHeaderModifier"))?;
            rule.response = edits(given).map_err(|wrong| format!("responseHeaderModifier.{wrong}"))?;
        }
        "RequestRedirect" => {
            let given = filter.request_redirect.ok_or_else(|| lacking("requestRedirect"))?;
            rule.redirect = Some(redirection(given).map_err(|wrong| format!("requestRedirect.{wrong}"))?);
        }
        "URLRewrite" => {
            let UrlRewrite { hostname, path, rest } =
                filter.url_rewrite.ok_or_else(|| lacking("urlRewrite"))?;
            known(&rest).map_err(|wrong| format!("urlRewrite.{wrong}"))?;
            rule.host = host(hostname).map_err(|wrong| format!("urlRewrite.{wrong}"))?;
            rule.path = path.map(new_path).transpose().map_err(|wrong| format!("urlRewrite.{wrong}"))?;
        }
        kind => return Err(format!("type {}: Kaos doesn't have it", line(kind))),
    }
    Ok(())
}

fn redirection(given: RequestRedirect) -> Result<Redirection, String> {
    known(&given.rest)?;
    let https = match given.scheme.as_deref() {
        None => None,
        Some("http") => Some(false),
        Some("https") => Some(true),
        Some(scheme) => return Err(format!("scheme {}: allowed are http and https", line(scheme))),
    };
    let status = given.status_code.unwrap_or(302);
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Err(format!("statusCode {status}: allowed are 301, 302, 303, 307 and 308"));
    }
    let path = given.path.map(new_path).transpose()?;
    Ok(Redirection { https, host: host(given.hostname)?, port: port(given.port), path, status })
}

/// A host that others are told: a whole one.
fn host(given: Option<Box<str>>) -> Result<Option<Box<str>>, String> {
    match given.filter(|host| !host.is_empty()) {
        None => Ok(None),
        Some(host) if matches!(HostPattern::parse(&host), Ok(HostPattern::Exact(_))) => Ok(Some(host)),
        Some(host) => Err(format!("hostname {:?}: allowed is a host such as shop.example.com", line(&host))),
    }
}

fn new_path(given: PathModifier) -> Result<NewPath, String> {
    known(&given.rest).map_err(|wrong| format!("path.{wrong}"))?;
    let path = match &*given.kind {
        "ReplaceFullPath" => NewPath::Whole(given.replace_full_path.unwrap_or_default()),
        "ReplacePrefixMatch" => NewPath::Prefix(given.replace_prefix_match.unwrap_or_default()),
        kind => {
            return Err(format!(
                "path.type {}: allowed are ReplaceFullPath and ReplacePrefixMatch",
                line(kind)
            ));
        }
    };
    let (NewPath::Whole(text) | NewPath::Prefix(text)) = &path;
    let is_sound = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    match text.bytes().all(is_sound) {
        true => Ok(path),
        false => Err(format!("path {:?}: allowed is the path of a URI, encoded", line(text))),
    }
}

fn edits(given: HeaderModifier) -> Result<Edits, String> {
    known(&given.rest)?;
    let fields = |what: &str, given: Option<Vec<HeaderValue>>| {
        let mut all: Vec<(String, String)> = Vec::new();
        for (at, HeaderValue { name, value }) in given.into_iter().flatten().enumerate() {
            let is_sound = |byte: u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
            if !value.bytes().all(is_sound) {
                return Err(format!("{what}[{at}].value: allowed is what a header field may hold"));
            }
            let name = name_of(&name).map_err(|wrong| format!("{what}[{at}].{wrong}"))?;
            // Of several for one name the first counts.
            if !all.iter().any(|(known, _)| *known == name) {
                all.push((name, value.trim().to_owned()));
            }
        }
        Ok::<Box<[_]>, String>(all.into())
    };
    let removed = given.remove.into_iter().flatten().enumerate();
    let removed = removed.map(|(at, name)| name_of(&name).map_err(|wrong| format!("remove[{at}].{wrong}")));
    Ok(Edits {
        set: fields("set", given.set)?,
        add: fields("add", given.add)?,
        remove: removed.collect::<Result<_, _>>()?,
    })
}

fn name_of(name: &str) -> Result<String, String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("name {:?}: allowed is the name of a header field", line(name)));
    }
    let name = name.to_ascii_lowercase();
    match may_edit(&name) {
        true => Ok(name),
        false => Err(format!("name {name}: Kaos says this field itself")),
    }
}
