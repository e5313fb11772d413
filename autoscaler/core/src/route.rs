//! Which workload a host and path belong to.
//!
//! Exact host before `*.suffix` (the longer first) before every host; on one host the longest path prefix wins, by whole
//! elements: `/a` takes `/a` and `/a/b`, not `/ab`. A host whose paths don't match lets less exact hosts try.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::host::HostPattern;
use crate::id::WorkloadId;

/// Finds the index of a workload. Built whole, never changed.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, Paths, FixedState>,
    suffix: HashMap<String, Paths, FixedState>,
    any: Paths,
}

/// Path prefixes of one host, longest first.
type Paths = Vec<(String, usize)>;

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
        for (index, claim) in claims.iter().enumerate() {
            let prefix = claim.path.trim_end_matches('/');
            for host in claim.hosts {
                let paths = table.paths_of(host);
                match paths.iter().find(|(path, _)| path == prefix) {
                    Some((_, taken)) if *taken == index => {}
                    Some((_, taken)) => conflicts.push(Conflict {
                        route: format!("{host}{prefix}/"),
                        winner: claims[*taken].id.clone(),
                        loser: claim.id.clone(),
                    }),
                    None => {
                        let at = paths.partition_point(|(path, _)| path.len() >= prefix.len());
                        paths.insert(at, (prefix.to_owned(), index));
                    }
                }
            }
        }
        (table, conflicts)
    }

    fn paths_of(&mut self, host: &HostPattern) -> &mut Paths {
        match host {
            HostPattern::Exact(host) => self.exact.entry(host.clone()).or_default(),
            HostPattern::Suffix(suffix) => self.suffix.entry(suffix.clone()).or_default(),
            HostPattern::Any => &mut self.any,
        }
    }

    /// The index for `host` (normalised, see [`crate::host::normalise`]) and `path` (beginning with `/`).
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        if let Some(index) = self.exact.get(host).and_then(|paths| longest(paths, path)) {
            return Some(index);
        }
        if !self.suffix.is_empty() {
            let dots = host.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
            for at in dots.filter(|at| *at > 0) {
                let paths = host.get(at..).and_then(|suffix| self.suffix.get(suffix));
                if let Some(index) = paths.and_then(|paths| longest(paths, path)) {
                    return Some(index);
                }
            }
        }
        longest(&self.any, path)
    }
}

fn longest(paths: &Paths, path: &str) -> Option<usize> {
    let matches =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    paths.iter().find(|(prefix, _)| matches(prefix)).map(|(_, index)| *index)
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
