//! What a route says of its requests, done: who may ask and how, what is asked for, and what browsers are told.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str;
use std::sync::Arc;

use http::Method;
use kaos_core::rule::{Cors, Edits, Redirect, Rewrite, Rule};

use crate::clients::{Client, Clients};
use crate::head::Head;
use crate::refuse::{Extra, Refusal};
use crate::upstream::forwarded;

/// Whether this request goes on to its workload; else what is answered. Another proxy that has passed it on has seen to that.
pub(crate) fn check(rule: &Rule, head: &Head, client: Client, clients: &Clients) -> Result<(), Refusal> {
    if rule.allowed.is_some() && !rule.allows(asker(head, client, clients)) {
        return Err(Refusal::Forbidden);
    }
    if rule.https_only && !forwarded::is_secure(head, client) {
        return Err(Refusal::Redirect(PERMANENT, secure(head)?));
    }
    if let Some(redirect) = &rule.redirect {
        return Err(Refusal::Redirect(redirect.status, elsewhere(redirect, head, client)?));
    }
    match &rule.cors {
        // As ingress-nginx has it, whether a browser asks beforehand or somebody else asks.
        Some(cors) if head.method == Method::OPTIONS => Err(Refusal::Preflight(shared(cors, head))),
        _ => Ok(()),
    }
}

/// Who asks: the client, or for whom a trusted one does, by the last of the addresses it names that isn't trusted itself.
fn asker(head: &Head, client: Client, clients: &Clients) -> IpAddr {
    if !client.trusted {
        return client.address;
    }
    let named = forwarded::addresses(head);
    named.rev().find(|address| !clients.recognise(*address).trusted).unwrap_or(client.address)
}

/// The status of what is asked for by https from now on.
const PERMANENT: u16 = 308;

/// The same URI with https.
fn secure(head: &Head) -> Result<String, Refusal> {
    let (host, target) = asked(head)?;
    Ok(format!("https://{host}{target}"))
}

/// The host and the target that a client is sent to, if it isn't sent to others.
fn asked(head: &Head) -> Result<(Cow<'_, str>, &str), Refusal> {
    const NO_HOST: Refusal = Refusal::BadRequest("it is asked for elsewhere, which needs a host to be named");
    let host = head.routed_host().filter(|host| !host.is_empty()).ok_or(NO_HOST)?;
    let target = str::from_utf8(&head.target).map_err(|_| NO_HOST)?;
    Ok((host, if target == "*" { "/" } else { target }))
}

/// Where `redirect` sends a client.
fn elsewhere(redirect: &Redirect, head: &Head, client: Client) -> Result<String, Refusal> {
    let (host, target) = asked(head)?;
    let https = redirect.https.unwrap_or_else(|| forwarded::is_secure(head, client));
    // Who came by another proxy that ends TLS knows nothing of the port behind it.
    let came = redirect.listener.filter(|_| redirect.https.is_none() && https == head.secure);
    let port = redirect.port.or(came).filter(|port| *port != if https { 443 } else { 80 });
    let path = redirect.path.as_ref().and_then(|rewrite| rewritten(rewrite, head));
    let path = path.and_then(|path| String::from_utf8(path).ok());
    let (scheme, host) = (if https { "https" } else { "http" }, redirect.host.as_deref().unwrap_or(&host));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}{port}{}", path.as_deref().unwrap_or(target)))
}

/// The target that the replica is asked for, where that is another than the client's.
pub(crate) fn target(rule: &Rule, head: &Head) -> Option<Vec<u8>> {
    rule.rewrite.as_ref().and_then(|rewrite| rewritten(rewrite, head))
}

fn rewritten(rewrite: &Rewrite, head: &Head) -> Option<Vec<u8>> {
    if head.target == b"*" {
        return None;
    }
    let query = head.target.iter().position(|byte| *byte == b'?').unwrap_or(head.target.len());
    let (path, query) = head.target.split_at_checked(query)?;
    let routed = head.routed_path();
    let as_it_came = str::from_utf8(path).ok().filter(|path| goes_on(path, &routed, rewrite.length()));
    let mut target = rewrite.path(as_it_came.unwrap_or(&routed)).into_bytes();
    target.extend_from_slice(query);
    Some(target)
}

/// Whether `path` may go on as it came behind its first `length` bytes: they are what was matched, and what follows doesn't
/// lead elsewhere. Else what was matched goes on, in which more is decoded.
fn goes_on(path: &str, routed: &str, length: usize) -> bool {
    let dots = ["/.", "%2e", "%2E"];
    let rest = path.get(length..).unwrap_or("?");
    path.get(..length) == routed.get(..length)
        && (rest.is_empty() || rest.starts_with('/'))
        && !dots.iter().any(|dot| path.contains(dot))
}

