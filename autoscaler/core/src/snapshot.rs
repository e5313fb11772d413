//! What a platform says is: an immutable picture of every workload, swapped whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::HostPattern;
use crate::id::{EndpointUid, HoldId, WorkloadId};
use crate::moment::Moment;
use crate::policy::Policy;
use crate::route::RouteTable;

/// The whole picture at one version. Cheap to share; never changed after it was made.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with each picture of one platform.
    pub version: u64,
    /// Finds the index into `workloads` for a host and path.
    pub routes: Arc<RouteTable>,
    /// Every adopted workload. Sorted by id.
    pub workloads: Arc<[Arc<Workload>]>,
}

impl Snapshot {
    /// The workload `id`, if it is adopted.
    pub fn workload(&self, id: &WorkloadId) -> Option<&Arc<Workload>> {
        let at = self.workloads.binary_search_by(|workload| workload.id.cmp(id)).ok()?;
        self.workloads.get(at)
    }
}

/// One workload as its platform sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workload {
    /// Its name.
    pub id: WorkloadId,
    /// Hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// Path prefix it answers for, by whole elements; `/` for all.
    pub path: String,
    /// Its validated knobs.
    pub policy: Arc<Policy>,
    /// Its replicas that have an address, in any phase.
    pub endpoints: Vec<Endpoint>,
    /// Replica counts.
    pub replicas: Replicas,
    /// A hold that is in force, as written by an autoscaler.
    pub hold: Option<Hold>,
    /// Why it can't start, while it can't.
    pub failure: Option<StartFailure>,
    /// Version of the platform's object: the precondition of a write that must not overtake another's.
    pub version: u64,
    /// Whether its count is Kaos's to change.
    pub mode: Mode,
    /// What each replica has to answer to be ready, where a proxy may find that out before the platform says so. Empty:
    /// only the platform's word counts.
    pub checks: Arc<[Check]>,
    /// Who else last wrote its count, if it is known.
    pub contender: Option<String>,
    /// Who decides on its count above zero. `None`: Kaos does.
    #[serde(default)]
    pub handed_to: Option<HandedTo>,
    /// Its ready replicas in the order in which the platform lets them go, where that isn't Kaos's to choose.
    #[serde(default)]
    pub order: Option<Arc<[EndpointUid]>>,
}

impl Workload {
    /// A workload of this name and with these knobs: at zero, under no host, and nothing else is known of it.
    pub fn new(id: WorkloadId, policy: impl Into<Arc<Policy>>) -> Self {
        Workload {
            id,
            hosts: Vec::new(),
            path: "/".to_owned(),
            policy: policy.into(),
            endpoints: Vec::new(),
            replicas: Replicas::default(),
            hold: None,
            failure: None,
            version: 1,
            mode: Mode::default(),
            checks: Arc::default(),
            contender: None,
            handed_to: None,
            order: None,
        }
    }
}

/// Who decides on a workload's count above zero in Kaos's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedTo {
    /// Such as `HPA shop`.
    pub who: String,
    /// It goes to zero as well, by the [`load`](crate::load) that Kaos tells: Kaos wakes, and that is all.
    #[serde(default)]
    pub zero: bool,
}

impl HandedTo {
    /// Above zero the count is `who`'s, and zero is Kaos's.
    pub fn above_zero(who: impl Into<String>) -> Self {
        HandedTo { who: who.into(), zero: false }
    }
}

/// Whether the count of a workload is Kaos's to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decided and written.
    #[default]
    Scale,
    /// Decided and journaled, never written; for this reason, a sentence.
    Observe(String),
    /// Not decided at all: its requests are only passed on.
    Off,
    /// It has no count that anybody could decide on: the endpoints of a backend, as they are.
    Plain,
}

/// One thing that a replica has to answer to be ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The port, at the replica's own address.
    pub port: u16,
    /// A try that takes longer has failed.
    pub timeout: Duration,
    /// What is tried.
    pub probe: Probe,
}

/// How a replica is asked whether it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// A connection is accepted.
    Tcp,
    /// A GET is answered with 200 to 399.
    Http {
        /// Path and query.
        path: String,
        /// Over TLS, whatever the certificate.
        tls: bool,
        /// Headers beyond the usual, `Host` among them if another is wanted.
        headers: Vec<(String, String)>,
    },
    /// `grpc.health.v1.Health/Check` says SERVING.
    Grpc {
        /// The service asked about; empty for the whole server.
        service: String,
    },
}

/// Replica counts of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// What was asked of the platform.
    pub desired: u32,
    /// Answering now.
    pub ready: u32,
    /// Started and not ready yet.
    pub starting: u32,
}

/// One replica that has an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its identity: connections and counts are keyed by it, never by the address.
    pub uid: EndpointUid,
    /// Where it answers.
    pub address: SocketAddr,
    /// Whether it may be sent requests.
    pub phase: Phase,
    /// When its start was decided, begun and finished, where the platform knows.
    pub start: StartTimes,
}

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not answering yet.
    Starting,
    /// May be sent requests.
    Ready,
    /// Going away: final, whatever a probe says. Finishes what it has, gets nothing new.
    Terminating,
}

/// The steps of one replica's start, for the phases of a cold start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartTimes {
    /// The platform was asked for it.
    pub decided: Option<Moment>,
    /// It began to run.
    pub started: Option<Moment>,
    /// It was found ready.
    pub ready: Option<Moment>,
}

/// A request of an autoscaler to all proxies: dispatch nothing to these, queue instead, and confirm when they are empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// This attempt. A proxy obeys an id for a bounded time and never again.
    pub id: HoldId,
    /// The autoscaler that asks.
    pub by: String,
    /// Which replicas.
    pub targets: Targets,
}

/// What a hold covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// The whole workload: on its way to zero.
    All,
    /// These replicas: chosen to be stopped.
    Endpoints(Vec<EndpointUid>),
}

impl Targets {
    /// Whether the hold covers the replica `uid`.
    pub fn cover(&self, uid: &EndpointUid) -> bool {
        match self {
            Targets::All => true,
            Targets::Endpoints(uids) => uids.contains(uid),
        }
    }
}

/// Starts of this workload fail; none is begun before `retry_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    /// A stable word: `not-found`, `exited`, `start-timeout`, …
    pub because: String,
    /// A sentence for people: exit status, last lines of the output, what to do.
    pub detail: String,
    /// Failed starts in a row.
    pub attempts: u32,
    /// Whether those who wait are told now (the start is known to fail), or a quiet retry comes first.
    pub known: bool,
    /// No start is tried before this moment.
    pub retry_at: Moment,
}
