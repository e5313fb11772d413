//! From the cluster's state to the snapshot, the directory and the notes, which change together.
//!
//! Only touched workloads are built again; the others stay the very same in memory, and so does the table of routes while
//! nobody's hosts or path change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kaos_core::condition::Over;
use kaos_core::host::HostPattern;
use kaos_core::route::{Matching, RouteTable};
use kaos_core::snapshot::Workload;
use kaos_core::{Moment, Snapshot, WorkloadId};

use crate::attach;
use crate::build::{self, Around, Built, Door, Memory};
use crate::claim::HostRules;
use crate::contest::{self, Claim, Claimant, LostTo, Who};
use crate::directory::Entry;
use crate::note::{Kind, Note, Notes, ObjectNote};
use crate::object::Pod;
use crate::patterns::Patterns;
use crate::plain;
use crate::plan::Served;
use crate::plan::{self, Plan, Planned, Resolved};
use crate::scaler::Target;
use crate::serve::{self, Adopted};
use crate::state::State;
use crate::status::{Status, Statuses};
use crate::table;

/// Everything that is built, and what it was built from.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) state: State,
    /// Pods of waking workloads.
    pub(crate) pods: HashMap<WorkloadId, HashMap<Box<str>, Pod>>,
    /// Counts before Kaos came, where they are on record.
    pub(crate) originals: Arc<HashMap<WorkloadId, u32>>,
    rules: HostRules,
    memories: HashMap<WorkloadId, Box<Memory>>,
    built: BTreeMap<WorkloadId, Piece>,
    /// Backends that nobody has adopted; none where they aren't wanted.
    plain: BTreeMap<WorkloadId, Arc<Workload>>,
    wants_backends: bool,
    policies: plain::Policies,
    patterns: Patterns,
    routes: Arc<RouteTable>,
    conflicts: Vec<Note>,
    /// What is to be told of Ingresses and HTTPRoutes.
    object_notes: Arc<[ObjectNote]>,
    served: Arc<[Served]>,
    statuses: Statuses,
    notes: Notes,
    /// What is to be told has changed since `notes` was made.
    untold: bool,
    version: u64,
}

/// One workload as it was last built.
#[derive(Debug)]
struct Piece {
    /// As it is in the snapshot.
    workload: Option<Arc<Workload>>,
    /// All hosts it claims; it may have been given fewer.
    claims: Vec<HostPattern>,
    created: i64,
    entry: Arc<Entry>,
    notes: Vec<Note>,
    due: Option<Moment>,
    waking: bool,
    service: Option<Box<str>>,
    doors: Box<[Door]>,
}

/// What others see.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) entries: HashMap<WorkloadId, Arc<Entry>>,
    pub(crate) notes: Notes,
    pub(crate) served: Arc<[Served]>,
    pub(crate) statuses: Arc<[Status]>,
}

impl Picture {
    /// An empty one. `backends`: what Ingresses and HTTPRoutes lead to is to be in it though nobody has adopted it.
    pub(crate) fn new(rules: HostRules, backends: bool) -> Self {
        Picture {
            state: State::default(),
            pods: HashMap::new(),
            originals: Arc::default(),
            rules,
            memories: HashMap::new(),
            built: BTreeMap::new(),
            plain: BTreeMap::new(),
            wants_backends: backends,
            policies: plain::Policies::default(),
            patterns: Patterns::default(),
            routes: Arc::default(),
            conflicts: Vec::new(),
            object_notes: Arc::default(),
            served: Arc::default(),
            statuses: Statuses::default(),
            notes: Notes::default(),
            untold: false,
            version: 0,
        }
    }

