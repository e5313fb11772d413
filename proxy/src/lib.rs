//! The data line: `accept → route → admit → forward → observe`.
//!
//! A proxy is a few worker threads, each with its own listener, runtime and connections, and one control task that
//! turns snapshots into what admission sees and counters into reports. It knows neither the platform nor the autoscaler.

mod accept;
mod admit;
mod assign;
mod bind;
mod buffer;
mod clients;
mod control;
mod field;
mod first;
mod forward;
mod gate;
mod head;
mod http1;
mod http2;
mod kernel;
mod ledger;
mod memory;
mod network;
mod part;
mod partial;
mod peers;
mod probe;
mod proxy;
mod pump;
mod refuse;
mod report;
mod rounds;
mod slot;
mod socket;
mod standing;
mod upkeep;
mod upstream;
mod welcome;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use kaos_core::ProxyId;

pub use bind::{BindError, Bound, bind};
pub use ledger::{COLD_BOUNDS, Counts, DURATION_BOUNDS, Histogram};
pub use memory::cgroup;
pub use network::Network;
pub use proxy::{Proxy, Totals, WorkloadTotals};
pub use refuse::{Detail, Refusal};

/// How a proxy runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect. Port 0: any free one.
    pub listen: SocketAddr,
    /// Worker threads; at least one.
    pub workers: usize,
    /// Zero of all [`kaos_core::Moment`]s.
    pub origin: Instant,
    /// Who reports.
    pub id: ProxyId,
    /// Identity of this process's life: another one means that sums begin anew.
    pub epoch: u64,
    /// How much of the inside our own answers tell.
    pub error_detail: Detail,
    /// Largest head of a request, in bytes.
    pub max_header_size: usize,
    /// Most client connections; one more is closed at once.
    pub max_connections: usize,
    /// Most bytes that waiting requests may hold together.
    pub queue_bytes: u64,
}

/// Bounds that are off unless they are set.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Most connections of one client address (of one /64 with IPv6); one more is closed at once. 0: no limit.
    pub connections_per_client: usize,
    /// Clients that aren't bounded so: other proxies, which speak for many. What they say of those (`X-Forwarded-*`,
    /// `Forwarded`, `X-Real-IP`) is believed; it is from nobody else.
    pub trusted: Vec<Network>,
    /// The folder of the cgroup whose memory the proxy keeps within, see [`cgroup`].
    pub memory: Option<PathBuf>,
}
