//! The data line: `accept → route → admit → forward → observe`.
//!
//! A proxy is a few worker threads, each with its own listener, runtime and connections, and one control task that
//! turns snapshots into what admission sees and counters into reports. It knows neither the platform nor the autoscaler.

mod accept;
mod access_log;
mod admit;
mod asked;
mod assign;
mod beginning;
mod bind;
mod buffer;
mod clients;
mod control;
mod door;
mod field;
mod first;
mod forward;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod head;
mod hpack;
mod http1;
mod http2;
mod kernel;
mod ledger;
mod memory;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod micro;
mod mux;
mod pace;
mod part;
mod partial;
mod peers;
mod permit;
mod pour;
mod probe;
mod proxy;
mod proxy_protocol;
mod pump;
mod refuse;
mod report;
mod rounds;
mod rule;
mod sabotage;
mod slot;
mod socket;
mod standing;
mod subrequest;
mod tls;
mod trace;
mod turns;
mod upkeep;
mod upstream;
mod welcome;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kaos_core::ProxyId;

/// A range of addresses, as CIDR writes it.
pub use kaos_core::network::Network;

pub use access_log::{Access, AccessLog, Entry, Target, Texts};
pub use bind::{BindError, Bound, bind};
pub use ledger::{COLD_BOUNDS, Counts, DURATION_BOUNDS, Histogram};
pub use memory::cgroup;
pub use proxy::{Proxy, Totals, WorkloadTotals};
pub use refuse::{Detail, Refusal};
#[cfg(feature = "sabotage")]
pub use sabotage::RULES;
pub use tls::{Certificates, Handshakes, Pair};
pub use trace::TraceId;

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
    /// The trusted begin each connection with a header of the PROXY protocol, version 1 or 2: whom it names is the client.
    pub proxy_protocol: bool,
    /// The folder of the cgroup whose memory the proxy keeps within, see [`cgroup`].
    pub memory: Option<PathBuf>,
    /// How long clients are waited for.
    pub patience: Patience,
}

/// How long a client is waited for, where it isn't a workload's policy that says it.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From accepting a connection to its first bytes; with TLS, to the end of its handshake, and from there.
    pub first_bytes: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Silence between two requests. A connection of HTTP/2 is ended after one to two of these.
    pub idle: Duration,
    /// A connection of HTTP/2 that is older is asked to go: clients spread anew, and nothing lives for ever.
    pub age: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Patience { first_bytes: seconds(10), head: seconds(10), idle: seconds(60), age: seconds(3600) }
    }
}
