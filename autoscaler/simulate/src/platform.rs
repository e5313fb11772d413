//! A model of a platform: objects with a version, replicas that start, fail and stop, a picture for those who watch.
//!
//! It takes replicas in this order: named victims, then what isn't ready, then the newest.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kaos_autoscaler::Action;
use kaos_core::platform::{Expected, Refusal, Scale};
use kaos_core::snapshot::{Endpoint, Hold, Phase, Replicas, StartFailure, StartTimes, Workload};
use kaos_core::{EndpointUid, Moment, Policy, Snapshot, WorkloadId};

/// The platform.
#[derive(Debug)]
pub struct Platform {
    objects: Vec<Object>,
    version: u64,
    replicas: u64,
    phases_count: bool,
}

/// One workload.
#[derive(Debug)]
pub struct Object {
    /// Its name.
    pub id: WorkloadId,
    /// Its knobs.
    pub policy: Arc<Policy>,
    /// The count that was asked for.
    pub desired: u32,
    /// The hold in force.
    pub hold: Option<Hold>,
    /// Its replicas.
    pub replicas: BTreeMap<EndpointUid, Phase>,
    /// Why it can't start.
    pub failure: Option<StartFailure>,
    version: u64,
    shown: Option<Arc<Workload>>,
}

/// What a change of a count did.
#[derive(Debug, Default)]
pub struct Moved {
    /// These replicas begin to start.
    pub begun: Vec<EndpointUid>,
    /// These were taken.
    pub taken: Vec<EndpointUid>,
}

impl Object {
    /// Replicas in `phase`.
    pub fn count(&self, phase: Phase) -> u32 {
        self.replicas.values().filter(|found| **found == phase).count() as u32
    }

    fn show(&self) -> Workload {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let endpoint = |(uid, phase): (&EndpointUid, &Phase)| Endpoint {
            uid: uid.clone(),
            address,
            phase: *phase,
            start: StartTimes::default(),
        };
        Workload {
            id: self.id.clone(),
            hosts: Vec::new(),
            path: "/".into(),
            policy: self.policy.clone(),
            endpoints: self.replicas.iter().map(endpoint).collect(),
            replicas: Replicas {
                desired: self.desired,
                ready: self.count(Phase::Ready),
                starting: self.count(Phase::Starting),
            },
            hold: self.hold.clone(),
            failure: self.failure.clone(),
            version: self.version,
            mode: kaos_core::snapshot::Mode::default(),
            checks: Arc::default(),
            contender: None,
            handed_to: None,
            order: None,
        }
    }
}

impl Platform {
    /// With one object per policy, at zero.
    pub fn new(policies: &[Arc<Policy>], phases_count: bool) -> Self {
        let object = |(at, policy): (usize, &Arc<Policy>)| Object {
            id: WorkloadId::new("local", &format!("w{at}")),
            policy: policy.clone(),
            desired: 0,
            hold: None,
            replicas: BTreeMap::new(),
            failure: None,
            version: 1,
            shown: None,
        };
        let objects = policies.iter().enumerate().map(object).collect();
        Platform { objects, version: 1, replicas: 0, phases_count }
    }

    /// The objects, sorted by name.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The place of `id`.
    pub fn find(&self, id: &WorkloadId) -> usize {
        self.objects.binary_search_by(|object| object.id.cmp(id)).unwrap_or_default()
    }

    /// The whole picture.
    pub fn picture(&mut self) -> Arc<Snapshot> {
        for object in &mut self.objects {
            if object.shown.is_none() {
                object.shown = Some(Arc::new(object.show()));
            }
        }
        let workloads = self.objects.iter().filter_map(|object| object.shown.clone()).collect();
        Arc::new(Snapshot { version: self.version, workloads, ..Snapshot::default() })
    }

    fn change(&mut self, at: usize, counts: bool) -> u64 {
        self.version += 1;
        let object = &mut self.objects[at];
        object.shown = None;
        if counts {
            object.version = self.version;
        }
        object.version
    }

