//! Where a body ends: by length, by chunks, or with the connection. Reads the framing, never the content.
//!
//! Chunks are read strictly (RFC 9112 §7.1): what two readers could read in two ways is malformed.

use crate::sabotage::{Rule, is_off};

/// Most bytes of chunk extensions in one body, and of one trailer section.
const EXTENSIONS: usize = 16 * 1024;
const TRAILERS: usize = 16 * 1024;
/// Longest line that gives a chunk's size. It must fit a read buffer.
const SIZE_LINE: usize = 4 * 1024;
const TRAILER_FIELDS: usize = 100;

/// How far the body of one message has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are left. 0: it has ended.
    Length(u64),
    /// In chunks.
    Chunked(Chunks),
    /// Until the connection ends: a response of a server that says no more.
    UntilClose,
}

/// Inside a body that comes in chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    state: ChunkState,
    extensions: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Ended,
}

/// What the next bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Content: after `skip` bytes of framing come `length` bytes of it.
    Data { skip: usize, length: usize },
    /// Framing alone: `skip` bytes of it are done with, and more bytes are needed.
    More { skip: usize },
    /// The body has ended after `skip` bytes, with these trailers.
    End { skip: usize, trailers: Vec<(Vec<u8>, Vec<u8>)> },
}

impl Framing {
    /// Whether the body has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunks { state: ChunkState::Ended, .. }))
    }

    /// Whether it says itself that it has more than `most` bytes.
    pub(crate) fn is_longer_than(&self, most: u64) -> bool {
        matches!(self, Framing::Length(length) if *length > most)
    }

    /// Reads the next piece. The error says what is malformed. Bytes that a [`Piece`] covers count as read.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Piece, &'static str> {
        match self {
            Framing::Length(0) => Ok(Piece::End { skip: 0, trailers: Vec::new() }),
            Framing::Length(_) | Framing::UntilClose if bytes.is_empty() => Ok(Piece::More { skip: 0 }),
            Framing::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                Ok(Piece::Data { skip: 0, length })
            }
            Framing::UntilClose => Ok(Piece::Data { skip: 0, length: bytes.len() }),
            Framing::Chunked(chunks) => chunks.next(bytes),
        }
    }
}

impl Chunks {
    fn next(&mut self, bytes: &[u8]) -> Result<Piece, &'static str> {
        let mut skip = 0;
        loop {
            let rest = bytes.get(skip..).unwrap_or_default();
            match &mut self.state {
                ChunkState::Size => {
                    let Some((size, line)) = self.size(rest)? else { return Ok(Piece::More { skip }) };
                    skip += line;
                    self.state = if size == 0 { ChunkState::Trailers } else { ChunkState::Data(size) };
                }
                ChunkState::Data(_) if rest.is_empty() => return Ok(Piece::More { skip }),
                ChunkState::Data(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= length as u64;
                    if *left == 0 {
                        self.state = ChunkState::DataEnd;
                    }
                    return Ok(Piece::Data { skip, length });
                }
                ChunkState::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        skip += 2;
                        self.state = ChunkState::Size;
                    }
                    [] | [b'\r'] => return Ok(Piece::More { skip }),
                    _ => return Err("a chunk does not end where its size says"),
                },
                ChunkState::Trailers => {
                    let Some((trailers, length)) = trailers(rest)? else { return Ok(Piece::More { skip }) };
                    self.state = ChunkState::Ended;
                    return Ok(Piece::End { skip: skip + length, trailers });
                }
                ChunkState::Ended => return Ok(Piece::End { skip, trailers: Vec::new() }),
            }
        }
    }

    /// The size of the next chunk and the length of its line.
    fn size(&mut self, bytes: &[u8]) -> Result<Option<(u64, usize)>, &'static str> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let Some(end) = end else {
            return if bytes.len() > SIZE_LINE { Err("a chunk's size line is too long") } else { Ok(None) };
        };
        let line = bytes.get(..end).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r").or(is_off(Rule::ChunkGrammar).then_some(line)) else {
            return Err("a chunk's size line does not end in CR LF");
        };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        if size.is_empty() {
            return Err("a chunk has no size");
        }
        let spaces = extension.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let extension = extension.get(spaces..).unwrap_or_default();
        let printable = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        if !(extension.is_empty() || extension.starts_with(b";")) || !extension.iter().all(printable) {
            return Err("a chunk's size is malformed");
        }
        self.extensions += extension.len();
        if self.extensions > EXTENSIONS {
            return Err("too many chunk extensions");
        }
        let significant = size.iter().skip_while(|digit| **digit == b'0');
        let mut value: u64 = 0;
        for digit in significant {
            let digit = char::from(*digit).to_digit(16).unwrap_or(0);
            value = value
                .checked_mul(16)
                .and_then(|value| value.checked_add(u64::from(digit)))
                .ok_or("a chunk's size is too large")?;
        }
        Ok(Some((value, end + 1)))
    }
}

