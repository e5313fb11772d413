//! One client's connection, from its first byte to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::line::Line;
use super::reply::reply;
use super::socket::{Protocol, Socket};
use super::stamp::Stamp;

/// Serves one connection until it ends. Once `ending` turns true it takes no further request.
pub(super) async fn serve(stream: TcpStream, stamp: Arc<Stamp>, ending: watch::Receiver<bool>) {
    let _connected = stamp.connected();
    let reset = Arc::new(AtomicBool::new(false));
    let _ = stream.set_nodelay(true);
    let mut end = ending.clone();
    let sniffed = tokio::select! {
        sniffed = Socket::sniff(stream, Arc::clone(&reset)) => sniffed,
        () = told_to_end(&mut end) => return,
    };
    let Ok((socket, protocol)) = sniffed else { return };
    let (close, closing) = mpsc::channel(1);
    let line = Arc::new(Line { reset, close });
    let io = TokioIo::new(socket);
    match protocol {
        Protocol::Http1 => http1(io, line, stamp, ending, closing).await,
        Protocol::Http2 => http2(io, line, stamp, ending, closing).await,
    }
}

async fn told_to_end(ending: &mut watch::Receiver<bool>) {
    // An error would mean that the sender is gone: the process is ending as well.
    let _ = ending.wait_for(|ending| *ending).await;
}

macro_rules! drive {
    ($connection:ident, $ending:ident, $closing:ident) => {{
        tokio::pin!($connection);
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                _ = $connection.as_mut() => return,
                Some(span) = $closing.recv() => {
                    // Other answers may still be on their way: the connection is served until the very end.
                    tokio::select! {
                        _ = $connection.as_mut() => {}
                        () = tokio::time::sleep(span) => {}
                    }
                    return;
                }
                () = told_to_end(&mut $ending), if !told => {
                    told = true;
                    $connection.as_mut().graceful_shutdown();
                }
            }
        }
    }};
}

async fn http1(
    io: TokioIo<Socket>,
    line: Arc<Line>,
    stamp: Arc<Stamp>,
    mut ending: watch::Receiver<bool>,
    mut closing: mpsc::Receiver<Duration>,
) {
    let service = service_fn(move |request| reply(request, Arc::clone(&line), Arc::clone(&stamp)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(io, service)
        .with_upgrades();
    drive!(connection, ending, closing);
}

async fn http2(
    io: TokioIo<Socket>,
    line: Arc<Line>,
    stamp: Arc<Stamp>,
    mut ending: watch::Receiver<bool>,
    mut closing: mpsc::Receiver<Duration>,
) {
    let service = service_fn(move |request| reply(request, Arc::clone(&line), Arc::clone(&stamp)));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000)
        .serve_connection(io, service);
    drive!(connection, ending, closing);
}
