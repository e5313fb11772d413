//! One request and its answer.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, TRAILER};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::ask::{Ask, Kind};
use super::body::{Answer, Broken, End, Payload, Pieces};
use super::line::Line;
use super::response::{stamped, text};
use super::stamp::{Open, Stamp};
use super::websocket;

/// Answers as the request's path and query tell. The error cuts the connection (HTTP/2: the stream).
pub(super) async fn reply(
    request: Request<Incoming>,
    line: Arc<Line>,
    stamp: Arc<Stamp>,
) -> Result<Response<Answer>, Broken> {
    let ask = match Ask::read(request.uri()) {
        Ok(ask) => ask,
        Err(why) => return Ok(stamped(&stamp, StatusCode::NOT_FOUND, text(why + "\n"), None)),
    };
    let open = (ask.kind != Kind::Healthz).then(|| stamp.open());
    if !ask.delay.is_zero() {
        tokio::time::sleep(ask.delay).await;
    }
    match ask.kind {
        Kind::WebSocket => Ok(websocket::upgrade(request, &stamp, open)),
        Kind::Early => {
            let mut response =
                stamped(&stamp, ask.status, text("answered before the body was read\n".into()), open);
            if request.version() < Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
        Kind::Abort { after: None } => {
            if request.version() < Version::HTTP_2 {
                line.reset();
            }
            Err(Broken)
        }
        Kind::CloseAfter { max } => {
            let response = plain(&ask, request, &stamp, open);
            line.close_in(Duration::from_micros(fastrand::u64(0..=max.as_micros() as u64)));
            Ok(response)
        }
        Kind::Abort { after: Some(_) } => {
            if request.version() < Version::HTTP_2 {
                line.reset();
            }
            Ok(plain(&ask, request, &stamp, open))
        }
        _ => Ok(plain(&ask, request, &stamp, open)),
    }
}

/// The kinds that are an ordinary response.
fn plain(ask: &Ask, request: Request<Incoming>, stamp: &Arc<Stamp>, open: Option<Open>) -> Response<Answer> {
    let mut kind = HeaderValue::from_static("text/plain");
    let mut trailer = None;
    let payload = match ask.kind {
        Kind::Bytes { size } => Payload::Filler(size),
        Kind::Chunked { count, size, every } => Payload::Pieces(Pieces::new(count, size, every, End::Clean)),
        Kind::Events { count, every } => {
            kind = HeaderValue::from_static("text/event-stream");
            Payload::Pieces(Pieces::events(count, every))
        }
        Kind::Headers => text(head(&request)),
        Kind::Echo => {
            trailer = request.headers().get(TRAILER).cloned();
            kind = request.headers().get(CONTENT_TYPE).cloned().unwrap_or(kind);
            Payload::Echo(request.into_body())
        }
        Kind::Trailers => {
            trailer = Some(HeaderValue::from_static("x-answer-trailer"));
            let mut trailers = HeaderMap::new();
            trailers.insert("x-answer-trailer", HeaderValue::from_static("at the end"));
            Payload::Pieces(Pieces::new(2, 10, Duration::ZERO, End::Trailers(trailers)))
        }
        Kind::Crash => Payload::Pieces(Pieces::new(1, 1000, Duration::ZERO, End::Crash)),
        Kind::Abort { after } => {
            let size = after.unwrap_or(0).min(1 << 24) as usize;
            Payload::Pieces(Pieces::new(1, size, Duration::ZERO, End::Cut))
        }
        _ => text("ok\n".into()),
    };
    let mut response = stamped(stamp, ask.status, payload, open);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let Some(names) = trailer {
        response.headers_mut().insert(TRAILER, names);
    }
    response
}

/// The request line and the headers, one a line, as they arrived.
fn head(request: &Request<Incoming>) -> String {
    let mut head = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        let _ = writeln!(head, "{name}: {}", value.as_bytes().escape_ascii());
    }
    head
}
