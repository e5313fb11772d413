//! A server of gRPC over HTTP/2 without TLS: a call of `/SERVICE/BYTES` is answered with one message of so many bytes and
//! `grpc-status: 0` in the trailers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

/// Longest message.
const MOST: usize = 1 << 26;

/// Answers one client until it leaves.
pub(crate) async fn serve(stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    // However it ends, its client knows.
    let _ = connection.await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Message>, Infallible> {
    let size = request.uri().path().rsplit('/').next().and_then(|size| size.parse().ok());
    // The call is whole before it is answered, as it is for any unary method.
    let status = match (request.into_body().collect().await, size) {
        (Ok(_), Some(size)) if size <= MOST => Ok(size),
        (Ok(_), _) => Err("12"),
        (Err(_), _) => Err("13"),
    };
    let mut bytes = BytesMut::new();
    if let Ok(size) = status {
        bytes.put_u8(0);
        bytes.put_u32(size as u32);
        bytes.put_bytes(b'x', size);
    }
    let status = HeaderValue::from_static(status.err().unwrap_or("0"));
    let mut response = Response::new(Message { bytes: Some(bytes.freeze()), status: Some(status) });
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// One message, then the status.
struct Message {
    bytes: Option<Bytes>,
    status: Option<HeaderValue>,
}

impl Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let trailers = self.status.take().map(|status| {
            let mut trailers = HeaderMap::with_capacity(1);
            trailers.insert("grpc-status", status);
            Ok(Frame::trailers(trailers))
        });
        Poll::Ready(trailers)
    }
}
