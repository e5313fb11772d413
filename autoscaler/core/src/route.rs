//! Which workload a host and path belong to.
//!
//! Exact host before one label under a suffix, before `*.suffix` (the longer first), before every host. On one host an exact
//! path comes first, then the longest prefix, by whole elements: `/a` takes `/a` and `/a/b`, not `/ab`. A host whose paths
//! don't match lets less exact hosts try.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::host::HostPattern;
use crate::id::WorkloadId;
use crate::rule::Rule;

/// Finds the index of a workload. Built whole, then never changed.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, Paths, FixedState>,
    label: HashMap<String, Paths, FixedState>,
    suffix: HashMap<String, Paths, FixedState>,
    any: Paths,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The index of the workload.
    pub workload: usize,
    /// What is done with its requests on the way. `None`: nothing.
    pub rule: Option<Arc<Rule>>,
}

impl Route {
    /// To the workload of this index, and nothing is done on the way.
    pub fn to(workload: usize) -> Self {
        Route { workload, rule: None }
    }
}

/// How a path is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matching {
    /// This path alone, to its last slash.
    Exact,
    /// This path and all below it. A slash at its end doesn't count.
    Prefix,
}

impl Matching {
    /// `path` as it is compared.
    pub fn normal(self, path: &str) -> &str {
        match self {
            Matching::Exact => path,
            Matching::Prefix => path.trim_end_matches('/'),
        }
    }
}

/// The paths of one host.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: HashMap<String, Route, FixedState>,
    prefixes: HashMap<String, Route, FixedState>,
    /// Bytes of the longest prefix: no longer part of a path needs a look.
    longest: usize,
}

/// What a workload claims: its hosts and its path prefix.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Who claims.
    pub id: &'a WorkloadId,
    /// The hosts.
    pub hosts: &'a [HostPattern],
    /// The path prefix, beginning with `/`.
    pub path: &'a str,
}

/// A host and path that two workloads claim: the earlier claim stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The host and path, as `host/path`.
    pub route: String,
    /// Who has it.
    pub winner: WorkloadId,
    /// Who claimed it too.
    pub loser: WorkloadId,
}

impl RouteTable {
    /// Builds the table. A claim's place in `claims` is the index that look-ups return; of two equal claims the first
    /// stands, so callers order claims by age.
    pub fn build(claims: &[Claim<'_>]) -> (RouteTable, Vec<Conflict>) {
        let mut table = RouteTable::default();
        let mut conflicts = Vec::new();
        for (workload, claim) in claims.iter().enumerate() {
            for host in claim.hosts {
                match table.add(host, Matching::Prefix, claim.path, Route::to(workload)) {
                    Err(taken) if taken != workload => conflicts.push(Conflict {
                        route: format!("{host}{}/", Matching::Prefix.normal(claim.path)),
                        winner: claims[taken].id.clone(),
                        loser: claim.id.clone(),
                    }),
                    _ => {}
                }
            }
        }
        (table, conflicts)
    }

    /// Adds a route. `Err`: there is one for the same host and path already, and it leads to the workload of this index.
    pub fn add(
        &mut self,
        host: &HostPattern,
        matching: Matching,
        path: &str,
        route: Route,
    ) -> Result<(), usize> {
        let paths = match host {
            HostPattern::Exact(host) => self.exact.entry(host.clone()).or_default(),
            HostPattern::Label(suffix) => self.label.entry(suffix.clone()).or_default(),
            HostPattern::Suffix(suffix) => self.suffix.entry(suffix.clone()).or_default(),
            HostPattern::Any => &mut self.any,
        };
        let path = matching.normal(path);
        let among = match matching {
            Matching::Exact => &mut paths.exact,
            Matching::Prefix => &mut paths.prefixes,
        };
        if let Some(taken) = among.get(path) {
            return Err(taken.workload);
        }
        among.insert(path.to_owned(), route);
        if matching == Matching::Prefix {
            paths.longest = paths.longest.max(path.len());
        }
        Ok(())
    }

    /// The index of the workload for `host` (normalised, see [`crate::host::normalise`]) and `path` (beginning with `/`).
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        self.route(host, path).map(|route| route.workload)
    }

