//! The admin port's connections: few, with deadlines, each answered from the same desk.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Desk;
use super::answer::answer;

/// Most connections at once.
const CONNECTIONS: usize = 128;
/// Longest wait for a request's head, on a new connection and between requests.
const HEAD: Duration = Duration::from_secs(10);
/// Longest time for which sent bytes may stay unread by the peer.
#[cfg(target_os = "linux")]
const UNREAD: Duration = Duration::from_secs(30);
/// Pause after an accept that failed for lack of something: spinning frees nothing.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest head.
const HEAD_SIZE: usize = 16 * 1024;

/// Binds the admin port.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers questions until this future is dropped.
pub(crate) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(permit) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, desk.clone(), permit));
            }
            Err(error) => {
                tracing::warn!(%error, "the admin port can't accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, desk: Arc<Desk>, _permit: OwnedSemaphorePermit) {
    // A report of a request that waits doesn't wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    // A peer that reads nothing is given up by the kernel.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD));
    let service = service_fn(|request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(answer(&desk, &request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the admin port ended badly");
    }
}
