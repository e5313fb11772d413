//! Who has which host and path when several claim it: the older object, then the lesser name. A pure rule, so a restart finds
//! the same winner.
//!
//! A Deployment and another object that lead to the same replicas don't contend: both have it, and the other says how. Of what
//! requests have to be compared with one by one, a host and a path have a bounded number.

use std::collections::HashMap;
use std::fmt;

use kaos_core::WorkloadId;
use kaos_core::condition::{Condition, Over};
use kaos_core::host::HostPattern;
use kaos_core::route::Matching;

use crate::note::Object;
use crate::object::Name;

/// Who claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who<'a> {
    Deployment(&'a WorkloadId),
    Ingress(&'a Name),
    HttpRoute(&'a Name),
}

impl Who<'_> {
    /// What it is, but for a Deployment.
    pub(crate) fn object(&self) -> Option<Object> {
        match self {
            Who::Deployment(_) => None,
            Who::Ingress(_) => Some(Object::Ingress),
            Who::HttpRoute(_) => Some(Object::HttpRoute),
        }
    }

    /// Its namespace and name.
    pub(crate) fn name(&self) -> (&str, &str) {
        match self {
            Who::Deployment(id) => (id.namespace(), id.name()),
            Who::Ingress((namespace, name)) | Who::HttpRoute((namespace, name)) => (namespace, name),
        }
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Deployment(id) => id.fmt(out),
            Who::Ingress((namespace, name)) => write!(out, "Ingress {namespace}/{name}"),
            Who::HttpRoute((namespace, name)) => write!(out, "HTTPRoute {namespace}/{name}"),
        }
    }
}

/// One host and path that is claimed, for requests that come so and meet the condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) host: &'a HostPattern,
    pub(crate) matching: Matching,
    pub(crate) path: &'a str,
    /// The path is a pattern, however it would be matched else.
    pub(crate) is_pattern: bool,
    pub(crate) over: Over,
    pub(crate) when: Option<&'a Condition>,
    /// Where all its requests go, if they go to one workload.
    pub(crate) target: Option<&'a WorkloadId>,
    /// Nobody is told when it is another's: it was meant for what nobody else claims.
    pub(crate) quiet: bool,
}

impl<'a> Claim<'a> {
    /// How the path is matched, which is none of these if it is a pattern, and the path as it is compared.
    fn place(&self) -> (Option<Matching>, &'a str) {
        match self.is_pattern {
            true => (None, self.path),
            false => (Some(self.matching), self.matching.normal(self.path)),
        }
    }
}

/// What one object claims.
#[derive(Clone, Debug)]
pub(crate) struct Claimant<'a> {
    pub(crate) who: Who<'a>,
    /// When it was made, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) claims: Vec<Claim<'a>>,
}

/// A claim that isn't granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The host and path, as `host/path`.
    pub(crate) route: String,
    pub(crate) to: LostTo,
    /// The place of who claimed it among the claimants.
    pub(crate) loser: usize,
}

/// Why a claim isn't granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LostTo {
    /// The claimant of this place has it.
    Winner(usize),
    /// So many others have been granted of what each request of this host, or of this host and path, may have to be compared with.
    Crowd(usize),
}

/// Patterns of one host: each of its requests is compared with them.
const PATTERNS: usize = 200;
/// Routes of one host and path that ask for more: each of its requests is compared with them.
const CONDITIONS: usize = 1000;

