//! A stamped response.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::body::{Answer, Payload};
use super::stamp::{Open, Stamp};

/// A response with the stamps on it.
pub(super) fn stamped(
    stamp: &Stamp,
    status: StatusCode,
    payload: Payload,
    open: Option<Open>,
) -> Response<Answer> {
    let mut response = Response::new(Answer::new(payload, open));
    *response.status_mut() = status;
    stamp.write(response.headers_mut());
    response
}

/// A short body.
pub(super) fn text(text: String) -> Payload {
    Payload::Text(Bytes::from(text))
}
