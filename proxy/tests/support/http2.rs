//! A client of HTTP/2, by hyper, on the rig's runtime.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{PATIENCE, Replica, Rig, tls};

pub type Content = BoxBody<Bytes, Infallible>;
pub type Sender = SendRequest<Content>;

/// Opens a connection.
pub fn open(rig: &Rig) -> Sender {
    if tls::EVERYWHERE { open_securely(rig) } else { open_behind(rig, b"") }
}

/// Opens a connection that begins with `header`.
pub fn open_behind(rig: &Rig, header: &'static [u8]) -> Sender {
    let address = rig.address;
    rig.runtime.block_on(async move {
        let mut stream = connect(address).await;
        stream.write_all(header).await.unwrap();
        handshake(stream).await
    })
}

/// Opens a connection to where other proxies ask.
pub fn open_gate(rig: &Rig) -> Sender {
    let address = rig.gate.unwrap();
    rig.runtime.block_on(async move { handshake(connect(address).await).await })
}

/// Opens a connection over TLS.
pub fn open_securely(rig: &Rig) -> Sender {
    let address = rig.tls_address;
    rig.runtime.block_on(async move {
        let stream = connect(address).await;
        let connector = tokio_rustls::TlsConnector::from(tls::of_shop(&["h2"]));
        let stream = connector.connect(tls::name("shop"), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        handshake(stream).await
    })
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn empty() -> Content {
    Empty::new().boxed()
}

pub fn full(content: impl Into<Bytes>) -> Content {
    Full::new(content.into()).boxed()
}

/// A body that a test feeds.
pub struct Fed(pub mpsc::Receiver<Frame<Bytes>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

pub fn get(target: &str) -> Request<Content> {
    Request::get(format!("http://shop{target}")).body(empty()).unwrap()
}

/// Sends a request and returns the head of its answer.
pub fn send(rig: &Rig, sender: &Sender, request: Request<Content>) -> Response<Incoming> {
    let mut sender = sender.clone();
    rig.runtime.block_on(async move {
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap()
    })
}

/// The content and the trailers.
pub fn rest(rig: &Rig, response: Response<Incoming>) -> (Bytes, HeaderMap) {
    rig.runtime.block_on(async move {
        let collected =
            tokio::time::timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        (collected.to_bytes(), trailers)
    })
}

pub fn is_problem(rig: &Rig, response: Response<Incoming>, status: u16, word: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: serde_json::Value = serde_json::from_slice(&rest(rig, response).0).unwrap();
    assert_eq!(problem["type"], format!("https://kaos.dev/problems/{word}"));
    assert_eq!(problem["request_id"], id);
}

pub fn rig_with(replica: &Replica) -> Rig {
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    rig
}
