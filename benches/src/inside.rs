//! The upstream that is inside this program: on the event loop of the load, so that nobody waits until the kernel has taken
//! the core of the load from the load and given it to an upstream. That takes milliseconds where both always have something
//! to do, and a proxy takes a hundredth of them.
//!
//! It answers while the loop of the load runs, and then only.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::grpc;
use crate::load::runtime;

/// Most bytes of the head of a request.
const HEAD: usize = 16 * 1024;

/// A request without an answer of its own gets this.
const NOTHING: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Whole answers by their path.
type Answers = Arc<BTreeMap<Vec<u8>, Bytes>>;

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Grpc,
}

impl Kind {
    /// Its name on the command line of a stand-in.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Grpc => "grpc",
        }
    }
}

/// Where it can be reached.
pub(crate) struct Inside {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    /// Where stand-ins say which port to answer at.
    pub(crate) control: SocketAddr,
}

impl Inside {
    /// Answers `/SIZE` for each of `sizes`.
    pub(crate) fn start(sizes: &[usize]) -> Result<Inside, String> {
        let answers: Answers = Arc::new(sizes.iter().map(|size| answer(*size)).collect());
        let wrong = |error: std::io::Error| format!("the upstream can't listen: {error}");
        runtime()?
            .block_on(async {
                let (http, grpc, control) = (listen(0).await?, listen(0).await?, listen(0).await?);
                let inside = Inside {
                    http: http.local_addr()?,
                    grpc: grpc.local_addr()?,
                    control: control.local_addr()?,
                };
                tokio::spawn(serve(http, Kind::Http, Arc::clone(&answers)));
                tokio::spawn(serve(grpc, Kind::Grpc, Arc::clone(&answers)));
                tokio::spawn(stand_ins(control, answers));
                Ok(inside)
            })
            .map_err(wrong)
    }
}

fn answer(size: usize) -> (Vec<u8>, Bytes) {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n").into_bytes();
    bytes.resize(bytes.len() + size, b'x');
    (format!("/{size}").into_bytes(), bytes.into())
}

async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Answers at the port of each stand-in for as long as it lives.
async fn stand_ins(control: TcpListener, answers: Answers) {
    let mut all = JoinSet::new();
    while let Ok((stream, _)) = control.accept().await {
        all.spawn(stand_in(stream, Arc::clone(&answers)));
        while all.try_join_next().is_some() {}
    }
}

async fn stand_in(stream: TcpStream, answers: Answers) -> Result<(), std::io::Error> {
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    stream.read_line(&mut line).await?;
    let said = line.trim().split_once(' ').and_then(|(kind, port)| {
        let kind = [Kind::Http, Kind::Grpc].into_iter().find(|known| known.name() == kind);
        Some((kind?, port.parse().ok()?))
    });
    let Some((kind, port)) = said else { return Ok(()) };
    let listener = listen(port).await?;
    tokio::select! {
        () = serve(listener, kind, answers) => Ok(()),
        ended = stream.read_u8() => ended.map(drop),
    }
}

/// Serves every client, until dropped.
async fn serve(listener: TcpListener, kind: Kind, answers: Answers) {
    let mut clients = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        match kind {
            Kind::Http => clients.spawn(http(stream, Arc::clone(&answers))),
            Kind::Grpc => clients.spawn(grpc::serve(stream)),
        };
        while clients.try_join_next().is_some() {}
        // However many come at once, those that are here are answered in between.
        tokio::task::yield_now().await;
    }
}

/// Answers one client until it leaves. Its requests have no content.
async fn http(mut stream: TcpStream, answers: Answers) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut bytes = Vec::with_capacity(HEAD);
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        while let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let path = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            let answer = answers.get(path).cloned().unwrap_or(Bytes::from_static(NOTHING));
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            bytes.drain(..end + 4);
        }
        if bytes.len() >= HEAD {
            return;
        }
    }
}
