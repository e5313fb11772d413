//! Binds what `kaos up` listens on, before anything is started, and says in one sentence why it can't.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;

use kaos_core::ProxyId;
use kaos_proxy::{Bound, Detail, Limits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::admin;
use crate::config::{ADMIN, ErrorDetail, LISTEN, Settings};
use crate::failure::Failure;
use crate::instance::{Instance, running};

/// Most client connections where nothing is said and files are plenty.
const CONNECTIONS: u64 = 10_000;
/// Longest head of a request where nothing is said.
const HEADER_SIZE: usize = 32 * 1024;
/// Most bytes of waiting requests where nothing is said.
const QUEUE_BYTES: usize = 256 * 1024 * 1024;

/// Binds the port for requests.
pub(crate) fn requests(
    settings: &Settings,
    cores: usize,
    id: ProxyId,
    origin: Instant,
) -> Result<Bound, Failure> {
    let limits = limits(settings);
    if limits.proxy_protocol && limits.trusted.is_empty() {
        return Err(Failure::Configuration(
            "proxy-protocol: nobody's PROXY header would be believed; say with trusted-proxies who sends one"
                .into(),
        ));
    }
    let listen = settings.listen.unwrap_or(LISTEN);
    let detail = match settings.error_detail {
        Some(ErrorDetail::Full) => Detail::Full,
        None if listen.ip().is_loopback() => Detail::Full,
        Some(ErrorDetail::Brief) | None => Detail::Brief,
    };
    let config = kaos_proxy::Config {
        listen,
        workers: cores,
        origin,
        id,
        epoch: u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default(),
        error_detail: detail,
        max_header_size: settings.max_header_size.unwrap_or(HEADER_SIZE),
        max_connections: settings.max_connections.unwrap_or_else(default_connections),
        queue_bytes: settings.queue_bytes.unwrap_or(QUEUE_BYTES) as u64,
    };
    let bound = kaos_proxy::bind(config).map_err(|error| {
        let owner = owner(|instance| instance.listen == Some(error.address));
        Failure::Failed(format!("{error}{owner}; choose another with --listen"))
    })?;
    let bound = bound.with_limits(limits);
    let Some(address) = settings.listen_gate else { return Ok(bound) };
    let settle = settings.gate_settle.filter(|settle| !settle.is_zero());
    bound
        .with_gate(address, settle)
        .map_err(|error| Failure::Failed(format!("{error}; choose another with --listen-gate")))
}

/// The bounds that are off unless somebody sets them.
pub(crate) fn limits(settings: &Settings) -> Limits {
    Limits {
        connections_per_client: settings.max_connections_per_client.unwrap_or_default(),
        trusted: settings.trusted_proxies.as_deref().unwrap_or_default().to_vec(),
        proxy_protocol: settings.proxy_protocol.unwrap_or_default(),
        ..Limits::default()
    }
}

/// Binds the admin port: the one that was asked for, else the usual one, else a free one.
pub(crate) async fn admin(settings: &Settings) -> Result<TcpListener, Failure> {
    let asked = settings.admin.unwrap_or(ADMIN);
    match admin::bind(asked).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse && settings.admin.is_none() => {
            let free = SocketAddr::new(asked.ip(), 0);
            admin::bind(free)
                .await
                .map_err(|error| Failure::Failed(format!("can't listen on {free}: {error}")))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let owner = owner(|instance| instance.admin == asked);
            Err(Failure::Failed(format!(
                "{asked} is in use by another program{owner}; choose another with --admin"
            )))
        }
        Err(error) => Err(Failure::Failed(format!("can't listen on {asked}: {error}"))),
    }
}

/// Which Kaos of this user it is, if it is one.
fn owner(is: impl Fn(&Instance) -> bool) -> String {
    let found = running().into_iter().find(is);
    found.map_or_else(String::new, |instance| format!(" (the Kaos of process {})", instance.pid))
}

/// A client's connection may need one to a replica: half of the files, at most.
fn default_connections() -> usize {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    usize::try_from((files / 2).clamp(1, CONNECTIONS)).unwrap_or(1)
}

/// Raises this process's soft limit of open files to the hard one. Replicas keep what was there when the guardian, their
/// parent, was started: programs that use select(2) break above 1024.
pub(crate) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it isn't allowed, the soft limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
