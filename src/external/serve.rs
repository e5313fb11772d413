//! Connections of the API server: few, with deadlines, over TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kaos_kubernetes::Front;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::answer::{Loads, answer};
use super::front::{Own, admits};
use crate::failure::Failure;

/// Most connections at once.
const CONNECTIONS: usize = 128;
/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Longest wait for a request's head, on a new connection and between requests.
const HEAD: Duration = Duration::from_secs(60);
/// Longest head.
const HEAD_SIZE: usize = 16 * 1024;
/// Longest time for which sent bytes may stay unread by the peer.
#[cfg(target_os = "linux")]
const UNREAD: Duration = Duration::from_secs(30);
/// Pause after an accept that failed for lack of something: spinning frees nothing.
const PAUSE: Duration = Duration::from_millis(50);

/// How the API server is known, and TLS by it.
type Known = Option<(Arc<Front>, Arc<ServerConfig>)>;

/// Binds the port, and what is shown there.
pub(crate) async fn bind(address: SocketAddr) -> Result<Listening, Failure> {
    let own = Own::make().map_err(Failure::Failed)?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(format!(
            "can't listen on {address}: {error}; choose another with --listen-external-metrics"
        ))
    })?;
    Ok(Listening { listener, own })
}

/// A port where nobody is answered yet.
pub(crate) struct Listening {
    listener: TcpListener,
    own: Own,
}

/// Answers the API server that `fronts` tell of until this future is dropped.
pub(crate) async fn serve(
    listening: Listening,
    fronts: watch::Receiver<Option<Front>>,
    loads: Arc<dyn Loads>,
) {
    let Listening { listener, own } = listening;
    let (tell, known) = watch::channel(None);
    tokio::join!(learn(own, fronts, tell), accept(listener, known, loads));
}

/// Makes TLS of each news. What is wrong changes nothing.
async fn learn(own: Own, mut fronts: watch::Receiver<Option<Front>>, tell: watch::Sender<Known>) {
    loop {
        let front = fronts.borrow_and_update().clone();
        match front.map(|front| own.toward(&front).map(|settings| (Arc::new(front), settings))) {
            Some(Ok(known)) => {
                tell.send_replace(Some(known));
            }
            Some(Err(why)) => tracing::error!(
                why,
                "what kube-system/extension-apiserver-authentication says of the API server can't be used: as it was \
                 known before it may ask for external metrics"
            ),
            None => {}
        }
        if fronts.changed().await.is_err() {
            // Known for good.
            return;
        }
    }
}

async fn accept(listener: TcpListener, known: watch::Receiver<Known>, loads: Arc<dyn Loads>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(permit) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(known) = known.borrow().clone() else {
                    tracing::debug!(%peer, "external metrics were asked for, and it isn't known yet how the API server shows who it is");
                    continue;
                };
                let loads = loads.clone();
                tokio::spawn(async move {
                    if let Err(why) = connection(stream, known, loads, permit).await {
                        tracing::debug!(%peer, why, "a connection for external metrics ended badly");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the port for external metrics can't accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    (front, settings): (Arc<Front>, Arc<ServerConfig>),
    loads: Arc<dyn Loads>,
    _permit: OwnedSemaphorePermit,
) -> Result<(), String> {
    // A peer that reads nothing is given up by the kernel.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD));
    let stream = timeout(HANDSHAKE, TlsAcceptor::from(settings).accept(stream))
        .await
        .map_err(|_| "no handshake in time".to_owned())?
        .map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    if !admits(&front, shown) {
        return Err(
            "its certificate isn't the one with which the API server passes on what it is asked".to_owned()
        );
    }
    let service = service_fn(|request| {
        let answered = answer(&*loads, &request);
        async move { Ok::<_, Infallible>(answered) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "serve_test.rs"]
mod tests;
