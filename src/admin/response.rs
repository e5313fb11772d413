//! An answer of the admin port: text, JSON, or lines that go on.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

/// The body of an answer.
pub(crate) type Answer = BoxBody<Bytes, Infallible>;

/// Lines of JSON.
pub(crate) const LINES: &str = "application/x-ndjson";

/// An answer of lines that go on.
pub(crate) fn stream(lines: Answer) -> Response<Answer> {
    let mut response = Response::new(lines);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

/// An answer of JSON.
pub(crate) fn of_json(status: StatusCode, kind: &'static str, value: &Value) -> Response<Answer> {
    text(status, kind, format!("{value}\n"))
}

/// An answer of text.
pub(crate) fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Answer> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
