//! Reads the head of a replica's answer over HTTP/2. What breaks the rules never reaches the client: it is a 502.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use h2::Reason;
use h2::client::ResponseFuture;
use http::{Method, StatusCode};

use crate::field::{Fields, Name, length};
use crate::http1::framing::{Chunks, Framing};
use crate::upstream::answer::{Answer, INTERIM};
use crate::upstream::http2::inflow::Inflow;
use crate::upstream::http2::session::Place;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The replica says that it hasn't looked at the request: it may be sent again, whatever it is. Whether by itself, not
    /// because its connection goes away.
    Unprocessed { refused: bool },
    /// The connection ended.
    Closed,
    /// The replica broke the rules, or doesn't want to answer.
    Broken(&'static str),
}

/// An answer that is waited for. Dropped before it comes, it resets the stream.
pub(crate) struct Response {
    future: ResponseFuture,
    place: Rc<Place>,
}

impl Response {
    pub(crate) fn new(future: ResponseFuture, place: Rc<Place>) -> Self {
        Response { future, place }
    }

    /// Waits for the final answer to a request with `method`; interim ones end here.
    pub(crate) async fn read(mut self, method: &Method) -> Result<(Answer, Inflow), NoAnswer> {
        let mut interim = 0;
        let response = poll_fn(|cx| {
            while let Poll::Ready(Some(Ok(_))) = self.future.poll_informational(cx) {
                interim += 1;
                if interim > INTERIM {
                    return Poll::Ready(Err(NoAnswer::Broken(
                        "the replica sent more than 16 interim answers",
                    )));
                }
            }
            Pin::new(&mut self.future).poll(cx).map_err(|error| reason(&error))
        });
        let (head, body) = response.await?.into_parts();
        let inflow = Inflow::new(body, self.place);
        Ok((answer(&head, inflow.has_ended(), method)?, inflow))
    }
}

fn reason(error: &h2::Error) -> NoAnswer {
    if error.is_io() {
        return NoAnswer::Closed;
    }
    match error.reason() {
        // Only streams that the replica says it hasn't seen end with its GOAWAY (RFC 9113 §6.8).
        _ if error.is_go_away() && error.is_remote() => NoAnswer::Unprocessed { refused: false },
        Some(Reason::REFUSED_STREAM) if error.is_remote() => NoAnswer::Unprocessed { refused: true },
        Some(Reason::HTTP_1_1_REQUIRED) if error.is_remote() => {
            NoAnswer::Broken("the replica wants this request by HTTP/1.1")
        }
        _ if error.is_reset() && error.is_remote() => {
            NoAnswer::Broken("the replica reset the stream before it answered")
        }
        // Another stream's fault has ended the connection.
        _ if error.is_go_away() => NoAnswer::Closed,
        _ => NoAnswer::Broken("the head of the replica's answer is malformed, or larger than 64 KiB"),
    }
}

fn answer(head: &http::response::Parts, ended: bool, method: &Method) -> Result<Answer, NoAnswer> {
    let mut fields = Fields::default();
    for (name, value) in &head.headers {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    let said = {
        let mut lengths = fields.values(Name::ContentLength);
        let said = lengths.next();
        if lengths.next().is_some() {
            return Err(NoAnswer::Broken("the replica says twice how long its answer is"));
        }
        let no_number = NoAnswer::Broken("the Content-Length of the replica's answer is no number");
        said.map(|said| length(said).ok_or(no_number)).transpose()?
    };
    let status = head.status;
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    let empty = ended || method == Method::HEAD || bodiless.contains(&status);
    let body = match said {
        _ if empty => Framing::Length(0),
        Some(length) => Framing::Length(length),
        None => Framing::Chunked(Chunks::default()),
    };
    let reason = status.canonical_reason().unwrap_or_default().as_bytes().to_vec();
    let length = if status == StatusCode::RESET_CONTENT { Some(0) } else { said };
    Ok(Answer { status: status.as_u16(), reason, fields, body, length, reusable: true, upgrade: None })
}
