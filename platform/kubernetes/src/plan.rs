//! Routes that objects ask for, each with where it leads. Who gets which is settled by `contest`.

use std::collections::BTreeSet;
use std::sync::Arc;

use kaos_core::condition::{Condition, Over};
use kaos_core::host::HostPattern;
use kaos_core::pattern::Pattern;
use kaos_core::route::{Leads, Matching, Route, Split};
use kaos_core::rule::Rule;
use kaos_core::{Policy, WorkloadId};

use crate::contest::{Claim, Claimant, Who};
use crate::nginx::Limits;
use crate::note::{Kind, Object, ObjectNote};
use crate::plain;
use crate::secret::SecretName;
use crate::status::Wanted;

/// An Ingress or a Gateway that is served, as who shows certificates needs to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// What it is.
    pub of: Object,
    /// When it was made, in seconds since 1970. They are sorted by it.
    pub created: i64,
    /// The Secrets that it names, and the hosts that their certificates are for.
    pub certificates: Box<[(SecretName, Box<[HostPattern]>)]>,
}

/// One route that an object asks for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) host: HostPattern,
    pub(crate) matching: Matching,
    pub(crate) path: Box<str>,
    /// The path as a pattern, if it is one.
    pub(crate) pattern: Option<Pattern>,
    pub(crate) over: Over,
    pub(crate) when: Option<Box<Condition>>,
    pub(crate) goal: Goal,
    /// What is done with its requests; its policy is to be found.
    pub(crate) rule: Rule,
    pub(crate) limits: Limits,
    /// It is for what nobody else claims.
    pub(crate) fallback: bool,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Goal {
    To(WorkloadId),
    /// By weights; `None`: to nothing, which is an error.
    Among(Box<[(u32, Option<WorkloadId>)]>),
    Nowhere,
}

impl Goal {
    /// Every workload that it may lead to.
    fn all(&self) -> impl Iterator<Item = &WorkloadId> {
        let (one, some) = match self {
            Goal::To(id) => (Some(id), &[][..]),
            Goal::Among(shares) => (None, &**shares),
            Goal::Nowhere => (None, &[][..]),
        };
        one.into_iter().chain(some.iter().filter_map(|(_, id)| id.as_ref()))
    }
}

impl Plan {
    fn claim(&self) -> Claim<'_> {
        Claim {
            host: &self.host,
            matching: self.matching,
            path: &self.path,
            is_pattern: self.pattern.is_some(),
            over: self.over,
            when: self.when.as_deref(),
            target: if let Goal::To(id) = &self.goal { Some(id) } else { None },
            quiet: self.fallback,
        }
    }

    /// The route, where `place` knows the index of each workload and its policy. `None`: its workload isn't there.
    pub(crate) fn route<'p>(
        &self,
        place: impl Fn(&WorkloadId) -> Option<(usize, &'p Policy)>,
    ) -> Option<Route> {
        let mut rule = self.rule.clone();
        let leads = match &self.goal {
            Goal::To(id) => {
                let (at, policy) = place(id)?;
                rule.policy = self.limits.over(policy).map(Arc::new);
                Leads::To(at)
            }
            Goal::Among(shares) => {
                let at = |id: &Option<WorkloadId>| Some(place(id.as_ref()?)?.0);
                Leads::Among(Arc::new(Split::new(shares.iter().map(|(weight, id)| (*weight, at(id))))))
            }
            Goal::Nowhere => Leads::Nowhere,
        };
        Some(Route { leads, rule: (rule != Rule::default()).then(|| Arc::new(rule)) })
    }
}

/// All that one object asks for.
#[derive(Debug)]
pub(crate) struct Planned<'a> {
    pub(crate) who: Who<'a>,
    pub(crate) uid: Arc<str>,
    /// When it was made, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) plans: Vec<Plan>,
    pub(crate) notes: Vec<(Kind, String)>,
}

impl Planned<'_> {
    /// The less goes before the greater.
    pub(crate) fn age(&self) -> impl Ord + '_ {
        (self.created, self.who.name(), self.who)
    }

    /// What it claims.
    pub(crate) fn claimant(&self) -> Claimant<'_> {
        Claimant {
            who: self.who,
            created: self.created,
            claims: self.plans.iter().map(Plan::claim).collect(),
        }
    }

    /// What there is to be told of it.
    pub(crate) fn told(&self) -> impl Iterator<Item = ObjectNote> {
        self.notes.iter().filter_map(|(kind, text)| self.note(*kind, text.clone()))
    }

    /// Something to be told of it. A Deployment is told otherwise.
    pub(crate) fn note(&self, kind: Kind, text: String) -> Option<ObjectNote> {
        let (namespace, name) = self.who.name();
        let (namespace, name, uid) = (namespace.into(), name.into(), self.uid.clone());
        Some(ObjectNote { of: self.who.object()?, namespace, name, uid, kind, text })
    }
}

/// What all objects of some kinds ask for.
#[derive(Debug, Default)]
pub(crate) struct Resolved<'a> {
    pub(crate) planned: Vec<Planned<'a>>,
    pub(crate) served: Vec<Served>,
    /// What their statuses are to say.
    pub(crate) wanted: Vec<Wanted>,
}

/// The backends that `plans` lead to and nobody has adopted.
pub(crate) fn backends(plans: &[Plan]) -> BTreeSet<WorkloadId> {
    let targets = plans.iter().flat_map(|plan| plan.goal.all());
    targets.filter(|target| plain::parts(target).is_some()).cloned().collect()
}
