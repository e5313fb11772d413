//! What is done with a route's requests on their way, beside leading them to its workload.

use std::net::IpAddr;
use std::sync::Arc;

use crate::network::Network;
use crate::pattern::Pattern;
use crate::policy::Policy;

/// What one route says of its requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// A request that came without TLS is sent to the same place with it.
    pub https_only: bool,
    /// Who may ask. `None`: everybody.
    pub allowed: Option<Box<[Network]>>,
    /// What becomes of the path.
    pub rewrite: Option<Rewrite>,
    /// What replicas are told as `Host`. `None`: what the client said.
    pub host: Option<String>,
    /// Nobody is asked: the client is sent there.
    pub redirect: Option<Redirect>,
    /// What becomes of a request's header.
    pub request: Edits,
    /// What becomes of an answer's header.
    pub response: Edits,
    /// Which pages of other origins may read the answers. `None`: the workload says it itself.
    pub cors: Option<Cors>,
    /// What counts for its requests in the place of the workload's policy.
    pub policy: Option<Arc<Policy>>,
}

impl Rule {
    /// Whether who asks from `address` may.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|network| network.contains(address)))
    }
}

/// Changes of a header. Names are in lower case, each in one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Fields that have this value alone.
    pub set: Box<[(String, String)]>,
    /// Fields that have this value too.
    pub add: Box<[(String, String)]>,
    /// Fields that aren't there.
    pub remove: Box<[String]>,
}

impl Edits {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// Whether the field `name`, as it came, doesn't go on.
    pub fn drops(&self, name: &[u8]) -> bool {
        let is = |known: &String| name.eq_ignore_ascii_case(known.as_bytes());
        self.remove.iter().any(is) || self.set.iter().any(|(known, _)| is(known))
    }

    /// The fields that come in addition to those that go on.
    pub fn added(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().chain(&self.add).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether a route may change the field `name`, which is in lower case: proxies act on all others, or say them themselves.
pub fn may_edit(name: &str) -> bool {
    // Some programs read the two as one.
    let name = name.replace('_', "-");
    let named = [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-real-ip",
        "x-request-id",
    ];
    !(named.contains(&name.as_str()) || name.starts_with("x-forwarded-") || name.starts_with("x-kaos-"))
}

/// Where a client is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The status: 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Whether by https. `None`: as it came.
    pub https: Option<bool>,
    /// The host. `None`: the one that was asked for.
    pub host: Option<String>,
    /// The port. `None`: that of the scheme, or the one that it came by.
    pub port: Option<u16>,
    /// The port that it came by.
    pub listener: Option<u16>,
    /// What becomes of the path.
    pub path: Option<Rewrite>,
}

/// What becomes of a path. The query stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// It is this one.
    Whole(String),
    /// Its first bytes, so many, are replaced by this.
    Prefix {
        /// Bytes that are taken away: a prefix by whole elements.
        length: usize,
        /// What comes in their place.
        by: String,
    },
    /// It is this one, in which `$1` to `$9` are what the groups of a pattern have matched in it.
    Pattern {
        /// What it matches.
        pattern: Pattern,
        /// What it becomes.
        target: String,
    },
}

impl Rewrite {
    /// Bytes of the path that don't go on as they came.
    pub fn length(&self) -> usize {
        match self {
            Rewrite::Whole(_) | Rewrite::Pattern { .. } => 0,
            Rewrite::Prefix { length, .. } => *length,
        }
    }

    /// What `path`, as it was routed, becomes. It begins with one slash.
    pub fn path(&self, path: &str) -> String {
        let filled;
        let (by, rest) = match self {
            Rewrite::Whole(whole) => (whole.as_str(), ""),
            Rewrite::Prefix { length, by } => (by.as_str(), path.get(*length..).unwrap_or_default()),
            Rewrite::Pattern { pattern, target } => {
                // It was routed by it.
                filled = pattern.fill(target, path).unwrap_or_default();
                (filled.as_str(), "")
            }
        };
        // Two that meet are one.
        let rest = if by.ends_with('/') || by.is_empty() { rest.trim_start_matches('/') } else { rest };
        let slash = if by.starts_with('/') { "" } else { "/" };
        format!("{slash}{by}{rest}")
    }
}

/// What browsers are told of who may read answers (Fetch Standard, "CORS protocol").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages. Empty: everybody's.
    pub origins: Box<[Origin]>,
    /// Methods, as they are told.
    pub methods: String,
    /// Fields of requests, as they are told.
    pub headers: String,
    /// Fields of answers that pages may read, as they are told. Empty: the usual ones.
    pub exposed: String,
    /// Whether requests may carry cookies.
    pub credentials: bool,
    /// For so many seconds a browser needn't ask again.
    pub max_age: u32,
}

/// The origin of a page: `scheme://host[:port]`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This one.
    Exact(String),
    /// One label between these: `https://*.example.com` is between `https://` and `.example.com`.
    Label(String, String),
}

impl Cors {
    /// What is answered as the origin that may read: `*`, or the one that asks. `None`: it may not.
    pub fn granted<'o>(&self, origin: &'o str) -> Option<&'o str> {
        if self.origins.is_empty() {
            return Some("*");
        }
        let lower = origin.to_ascii_lowercase();
        self.origins.iter().any(|one| one.matches(&lower)).then_some(origin)
    }
}

impl Origin {
    fn matches(&self, origin: &str) -> bool {
        match self {
            Origin::Exact(exact) => origin == exact,
            Origin::Label(before, after) => {
                let label =
                    origin.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
                let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                label.is_some_and(|label| !label.is_empty() && label.bytes().all(sound))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_rewritten_by_whole_elements() {
        let prefix = |length, by: &str| Rewrite::Prefix { length, by: by.to_owned() };
        for (rewrite, path, becomes) in [
            (Rewrite::Whole("/".to_owned()), "/a/b", "/"),
            (Rewrite::Whole("x".to_owned()), "/a/b", "/x"),
            (prefix(2, "/"), "/a", "/"),
            (prefix(2, "/"), "/a/", "/"),
            (prefix(2, "/"), "/a/b/", "/b/"),
            (prefix(2, "/api/"), "/a/b", "/api/b"),
            (prefix(2, "/api"), "/a/b", "/api/b"),
            (prefix(2, "/api"), "/a", "/api"),
            (prefix(0, "/base/"), "/b", "/base/b"),
            (prefix(2, ""), "/a//evil", "/evil"),
        ] {
            assert_eq!(rewrite.path(path), becomes, "{rewrite:?} {path}");
        }
    }

    #[test]
    fn an_origin_is_granted_as_it_asks() {
        let origins = |origins: Vec<Origin>| Cors {
            origins: origins.into(),
            methods: String::new(),
            headers: String::new(),
            exposed: String::new(),
            credentials: true,
            max_age: 0,
        };
        assert_eq!(origins(vec![]).granted("https://a.test"), Some("*"));
        let some = origins(vec![
            Origin::Exact("https://a.test".to_owned()),
            Origin::Label("https://".to_owned(), ".b.test:8443".to_owned()),
        ]);
        for (origin, granted) in [
            ("https://a.test", true),
            ("HTTPS://A.test", true),
            ("http://a.test", false),
            ("https://x.b.test:8443", true),
            ("https://.b.test:8443", false),
            ("https://x.y.b.test:8443", false),
            ("https://evil/.b.test:8443", false),
            ("null", false),
        ] {
            assert_eq!(some.granted(origin).is_some(), granted, "{origin}");
        }
    }
}