    /// The route for `host` and `path`, as of [`RouteTable::find`].
    pub fn route(&self, host: &str, path: &str) -> Option<&Route> {
        if let Some(route) = self.exact.get(host).and_then(|paths| paths.find(path)) {
            return Some(route);
        }
        if !self.label.is_empty() || !self.suffix.is_empty() {
            let mut dots = host.bytes().enumerate().filter(|(at, byte)| *byte == b'.' && *at > 0);
            let mut rest = dots.next().and_then(|(at, _)| host.get(at..));
            if let Some(route) = rest.and_then(|rest| self.label.get(rest)?.find(path)) {
                return Some(route);
            }
            while let Some(suffix) = rest {
                if let Some(route) = self.suffix.get(suffix).and_then(|paths| paths.find(path)) {
                    return Some(route);
                }
                rest = dots.next().and_then(|(at, _)| host.get(at..));
            }
        }
        self.any.find(path)
    }
}

impl Paths {
    fn find(&self, path: &str) -> Option<&Route> {
        self.exact.get(path).or_else(|| self.longest_prefix(path))
    }

    /// Tries what `path` begins with, from whole element to whole element, the longest first.
    fn longest_prefix(&self, path: &str) -> Option<&Route> {
        if self.prefixes.is_empty() {
            return None;
        }
        let mut end = path.len();
        if end > self.longest && path.as_bytes().get(self.longest) != Some(&b'/') {
            end = path.as_bytes()[..self.longest].iter().rposition(|byte| *byte == b'/')?;
        } else {
            end = end.min(self.longest);
        }
        loop {
            let prefix = path.get(..end)?;
            if let Some(route) = self.prefixes.get(prefix) {
                return Some(route);
            }
            end = prefix.rfind('/')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(claims: &[(&str, &str)]) -> (RouteTable, Vec<Conflict>) {
        let ids: Vec<_> = (0..claims.len()).map(|at| WorkloadId::new("local", &format!("w{at}"))).collect();
        let hosts: Vec<_> = claims.iter().map(|(host, _)| vec![HostPattern::parse(host).unwrap()]).collect();
        let claims: Vec<_> = claims
            .iter()
            .enumerate()
            .map(|(at, (_, path))| Claim { id: &ids[at], hosts: &hosts[at], path })
            .collect();
        RouteTable::build(&claims)
    }

    #[test]
    fn the_most_exact_host_wins_then_the_longest_path() {
        let (table, conflicts) = table(&[
            ("*", "/"),
            ("*.test", "/"),
            ("*.shop.test", "/"),
            ("a.shop.test", "/"),
            ("a.shop.test", "/cart"),
            ("a.shop.test", "/cart/items/"),
            ("only.test", "/api"),
        ]);
        assert_eq!(conflicts, []);
        for (host, path, found) in [
            ("other", "/", Some(0)),
            ("b.test", "/x", Some(1)),
            ("test", "/", Some(0)),
            ("b.shop.test", "/", Some(2)),
            ("c.b.shop.test", "/", Some(2)),
            ("a.shop.test", "/", Some(3)),
            ("a.shop.test", "/cart", Some(4)),
            ("a.shop.test", "/cart/", Some(4)),
            ("a.shop.test", "/cartoon", Some(3)),
            ("a.shop.test", "/cart/items", Some(5)),
            ("a.shop.test", "/cart/items/1", Some(5)),
            ("only.test", "/api/v1", Some(6)),
            ("only.test", "/other", Some(1)),
        ] {
            assert_eq!(table.find(host, path), found, "{host}{path}");
        }
    }

    #[test]
    fn the_first_of_two_equal_claims_stands() {
        let (table, conflicts) = table(&[("a.test", "/x"), ("a.test", "/x/"), ("a.test", "/y")]);
        assert_eq!(table.find("a.test", "/x"), Some(0));
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0].winner.name(), "w0");
        assert_eq!(conflicts[0].route, "a.test/x/");
        assert_eq!(table.find("b.test", "/"), None);
    }

