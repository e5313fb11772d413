//! Which workload a host and path belong to.
//!
//! Exact host before one label under a suffix, before `*.suffix` (the longer first), before every host. On one host an exact
//! path comes first, then the longest prefix, by whole elements: `/a` takes `/a` and `/a/b`, not `/ab`. A host whose paths
//! don't match lets less exact hosts try.
//!
//! A host may have paths that aren't made of elements, too: texts, which take whatever begins so, and stand among the prefixes by
//! their length; and patterns, which come before all else, the longest as it is written first.
//!
//! Several routes may have one host and path if they ask for more: a method, header fields, parameters of the query. The one
//! that asks for more comes first; where none of them is met, shorter paths and less exact hosts try.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::condition::{Asked, Condition, Over, Unasked};
use crate::host::HostPattern;
use crate::id::WorkloadId;
use crate::pattern::Pattern;
use crate::rule::Rule;
pub use crate::split::Split;

/// Finds the index of a workload. Built whole, then never changed.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, Paths, FixedState>,
    label: HashMap<String, Paths, FixedState>,
    suffix: HashMap<String, Paths, FixedState>,
    any: Paths,
}

/// What becomes of a route's requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Where they go.
    pub leads: Leads,
    /// What is done with them on the way. `None`: nothing.
    pub rule: Option<Arc<Rule>>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Leads {
    /// To the workload of this index.
    To(usize),
    /// To one of several.
    Among(Arc<Split>),
    /// To none: what isn't answered by its rule is an error of whoever made the route.
    Nowhere,
}

impl Leads {
    /// The index of the workload that a request of this number goes to. `None`: there is none for it.
    pub fn pick(&self, number: impl FnOnce() -> u64) -> Option<usize> {
        match self {
            Leads::To(workload) => Some(*workload),
            Leads::Among(split) => split.pick(number()),
            Leads::Nowhere => None,
        }
    }
}

impl Route {
    /// To the workload of this index, and nothing is done on the way.
    pub fn to(workload: usize) -> Self {
        Route { leads: Leads::To(workload), rule: None }
    }
}

/// How a path is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matching {
    /// This path alone, to its last slash.
    Exact,
    /// This path and all below it. A slash at its end doesn't count.
    Prefix,
    /// Whatever begins so, letter by letter.
    Text,
}

impl Matching {
    /// `path` as it is compared.
    pub fn normal(self, path: &str) -> &str {
        match self {
            Matching::Prefix => path.trim_end_matches('/'),
            Matching::Exact | Matching::Text => path,
        }
    }
}

/// The paths of one host.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: HashMap<String, Choice, FixedState>,
    prefixes: HashMap<String, Choice, FixedState>,
    /// Bytes of the longest prefix: no longer part of a path needs a look.
    longest: usize,
    texts: BTreeMap<Box<[u8]>, Choice>,
    /// The longest as it is written first.
    patterns: Vec<(Pattern, Choice)>,
}

/// The routes of one host and path: the first whose terms are met counts. Nearly always there is one, without any.
#[derive(Clone, Debug)]
struct Choice {
    first: Candidate,
    more: Vec<Candidate>,
}

#[derive(Clone, Debug)]
struct Candidate {
    over: Over,
    when: Option<Box<Condition>>,
    route: Route,
}

impl Candidate {
    fn new(over: Over, when: Option<&Condition>, route: Route) -> Self {
        let when = when.filter(|when| **when != Condition::default()).cloned().map(Box::new);
        Candidate { over, when, route }
    }

    fn is_met(&self, asked: &impl Asked) -> bool {
        self.over.has(asked) && self.when.as_ref().is_none_or(|when| asked.meets(when))
    }

    /// Among those of one host and path the larger comes first.
    fn rank(&self) -> (bool, usize, usize) {
        self.when.as_ref().map(|when| when.rank()).unwrap_or_default()
    }
}

impl Choice {
    fn of(first: Candidate) -> Self {
        Choice { first, more: Vec::new() }
    }

    fn pick(&self, asked: &impl Asked) -> Option<&Route> {
        if self.first.is_met(asked) {
            return Some(&self.first.route);
        }
        self.more.iter().find(|candidate| candidate.is_met(asked)).map(|candidate| &candidate.route)
    }