/// What browsers are told with every answer, those before they ask among them.
fn shared(cors: &Cors, head: &Head) -> Extra {
    let mut extra = granted(cors, head);
    if !extra.is_empty() {
        extra.push(("Access-Control-Allow-Methods", cors.methods.clone()));
        extra.push(("Access-Control-Allow-Headers", cors.headers.clone()));
        extra.push(("Access-Control-Max-Age", cors.max_age.to_string()));
        if !cors.exposed.is_empty() {
            extra.push(("Access-Control-Expose-Headers", cors.exposed.clone()));
        }
    }
    vary(cors, &mut extra);
    extra
}

/// Who may read it; nothing, if the page that asks may not.
fn granted(cors: &Cors, head: &Head) -> Extra {
    let origin = value(head, "origin").and_then(|origin| str::from_utf8(origin).ok()).unwrap_or_default();
    let Some(granted) = cors.granted(origin) else { return Extra::new() };
    let mut extra = vec![("Access-Control-Allow-Origin", granted.to_owned())];
    if cors.credentials {
        extra.push(("Access-Control-Allow-Credentials", "true".to_owned()));
    }
    extra
}

/// Where the answer depends on who asks, caches are told.
fn vary(cors: &Cors, extra: &mut Extra) {
    if !cors.origins.is_empty() {
        extra.push(("Vary", "Origin".to_owned()));
    }
}

fn value<'h>(head: &'h Head, name: &str) -> Option<&'h [u8]> {
    head.fields.iter().find(|known| known.name.eq_ignore_ascii_case(name.as_bytes())).map(|known| known.value)
}

/// What a route says in an answer's header.
#[derive(Debug)]
pub(crate) struct Told {
    /// In the place of what the replica tells browsers.
    cors: Option<Extra>,
    rule: Arc<Rule>,
}

impl Told {
    /// In the answer to `head`; `None`: nothing.
    pub(crate) fn new(rule: &Arc<Rule>, head: &Head) -> Option<Told> {
        let cors = rule.cors.as_ref().map(|cors| shared(cors, head));
        (cors.is_some() || !rule.response.is_empty()).then(|| Told { cors, rule: rule.clone() })
    }

    fn edits(&self) -> &Edits {
        &self.rule.response
    }
}

/// Whether a replica's field doesn't go on, for the route says otherwise.
pub(crate) fn replaces(told: Option<&Told>, name: &[u8]) -> bool {
    const CORS: &[u8] = b"access-control-";
    let Some(told) = told else { return false };
    let is_cors = || name.get(..CORS.len()).is_some_and(|start| start.eq_ignore_ascii_case(CORS));
    told.cors.is_some() && is_cors() || told.edits().drops(name)
}

/// The fields that the route says.
pub(crate) fn fields(told: Option<&Told>) -> impl Iterator<Item = (&str, &str)> {
    let cors = told.and_then(|told| told.cors.as_ref()).into_iter().flatten();
    let cors = cors.map(|(name, value)| (*name, value.as_str()));
    cors.chain(told.into_iter().flat_map(|told| told.edits().added()))
}

#[cfg(test)]
mod tests {
    use kaos_core::rule::{Origin, Rewrite};

    use super::*;

    fn head(method: Method, target: &str, fields: &[(&str, &str)]) -> Head {
        let mut head =
            Head { method, target: target.into(), host: b"A.test:8080".to_vec(), ..Head::default() };
        fields.iter().for_each(|(name, value)| head.fields.push(name.as_bytes(), value.as_bytes()));
        head
    }

    fn clients() -> Clients {
        Clients::new(0, vec!["10.0.0.0/8".parse().unwrap()], false)
    }

    fn asks(rule: &Rule, from: &str, fields: &[(&str, &str)]) -> Result<(), Refusal> {
        let clients = clients();
        let client = clients.recognise(from.parse().unwrap());
        check(rule, &head(Method::GET, "/a?b=c", fields), client, &clients)
    }

