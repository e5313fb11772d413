//! Lines that a proxy reports: read in two pieces they are what they are in one, as far as it can be read.
#![no_main]

/// The command's own file: a program can't be a dependency.
#[path = "../../src/report/read.rs"]
#[allow(dead_code, reason = "the command shows why a stream can't be read")]
mod read;

/// As in the command.
const LINE: usize = 1024 * 1024;

use read::Reader;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((at, bytes)) = bytes.split_first() else { return };
    let (head, tail) = bytes.split_at(usize::from(*at).min(bytes.len()));
    let mut reader = Reader::default();
    let Ok(mut pieces) = reader.take(head) else { return };
    let Ok(rest) = reader.take(tail) else { return };
    pieces.extend(rest);
    assert_eq!(Reader::default().take(bytes), Ok(pieces));
});