    /// Adds `new` behind those of its rank. `Err`: one for the same requests is there already, and leads there.
    fn add(&mut self, new: Candidate) -> Result<(), Leads> {
        let mut all = std::iter::once(&self.first).chain(&self.more);
        if let Some(same) = all.find(|known| known.over.meets(new.over) && known.when == new.when) {
            return Err(same.route.leads.clone());
        }
        if new.rank() > self.first.rank() {
            self.more.insert(0, std::mem::replace(&mut self.first, new));
        } else {
            let at = self.more.partition_point(|known| known.rank() >= new.rank());
            self.more.insert(at, new);
        }
        Ok(())
    }
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
                    Err(Leads::To(taken)) if taken != workload => conflicts.push(Conflict {
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

    /// Adds a route for all requests with this host and path. `Err`: there is one already, and it leads there.
    pub fn add(
        &mut self,
        host: &HostPattern,
        matching: Matching,
        path: &str,
        route: Route,
    ) -> Result<(), Leads> {
        self.add_for(host, matching, path, (Over::Either, None), route)
    }

    /// Adds a route for those requests with this host and path that come so, and meet the condition. Of two with
    /// conditions of one rank the earlier comes first. `Err`: as of [`RouteTable::add`].
    pub fn add_for(
        &mut self,
        host: &HostPattern,
        matching: Matching,
        path: &str,
        (over, when): (Over, Option<&Condition>),
        route: Route,
    ) -> Result<(), Leads> {
        let paths = self.paths(host);
        let path = matching.normal(path);
        let new = Candidate::new(over, when, route);
        let known = match matching {
            Matching::Exact => paths.exact.get_mut(path),
            Matching::Prefix => paths.prefixes.get_mut(path),
            Matching::Text => paths.texts.get_mut(path.as_bytes()),
        };
        if let Some(known) = known {
            return known.add(new);
        }
        let new = Choice::of(new);
        match matching {
            Matching::Exact => drop(paths.exact.insert(path.to_owned(), new)),
            Matching::Prefix => {
                paths.longest = paths.longest.max(path.len());
                paths.prefixes.insert(path.to_owned(), new);
            }
            Matching::Text => drop(paths.texts.insert(path.as_bytes().into(), new)),
        }
        Ok(())
    }

    /// The same for the paths of a pattern.
    pub fn add_pattern(
        &mut self,
        host: &HostPattern,
        pattern: &Pattern,
        (over, when): (Over, Option<&Condition>),
        route: Route,
    ) -> Result<(), Leads> {
        let new = Candidate::new(over, when, route);
        let among = &mut self.paths(host).patterns;
        let own = pattern.text();
        let at = among.binary_search_by(|(known, _)| {
            let known = known.text();
            own.len().cmp(&known.len()).then_with(|| known.cmp(own))
        });
        match at {
            Ok(at) => return among[at].1.add(new),
            Err(at) => among.insert(at, (pattern.clone(), Choice::of(new))),
        }
        Ok(())
    }

    fn paths(&mut self, host: &HostPattern) -> &mut Paths {
        match host {
            HostPattern::Exact(host) => self.exact.entry(host.clone()).or_default(),
            HostPattern::Label(suffix) => self.label.entry(suffix.clone()).or_default(),
            HostPattern::Suffix(suffix) => self.suffix.entry(suffix.clone()).or_default(),
            HostPattern::Any => &mut self.any,
        }
    }

    /// The index of the workload for `host` (normalised, see [`crate::host::normalise`]) and `path` (beginning with `/`), of a
    /// request that meets no condition and comes without TLS.
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        self.route(host, path, &Unasked).and_then(|route| route.leads.pick(|| 0))
    }

    /// The route for `host` and `path`, as of [`RouteTable::find`], of this request.
    pub fn route(&self, host: &str, path: &str, asked: &impl Asked) -> Option<&Route> {
        if let Some(route) = self.exact.get(host).and_then(|paths| paths.find(path, asked)) {
            return Some(route);
        }
        if !self.label.is_empty() || !self.suffix.is_empty() {
            let mut dots = host.bytes().enumerate().filter(|(at, byte)| *byte == b'.' && *at > 0);
            let mut rest = dots.next().and_then(|(at, _)| host.get(at..));
            if let Some(route) = rest.and_then(|rest| self.label.get(rest)?.find(path, asked)) {
                return Some(route);
            }
            while let Some(suffix) = rest {
                if let Some(route) = self.suffix.get(suffix).and_then(|paths| paths.find(path, asked)) {
                    return Some(route);
                }
                rest = dots.next().and_then(|(at, _)| host.get(at..));
            }
        }
        self.any.find(path, asked)
    }
}

impl Paths {
    fn find(&self, path: &str, asked: &impl Asked) -> Option<&Route> {
        if let Some(route) = self.by_pattern(path, asked) {
            return Some(route);
        }
        if let Some(route) = self.exact.get(path).and_then(|choice| choice.pick(asked)) {
            return Some(route);
        }
        match (self.longest_prefix(path, asked), self.longest_text(path.as_bytes(), asked)) {
            (Some((length, _)), Some((longer, route))) if longer > length => Some(route),
            (Some((_, route)), _) | (None, Some((_, route))) => Some(route),
            (None, None) => None,
        }
    }

    fn by_pattern(&self, path: &str, asked: &impl Asked) -> Option<&Route> {
        let mut all = self.patterns.iter().filter(|(pattern, _)| pattern.matches(path));
        all.find_map(|(_, choice)| choice.pick(asked))
    }

    /// The longest text that `path` begins with, and where it leads.
    ///
    /// Of those that stand before `path` in order the last either is such a text, or shares so many bytes with it that none which
    /// is longer can be.
    fn longest_text(&self, path: &[u8], asked: &impl Asked) -> Option<(usize, &Route)> {
        if self.texts.is_empty() {
            return None;
        }
        let mut path = path;
        loop {
            let upto = (Bound::Unbounded, Bound::Included(path));
            let (text, choice) = self.texts.range::<[u8], _>(upto).next_back()?;
            let shared = text.iter().zip(path).take_while(|(one, other)| one == other).count();
            if shared < text.len() {
                path = path.get(..shared)?;
            } else if let Some(route) = choice.pick(asked) {
                return Some((shared, route));
            } else {
                path = path.get(..shared.checked_sub(1)?)?;
            }
        }
    }

    /// Tries what `path` begins with, from whole element to whole element, the longest first.
    fn longest_prefix(&self, path: &str, asked: &impl Asked) -> Option<(usize, &Route)> {
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
            if let Some(route) = self.prefixes.get(prefix).and_then(|choice| choice.pick(asked)) {
                return Some((end, route));
            }
            end = prefix.rfind('/')?;
        }
    }
}
