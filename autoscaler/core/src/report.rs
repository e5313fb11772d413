//! What a proxy says it has seen: exact sums that only grow.
//!
//! The integral of concurrency to time `T` is `finished_at − started_at + (started − finished)·T`; an average over any
//! window is a difference of two readings. All four wrap, and differences are taken wrapping: `finished_at` outgrows
//! 64 bits after a few years at a million requests a second, and differences don't care.

use serde::{Deserialize, Serialize};

use crate::id::{EndpointUid, HoldId, ProxyId, WorkloadId};

/// The version of the report's form that this code writes.
pub const REPORT_VERSION: u32 = 1;

/// Counts of requests and sums of their times, in microseconds since the proxy's epoch. Monotonic, wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Requests that began.
    pub started: u64,
    /// Requests that ended, however they did.
    pub finished: u64,
    /// Sum of the moments at which requests began.
    pub started_at: u64,
    /// Sum of the moments at which requests ended.
    pub finished_at: u64,
}

impl Sums {
    /// Counts a request that begins at `micros`.
    pub fn start(&mut self, micros: u64) {
        self.started = self.started.wrapping_add(1);
        self.started_at = self.started_at.wrapping_add(micros);
    }

    /// Counts a request that ends at `micros`.
    pub fn finish(&mut self, micros: u64) {
        self.finished = self.finished.wrapping_add(1);
        self.finished_at = self.finished_at.wrapping_add(micros);
    }

    /// Requests that began and haven't ended.
    pub fn open(&self) -> u64 {
        self.started.wrapping_sub(self.finished)
    }

    /// Request-microseconds from the epoch to `micros`, wrapping: only differences mean something.
    pub fn integral(&self, micros: u64) -> u64 {
        let closed = self.finished_at.wrapping_sub(self.started_at);
        closed.wrapping_add(self.open().wrapping_mul(micros))
    }

    /// Sums of two shards are the sum.
    pub fn plus(&self, other: &Sums) -> Sums {
        Sums {
            started: self.started.wrapping_add(other.started),
            finished: self.finished.wrapping_add(other.finished),
            started_at: self.started_at.wrapping_add(other.started_at),
            finished_at: self.finished_at.wrapping_add(other.finished_at),
        }
    }
}

/// One proxy's view of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Requests that hold a slot on a replica.
    pub running: Sums,
    /// Requests that wait for one. A backlog isn't load: kept apart.
    pub waiting: Sums,
    /// Whether requests are presumed to be in flight that go to replicas past this proxy: it has let them through, and isn't
    /// told of their ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presumed: bool,
    /// When something last happened (a request came, ended, or a stream moved bytes), in the proxy's microseconds.
    /// `None`: nothing ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<u64>,
    /// The answer to a hold that this proxy has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldAnswer>,
    /// In flight per replica.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointLoad>,
    /// Version of the platform's object that this proxy acts on.
    pub seen: u64,
}

/// What a proxy says to a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldAnswer {
    /// Which hold.
    pub id: HoldId,
    /// The answer.
    pub state: HoldState,
    /// Which of the held replicas have nothing in flight here. For a hold of all: every replica, once confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty: Vec<EndpointUid>,
}

/// The state of a hold in one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldState {
    /// Obeyed, but requests are still in flight on held replicas.
    Draining,
    /// Obeyed: nothing is dispatched, nothing is in flight.
    Confirmed,
    /// Not obeyed any more: it lasted too long. Dispatching goes on.
    Expired,
}

/// What one replica has in flight through one proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointLoad {
    /// The replica.
    pub uid: EndpointUid,
    /// Requests in flight on it.
    pub in_flight: u32,
}

/// What one proxy says at one moment. Additive and idempotent: the last one of an epoch wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Form of this report: [`REPORT_VERSION`].
    pub version: u32,
    /// Who reports.
    pub proxy: ProxyId,
    /// Identity of the proxy's process: another epoch means that its sums began anew. It grows from process to process
    /// (the time at which it began), so that late reports of one that is over are known as such.
    pub epoch: u64,
    /// Grows with each report of an epoch.
    pub sequence: u64,
    /// When the readings were taken, in microseconds since the epoch.
    pub at: u64,
    /// Whether every workload is in it, not only those that changed.
    pub full: bool,
    /// The readings.
    pub workloads: Vec<(WorkloadId, Reading)>,
}