    /// The examples of Kubernetes' own page on Ingress (path types and hostname wildcards), and what follows from them.
    #[test]
    fn an_ingress_means_what_kubernetes_says() {
        use Matching::{Exact, Prefix};
        for (matching, path, asked, matches) in [
            (Prefix, "/", "/any/path", true),
            (Exact, "/foo", "/foo", true),
            (Exact, "/foo", "/bar", false),
            (Exact, "/foo", "/foo/", false),
            (Exact, "/foo/", "/foo", false),
            (Prefix, "/foo", "/foo", true),
            (Prefix, "/foo", "/foo/", true),
            (Prefix, "/foo/", "/foo", true),
            (Prefix, "/foo/", "/foo/", true),
            (Prefix, "/aaa/bb", "/aaa/bbb", false),
            (Prefix, "/aaa/bbb", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb/", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb", "/aaa/bbb/", true),
            (Prefix, "/aaa/bbb", "/aaa/bbb/ccc", true),
            (Prefix, "/aaa/bbb", "/aaa/bbbxyz", false),
        ] {
            let mut table = RouteTable::default();
            let host = HostPattern::Exact("a.test".to_owned());
            table.add(&host, matching, path, Route::to(7)).unwrap();
            assert_eq!(table.find("a.test", asked), matches.then_some(7), "{matching:?} {path} {asked}");
        }
        let mut table = RouteTable::default();
        let (exact, label) =
            (HostPattern::Exact("bar.foo.com".to_owned()), HostPattern::Label(".foo.com".to_owned()));
        let added = [
            (&label, Prefix, "/"),
            (&label, Exact, "/a"),
            (&exact, Prefix, "/a"),
            (&exact, Exact, "/a/b"),
            (&exact, Prefix, "/a/b"),
            (&HostPattern::Suffix(".foo.com".to_owned()), Prefix, "/"),
        ];
        for (workload, (host, matching, path)) in added.into_iter().enumerate() {
            table.add(host, matching, path, Route::to(workload)).unwrap();
        }
        assert_eq!(table.add(&exact, Prefix, "/a/b/", Route::to(9)), Err(4));
        for (host, path, found) in [
            ("bar.foo.com", "/a/b", Some(3)),
            ("bar.foo.com", "/a/b/", Some(4)),
            ("bar.foo.com", "/a/c", Some(2)),
            ("bar.foo.com", "/", Some(0)),
            ("baz.foo.com", "/a", Some(1)),
            ("baz.foo.com", "/a/", Some(0)),
            ("baz.bar.foo.com", "/", Some(5)),
            ("foo.com", "/", None),
        ] {
            assert_eq!(table.find(host, path), found, "{host}{path}");
        }
    }

    proptest! {
        /// The rule said again, slowly: of all claims that match, the one with the most exact host, then the longest path.
        #[test]
        fn agrees_with_trying_every_claim(
            claims in prop::collection::vec(("(\\*|(\\*\\.)?[ab](\\.[ab]){0,2})", "(/[ab]{1,2}){0,2}/?"), 0..8),
            host in "[ab](\\.[ab]){0,3}",
            path in "(/[ab]{1,2}){1,3}",
        ) {
            let claims: Vec<(&str, &str)> = claims.iter().map(|(host, path)| (host.as_str(), path.as_str())).collect();
            let (table, _) = table(&claims);
            let rank = |pattern: &str| match pattern.strip_prefix('*') {
                Some("") => Some(0),
                Some(suffix) => (host.ends_with(suffix) && host.len() > suffix.len()).then_some(suffix.len()),
                None => (host == pattern).then_some(usize::MAX),
            };
            let fits = |prefix: &str| {
                let prefix = prefix.trim_end_matches('/');
                (path == prefix || path.starts_with(&format!("{prefix}/"))).then_some(prefix.len())
            };
            let best = claims.iter().enumerate().filter_map(|(at, (host, prefix))| {
                Some(((rank(host)?, fits(prefix)?, std::cmp::Reverse(at)), at))
            });
            prop_assert_eq!(table.find(&host, &path), best.max().map(|(_, at)| at));
        }
    }
}
