//! The replica's end of an HTTP/2 connection, frame by frame (RFC 9113 §4, §6).

use super::Client;

pub use kaos_loadtest::frames::*;

pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;

/// `:status 200` by its place in HPACK's table (RFC 7541 appendix A).
pub const OK: &[u8] = &[0x88];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn ends(&self) -> bool {
        self.flags & END_STREAM != 0
    }

    /// The code of a RST_STREAM.
    pub fn code(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

/// A connection whose preface was read, and whose SETTINGS were said.
pub struct Frames(pub Client);

impl Frames {
    /// Reads the preface and says `settings`: identifiers and values. `None`: it ended before.
    pub fn begin(mut client: Client, settings: &[(u16, u32)]) -> Option<Frames> {
        while client.unread().len() < PREFACE.len() {
            if client.fill() == 0 {
                return None;
            }
        }
        assert_eq!(client.read_exact(PREFACE.len()), PREFACE);
        let mut frames = Frames(client);
        let one = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frames.send(SETTINGS, 0, 0, &settings.iter().flat_map(one).collect::<Vec<_>>());
        Some(frames)
    }

    /// Sends a frame. Returns whether the other end took it.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.0.try_send(bytes(kind, flags, stream, payload))
    }

    /// A head; `block` is HPACK.
    pub fn head(&mut self, stream: u32, block: &[u8], ends: bool) -> bool {
        self.send(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, stream, block)
    }

    pub fn data(&mut self, stream: u32, data: &[u8], ends: bool) -> bool {
        self.send(DATA, if ends { END_STREAM } else { 0 }, stream, data)
    }

    pub fn reset(&mut self, stream: u32, code: u32) -> bool {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes())
    }

    pub fn goaway(&mut self, last: u32) -> bool {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat())
    }

    /// A whole answer with `content`.
    pub fn answer(&mut self, stream: u32, content: &str) {
        self.head(stream, OK, false);
        self.data(stream, content.as_bytes(), true);
    }

    /// The next frame that is no bookkeeping; `None` at the end. SETTINGS and pings are answered.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any()?;
            match (frame.kind, frame.flags & ACK) {
                (SETTINGS, 0) => self.send(SETTINGS, ACK, 0, &[]),
                (PING, 0) => self.send(PING, ACK, 0, &frame.payload),
                (SETTINGS | PING | WINDOW_UPDATE, _) => true,
                _ => return Some(frame),
            };
        }
    }

    fn any(&mut self) -> Option<Frame> {
        self.fill(9)?;
        let head = self.0.read_exact(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        self.fill(length)?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload: self.0.read_exact(length) })
    }

    fn fill(&mut self, length: usize) -> Option<()> {
        while self.0.unread().len() < length {
            if self.0.fill() == 0 {
                return None;
            }
        }
        Some(())
    }

    /// The stream of the next request, read to its end.
    pub fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next()?;
            if matches!(frame.kind, HEADERS | DATA) && frame.ends() {
                return Some(frame.stream);
            }
        }
    }
}

/// A field as a literal of HPACK that no table remembers.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    block(&[(name.to_owned(), value.to_owned())])
}
