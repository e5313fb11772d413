//! The frames of HTTP/2 (RFC 9113 §4, §6).

/// Bytes before a payload.
pub(super) const HEAD: usize = 9;
/// Largest payload that we take and send: what everybody takes (§4.2).
pub(super) const LARGEST: usize = 16 * 1024;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITISED: u8 = 32;

/// Parameters of [`SETTINGS`] (§6.5.2).
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Why a stream or a connection ends (§7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) u32);

impl Reason {
    pub(crate) const NO_ERROR: Reason = Reason(0);
    pub(crate) const PROTOCOL_ERROR: Reason = Reason(1);
    pub(crate) const INTERNAL_ERROR: Reason = Reason(2);
    pub(crate) const FLOW_CONTROL_ERROR: Reason = Reason(3);
    pub(crate) const STREAM_CLOSED: Reason = Reason(5);
    pub(crate) const FRAME_SIZE_ERROR: Reason = Reason(6);
    pub(crate) const REFUSED_STREAM: Reason = Reason(7);
    pub(crate) const CANCEL: Reason = Reason(8);
    pub(crate) const COMPRESSION_ERROR: Reason = Reason(9);
    pub(crate) const ENHANCE_YOUR_CALM: Reason = Reason(11);
    pub(crate) const HTTP_1_1_REQUIRED: Reason = Reason(13);
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// Reads the first bytes of a frame, once they are there.
    pub(super) fn read(bytes: &[u8]) -> Option<Head> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD>()?;
        Some(Head {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without its padding. `None`: there is more padding than payload.
    pub(super) fn unpadded<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        if !self.has(PADDED) {
            return Some(payload);
        }
        let (padding, rest) = payload.split_first()?;
        rest.get(..rest.len().checked_sub(usize::from(*padding))?)
    }

    /// A block of fields without the priority before it, and the stream that it would have itself depend on. `None`: the priority
    /// isn't whole.
    pub(super) fn unprioritised<'a>(&self, block: &'a [u8]) -> Option<(&'a [u8], u32)> {
        if !self.has(PRIORITISED) {
            return Some((block, 0));
        }
        let (priority, block) = block.split_first_chunk::<5>()?;
        Some((block, depends_on(priority)))
    }
}

/// Whether `bytes` begin with a frame that can be judged: all of it is there, or it is longer than any may be.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    Head::read(bytes).is_some_and(|head| head.length > LARGEST || bytes.len() - HEAD >= head.length)
}

/// The stream that a priority names.
pub(super) fn depends_on(priority: &[u8; 5]) -> u32 {
    let [a, b, c, d, _] = *priority;
    u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
}

/// Writes what stands before `length` bytes.
pub(super) fn head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// Writes a frame whose payload is some numbers.
pub(super) fn numbers(out: &mut Vec<u8>, kind: u8, stream: u32, numbers: &[u32]) {
    head(out, 4 * numbers.len(), kind, 0, stream);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
}

/// Writes [`SETTINGS`].
pub(super) fn settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    head(out, 6 * settings.len(), SETTINGS, 0, 0);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Writes a block of fields, in as many frames as it needs (§6.10).
pub(super) fn block(out: &mut Vec<u8>, block: &[u8], stream: u32, ended: bool) {
    let mut pieces = block.chunks(LARGEST);
    let first = pieces.next().unwrap_or_default();
    let mut left = pieces.len();
    let end = |left| if left == 0 { END_HEADERS } else { 0 };
    head(out, first.len(), HEADERS, end(left) | if ended { END_STREAM } else { 0 }, stream);
    out.extend_from_slice(first);
    for piece in pieces {
        left -= 1;
        head(out, piece.len(), CONTINUATION, end(left), stream);
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back() {
        let mut out = Vec::new();
        head(&mut out, 0x01_0203, DATA, END_STREAM, 7);
        assert!(Head::read(&out[..8]).is_none());
        let read = Head::read(&out).unwrap();
        assert_eq!((read.length, read.kind, read.stream, read.has(END_STREAM)), (0x01_0203, DATA, 7, true));
    }

    #[test]
    fn padding_is_taken_away_and_more_than_there_is_is_none() {
        let mut out = Vec::new();
        head(&mut out, 0, DATA, PADDED, 1);
        let padded = Head::read(&out).unwrap();
        assert_eq!(padded.unpadded(b"\x02ab\0\0"), Some(&b"ab"[..]));
        assert_eq!(padded.unpadded(b"\x02\0\0"), Some(&b""[..]));
        for payload in [&b""[..], b"\x01", b"\x03\0\0"] {
            assert_eq!(padded.unpadded(payload), None);
        }
    }

    #[test]
    fn a_long_block_takes_several_frames() {
        let mut out = Vec::new();
        block(&mut out, &vec![b'x'; 2 * LARGEST + 1], 3, true);
        let mut frames = Vec::new();
        let mut rest = &out[..];
        while let Some(frame) = Head::read(rest) {
            frames.push((frame.kind, frame.length, frame.has(END_HEADERS), frame.stream));
            rest = &rest[HEAD + frame.length..];
        }
        let expected =
            [(HEADERS, LARGEST, false, 3), (CONTINUATION, LARGEST, false, 3), (CONTINUATION, 1, true, 3)];
        assert_eq!(frames, expected);
    }
}