    #[test]
    fn who_asks_is_who_connects_or_whom_a_trusted_proxy_names() {
        let networks = ["192.0.2.0/24".parse().unwrap(), "10.9.9.9".parse().unwrap()];
        let rule = Rule { allowed: Some(networks.into()), ..Rule::default() };
        let forwarded = |list: &'static str| [("X-Forwarded-For", list)];
        for (from, list, may) in [
            ("192.0.2.7", "203.0.113.1", true),
            ("203.0.113.1", "192.0.2.7", false),
            ("10.1.1.1", "192.0.2.7", true),
            ("10.1.1.1", "192.0.2.7, 10.2.2.2", true),
            ("10.1.1.1", "192.0.2.7, 203.0.113.1", false),
            ("10.1.1.1", "192.0.2.7, garbage", false),
            ("10.9.9.9", "", true),
        ] {
            let asked = asks(&rule, from, &forwarded(list));
            assert_eq!(asked, if may { Ok(()) } else { Err(Refusal::Forbidden) }, "{from} {list}");
        }
        let nobody = Rule { allowed: Some(Box::default()), ..Rule::default() };
        assert_eq!(asks(&nobody, "192.0.2.7", &[]), Err(Refusal::Forbidden));
    }

    #[test]
    fn what_came_without_tls_is_sent_to_the_same_place_with_it() {
        let rule = Rule { https_only: true, ..Rule::default() };
        let redirect = Err(Refusal::Redirect(308, "https://a.test/a?b=c".to_owned()));
        let https = [("X-Forwarded-Proto", "https")];
        assert_eq!(asks(&rule, "192.0.2.7", &[]), redirect);
        assert_eq!(asks(&rule, "192.0.2.7", &https), redirect, "anybody can say so");
        assert_eq!(asks(&rule, "10.1.1.1", &https), Ok(()));
        assert_eq!(asks(&rule, "10.1.1.1", &[("Forwarded", "for=1.2.3.4;Proto=\"https\"")]), Ok(()));
        assert_eq!(asks(&rule, "10.1.1.1", &[("X-Forwarded-Proto", "http")]), redirect);
        let mut secure = clients().recognise("192.0.2.7".parse().unwrap());
        secure.secure = true;
        assert_eq!(check(&rule, &head(Method::GET, "/", &[]), secure, &clients()), Ok(()));
    }

    #[test]
    fn what_is_forwarded_is_what_was_matched() {
        let rewrite = Some(Rewrite::Prefix { length: 4, by: "/v1/".to_owned() });
        let rule = Rule { rewrite, ..Rule::default() };
        for (asked, forwarded) in [
            ("/api/x?y=/z", "/v1/x?y=/z"),
            ("/api", "/v1/"),
            ("/b/../api/x", "/v1/x"),
            ("/api/%2e%2e/api/x?q", "/v1/x?q"),
            ("/api/a%2Fb%20c", "/v1/a%2Fb%20c"),
            ("/api%2fx%20c", "/v1/x%20c"),
        ] {
            let target = target(&rule, &head(Method::GET, asked, &[])).unwrap();
            assert_eq!(String::from_utf8(target).unwrap(), forwarded, "{asked}");
        }
        assert_eq!(target(&Rule::default(), &head(Method::GET, "/", &[])), None);
    }

    #[test]
    fn pages_of_other_origins_are_told_what_they_may() {
        let cors = Cors {
            origins: [Origin::Exact("https://b.test".to_owned())].into(),
            methods: "GET".to_owned(),
            headers: "X-A".to_owned(),
            exposed: "X-B".to_owned(),
            credentials: true,
            max_age: 7,
        };
        let rule = Rule { cors: Some(cors.clone()), ..Rule::default() };
        let ask = |origin| {
            let fields = [("Origin", origin), ("Access-Control-Request-Method", "PUT")];
            let client = clients().recognise("192.0.2.7".parse().unwrap());
            let Err(Refusal::Preflight(extra)) =
                check(&rule, &head(Method::OPTIONS, "/", &fields), client, &clients())
            else {
                panic!("not answered");
            };
            extra.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let expected = [
            "Access-Control-Allow-Origin: https://b.test",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Allow-Methods: GET",
            "Access-Control-Allow-Headers: X-A",
            "Access-Control-Max-Age: 7",
            "Access-Control-Expose-Headers: X-B",
            "Vary: Origin",
        ];
        assert_eq!(ask("https://b.test"), expected);
        assert_eq!(ask("https://c.test"), ["Vary: Origin"]);
        let extra = shared(&cors, &head(Method::GET, "/", &[("origin", "https://b.test")]));
        assert!(extra.contains(&("Access-Control-Expose-Headers", "X-B".to_owned())));
        let told = Told { cors: Some(extra), rule: Arc::default() };
        assert!(
            replaces(Some(&told), b"Access-Control-Allow-Origin") && !replaces(None, b"access-control-x")
        );
        let open = Cors { origins: Box::default(), ..cors };
        assert_eq!(shared(&open, &head(Method::GET, "/", &[]))[0].1, "*");
    }
}
