//! Writes the head of an answer for an HTTP/1 client: the replica's, or our own.

use std::time::Duration;

use crate::admit::Wait;
use crate::field::Name;
use crate::head::{Head, Version};
use crate::http1::framing::Framing;
use crate::http1::write::{decimal, field};
use crate::ledger::Phases;
use crate::pump::Encoding;
use crate::refuse::{Detail, Refusal};
use crate::rule::{Told, fields, replaces};
use crate::sabotage::{Rule, is_off};
use crate::subrequest::Go;
use crate::upstream::answer::Answer;

/// How the answer's body is framed for this client, and whether the connection can go on after it.
pub(crate) fn framing(head: &Head, answer: &Answer) -> (Encoding, bool) {
    match (&answer.body, head.version) {
        (Framing::Length(_), _) => (Encoding::Identity, true),
        (_, Version::Http10) => (Encoding::Identity, false),
        _ => (Encoding::Chunked { trailers: head.takes_trailers }, true),
    }
}

/// Writes the head of a replica's answer.
pub(crate) fn answer(
    head: &Head,
    answer: &Answer,
    request_id: &str,
    wait: &Wait,
    told: Option<&Told>,
    keep: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(answer.status));
    out.push(b' ');
    out.extend_from_slice(&answer.reason);
    out.extend_from_slice(b"\r\n");
    let listed = answer.fields.lists_more();
    let (encoding, _) = framing(head, answer);
    let chunked = matches!(encoding, Encoding::Chunked { .. });
    for known in answer.fields.iter() {
        match known.kind {
            Name::Trailer if chunked && head.takes_trailers => field(out, known.name, known.value),
            _ if replaces(told, known.name) => {}
            _ if passes_back(known.kind, wait) && !(listed && answer.fields.is_listed(&known)) => {
                field(out, known.name, known.value);
            }
            _ => {}
        }
    }
    match answer.length {
        _ if chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Some(length) if answer.status >= 200 && answer.status != 204 => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        // By HTTP/2 an answer may end with its head, without a word on its length.
        None if answer.ends_unsaid(&head.method) => out.extend_from_slice(b"Content-Length: 0\r\n"),
        _ => {}
    }
    match &answer.upgrade {
        Some(protocol) => {
            out.extend_from_slice(b"Connection: Upgrade\r\n");
            field(out, b"Upgrade", protocol);
        }
        None => persistence(head, keep, out),
    }
    field(out, b"X-Request-Id", request_id.as_bytes());
    fields(told).for_each(|(name, value)| field(out, name.as_bytes(), value.as_bytes()));
    if let Some((span, phases)) = wait.cold {
        cold(span, phases, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a field of a replica's answer goes to the client.
pub(crate) fn passes_back(kind: Name, wait: &Wait) -> bool {
    match kind {
        Name::Other | Name::Host | Name::Cookie | Name::Expect | Name::Forwarding => true,
        Name::ColdStart => wait.elsewhere,
        Name::HopByHop => is_off(Rule::AnswerFields),
        _ => false,
    }
}

fn persistence(head: &Head, keep: bool, out: &mut Vec<u8>) {
    if !keep {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if head.version == Version::Http10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

fn cold(span: Duration, phases: Phases, out: &mut Vec<u8>) {
    out.extend_from_slice(b"X-Kaos-Cold-Start: true\r\n");
    field(out, b"Server-Timing", server_timing(span, phases).as_bytes());
}

/// The phases of a cold start as browsers show them, in milliseconds.
pub(crate) fn server_timing(span: Duration, phases: Phases) -> String {
    let millis = |span: Duration| span.as_secs_f64() * 1000.0;
    format!(
        "cold;dur={:.1}, decide;dur={:.1}, start;dur={:.1}, ready;dur={:.1}, first-byte;dur={:.1}",
        millis(span),
        millis(phases.decide),
        millis(phases.start),
        millis(phases.ready),
        millis(phases.first_byte),
    )
}

/// Writes that a request may go.
pub(crate) fn go(go: &Go, head: &Head, request_id: &str, keep: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n");
    field(out, b"X-Kaos-Replica", go.replica.to_string().as_bytes());
    persistence(head, keep, out);
    field(out, b"X-Request-Id", request_id.as_bytes());
    if let Some((span, phases)) = go.cold {
        cold(span, phases, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes our own answer, head and body. `whole`: with the body, which an answer to HEAD has not.
pub(crate) fn refusal(
    refusal: &Refusal,
    body: &str,
    request_id: &str,
    whole: bool,
    keep: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(refusal.status()));
    out.push(b' ');
    out.extend_from_slice(refusal.phrase().as_bytes());
    out.extend_from_slice(b"\r\n");
    refusal.fields().for_each(|(name, value)| field(out, name.as_bytes(), value.as_bytes()));
    // A 204 has no length (RFC 9110 §8.6).
    if refusal.status() != 204 {
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(seconds) = refusal.retry_after() {
        out.extend_from_slice(b"Retry-After: ");
        decimal(out, seconds);
        out.extend_from_slice(b"\r\n");
    }
    if *refusal == Refusal::MethodNotAllowed {
        out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    }
    end_of_refusal(refusal, request_id, keep, out);
    if whole {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Writes our own answer as gRPC says it: by trailers alone, in the place of a head.
pub(crate) fn grpc_refusal(
    refusal: &Refusal,
    detail: Detail,
    record: &crate::admit::Record,
    keep: bool,
    out: &mut Vec<u8>,
) {
    let (status, message) = grpc(refusal, detail, record);
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nGrpc-Status: ",
    );
    decimal(out, u64::from(status));
    out.extend_from_slice(b"\r\n");
    field(out, b"Grpc-Message", message.as_bytes());
    end_of_refusal(refusal, &record.request_id, keep, out);
}

/// What follows in the head of any answer of our own.
fn end_of_refusal(refusal: &Refusal, request_id: &str, keep: bool, out: &mut Vec<u8>) {
    if *refusal == Refusal::Elsewhere {
        out.extend_from_slice(b"X-Kaos-Hop: moved\r\n");
    }
    field(out, b"X-Request-Id", request_id.as_bytes());
    if !keep {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The status and the message that gRPC has for our own answer.
pub(crate) fn grpc(refusal: &Refusal, detail: Detail, record: &crate::admit::Record) -> (u16, String) {
    let workload = record.seat.as_ref().map(|seat| &seat.gate.id);
    (refusal.grpc_status(), refusal.grpc_message(detail, workload))
}

/// The body of our own answer. Empty where it is no error.
pub(crate) fn problem(refusal: &Refusal, detail: Detail, record: &crate::admit::Record) -> String {
    if !refusal.is_error() {
        return String::new();
    }
    let workload = record.seat.as_ref().map(|seat| &seat.gate.id);
    refusal.problem(detail, workload, &record.request_id)
}