/// Which of its claims each claimant gets, in the order of `claimants` and of their claims, and those that it doesn't.
pub(crate) fn settle(claimants: &[Claimant<'_>]) -> (Vec<Vec<bool>>, Vec<Lost>) {
    let mut by_age: Vec<usize> = (0..claimants.len()).collect();
    by_age.sort_by_key(|at| {
        let claimant = &claimants[*at];
        (claimant.created, claimant.who.name(), claimant.who)
    });
    let mut taken: HashMap<Key<'_>, Ways<'_>> = HashMap::with_capacity(claimants.len() * 4);
    let mut crowds = Crowds::default();
    let mut granted: Vec<Vec<bool>> = vec![Vec::new(); claimants.len()];
    let mut lost = Vec::new();
    for loser in by_age {
        let claimant = &claimants[loser];
        let is_deployment = |at: usize| matches!(claimants[at].who, Who::Deployment(_));
        for claim in &claimant.claims {
            let (matching, path) = claim.place();
            let ways = taken.entry((claim.host, matching, path, claim.when)).or_default();
            let asked = || [Over::Plain, Over::Tls].map(|over| over.meets(claim.over));
            // Said twice by one it counts once; that is no contest either.
            let shares = |(winner, target): (usize, Option<&WorkloadId>)| {
                let differ = is_deployment(winner) != is_deployment(loser);
                winner == loser || differ && target.is_some() && target == claim.target
            };
            let held = ways.iter().zip(asked()).filter_map(|(way, asked)| way.filter(|_| asked));
            let others = held.filter(|held| !shares(*held)).map(|(winner, _)| winner).next();
            let is_new = ways.iter().zip(asked()).any(|(way, asked)| asked && way.is_none());
            let to = match others {
                Some(winner) => Some(LostTo::Winner(winner)),
                None if is_new => crowds.enter(claim).err().map(LostTo::Crowd),
                None => None,
            };
            granted[loser].push(to.is_none());
            match to {
                None => ways.iter_mut().zip(asked()).filter(|(_, asked)| *asked).for_each(|(way, _)| {
                    way.get_or_insert((loser, claim.target));
                }),
                Some(to) if !claim.quiet => {
                    let end = if matching == Some(Matching::Prefix) { "/" } else { "" };
                    lost.push(Lost { route: format!("{}{path}{end}", claim.host), to, loser });
                }
                Some(_) => {}
            }
        }
    }
    (granted, lost)
}

/// How many routes there are that each request of a host (by patterns) or of a host and path (by conditions) is compared with.
#[derive(Default)]
struct Crowds<'a>(HashMap<(&'a HostPattern, Option<Matching>, &'a str), usize>);

impl<'a> Crowds<'a> {
    /// Adds a claim. `Err`: there are so many already.
    fn enter(&mut self, claim: &Claim<'a>) -> Result<(), usize> {
        let (most, place) = match claim.place() {
            (None, _) => (PATTERNS, (claim.host, None, "")),
            (matching, path) if claim.when.is_some() => (CONDITIONS, (claim.host, matching, path)),
            _ => return Ok(()),
        };
        let count = self.0.entry(place).or_default();
        if *count == most {
            return Err(most);
        }
        *count += 1;
        Ok(())
    }
}

/// What is claimed once.
type Key<'a> = (&'a HostPattern, Option<Matching>, &'a str, Option<&'a Condition>);

/// Who has it without TLS, and with: the place among the claimants, and where that leads.
type Ways<'a> = [Option<(usize, Option<&'a WorkloadId>)>; 2];

#[cfg(test)]
mod tests {
    use super::*;

    /// All of the same host, each its own path or condition.
    fn claimant<'a>(
        name: &'a Name,
        host: &'a HostPattern,
        paths: &'a [String],
        when: &'a [Condition],
    ) -> Claimant<'a> {
        let (matching, over, target, quiet) = (Matching::Prefix, Over::Either, None, false);
        let of =
            |path, is_pattern, when| Claim { host, matching, path, is_pattern, over, when, target, quiet };
        let patterns = paths.iter().map(|path| of(path, true, None));
        let claims = patterns.chain(when.iter().map(|when| of("/", false, Some(when)))).collect();
        Claimant { who: Who::Ingress(name), created: 0, claims }
    }

    #[test]
    fn what_requests_are_compared_with_one_by_one_is_bounded_for_each_host_and_path() {
        let (host, other) = (HostPattern::Exact("a.test".into()), HostPattern::Exact("b.test".into()));
        let paths: Vec<String> = (0..=PATTERNS).map(|at| format!("/{at}")).collect();
        let when: Vec<Condition> = (0..=CONDITIONS)
            .map(|at| Condition { method: Some(format!("M{at}").into()), ..Condition::default() })
            .collect();
        let (first, second): (Name, Name) = (("ns".into(), "a".into()), ("ns".into(), "b".into()));
        // Said again by the same, it takes no place.
        let mut all = [claimant(&first, &host, &paths, &when), claimant(&second, &other, &paths, &[])];
        let again = all[0].claims[0];
        all[0].claims.insert(1, again);
        let (granted, lost) = settle(&all);
        let refused = |granted: &[bool]| granted.iter().filter(|granted| !**granted).count();
        assert_eq!([refused(&granted[0]), refused(&granted[1])], [2, 1]);
        let told = |route: String, most, loser| Lost { route, to: LostTo::Crowd(most), loser };
        assert_eq!(
            lost,
            [
                told(format!("a.test/{PATTERNS}"), PATTERNS, 0),
                told("a.test/".to_owned(), CONDITIONS, 0),
                told(format!("b.test/{PATTERNS}"), PATTERNS, 1)
            ]
        );
    }
}
