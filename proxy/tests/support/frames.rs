//! A client of HTTP/2 that sends any bytes.

use super::{Client, Rig};

pub use kaos_loadtest::frames::*;

/// Who is asked.
pub const HOST: &str = "shop";

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What a stream came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was answered: status, fields (those that this reader understands) and content.
    Answered(u16, Vec<u8>),
    Reset(u32),
    /// The whole connection was ended, with the code of the GOAWAY if there was one.
    Gone(Option<u32>),
}

/// A connection.
pub struct Frames {
    pub client: Client,
}

impl Frames {
    /// Connects and sends the preface and empty settings.
    pub fn open(rig: &Rig) -> Frames {
        let mut client = rig.connect();
        client.try_send([PREFACE, &bytes(SETTINGS, 0, 0, &[])].concat());
        Frames { client }
    }

    /// Sends a frame. Returns whether the other end took it.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.client.try_send(bytes(kind, flags, stream, payload))
    }

    /// Sends a whole request.
    pub fn ask(&mut self, stream: u32, fields: &[(String, String)], body: Option<&str>) -> bool {
        let end = if body.is_none() { END_STREAM } else { 0 };
        let block = block(fields);
        let sent = self.fields(stream, end, &block);
        match body {
            Some(body) => sent && self.send(DATA, END_STREAM, stream, body.as_bytes()),
            None => sent,
        }
    }

    /// Sends a block of fields in as many frames as it needs.
    fn fields(&mut self, stream: u32, flags: u8, block: &[u8]) -> bool {
        let mut pieces = block.chunks(16 * 1024).peekable();
        let mut kind = (HEADERS, flags);
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            if !self.send(kind.0, kind.1 | end, stream, piece) {
                return false;
            }
            kind = (CONTINUATION, 0);
        }
        true
    }

    /// Asks for `/` of `shop`.
    pub fn get(&mut self, stream: u32) -> bool {
        self.ask(stream, &get("/"), None)
    }

    /// The next frame; `None` if the connection has ended.
    #[track_caller]
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = frame(self.client.unread()) {
                self.client.consume(length);
                return Some(frame);
            }
            if self.client.fill() == 0 {
                return None;
            }
        }
    }

    /// Reads until `stream` has come to its end.
    #[track_caller]
    pub fn end(&mut self, stream: u32) -> End {
        let (mut status, mut content) = (0, Vec::new());
        let mut gone = None;
        while let Some(frame) = self.next() {
            match frame.kind {
                HEADERS if frame.stream == stream && status == 0 => status = self::status(&frame.payload),
                DATA if frame.stream == stream => content.extend(frame.payload),
                RST_STREAM if frame.stream == stream => return End::Reset(code(&frame.payload)),
                GOAWAY => gone = Some(code(frame.payload.get(4..).unwrap_or_default())),
                _ => continue,
            }
            if frame.stream == stream && frame.flags & END_STREAM > 0 {
                return End::Answered(status, content);
            }
        }
        End::Gone(gone)
    }

    /// Reads to the end of the connection: the code of the GOAWAY, if there was one.
    #[track_caller]
    pub fn gone(&mut self) -> Option<u32> {
        match self.end(u32::MAX) {
            End::Gone(code) => code,
            other => panic!("{other:?}"),
        }
    }
}

/// The fields of a GET.
pub fn get(target: &str) -> Vec<(String, String)> {
    kaos_loadtest::frames::get(HOST, target)
}

fn frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let head = bytes.get(..9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let payload = bytes.get(9..9 + length)?.to_vec();
    Some((Frame { kind: head[3], flags: head[4], stream, payload }, 9 + length))
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

/// The status at the start of a block: from the static table (RFC 7541 appendix A), or a literal by the code of its
/// appendix B, in which digits are all that has to be known.
fn status(block: &[u8]) -> u16 {
    let known = [200, 204, 206, 304, 400, 404, 500];
    let mut block = block;
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match block {
        [index @ 0x88..=0x8e, ..] => known[usize::from(index - 0x88)],
        [0x48 | 0x08, length, rest @ ..] if length & 0x80 > 0 => digits(&rest[..usize::from(length & 0x7f)]),
        [0x48 | 0x08, 3, rest @ ..] => std::str::from_utf8(&rest[..3]).unwrap().parse().unwrap(),
        other => panic!("no status at the start of {other:?}"),
    }
}

fn digits(coded: &[u8]) -> u16 {
    let bits: String = coded.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut status, mut rest) = (0, bits.as_str());
    for _ in 0..3 {
        let short = u16::from_str_radix(&rest[..5], 2).unwrap();
        let long = || u16::from_str_radix(&rest[..6], 2).unwrap() - 0b01_1001 + 3;
        let (digit, used) = if short <= 2 { (short, 5) } else { (long(), 6) };
        (status, rest) = (status * 10 + digit, &rest[used..]);
    }
    status
}
