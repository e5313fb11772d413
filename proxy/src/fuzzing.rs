//! What the fuzz targets call: the readers of foreign bytes, and what must hold of whatever they accept. Only with the feature
//! `fuzzing`; in a fuzz target a failed assertion is a find.

use std::net::{IpAddr, Ipv4Addr};

use http::Method;

use crate::admit::Wait;
use crate::clients::Client;
use crate::field::{Name, classify};
use crate::head::Head;
use crate::http1::framing::{Framing, Piece};
use crate::http1::{request as reader, respond};
use crate::http2::request::head as read_stream;
use crate::mux::{Limits, Mux, Role};
use crate::proxy_protocol;
use crate::subrequest::Subject;
use crate::upstream::answer as answers;
use crate::upstream::send::{self, Hop};

const LARGEST: usize = 32 * 1024;
/// More fields than any head has here.
const FIELDS: usize = 256;

/// Bytes of an HTTP/1 client: refused, or one request for a replica.
pub fn request(bytes: &[u8]) {
    let mut head = Head::default();
    let Ok(Some(used)) = reader::read(bytes, &mut head, LARGEST) else { return };
    assert!(used <= LARGEST && head.routed_host().is_some() && head.routed_path().starts_with('/'));
    one_request(&head);
    if let Ok(Subject::Place(asked) | Subject::Workload(_, asked)) = Subject::of(&head) {
        assert!(asked.routed_path().starts_with('/'));
    }
    body(head.body, bytes.get(used..).unwrap_or_default());
}

/// What a replica gets of a head is one request.
fn one_request(head: &Head) {
    let client =
        Client { address: IpAddr::V4(Ipv4Addr::LOCALHOST), trusted: false, secure: false, asks: false };
    let replica = (Ipv4Addr::LOCALHOST, 80).into();
    let hop = Hop {
        client,
        target: &head.target,
        host: &head.host,
        edits: None,
        request_id: "0",
        replica,
        pass: None,
    };
    let mut out = Vec::new();
    // Err: a scheme that isn't believed was dropped.
    let _ = send::head(head, &hop, &mut out);
    let mut room = [httparse::EMPTY_HEADER; FIELDS];
    let mut sent = httparse::Request::new(&mut room);
    assert!(sent.parse(&out) == Ok(httparse::Status::Complete(out.len())), "it isn't one request");
    check(&out, sent.headers);
    assert!(count(sent.headers, Name::Host) == 1, "there isn't one Host");
}

/// Bytes of a replica: unusable, or answers for a client.
pub fn answer(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((answer, used))) = answers::parse(rest, &Method::GET) {
        rest = rest.get(used..).unwrap_or_default();
        if answer.status < 200 && answer.status != 101 {
            continue;
        }
        let mut out = Vec::new();
        respond::answer(&Head::default(), &answer, "0", &Wait::default(), None, true, &mut out);
        let mut room = [httparse::EMPTY_HEADER; FIELDS];
        let mut told = httparse::Response::new(&mut room);
        assert!(told.parse(&out) == Ok(httparse::Status::Complete(out.len())), "it isn't one answer");
        check(&out, told.headers);
        return body(answer.body, rest);
    }
}

/// Bytes of an HTTP/2 client behind its preface: the end of its connection, or requests that are one each for a replica too.
pub fn frames(bytes: &[u8]) {
    let limits =
        Limits { streams: 100, stream_window: 65_536, window: 1 << 20, fields: LARGEST, faults: 100 };
    let mux = Mux::new(Role::Server, limits);
    let mut settings = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    settings.extend_from_slice(bytes);
    let taken = mux.hear(&settings);
    let mut open = 0;
    while let Some(mut asked) = mux.accept() {
        open += 1;
        if let Ok(head) = read_stream(&mut asked.block, asked.receiver.has_ended(), false) {
            one_request(&head);
        }
    }
    assert!(open <= limits.streams, "more streams than are allowed");
    // Of each frame an answer of a few bytes comes, and each answer of ours ends a stream.
    assert!(mux.say().len() <= 200 + 4 * settings.len(), "more is said than was heard");
    assert!(taken.is_none_or(|taken| taken <= settings.len()));
}

/// A header of the PROXY protocol: malformed, or one that reads the same however much of what follows has come.
pub fn proxy_header(bytes: &[u8]) {
    let Ok(Some(header)) = proxy_protocol::read_header(bytes) else { return };
    let own = bytes.get(..header.length);
    assert!(
        own.is_some_and(|own| proxy_protocol::read_header(own) == Ok(Some(header))),
        "it depends on what follows"
    );
}

/// What holds of every head that is written: one way to say the length, said once, and no line end but CR LF.
fn check(out: &[u8], fields: &[httparse::Header<'_>]) {
    let lengths = count(fields, Name::ContentLength) + count(fields, Name::TransferEncoding);
    assert!(lengths <= 1, "the length is said twice");
    let ends = |pair: &[u8]| (pair.first() == Some(&b'\r')) == (pair.get(1) == Some(&b'\n'));
    assert!(out.windows(2).all(ends) && !out.contains(&0), "a line ends oddly");
    assert!(fields.iter().all(|field| classify(field.name.as_bytes()) != Name::Twin), "a twin was passed on");
}

fn count(fields: &[httparse::Header<'_>], kind: Name) -> usize {
    fields.iter().filter(|field| classify(field.name.as_bytes()) == kind).count()
}

/// Reads a body: it ends, goes on or is malformed, and never takes more than is there.
fn body(mut framing: Framing, mut bytes: &[u8]) {
    while let Ok(piece) = framing.next(bytes) {
        let used = match piece {
            Piece::Data { skip, length } => skip + length,
            Piece::End { skip, .. } | Piece::More { skip } => {
                assert!(skip <= bytes.len());
                return;
            }
        };
        assert!(used <= bytes.len() && used > 0);
        bytes = bytes.get(used..).unwrap_or_default();
    }
}
