//! Binds the listeners, one per worker on the same port. What only Linux has stays here.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use kaos_core::{ProxyId, Report, Snapshot};
use socket2::{Domain, Protocol, TcpKeepalive, Type};
use tokio::sync::{mpsc, watch};

use crate::control::Ready;
use crate::kernel::BACKLOG;
use crate::proxy::Proxy;
use crate::{Access, Config, Limits};

/// A silent peer is asked whether it still lives after this time, then this often.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Listeners that nobody serves yet.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    limits: Limits,
    access: Option<Access>,
    ready: watch::Receiver<Ready>,
    listeners: Vec<TcpListener>,
    address: SocketAddr,
}

/// The address can't be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(out, "{} is in use by another program", self.address),
            _ => write!(out, "can't listen on {}: {}", self.address, self.error),
        }
    }
}

impl std::error::Error for BindError {}

/// Binds `config.listen` for every worker.
pub fn bind(config: Config) -> Result<Bound, BindError> {
    let address = config.listen;
    listeners(address, config.workers.max(1))
        .and_then(|listeners| {
            let address = listeners.first().map_or(Ok(address), TcpListener::local_addr)?;
            // Nobody will ever say anything else: it is a proxy alone.
            let (_, ready) = watch::channel(Ready::new());
            Ok(Bound { config, limits: Limits::default(), access: None, ready, listeners, address })
        })
        .map_err(|error| BindError { address, error })
}

fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // With SO_REUSEPORT another process of the same user could share the port without an error and take half of the
    // connections: so the port is first bound without it.
    let probe = TcpListener::bind(address)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..count).map(|_| listener(address)).collect()
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted connections inherit these (tcp(7)).
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Bound {
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets bounds that are off otherwise.
    pub fn with_limits(self, limits: Limits) -> Self {
        Bound { limits, ..self }
    }

    /// Tells of requests; `None`: of none.
    pub fn with_access_log(self, access: Option<Access>) -> Self {
        Bound { access, ..self }
    }

    /// Shares hard limits with the other proxies in `ready`: all that are ready by id, this one among them, each with the
    /// address of its data port. A set without anybody means that it is alone.
    pub fn with_peers(self, ready: watch::Receiver<BTreeMap<ProxyId, SocketAddr>>) -> Self {
        Bound { ready, ..self }
    }

    /// Starts the workers and, on the runtime of the caller, the control task.
    ///
    /// `snapshots` say where requests go; `reports` take what was seen of them.
    pub fn run(
        self,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        reports: mpsc::Sender<Report>,
    ) -> io::Result<Proxy> {
        Proxy::start(self.config, self.limits, self.access, self.listeners, snapshots, self.ready, reports)
    }
}
