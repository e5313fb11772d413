//! Who has which host and path when several claim it: the older object, then the lesser name. A pure rule, so a restart finds
//! the same winner.
//!
//! A Deployment and another object that lead to the same replicas don't contend: both have it, and the other says how.

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

/// What one object claims.
#[derive(Clone, Debug)]
pub(crate) struct Claimant<'a> {
    pub(crate) who: Who<'a>,
    /// When it was made, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) claims: Vec<Claim<'a>>,
}

/// A claim that is another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The host and path, as `host/path`.
    pub(crate) route: String,
    /// The place of who has it among the claimants.
    pub(crate) winner: usize,
    /// The place of who claimed it too.
    pub(crate) loser: usize,
}

/// Which of its claims each claimant gets, in the order of `claimants` and of their claims, and those that it doesn't.
pub(crate) fn settle(claimants: &[Claimant<'_>]) -> (Vec<Vec<bool>>, Vec<Lost>) {
    let mut by_age: Vec<usize> = (0..claimants.len()).collect();
    by_age.sort_by_key(|at| {
        let claimant = &claimants[*at];
        (claimant.created, claimant.who.name(), claimant.who)
    });
    let mut taken: HashMap<Key<'_>, Ways<'_>> = HashMap::with_capacity(claimants.len() * 4);
    let mut granted: Vec<Vec<bool>> = vec![Vec::new(); claimants.len()];
    let mut lost = Vec::new();
    for loser in by_age {
        let claimant = &claimants[loser];
        let is_deployment = |at: usize| matches!(claimants[at].who, Who::Deployment(_));
        for claim in &claimant.claims {
            let matching = Some(claim.matching).filter(|_| !claim.is_pattern);
            let path = matching.map_or(claim.path, |matching| matching.normal(claim.path));
            let ways = taken.entry((claim.host, matching, path, claim.when)).or_default();
            let asked = || [Over::Plain, Over::Tls].map(|over| over.meets(claim.over));
            // Said twice by one it counts once; that is no contest either.
            let shares = |(winner, target): (usize, Option<&WorkloadId>)| {
                let differ = is_deployment(winner) != is_deployment(loser);
                winner == loser || differ && target.is_some() && target == claim.target
            };
            let held = ways.iter().zip(asked()).filter_map(|(way, asked)| way.filter(|_| asked));
            let others = held.filter(|held| !shares(*held)).map(|(winner, _)| winner).next();
            granted[loser].push(others.is_none());
            match others {
                None => ways.iter_mut().zip(asked()).filter(|(_, asked)| *asked).for_each(|(way, _)| {
                    way.get_or_insert((loser, claim.target));
                }),
                Some(winner) if !claim.quiet => {
                    let end = if matching == Some(Matching::Prefix) { "/" } else { "" };
                    lost.push(Lost { route: format!("{}{path}{end}", claim.host), winner, loser });
                }
                Some(_) => {}
            }
        }
    }
    (granted, lost)
}

/// What is claimed once.
type Key<'a> = (&'a HostPattern, Option<Matching>, &'a str, Option<&'a Condition>);

/// Who has it without TLS, and with: the place among the claimants, and where that leads.
type Ways<'a> = [Option<(usize, Option<&'a WorkloadId>)>; 2];
