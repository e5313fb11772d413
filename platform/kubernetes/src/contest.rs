//! Who has which host and path when several claim it: the older object, then the lesser name. A pure rule, so a restart finds
//! the same winner.
//!
//! A Deployment and an Ingress that lead to the same replicas don't contend: both have it, and the Ingress says how.

use std::collections::HashMap;
use std::fmt;

use kaos_core::WorkloadId;
use kaos_core::host::HostPattern;
use kaos_core::route::Matching;

use crate::object::Name;

/// Who claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who<'a> {
    Deployment(&'a WorkloadId),
    Ingress(&'a Name),
}

impl Who<'_> {
    /// Its namespace and name.
    fn name(&self) -> (&str, &str) {
        match self {
            Who::Deployment(id) => (id.namespace(), id.name()),
            Who::Ingress((namespace, name)) => (namespace, name),
        }
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Deployment(id) => id.fmt(out),
            Who::Ingress((namespace, name)) => write!(out, "Ingress {namespace}/{name}"),
        }
    }
}

/// One host and path that is claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) host: &'a HostPattern,
    pub(crate) matching: Matching,
    pub(crate) path: &'a str,
    /// Where its requests go.
    pub(crate) target: &'a WorkloadId,
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
    let mut taken: HashMap<(&HostPattern, Matching, &str), (usize, &WorkloadId)> =
        HashMap::with_capacity(claimants.len() * 4);
    let mut granted: Vec<Vec<bool>> = vec![Vec::new(); claimants.len()];
    let mut lost = Vec::new();
    for loser in by_age {
        let claimant = &claimants[loser];
        for claim in &claimant.claims {
            let path = claim.matching.normal(claim.path);
            let (winner, target) =
                *taken.entry((claim.host, claim.matching, path)).or_insert((loser, claim.target));
            let differ =
                matches!(claimant.who, Who::Ingress(_)) != matches!(claimants[winner].who, Who::Ingress(_));
            // Said twice by one it counts once; that is no contest either.
            let has = winner == loser || differ && target == claim.target;
            granted[loser].push(has);
            if !has && !claim.quiet {
                let end = if claim.matching == Matching::Prefix { "/" } else { "" };
                lost.push(Lost { route: format!("{}{path}{end}", claim.host), winner, loser });
            }
        }
    }
    (granted, lost)
}
