//! Host names: what a request may say, what a workload may claim, and when the two match.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest host that is looked at, in bytes (RFC 1035 §2.3.4, and room for a port).
pub const LONGEST_HOST: usize = 261;

/// The host that a request names, as it is compared: lower case, without its port and one trailing dot.
///
/// `None` if it is no host: empty, a list, with user information, spaces, a bad port or bytes that no name holds.
/// Punycode is compared as it is.
pub fn normalise(authority: &str) -> Option<Cow<'_, str>> {
    if authority.is_empty() || authority.len() > LONGEST_HOST {
        return None;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => ipv6_literal(authority, rest)?,
        None => without_port(authority)?,
    };
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(Cow::Owned(host.to_ascii_lowercase()));
    }
    Some(Cow::Borrowed(host))
}

fn ipv6_literal<'a>(authority: &'a str, rest: &str) -> Option<&'a str> {
    let end = rest.find(']')?;
    let (literal, port) = (rest.get(..end)?, rest.get(end + 1..)?);
    literal.parse::<std::net::Ipv6Addr>().ok()?;
    if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
        return None;
    }
    authority.get(..end + 2)
}

fn without_port(authority: &str) -> Option<&str> {
    let host = match authority.split_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) => return None,
        None => authority,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let sound = !host.is_empty() && !host.starts_with('.') && !host.ends_with('.') && !host.contains("..");
    (sound && host.bytes().all(name_byte)).then_some(host)
}

/// RFC 3986 allows an empty port; it is refused here because nothing honest sends it.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Hosts that a workload claims.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum HostPattern {
    /// This host alone.
    Exact(String),
    /// Every host that ends in this, which begins with a dot: `*.suffix`.
    Suffix(String),
    /// Every host of one label before this, which begins with a dot: an Ingress's `*.suffix`. Nothing else reads it so.
    Label(String),
    /// Every host.
    Any,
}

impl HostPattern {
    /// Reads `shop.example.com`, `*.example.com` or `*`. The error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected a host such as shop.example.com, *.example.com, or *";
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        let (name, suffix) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        // A port in a claim would never match: ports are dropped before hosts are compared.
        let bare = !name.contains(':') || name.starts_with('[') && name.ends_with(']');
        let host = normalise(name).filter(|_| bare).ok_or(EXPECTED)?;
        Ok(if suffix {
            HostPattern::Suffix(format!(".{host}"))
        } else {
            HostPattern::Exact(host.into_owned())
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => out.write_str(host),
            HostPattern::Suffix(suffix) | HostPattern::Label(suffix) => write!(out, "*{suffix}"),
            HostPattern::Any => out.write_str("*"),
        }
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        pattern.to_string()
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        HostPattern::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_port_and_one_trailing_dot_dont_count() {
        for (authority, host) in [
            ("APP.Test:80", "app.test"),
            ("app.test.", "app.test"),
            ("app.test.:8080", "app.test"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("a_b.test", "a_b.test"),
        ] {
            assert_eq!(normalise(authority).as_deref(), Some(host), "{authority}");
        }
    }

    #[test]
    fn what_is_no_host_is_none() {
        for authority in [
            "",
            ".",
            "..",
            "a..b",
            "app.test..",
            ".app",
            "a, b",
            "a b",
            "a/x",
            "u@a",
            ":80",
            "a:",
            "a:0",
            "a:b",
            "a:65536",
            "a:80:80",
            "[::1",
            "[x]",
            "[::1]x",
            "[::1]:",
            "bücher.example",
            "a\0",
            "a%20b",
            "*",
            "*.a",
        ] {
            assert_eq!(normalise(authority), None, "{authority:?}");
        }
    }

    #[test]
    fn patterns_read_back_as_written() {
        for text in ["shop.example.com", "*.example.com", "*", "[::1]"] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "*.", "a*b", "*.*.a", "shop:80", "http://shop", "a/b"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(authority in "[ -~]{0,30}") {
            if let Some(host) = normalise(&authority) {
                let again = normalise(&host).map(Cow::into_owned);
                prop_assert_eq!(again.as_deref(), Some(&*host));
            }
        }
    }
}