    /// Builds what was touched and what is due at `now`.
    pub(crate) fn publish(&mut self, now: Moment) -> Published {
        let mut touched = std::mem::take(&mut self.state.touched);
        touched.extend(self.due(now));
        let mut claims_changed = std::mem::take(&mut self.state.rerouted);
        for id in touched {
            match self.plain.get_mut(&id) {
                Some(backend) => put(backend, plain::build(&id, &self.state, &self.policies)),
                None => claims_changed |= self.rebuild(&id, now),
            }
        }
        if claims_changed {
            self.settle();
        }
        if (std::mem::take(&mut self.state.restated) || claims_changed) && self.state.states {
            self.statuses.say(&self.state);
        }
        self.version += 1;
        if std::mem::take(&mut self.untold) {
            self.notes = self.collect_notes();
        }
        Published {
            snapshot: Arc::new(self.snapshot()),
            entries: self.entries(),
            notes: self.notes.clone(),
            served: self.served.clone(),
            statuses: self.statuses.all.clone(),
        }
    }

    /// When something is to be built again though nothing may have changed.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.built.values().filter_map(|piece| piece.due).min()
    }

    /// The workloads whose pods are worth watching, with the selectors of their pods.
    pub(crate) fn waking(&self) -> impl Iterator<Item = (&WorkloadId, &str)> {
        self.built
            .iter()
            .filter(|(_, piece)| piece.waking)
            .filter_map(|(id, _)| Some((id, self.state.deployments.get(id)?.selector.as_deref()?)))
    }

    fn due(&self, now: Moment) -> Vec<WorkloadId> {
        let due = self.built.iter().filter(|(_, piece)| piece.due.is_some_and(|due| due <= now));
        due.map(|(id, _)| id.clone()).collect()
    }

    /// Builds one workload again. Whether what it claims has changed.
    fn rebuild(&mut self, id: &WorkloadId, now: Moment) -> bool {
        let before = self.built.remove(id);
        let before_service = before.as_ref().and_then(|piece| piece.service.as_deref());
        let Some(deployment) = self.state.deployments.get(id) else {
            self.memories.remove(id);
            self.pods.remove(id);
            self.state.reach(id, before_service, None);
            self.untold = true;
            return before.is_some_and(|piece| piece.workload.is_some());
        };
        let state = &self.state;
        let around = Around {
            services: state.services(id.namespace()),
            scalers: state.scalers.on(id.namespace(), Target::of_deployment(deployment)),
            namesake: state.namesakes.get(id).map(|one| &**one),
            slices: &|service| state.slices(id.namespace(), service),
            pods: self.pods.get(id),
            original: self.originals.get(id).copied(),
            rules: &self.rules,
            now,
        };
        let Built { workload, entry, notes, due, waking, service, doors } =
            build::build(deployment, &around, self.memories.entry(id.clone()).or_default());
        let created = deployment.created;
        let claims = workload.as_ref().map(|workload| workload.hosts.clone()).unwrap_or_default();
        let had =
            before.as_ref().and_then(|piece| Some((piece.workload.as_ref()?, &piece.claims, piece.created)));
        let same = match (&had, &workload) {
            (None, None) => true,
            (Some((old, old_claims, old_created)), Some(new)) => {
                **old_claims == claims && old.path == new.path && *old_created == created
            }
            _ => false,
        };
        let workload = workload.map(|mut workload| match had {
            Some((old, _, _)) if same => {
                workload.hosts.clone_from(&old.hosts);
                if equal(old, &workload) { old.clone() } else { Arc::new(workload) }
            }
            _ => Arc::new(workload),
        });
        self.state.reach(id, before_service, service.as_deref());
        let led = before.as_ref().is_none_or(|piece| piece.doors != doors);
        // What an Ingress says over a policy says it over the new one too.
        let old = before.as_ref().and_then(|piece| piece.workload.as_ref());
        let ruled = old.map(|old| &old.policy) != workload.as_ref().map(|new| &new.policy);
        let rerouted = (led || ruled) && self.state.has_routes();
        let (entry, told) = match before {
            Some(piece) if *piece.entry == entry => (piece.entry, Some(piece.notes)),
            before => (Arc::new(entry), before.map(|piece| piece.notes)),
        };
        self.untold |= told.is_none_or(|told| told != notes);
        let piece = Piece { workload, claims, created, entry, notes, due, waking, service, doors };
        self.built.insert(id.clone(), piece);
        !same || rerouted
    }

    /// Says again who has which host, and builds the table of routes.
    fn settle(&mut self) {
        let (hosts, routes) = self.contest();
        self.untold = true;
        let adopted = self.built.values_mut().filter_map(|piece| piece.workload.as_mut());
        for (workload, hosts) in adopted.zip(hosts) {
            if workload.hosts != hosts {
                *workload = Arc::new(Workload { hosts, ..(**workload).clone() });
            }
        }
        self.keep_backends(&routes);
        let ids = self.workloads();
        self.routes = Arc::new(table::build(&routes, &ids));
    }

    /// Who gets what: the hosts of each workload, and the routes of other objects, the oldest first. Tells those who don't.
    fn contest(&mut self) -> (Vec<Vec<HostPattern>>, Vec<Plan>) {
        let adopted: Vec<(&WorkloadId, &Piece, &Workload)> = self
            .built
            .iter()
            .filter_map(|(id, piece)| Some((id, piece, piece.workload.as_deref()?)))
            .collect();
        let mut led = Adopted::default();
        let mut by_age: Vec<_> = adopted.iter().collect();
        by_age.sort_by_key(|(_, piece, _)| piece.created);
        by_age.iter().for_each(|(id, piece, _)| led.add(id, &piece.doors));
        let Resolved { mut planned, mut served, wanted } =
            serve::resolve(&self.state, &led, &self.rules, &mut self.patterns);
        let others = attach::resolve(&self.state, &led, &self.rules);
        planned.extend(others.planned);
        served.extend(others.served);
        planned.sort_by(|one, other| one.age().cmp(&other.age()));
        served.sort_by_key(|served| served.created);
        let own = adopted.iter().map(|(id, piece, workload)| own(id, piece, &workload.path));
        let claimants: Vec<Claimant<'_>> = own.chain(planned.iter().map(Planned::claimant)).collect();
        let (granted, lost) = contest::settle(&claimants);
        let (mut conflicts, mut told) = (Vec::new(), Vec::new());
        for lost in lost {
            let text = match lost.to {
                LostTo::Winner(at) => {
                    let winner = &claimants[at].who;
                    format!("{} is {winner}'s, which is older: claim another host or path", lost.route)
                }
                LostTo::Crowd(most) => format!(
                    "{} is left out: {most} older ones that requests have to be compared with one by one are allowed for one \
                     host, or one host and path",
                    lost.route
                ),
            };
            match claimants[lost.loser].who {
                Who::Deployment(id) => {
                    conflicts.push(Note { workload: id.clone(), kind: Kind::HostConflict, text });
                }
                _ => told.extend(planned[lost.loser - adopted.len()].note(Kind::HostConflict, text)),
            }
        }
        let (of_workloads, of_others) = granted.split_at(adopted.len());
        let hosts = adopted.iter().zip(of_workloads).map(|((_, piece, _), granted)| {
            let hosts = piece.claims.iter().zip(granted).filter(|(_, granted)| **granted);
            hosts.map(|(host, _)| host.clone()).collect()
        });
        let hosts = hosts.collect();
        told.extend(planned.iter().flat_map(Planned::told));
        told.sort();
        told.dedup();
        drop(claimants);
        let routes = planned.into_iter().zip(of_others).flat_map(|(one, granted)| {
            one.plans.into_iter().zip(granted).filter(|(_, granted)| **granted).map(|(plan, _)| plan)
        });
        let routes = routes.collect();
        (self.conflicts, self.object_notes, self.served) = (conflicts, told.into(), served.into());
        if self.state.states {
            self.statuses.want(wanted.into_iter().chain(others.wanted).collect());
        }
        (hosts, routes)
    }

    /// Keeps the backends that `routes` lead to, and no others.
    fn keep_backends(&mut self, routes: &[Plan]) {
        if !self.wants_backends {
            return;
        }
        let wanted = plan::backends(routes);
        let gone: Vec<WorkloadId> = self.plain.keys().filter(|id| !wanted.contains(*id)).cloned().collect();
        for id in gone {
            self.plain.remove(&id);
            self.state.reach(&id, plain::parts(&id).map(|(service, _)| service), None);
        }
        for id in wanted {
            let backend = plain::build(&id, &self.state, &self.policies);
            match self.plain.get_mut(&id) {
                Some(known) => put(known, backend),
                None => {
                    self.state.reach(&id, None, plain::parts(&id).map(|(service, _)| service));
                    self.plain.insert(id, Arc::new(backend));
                }
            }
        }
    }

    /// All that there are, sorted by id.
    fn workloads(&self) -> Vec<Arc<Workload>> {
        let adopted = self.built.values().filter_map(|piece| piece.workload.clone());
        let mut all: Vec<Arc<Workload>> = adopted.chain(self.plain.values().cloned()).collect();
        if !self.plain.is_empty() {
            all.sort_by(|one, other| one.id.cmp(&other.id));
        }
        all
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, routes: self.routes.clone(), workloads: self.workloads().into() }
    }

    fn entries(&self) -> HashMap<WorkloadId, Arc<Entry>> {
        self.built.iter().map(|(id, piece)| (id.clone(), piece.entry.clone())).collect()
    }

    /// Whom `workload` is to wake with and who isn't there.
    fn alone(&self, workload: &Workload) -> Option<Note> {
        let id = &workload.id;
        let there = |name: &str| {
            let piece = self.built.get(&WorkloadId::new(id.namespace(), name));
            piece.is_some_and(|piece| piece.workload.is_some())
        };
        let absent: Vec<&str> =
            workload.policy.wake_with.iter().map(|name| &**name).filter(|name| !there(name)).collect();
        let text = || {
            format!(
                "kaos.dev/wake-with names {}, which Kaos hasn't adopted in the namespace {}: nothing wakes there",
                absent.join(", "),
                id.namespace()
            )
        };
        (!absent.is_empty()).then(|| Note { workload: id.clone(), kind: Kind::Limited, text: text() })
    }

    fn collect_notes(&self) -> Notes {
        let mut all: Vec<Note> =
            self.built.values().flat_map(|piece| &piece.notes).chain(&self.conflicts).cloned().collect();
        all.extend(self.built.values().filter_map(|piece| self.alone(piece.workload.as_deref()?)));
        all.sort();
        let invalid = self.built.values().filter(|piece| !piece.entry.invalid.is_empty()).count();
        Notes { all: all.into(), invalid, objects: self.object_notes.clone() }
    }
}

/// What a workload claims by its annotations.
fn own<'p>(id: &'p WorkloadId, piece: &'p Piece, path: &'p str) -> Claimant<'p> {
    let claim = |host: &'p HostPattern| {
        let (matching, over, when, target) = (Matching::Prefix, Over::Either, None, Some(id));
        Claim { host, matching, path, is_pattern: false, over, when, target, quiet: false }
    };
    let claims = piece.claims.iter().map(claim).collect();
    Claimant { who: Who::Deployment(id), created: piece.created, claims }
}

/// Puts `new` in the place of what is known, which stays the same in memory if it says the same.
fn put(known: &mut Arc<Workload>, new: Workload) {
    if !equal(known, &new) {
        *known = Arc::new(new);
    }
}

/// Whether two pictures of one workload say the same.
fn equal(one: &Workload, other: &Workload) -> bool {
    one.version == other.version
        && one.endpoints == other.endpoints
        && one.replicas == other.replicas
        && one.hold == other.hold
        && one.failure == other.failure
        && one.mode == other.mode
        && one.checks == other.checks
        && one.contender == other.contender
        && one.handed_to == other.handed_to
        && one.order == other.order
        && one.policy == other.policy
        && one.path == other.path
        && one.hosts == other.hosts
}
