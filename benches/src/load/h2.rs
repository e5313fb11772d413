//! HTTP/2: several requests at once on one connection, and unary gRPC calls.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::case::{Case, Work};

/// What a stream and a connection may receive ahead: large bodies shouldn't wait for the load.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// Of gRPC: one byte of flags and four of length before each message.
const PREFIX: usize = 5;

/// Opens a connection over `stream`.
pub(crate) async fn open(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<http2::SendRequest<Full<Bytes>>, String> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let opened = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = opened.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // Who waits for an answer is told the reason; nobody else needs it.
        let _ = connection.await;
    });
    Ok(sender)
}

/// One of those that ask on a connection.
pub(crate) struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    length: usize,
    grpc: bool,
}

impl Http2 {
    /// Asks for `path` of `host` as `case` says.
    pub(crate) fn new(
        sender: http2::SendRequest<Full<Bytes>>,
        case: Case,
        host: &str,
        path: &str,
    ) -> Result<Http2, String> {
        let scheme = if case.work.is_tls() { "https" } else { "http" };
        let grpc = case.work == Work::Grpc;
        let mut request = Request::builder().uri(format!("{scheme}://{host}{path}"));
        let mut body = Bytes::new();
        if grpc {
            request = request
                .method(Method::POST)
                .header("content-type", "application/grpc")
                .header("te", "trailers");
            body = message(0);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let length = if grpc { case.size + PREFIX } else { case.size };
        Ok(Http2 { sender, request, length, grpc })
    }

    /// Asks once, and reads the answer to its end. The error says what is wrong with it.
    pub(crate) async fn ask(&mut self) -> Result<(), String> {
        self.sender.ready().await.map_err(|error| error.to_string())?;
        let response = self.sender.send_request(self.request.clone()).await;
        let (head, mut body) = response.map_err(|error| error.to_string())?.into_parts();
        if head.status != 200 {
            return Err(format!("status {}", head.status.as_u16()));
        }
        let (mut length, mut trailers) = (0, None);
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| error.to_string())?.into_data() {
                Ok(data) => length += data.len(),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if length != self.length {
            return Err(format!("{length} bytes instead of {}", self.length));
        }
        if self.grpc { check_status(trailers.as_ref()) } else { Ok(()) }
    }
}

/// A call has succeeded if its trailers say so, whatever else came.
fn check_status(trailers: Option<&HeaderMap>) -> Result<(), String> {
    match trailers.and_then(|trailers| trailers.get("grpc-status")) {
        Some(status) if status == "0" => Ok(()),
        status => Err(format!("grpc-status {status:?} in the trailers instead of 0")),
    }
}

/// A message of `size` bytes, as gRPC frames it.
pub(crate) fn message(size: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + size);
    bytes.put_u8(0);
    bytes.put_u32(size as u32);
    bytes.put_bytes(b'x', size);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_its_length() {
        assert_eq!(&message(3)[..], b"\0\0\0\0\x03xxx");
    }

    #[test]
    fn a_call_without_a_good_status_has_failed() {
        let trailers = |status: &'static str| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static(status));
            trailers
        };
        assert!(check_status(Some(&trailers("0"))).is_ok());
        assert!(check_status(Some(&trailers("14"))).is_err());
        assert!(check_status(None).is_err());
    }
}
