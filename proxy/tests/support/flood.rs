//! Attacks on an HTTP/2 server, run until it has had enough.

pub use kaos_loadtest::flood::{Flood, all, broken, content, empty, fields, resets, streams, trickle};

use super::frames::{Frames, HOST};

/// Frames sent at once.
const BATCH: usize = 500;

/// Sends until the other end takes no more, but no more than `most` frames. Returns how many.
pub fn run(flood: &Flood, client: &mut Frames, most: usize) -> usize {
    let mut sent = 0;
    let mut taken = client.client.try_send(flood.begin(HOST));
    while taken && sent < most {
        let begun = sent / flood.frames;
        taken = client.client.try_send(flood.rounds(HOST, begun..begun + BATCH));
        sent += BATCH * flood.frames;
    }
    sent
}
