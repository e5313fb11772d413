//! Where connections are taken, and what comes over them.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::Access;
use crate::tls::Certificates;

/// Where one worker takes connections.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) door: Door,
}

/// What comes over a listener's connections.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// Requests.
    Plain,
    /// Requests, behind a handshake.
    Tls(Arc<ServerConfig>),
    /// Questions of other proxies whether a request may go.
    Gate,
}

/// Where connections are taken, worker by worker.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) listeners: Vec<Vec<Listener>>,
    /// What clients get that come with TLS.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// Who is told of requests, if anybody is.
    pub(crate) access: Option<Access>,
    /// See [`Shared::settle`](crate::worker::Shared::settle).
    pub(crate) settle: Option<Duration>,
}
