//! Clients of one kind each: what they ask, and whether the answer is theirs and whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::tally::{Fault, Tally};
use crate::certificate::{HOST, server_name};
use crate::load::{self, grpc_message};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest body that is sent and comes back.
const BODY: usize = 100_000;

/// Of the replies to gRPC calls, in bytes.
const MESSAGE: usize = 64;

/// The calls with which no replica is there any more, or none was in time (gRPC's status codes).
const UNAVAILABLE: [&str; 2] = ["14", "4"];

/// Where Kaos listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
}

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http1,
    Http1Tls,
    Http2,
    Http2Tls,
    Grpc,
    /// Server-sent events.
    Events,
    WebSocket,
    /// A function that has fallen asleep.
    Cold,
    /// One that leaves at any moment.
    Leaver,
}

impl Kind {
    /// All, and how many clients of each.
    pub(super) const ALL: [(Kind, usize); 9] = [
        (Kind::Http1, 12),
        (Kind::Http1Tls, 6),
        (Kind::Http2, 6),
        (Kind::Http2Tls, 6),
        (Kind::Grpc, 8),
        (Kind::Events, 4),
        (Kind::WebSocket, 4),
        (Kind::Cold, 2),
        (Kind::Leaver, 12),
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Http1 => "http/1.1",
            Kind::Http1Tls => "http/1.1 over TLS",
            Kind::Http2 => "http/2",
            Kind::Http2Tls => "http/2 over TLS",
            Kind::Grpc => "gRPC",
            Kind::Events => "server-sent events",
            Kind::WebSocket => "WebSocket",
            Kind::Cold => "cold starts",
            Kind::Leaver => "leavers",
        }
    }

    /// Longest pause from one request to the next.
    fn pause(self) -> Duration {
        // Longer than the function stays awake.
        if self == Kind::Cold { Duration::from_secs(8) } else { Duration::from_millis(30) }
    }
}

/// One client, for ever: a new connection now and then.
pub(super) async fn run(kind: Kind, places: Places, connectors: [TlsConnector; 2], tally: Arc<Tally>) {
    loop {
        let mut sender = None;
        while fastrand::u8(..) > 4 {
            let came = match timeout(PATIENCE, once(kind, places, &connectors, &mut sender)).await {
                Ok(came) => came,
                Err(_late) => Err(Fault::Wrong(format!("no answer within {} s", PATIENCE.as_secs()))),
            };
            tally.count(kind.name(), &came);
            if came.is_err() {
                sender = None;
            }
            sleep(kind.pause().mul_f64(fastrand::f64())).await;
        }
    }
}

/// A connection that requests are sent on.
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A whole answer.
struct Whole {
    status: StatusCode,
    content: Bytes,
    trailers: HeaderMap,
}

async fn once(
    kind: Kind,
    places: Places,
    connectors: &[TlsConnector; 2],
    sender: &mut Option<Sender>,
) -> Result<(), Fault> {
    match kind {
        Kind::WebSocket => return web_socket(places).await,
        Kind::Leaver => {
            leave(places).await;
            return Ok(());
        }
        _ => {}
    }
    // Between two requests a connection may end: a server says so, or has closed an idle one.
    let kept = match sender.take() {
        Some(mut kept) => kept.is_ready().await.then_some(kept),
        None => None,
    };
    let sender = sender.insert(match kept {
        Some(kept) => kept,
        None => open(kind, places, connectors).await?,
    });
    match kind {
        Kind::Events => {
            let whole =
                sender.ask(request(HOST, Method::GET, "/sse?count=5&every=10ms", Bytes::new())).await?;
            let events = String::from_utf8_lossy(&whole.content).matches("data:").count();
            right(events == 5, || format!("{events} events instead of 5"))
        }
        Kind::Grpc => call(sender).await,
        Kind::Cold => echo(sender, "cold.localhost").await,
        _ => echo(sender, HOST).await,
    }
}