type Trailers = Vec<(Vec<u8>, Vec<u8>)>;

/// The trailer section at the start of `bytes` and its length, once it is there whole.
fn trailers(bytes: &[u8]) -> Result<Option<(Trailers, usize)>, &'static str> {
    // Nearly always there are none.
    if bytes.starts_with(b"\r\n") {
        return Ok(Some((Vec::new(), 2)));
    }
    let mut headers = [httparse::EMPTY_HEADER; TRAILER_FIELDS];
    match httparse::parse_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete((length, _))) if length > TRAILERS => Err("the trailers are too large"),
        Ok(httparse::Status::Complete((length, fields))) => {
            let fields = fields.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec()));
            Ok(Some((fields.collect(), length)))
        }
        Ok(httparse::Status::Partial) if bytes.len() > TRAILERS => Err("the trailers are too large"),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err("the trailers are malformed"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a whole body that arrives in pieces of `step` bytes.
    fn read(
        mut framing: Framing,
        wire: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, Trailers, usize), &'static str> {
        let (mut content, mut start, mut end) = (Vec::new(), 0, 0);
        loop {
            match framing.next(&wire[start..end])? {
                Piece::Data { skip, length } => {
                    content.extend_from_slice(&wire[start + skip..start + skip + length]);
                    start += skip + length;
                }
                Piece::More { skip } => {
                    start += skip;
                    if end == wire.len() {
                        return Err("ended early");
                    }
                    end = (end + step).min(wire.len());
                }
                Piece::End { skip, trailers } => return Ok((content, trailers, start + skip)),
            }
        }
    }

    fn chunked(wire: &[u8]) -> Result<(Vec<u8>, Trailers, usize), &'static str> {
        let whole = read(Framing::Chunked(Chunks::default()), wire, wire.len());
        assert_eq!(read(Framing::Chunked(Chunks::default()), wire, 1), whole, "byte by byte it is the same");
        whole
    }

    #[test]
    fn chunks_are_read_and_what_follows_is_left() {
        let (content, trailers, used) =
            chunked(b"5\r\nhello\r\n00A ;x=\"y\"\r\n0123456789\r\n0\r\nA: b\r\n\r\nGET /").unwrap();
        assert_eq!(content, b"hello0123456789");
        assert_eq!(trailers, [(b"A".to_vec(), b"b".to_vec())]);
        assert_eq!(used, b"5\r\nhello\r\n00A ;x=\"y\"\r\n0123456789\r\n0\r\nA: b\r\n\r\n".len());
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_malformed() {
        for wire in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloX\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"5 5\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b";x\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;a\0b\r\nhello\r\n0\r\n\r\n",
            b"10000000000000000\r\nhello\r\n0\r\n\r\n",
            b"0\r\nA b: c\r\n\r\n",
            b"0\r\n folded: c\r\n\r\n",
        ] {
            assert!(chunked(wire).is_err(), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let line = format!("1;{}\r\na\r\n", "x".repeat(4000));
        assert_eq!(
            read(Framing::Chunked(Chunks::default()), line.repeat(5).as_bytes(), 100_000),
            Err("too many chunk extensions")
        );
        let wire = format!("0\r\nA: {}\r\n\r\n", "x".repeat(20_000));
        assert_eq!(
            read(Framing::Chunked(Chunks::default()), wire.as_bytes(), 100_000),
            Err("the trailers are too large")
        );
        assert_eq!(
            read(Framing::Chunked(Chunks::default()), "1".repeat(5000).as_bytes(), 100),
            Err("a chunk's size line is too long")
        );
    }

    #[test]
    fn a_length_is_read_to_its_end_and_no_further() {
        assert_eq!(read(Framing::Length(3), b"abcdef", 2), Ok((b"abc".to_vec(), Vec::new(), 3)));
        assert_eq!(read(Framing::Length(3), b"ab", 2), Err("ended early"));
    }

    proptest! {
        #[test]
        fn content_survives_any_chunking(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8), step in 1usize..40) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (content, _, used) = read(Framing::Chunked(Chunks::default()), &wire, step).unwrap();
            prop_assert_eq!(content, chunks.concat());
            prop_assert_eq!(used, wire.len());
        }

        #[test]
        fn no_bytes_panic(wire in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
            let _ = read(Framing::Chunked(Chunks::default()), &wire, step);
        }
    }
}
