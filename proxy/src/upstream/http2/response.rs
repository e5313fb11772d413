//! Reads the head of a replica's answer over HTTP/2. What breaks the rules never reaches the client: it is a 502.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use http::{Method, StatusCode};

use crate::field::{Name, length};
use crate::http1::framing::{Chunks, Framing};
use crate::mux::block::{Block, Pseudo};
use crate::mux::frame::Reason;
use crate::mux::{Cut, Receiver};
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
    body: Receiver,
    place: Rc<Place>,
}

impl Response {
    pub(crate) fn new(body: Receiver, place: Rc<Place>) -> Self {
        Response { body, place }
    }

    /// Waits for the final answer to a request with `method`; interim ones end here.
    pub(crate) async fn read(self, method: &Method) -> Result<(Answer, Inflow), NoAnswer> {
        let head = poll_fn(|cx| {
            let head = self.body.poll_head(cx).map_err(reason);
            if self.body.interim() > INTERIM {
                return Poll::Ready(Err(NoAnswer::Broken("the replica sent more than 16 interim answers")));
            }
            head
        });
        let head = head.await?;
        let inflow = Inflow::new(self.body, self.place);
        Ok((answer(head, inflow.has_ended(), method)?, inflow))
    }
}

fn reason(cut: Cut) -> NoAnswer {
    match cut {
        // Only streams that the replica says it hasn't seen end with its GOAWAY (RFC 9113 §6.8).
        Cut::Unprocessed => NoAnswer::Unprocessed { refused: false },
        Cut::Reset(Reason::REFUSED_STREAM) => NoAnswer::Unprocessed { refused: true },
        Cut::Reset(Reason::HTTP_1_1_REQUIRED) => {
            NoAnswer::Broken("the replica wants this request by HTTP/1.1")
        }
        Cut::Reset(_) => NoAnswer::Broken("the replica reset the stream before it answered"),
        Cut::Fault(_) => {
            NoAnswer::Broken("the head of the replica's answer is malformed, or larger than 64 KiB")
        }
        // Perhaps another stream's fault has ended the connection.
        Cut::Closed | Cut::Dropped => NoAnswer::Closed,
    }
}

fn answer(head: Block, ended: bool, method: &Method) -> Result<Answer, NoAnswer> {
    // It was checked when it came.
    let status = head.pseudo(Pseudo::Status).and_then(|status| StatusCode::from_bytes(status).ok());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let fields = head.fields;
    let said = {
        let mut lengths = fields.values(Name::ContentLength);
        let said = lengths.next();
        if lengths.next().is_some() {
            return Err(NoAnswer::Broken("the replica says twice how long its answer is"));
        }
        let no_number = NoAnswer::Broken("the Content-Length of the replica's answer is no number");
        said.map(|said| length(said).ok_or(no_number)).transpose()?
    };
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
