//! Answers an HTTP/2 client: the head of a replica's answer, or our own words.

use std::future::poll_fn;

use bytes::{Buf, Bytes};

use crate::admit::{Record, Routed};
use crate::hpack::encode::{field, number, status};
use crate::http1::respond::{grpc, passes_back, problem, server_timing};
use crate::http2::streams::Open;
use crate::mux::Sender;
use crate::mux::block::{Block, Pseudo};
use crate::mux::frame::Reason;
use crate::pace::PATIENCE;
use crate::refuse::Refusal;
use crate::rounds::Watched;
use crate::rule::{fields, replaces};
use crate::subrequest::Go;
use crate::upstream::answer::Answer;
use crate::worker::Worker;

/// Writes the head of a replica's answer. `ended`: it has no content.
pub(super) fn begin(sender: &Sender, answer: &Answer, record: &mut Record, routed: &Routed, ended: bool) {
    record.answered(answer);
    sender.head(ended, |out| {
        status(out, answer.status);
        let listed = answer.fields.lists_more();
        let told = routed.told.as_ref();
        for known in answer.fields.iter().filter(|known| passes_back(known.kind, &routed.wait)) {
            let ends_here = listed && answer.fields.is_listed(&known);
            if !(ends_here || replaces(told, known.name)) {
                field(out, known.name, known.value);
            }
        }
        if let Some(length) = answer.length.filter(|_| answer.status != 204) {
            number(out, b"content-length", length);
        }
        field(out, b"x-request-id", record.request_id.as_bytes());
        fields(told).for_each(|(name, value)| field(out, name.as_bytes(), value.as_bytes()));
        if let Some((span, phases)) = routed.wait.cold {
            field(out, b"x-kaos-cold-start", b"true");
            field(out, b"server-timing", server_timing(span, phases).as_bytes());
        }
    });
}

/// Writes that a request may go.
pub(super) fn go(sender: &Sender, go: &Go, record: &Record) {
    sender.head(true, |out| {
        status(out, 200);
        field(out, b"cache-control", b"no-store");
        field(out, b"x-kaos-replica", go.replica.to_string().as_bytes());
        field(out, b"x-request-id", record.request_id.as_bytes());
        if let Some((span, phases)) = go.cold {
            field(out, b"x-kaos-cold-start", b"true");
            field(out, b"server-timing", server_timing(span, phases).as_bytes());
        }
    });
}

/// How our own answer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// To HEAD.
    Head,
    Grpc,
}

impl Form {
    /// To what begins with this, whether it is a request or not.
    pub(super) fn of(block: &Block) -> Form {
        if block.fields.is_grpc() {
            Form::Grpc
        } else if block.pseudo(Pseudo::Method) == Some(b"HEAD") {
            Form::Head
        } else {
            Form::Whole
        }
    }
}

/// Answers in the place of a replica. Returns the content, which is to be handed over.
pub(super) fn refuse(sender: &Sender, refusal: &Refusal, mut record: Record, form: Form) -> Bytes {
    record.refused(refusal);
    if let (Form::Grpc, true) = (form, refusal.is_error()) {
        record.note(|entry| entry.cut = false);
        refuse_grpc(sender, refusal, &record);
        return Bytes::new();
    }
    let problem = problem(refusal, record.worker.config().error_detail, &record);
    let whole = form == Form::Whole && !problem.is_empty();
    let body = if whole { Bytes::from(problem) } else { Bytes::new() };
    record.note(|entry| (entry.sent, entry.cut) = (body.len() as u64, false));
    sender.head(body.is_empty(), |out| {
        status(out, refusal.status());
        refusal.fields().for_each(|(name, value)| field(out, name.as_bytes(), value.as_bytes()));
        if !body.is_empty() {
            number(out, b"content-length", body.len() as u64);
        }
        field(out, b"x-request-id", record.request_id.as_bytes());
        if let Some(seconds) = refusal.retry_after() {
            number(out, b"retry-after", seconds);
        }
    });
    body
}

/// As gRPC says it: by trailers alone, in the place of a head.
fn refuse_grpc(sender: &Sender, refusal: &Refusal, record: &Record) {
    let (code, message) = grpc(refusal, record.worker.config().error_detail, record);
    sender.head(true, |out| {
        status(out, 200);
        field(out, b"content-type", b"application/grpc");
        number(out, b"grpc-status", u64::from(code));
        field(out, b"grpc-message", message.as_bytes());
        field(out, b"x-request-id", record.request_id.as_bytes());
    });
}

/// Content that is here whole, for a client that may have no room for it yet.
pub(super) struct Left {
    pub(super) body: Bytes,
    pub(super) watch: Watched,
    pub(super) _open: Open,
}

impl Left {
    /// Sends it, and ends the stream. It holds nothing else, but not for ever.
    pub(super) async fn hand_over(mut self, sender: Sender, worker: &Worker) {
        self.watch.until(worker.now() + PATIENCE);
        while !self.body.is_empty() {
            let Ok(Ok(room)) = self.watch.over(poll_fn(|cx| sender.poll_room(cx))).await else {
                return sender.reset(Reason::CANCEL);
            };
            let sent = room.min(self.body.len());
            sender.content(self.body.get(..sent).unwrap_or_default(), sent == self.body.len());
            self.body.advance(sent);
        }
    }
}
