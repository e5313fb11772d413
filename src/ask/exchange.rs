//! One request and its answer on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// An answer as it comes in.
pub(crate) type Answer = UnsyncBoxBody<Bytes, String>;

/// Sends `request` to `address` as to `host`, and returns when the head of the answer is there.
pub(crate) async fn exchange(
    address: &str,
    host: &str,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let connecting = timeout(CONNECT, TcpStream::connect(address));
    let stream = connecting.await.map_err(|_| "no connection within 5 s".to_owned())?;
    talk(stream.map_err(|error| error.to_string())?, host, request).await
}

/// The same over a connection that is there.
pub(crate) async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let host = HeaderValue::from_str(host).map_err(|error| error.to_string())?;
    request.headers_mut().insert(HOST, host);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // Its end is seen by whoever reads the answer.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(|error| error.to_string())
}
