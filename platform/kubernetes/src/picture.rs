//! From the cluster's state to the snapshot, the directory and the notes, which change together.
//!
//! Only touched workloads are built again; the others stay the very same in memory, and so does the table of routes while
//! nobody's hosts or path change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kaos_core::host::HostPattern;
use kaos_core::route::{Claim, RouteTable};
use kaos_core::snapshot::Workload;
use kaos_core::{Moment, Snapshot, WorkloadId};

use crate::build::{self, Around, Built, Memory};
use crate::claim::HostRules;
use crate::contest::{self, Claimant};
use crate::directory::Entry;
use crate::note::{Kind, Note, Notes};
use crate::object::Pod;
use crate::state::State;

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
    routes: Arc<RouteTable>,
    conflicts: Vec<Note>,
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
}

/// What others see.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) entries: HashMap<WorkloadId, Arc<Entry>>,
    pub(crate) notes: Notes,
}

impl Picture {
    /// An empty one.
    pub(crate) fn new(rules: HostRules) -> Self {
        Picture {
            state: State::default(),
            pods: HashMap::new(),
            originals: Arc::default(),
            rules,
            memories: HashMap::new(),
            built: BTreeMap::new(),
            routes: Arc::default(),
            conflicts: Vec::new(),
            notes: Notes::default(),
            untold: false,
            version: 0,
        }
    }

    /// Builds what was touched and what is due at `now`.
    pub(crate) fn publish(&mut self, now: Moment) -> Published {
        let mut touched = std::mem::take(&mut self.state.touched);
        touched.extend(self.due(now));
        let mut claims_changed = false;
        for id in touched {
            claims_changed |= self.rebuild(&id, now);
        }
        if claims_changed {
            self.settle();
        }
        self.version += 1;
        if std::mem::take(&mut self.untold) {
            self.notes = self.collect_notes();
        }
        Published { snapshot: Arc::new(self.snapshot()), entries: self.entries(), notes: self.notes.clone() }
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
            slices: &|service| state.slices(id.namespace(), service),
            pods: self.pods.get(id),
            original: self.originals.get(id).copied(),
            rules: &self.rules,
            now,
        };
        let Built { workload, entry, notes, due, waking, service } =
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
        let (entry, told) = match before {
            Some(piece) if *piece.entry == entry => (piece.entry, Some(piece.notes)),
            before => (Arc::new(entry), before.map(|piece| piece.notes)),
        };
        self.untold |= told.is_none_or(|told| told != notes);
        let piece = Piece { workload, claims, created, entry, notes, due, waking, service };
        self.built.insert(id.clone(), piece);
        !same
    }

    /// Says again who has which host, and builds the table of routes.
    fn settle(&mut self) {
        let adopted =
            || self.built.iter().filter_map(|(id, piece)| Some((id, piece, piece.workload.as_ref()?)));
        let claimants: Vec<Claimant<'_>> = adopted()
            .map(|(id, piece, workload)| Claimant {
                id,
                created: piece.created,
                hosts: &piece.claims,
                path: &workload.path,
            })
            .collect();
        let (granted, conflicts) = contest::settle(&claimants);
        self.untold = true;
        self.conflicts = conflicts
            .into_iter()
            .map(|conflict| Note {
                workload: conflict.loser,
                kind: Kind::HostConflict,
                text: format!(
                    "{} is {}'s, which is older: claim another host or path",
                    conflict.route, conflict.winner
                ),
            })
            .collect();
        let adopted = self.built.values_mut().filter_map(|piece| piece.workload.as_mut());
        for (workload, hosts) in adopted.zip(granted) {
            if workload.hosts != hosts {
                *workload = Arc::new(Workload { hosts, ..(**workload).clone() });
            }
        }
        let claims: Vec<Claim<'_>> = self
            .built
            .values()
            .filter_map(|piece| piece.workload.as_deref())
            .map(|workload| Claim { id: &workload.id, hosts: &workload.hosts, path: &workload.path })
            .collect();
        // None is claimed twice any more.
        self.routes = Arc::new(RouteTable::build(&claims).0);
    }

    fn snapshot(&self) -> Snapshot {
        let workloads = self.built.values().filter_map(|piece| piece.workload.clone()).collect();
        Snapshot { version: self.version, routes: self.routes.clone(), workloads }
    }

    fn entries(&self) -> HashMap<WorkloadId, Arc<Entry>> {
        self.built.iter().map(|(id, piece)| (id.clone(), piece.entry.clone())).collect()
    }

    fn collect_notes(&self) -> Notes {
        let mut all: Vec<Note> =
            self.built.values().flat_map(|piece| &piece.notes).chain(&self.conflicts).cloned().collect();
        all.sort();
        let invalid = self.built.values().filter(|piece| !piece.entry.invalid.is_empty()).count();
        Notes { all: all.into(), invalid }
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
        && one.policy == other.policy
        && one.path == other.path
        && one.hosts == other.hosts
}
