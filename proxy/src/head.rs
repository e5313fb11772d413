//! The head of a request as every later step sees it, whatever version of HTTP it came by.

use std::borrow::Cow;
use std::time::Duration;

use http::Method;
use kaos_core::host;

use crate::field::{Fields, Name};
use crate::http1::framing::Framing;
use crate::refuse::Refusal;
use crate::sabotage::{Rule, is_off};

/// Longest method, in bytes: every registered one is shorter.
const LONGEST_METHOD: usize = 32;
/// Longest request target, in bytes.
pub(crate) const LONGEST_TARGET: usize = 16 * 1024;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
    Http2,
}

/// A request's head, checked.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) method: Method,
    /// What the replica is asked for: origin-form, or `*`.
    pub(crate) target: Vec<u8>,
    /// What the replica is told as `Host`: what was routed, as the client wrote it.
    pub(crate) host: Vec<u8>,
    pub(crate) fields: Fields,
    pub(crate) body: Framing,
    /// The client may send another request on this connection.
    pub(crate) keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// The protocol that the client wants to speak after a 101.
    pub(crate) upgrade: Option<Vec<u8>>,
    /// The client takes trailers.
    pub(crate) takes_trailers: bool,
    /// The client may ask for an `https` URI here: it has come over TLS, or speaks for others that have.
    pub(crate) https: bool,
    /// It has come over TLS: here, or to the proxy that has passed it on.
    pub(crate) secure: bool,
    /// Another proxy has passed it on, and lets it wait for so long. What it says of the client is believed.
    pub(crate) passed: Option<Duration>,
}

impl Default for Head {
    fn default() -> Self {
        Head {
            version: Version::Http11,
            method: Method::GET,
            target: Vec::new(),
            host: Vec::new(),
            fields: Fields::default(),
            body: Framing::Length(0),
            keep_alive: false,
            expects_continue: false,
            upgrade: None,
            takes_trailers: false,
            https: false,
            secure: false,
            passed: None,
        }
    }
}

impl Head {
    /// Whether doing it twice is the same as doing it once (RFC 9110 §9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Whether its content is messages of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.fields.is_grpc()
    }

    /// The host as routes are looked up by it. Empty if the request names none, as HTTP/1.0 allows.
    pub(crate) fn routed_host(&self) -> Option<Cow<'_, str>> {
        if self.host.is_empty() {
            return Some(Cow::Borrowed(""));
        }
        let host = std::str::from_utf8(&self.host).ok()?;
        if is_off(Rule::SameHost) { Some(Cow::Borrowed(host)) } else { host::normalise(host) }
    }

    /// The path as routes are looked up by it: without the query, dot segments removed. What is forwarded is the
    /// target as it came: nothing is decoded.
    pub(crate) fn routed_path(&self) -> Cow<'_, str> {
        let end = self.target.iter().position(|byte| *byte == b'?').unwrap_or(self.target.len());
        let path = self.target.get(..end).and_then(|path| std::str::from_utf8(path).ok()).unwrap_or("/");
        if path == "*" {
            return Cow::Borrowed("/");
        }
        if path.contains("/.") || path.contains('%') {
            return without_dots(path);
        }
        Cow::Borrowed(path)
    }

    /// Checks what all versions share: the target, the fields that say where the request goes and what it expects.
    pub(crate) fn check(&mut self) -> Result<(), Refusal> {
        if matches!(self.method, Method::CONNECT | Method::TRACE) && !is_off(Rule::Methods) {
            return Err(Refusal::MethodNotAllowed);
        }
        if self.method.as_str().len() > LONGEST_METHOD {
            return Err(Refusal::BadRequest("the method is longer than 32 bytes"));
        }
        check_target(&self.method, &self.target)?;
        if self.routed_host().is_none() {
            return Err(Refusal::BadRequest("the Host names no host"));
        }
        // The head of the connection's request before this one was read into the same place.
        self.expects_continue = false;
        let mut expectations = self.fields.values(Name::Expect);
        if let Some(expectation) = expectations.next() {
            let known = expectation.eq_ignore_ascii_case(b"100-continue") || is_off(Rule::Expectations);
            if !known || expectations.next().is_some() {
                return Err(Refusal::ExpectationFailed);
            }
            self.expects_continue = self.version != Version::Http10 && !self.body.has_ended();
        }
        self.takes_trailers = self
            .fields
            .values(Name::Te)
            .any(|value| crate::field::tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers")));
        Ok(())
    }
}

fn check_target(method: &Method, target: &[u8]) -> Result<(), Refusal> {
    if target.len() > LONGEST_TARGET {
        return Err(Refusal::UriTooLong);
    }
    if target == b"*" && method == Method::OPTIONS {
        return Ok(());
    }
    if !target.starts_with(b"/") {
        return Err(Refusal::BadRequest("the request target is neither a path nor a URI with a host"));
    }
    if target.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        return Err(Refusal::BadRequest("the request target holds bytes that a URI doesn't"));
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut rest: &[u8] = if is_off(Rule::Targets) { &[] } else { path };
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(b"00") => return Err(Refusal::BadRequest("the path holds an encoded NUL")),
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {}
            _ => return Err(Refusal::BadRequest("the path holds a malformed percent-encoding")),
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    Ok(())
}

/// RFC 3986 §5.2.4, with encoded dots and slashes read as what they stand for: a replica may.
fn without_dots(path: &str) -> Cow<'_, str> {
    let plain = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
    let mut kept: Vec<&str> = Vec::new();
    for element in plain.split('/').skip(1) {
        match element {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    if plain.ends_with("/.") || plain.ends_with("/..") {
        kept.push("");
    }
    Cow::Owned(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> String {
        Head { target: target.into(), ..Head::default() }.routed_path().into_owned()
    }

    #[test]
    fn routes_are_looked_up_without_dots_and_query() {
        for (target, routed) in [
            ("/a/b?c=/../d", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%2f..%2fb", "/b"),
            ("/../../b", "/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/..", "/"),
            ("//evil", "//evil"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a%20b", "/a%20b"),
            ("*", "/"),
        ] {
            assert_eq!(path(target), routed, "{target}");
        }
    }

    #[test]
    fn targets_that_mean_nothing_or_two_things_are_refused() {
        for target in ["foo", "", "*", "/a%00b", "/%zz", "/%2", "/a#b", "/ü", "/a b", "a:80"] {
            assert!(check_target(&Method::GET, target.as_bytes()).is_err(), "{target}");
        }
        assert_eq!(check_target(&Method::OPTIONS, b"*"), Ok(()));
        assert_eq!(check_target(&Method::GET, &[b'/'; LONGEST_TARGET + 1]), Err(Refusal::UriTooLong));
        for target in ["/", "/a?%zz", "/{}", "/\\evil", "//evil"] {
            assert_eq!(check_target(&Method::GET, target.as_bytes()), Ok(()), "{target}");
        }
    }
}