    /// A write, as the autoscaler asks for it.
    pub fn write(&mut self, action: &Action, honest: bool, now: Moment) -> (Result<u64, Refusal>, Moved) {
        let at = self.find(action.workload());
        match action {
            Action::Scale { scale, .. } => {
                let object = &self.objects[at];
                let met = match scale.expected {
                    Expected::Replicas(count) => object.desired == count,
                    Expected::Version(version) => object.version == version,
                };
                // Where a victim has gone by itself, another one would be taken in its place.
                let live = |uid: &EndpointUid| {
                    object.replicas.get(uid).is_some_and(|phase| *phase != Phase::Terminating)
                };
                if honest && !(met && scale.victims.iter().all(live)) {
                    return (Err(Refusal::Conflict), Moved::default());
                }
                let moved = self.scale(at, scale, now);
                (Ok(self.objects[at].version), moved)
            }
            Action::Hold { hold, .. } => {
                self.objects[at].hold = Some(hold.clone());
                (Ok(self.change(at, true)), Moved::default())
            }
            Action::Release { .. } => {
                self.objects[at].hold = None;
                (Ok(self.change(at, true)), Moved::default())
            }
        }
    }

    /// Sets the count and makes it so.
    pub fn scale(&mut self, at: usize, scale: &Scale, now: Moment) -> Moved {
        let object = &mut self.objects[at];
        object.desired = scale.to;
        let mut taken = Vec::new();
        for uid in order(object, &scale.victims) {
            if object.replicas.values().filter(|phase| **phase != Phase::Terminating).count() as u32
                <= scale.to
            {
                break;
            }
            object.replicas.insert(uid.clone(), Phase::Terminating);
            taken.push(uid);
        }
        self.change(at, true);
        Moved { begun: self.fill(at, now), taken }
    }

    /// Begins the starts that are missing, unless starts fail.
    pub fn fill(&mut self, at: usize, now: Moment) -> Vec<EndpointUid> {
        let object = &mut self.objects[at];
        let live = object.replicas.values().filter(|phase| **phase != Phase::Terminating).count() as u32;
        let missing = object.desired.saturating_sub(live);
        if missing == 0 || object.failure.as_ref().is_some_and(|failure| failure.retry_at > now) {
            return Vec::new();
        }
        let mut begun = Vec::new();
        for _ in 0..missing {
            self.replicas += 1;
            let uid = EndpointUid::new(&format!("r{}", self.replicas));
            object.replicas.insert(uid.clone(), Phase::Starting);
            begun.push(uid);
        }
        self.change(at, self.phases_count);
        begun
    }

    /// A start is over. Returns when the next one is tried, if it failed.
    pub fn started(&mut self, at: usize, uid: &EndpointUid, well: bool, now: Moment) -> Option<Moment> {
        let object = &mut self.objects[at];
        if object.replicas.get(uid) != Some(&Phase::Starting) {
            return None;
        }
        let mut retry = None;
        if well {
            object.replicas.insert(uid.clone(), Phase::Ready);
            object.failure = None;
        } else {
            object.replicas.remove(uid);
            let attempts = object.failure.as_ref().map_or(0, |failure| failure.attempts) + 1;
            let retry_at = now + Duration::from_millis(500) * 2_u32.pow(attempts.min(4));
            let (because, detail) = ("exited".into(), "exit status 1".into());
            object.failure = Some(StartFailure { because, detail, attempts, known: attempts > 1, retry_at });
            retry = Some(retry_at);
        }
        self.change(at, self.phases_count);
        retry
    }

    /// A replica dies by itself; another is started in its place.
    pub fn crash(&mut self, at: usize, uid: &EndpointUid, now: Moment) -> Moved {
        self.objects[at].replicas.remove(uid);
        self.change(at, self.phases_count);
        Moved { begun: self.fill(at, now), taken: Vec::new() }
    }

    /// A taken replica has stopped.
    pub fn stopped(&mut self, at: usize, uid: &EndpointUid) {
        if self.objects[at].replicas.remove(uid).is_some() {
            self.change(at, self.phases_count);
        }
    }
}

/// Live replicas in the order in which they are taken.
fn order(object: &Object, victims: &[EndpointUid]) -> Vec<EndpointUid> {
    let live = object.replicas.iter().filter(|(_, phase)| **phase != Phase::Terminating);
    let serial = |uid: &EndpointUid| uid.as_str().trim_start_matches('r').parse::<u64>().unwrap_or_default();
    let rank = |(uid, phase): (&EndpointUid, &Phase)| {
        (!victims.contains(uid), *phase == Phase::Ready, Reverse(serial(uid)), uid.clone())
    };
    let mut live: Vec<_> = live.map(rank).collect();
    live.sort();
    live.into_iter().map(|(_, _, _, uid)| uid).collect()
}
