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
use crate::door::{Door, Doors, Listener};
use crate::kernel::BACKLOG;
use crate::proxy::Proxy;
use crate::{Access, Certificates, Config, Limits, tls};

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
    tls: Option<Tls>,
    gate: Option<Gate>,
}

/// Listeners where other proxies ask.
#[derive(Debug)]
struct Gate {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    settle: Option<Duration>,
}

/// Listeners for TLS.
#[derive(Debug)]
struct Tls {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    certificates: Arc<Certificates>,
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
    let (listeners, address) = listeners(config.listen, config.workers)?;
    // Nobody will ever say anything else: it is a proxy alone.
    let (_, ready) = watch::channel(Ready::new());
    let limits = Limits::default();
    Ok(Bound { config, limits, access: None, ready, listeners, address, tls: None, gate: None })
}

/// So often a free port is looked for where any will do.
const ANY_PORT: usize = 16;

/// One listener per worker, and where they are.
fn listeners(address: SocketAddr, workers: usize) -> Result<(Vec<TcpListener>, SocketAddr), BindError> {
    // With SO_REUSEPORT another process of the same user could share the port without an error and take half of the
    // connections: so the port is first bound without it.
    let attempt = || {
        let address = TcpListener::bind(address)?.local_addr()?;
        let listeners: io::Result<_> = (0..workers.max(1)).map(|_| listener(address)).collect();
        Ok((listeners?, address))
    };
    let taken =
        |bound: &io::Result<_>| bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    let mut bound = attempt();
    // Of any port, the one that was found may be another's by the time it is bound again.
    for _ in 1..ANY_PORT {
        if address.port() != 0 || !taken(&bound) {
            break;
        }
        bound = attempt();
    }
    bound.map_err(|error| BindError { address, error })
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

    /// Listens on `address` too, for TLS with `certificates`.
    pub fn with_tls(self, address: SocketAddr, certificates: Arc<Certificates>) -> Result<Self, BindError> {
        let (listeners, address) = listeners(address, self.config.workers)?;
        Ok(Bound { tls: Some(Tls { listeners, address, certificates }), ..self })
    }

    /// Where clients connect with TLS, if anywhere.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|tls| tls.address)
    }

    /// Listens on `address` too, for other proxies that ask whether a request may go, and send it on by themselves: to the
    /// replica that the answer names, or, with `settle`, to any that their platform tells them of. Then the answer is held
    /// until the platform has called one ready for so long: they hear of it later than Kaos.
    pub fn with_gate(self, address: SocketAddr, settle: Option<Duration>) -> Result<Self, BindError> {
        let (listeners, address) = listeners(address, self.config.workers)?;
        Ok(Bound { gate: Some(Gate { listeners, address, settle }), ..self })
    }

    /// Where other proxies ask, if anywhere.
    pub fn gate_address(&self) -> Option<SocketAddr> {
        self.gate.as_ref().map(|gate| gate.address)
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
        let plain = self.listeners.into_iter().map(|socket| vec![Listener { socket, door: Door::Plain }]);
        let settle = self.gate.as_ref().and_then(|gate| gate.settle);
        let mut doors = Doors { listeners: plain.collect(), certificates: None, access: self.access, settle };
        let asked = self.gate.into_iter().flat_map(|gate| gate.listeners);
        for (listeners, socket) in doors.listeners.iter_mut().zip(asked) {
            listeners.push(Listener { socket, door: Door::Gate });
        }
        if let Some(tls) = self.tls {
            let settings = tls::settings(tls.certificates.clone()).map_err(io::Error::other)?;
            for (listeners, socket) in doors.listeners.iter_mut().zip(tls.listeners) {
                listeners.push(Listener { socket, door: Door::Tls(settings.clone()) });
            }
            doors.certificates = Some(tls.certificates);
        }
        Proxy::start(self.config, self.limits, doors, snapshots, self.ready, reports)
    }
}