async fn open(kind: Kind, places: Places, connectors: &[TlsConnector; 2]) -> Result<Sender, Fault> {
    let http2 = matches!(kind, Kind::Http2 | Kind::Http2Tls | Kind::Grpc);
    if !matches!(kind, Kind::Http1Tls | Kind::Http2Tls) {
        return handshake(connect(places.plain).await?, http2).await;
    }
    let stream = connect(places.tls).await?;
    let name = server_name().map_err(Fault::Wrong)?;
    let session = connectors[usize::from(http2)].connect(name, stream).await;
    // A certificate that isn't trusted is wrong; a connection that ends is broken.
    let session = session.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Fault::Wrong(error.to_string()),
        _ => broken(error),
    })?;
    handshake(session, http2).await
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Fault> {
    load::connect(address).await.map_err(Fault::Broken)
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    http2: bool,
) -> Result<Sender, Fault> {
    if http2 {
        return load::open_http2(stream).await.map(Sender::Http2).map_err(Fault::Broken);
    }
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Who waits for an answer is told how a connection ends; nobody else needs it.
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

impl Sender {
    async fn is_ready(&mut self) -> bool {
        match self {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Whole, Fault> {
        let answer = match self {
            Sender::Http1(sender) => {
                // The target of HTTP/1.1 is the path alone.
                let (mut head, body) = request.into_parts();
                let target = head.uri.path_and_query().map(|target| target.as_str().to_owned());
                head.uri = target.unwrap_or_default().parse().map_err(broken)?;
                sender.send_request(Request::from_parts(head, body)).await
            }
            Sender::Http2(sender) => sender.send_request(request).await,
        };
        let (head, body) = answer.map_err(broken)?.into_parts();
        let collected = body.collect().await.map_err(broken)?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let whole = Whole { status: head.status, content: collected.to_bytes(), trailers };
        match whole.status.as_u16() {
            200 => Ok(whole),
            502..=504 => Err(Fault::Refused),
            other => {
                let text = String::from_utf8_lossy(&whole.content).into_owned();
                Err(Fault::Wrong(format!("status {other}: {text}")))
            }
        }
    }
}

fn request(host: &str, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    if let Ok(uri) = format!("http://{host}{path}").parse() {
        *request.uri_mut() = uri;
    }
    if let Ok(host) = host.parse() {
        request.headers_mut().insert(http::header::HOST, host);
    }
    request
}

/// What was sent comes back, and nobody else's.
async fn echo(sender: &mut Sender, host: &str) -> Result<(), Fault> {
    let length = if fastrand::u8(..8) == 0 { fastrand::usize(..BODY) } else { fastrand::usize(..200) };
    let body: Bytes = std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect();
    let whole = sender.ask(request(host, Method::POST, "/echo", body.clone())).await?;
    let got = whole.content.len();
    right(whole.content == body, || format!("{got} bytes came back for {length}, or others"))
}

async fn call(sender: &mut Sender) -> Result<(), Fault> {
    let mut request =
        request("grpc.localhost", Method::POST, &format!("/bench.Bench/{MESSAGE}"), grpc_message(0));
    request.headers_mut().remove(http::header::HOST);
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        request.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let whole = sender.ask(request).await?;
    let status = whole.trailers.get("grpc-status").and_then(|status| status.to_str().ok());
    match status {
        Some("0") => {
            let expected = grpc_message(MESSAGE).len();
            right(whole.content.len() == expected, || format!("a message of {} bytes", whole.content.len()))
        }
        Some(status) if UNAVAILABLE.contains(&status) => Err(Fault::Refused),
        // Kaos's own answer has its status in the head (`Trailers-Only`), and no content.
        None if whole.content.is_empty() => Err(Fault::Refused),
        other => Err(Fault::Wrong(format!("grpc-status {other:?}"))),
    }
}

/// With all that caused it.
fn broken(error: impl std::error::Error) -> Fault {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    Fault::Broken(text)
}

fn right(is: bool, why: impl Fn() -> String) -> Result<(), Fault> {
    if is { Ok(()) } else { Err(Fault::Wrong(why())) }
}

/// A handshake with RFC 6455's own key (§1.3), and frames that come back.
async fn web_socket(places: Places) -> Result<(), Fault> {
    let mut stream = connect(places.plain).await?;
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.map_err(broken)?;
    let (mut answer, end) = (Vec::new(), b"\r\n\r\n");
    while !answer.ends_with(end) {
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if ["502", "503", "504"].iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}"))) {
        return Err(Fault::Refused);
    }
    let accepted = answer.starts_with("HTTP/1.1 101") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    right(accepted, || answer.clone())?;
    for _ in 0..fastrand::u8(1..20) {
        let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(100).collect();
        // A binary frame, masked with zeros, so that its content stays as it is (§5.2).
        let sent = [&[0x82, 0x80 | 100, 0, 0, 0, 0][..], &content].concat();
        stream.write_all(&sent).await.map_err(broken)?;
        let mut came = vec![0; 2 + content.len()];
        stream.read_exact(&mut came).await.map_err(broken)?;
        right(came[..2] == [0x82, 100] && came[2..] == content, || "another frame came back".to_owned())?;
        sleep(Duration::from_millis(fastrand::u64(..20))).await;
    }
    Ok(())
}

/// Begins something and goes away, now in good order and now with a reset.
async fn leave(places: Places) {
    let begun = [
        format!("GET /bytes/1000000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        format!("GET /delay/1s HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        format!("POST /echo HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\nbeginning"),
        format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: "),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}".to_owned(),
    ];
    let text = &begun[fastrand::usize(..begun.len())];
    let address = if text.starts_with('\u{16}') { places.tls } else { places.plain };
    let Ok(mut stream) = connect(address).await else { return };
    if stream.write_all(text.as_bytes()).await.is_ok() {
        let mut some = [0; 4096];
        let _ = timeout(Duration::from_millis(fastrand::u64(..50)), stream.read(&mut some)).await;
    }
    if fastrand::bool() {
        let _ = stream.shutdown().await;
    }
    // What has come and wasn't read makes the kernel send a reset.
}
