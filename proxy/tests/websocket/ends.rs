//! The two ends of a case: one sends its bytes and writes down the frames that come, the other is the library and echoes.
//! What both saw is the transcript.

#![allow(dead_code, unreachable_pub, reason = "two test programs use it, each a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what breaks here fails the test")]

use std::io::{ErrorKind, Read, Write};
use std::sync::LazyLock;

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::cases::{self, ABNORMAL, CLOSE, Case, FIN, NO_STATUS, PING, PONG, TEXT, content};

/// A connection whose two directions are used by two threads, and ended one by one.
pub trait Duplex: Read + Write + Send + Sized + 'static {
    /// The same connection.
    fn duplicate(&self) -> Self;

    /// Ends the sending side.
    fn end_sending(&mut self);

    /// Whatever comes to the end. What was read late would be answered with a reset, which may overtake the last frame.
    fn drain(&mut self) {
        let _ = std::io::copy(self, &mut std::io::sink());
    }
}

/// Sends what the case says. What comes back, in the order in which it came.
pub fn play(case: &Case, mut stream: impl Duplex, is_client: bool) -> Vec<String> {
    let (mut writer, pieces) = (stream.duplicate(), case.pieces(is_client));
    let ends = case.missing.is_some();
    let writing = std::thread::spawn(move || {
        // Who breaks a rule may not be listened to any more: what was answered tells.
        let _ = pieces.iter().try_for_each(|piece| writer.write_all(piece));
        if ends {
            writer.end_sending();
        }
    });
    let (mut writing, mut reader, mut seen) = (Some(writing), Frames::default(), Vec::new());
    loop {
        let frame = reader.next(&mut stream);
        seen.extend(frame.as_ref().map_or_else(|end| Some(end.clone()), |frame| reader.told(frame)));
        match frame {
            Ok((CLOSE, _)) => {
                if let Some(writing) = writing.take() {
                    writing.join().unwrap();
                    if let Some(answer) = case.answer(is_client) {
                        stream.write_all(&answer).unwrap();
                    }
                    stream.end_sending();
                }
            }
            Ok(_) => {}
            Err(_) => return seen,
        }
    }
}

/// Frames as they come.
#[derive(Default)]
struct Frames {
    read: Vec<u8>,
    /// The message that isn't whole yet, and its opcode.
    message: (u8, Vec<u8>),
}

impl Frames {
    /// The first byte of the next frame, and its payload. `Err`: how the connection ended.
    fn next(&mut self, stream: &mut impl Read) -> Result<(u8, Vec<u8>), String> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            if let Some((frame, length)) = parse(&self.read) {
                self.read.drain(..length);
                return Ok(frame);
            }
            match stream.read(&mut bytes) {
                Ok(0) if self.read.is_empty() => return Err("ended".into()),
                Ok(0) => return Err(format!("ended within a frame: {}", shown(&self.read))),
                Ok(count) => self.read.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("broke: {error}")),
            }
        }
    }

    /// A frame in words; a message when it is whole, as its pieces are the sender's affair.
    fn told(&mut self, (first, payload): &(u8, Vec<u8>)) -> Option<String> {
        let control = match *first {
            CLOSE => return Some(closed(payload)),
            PING => "ping",
            PONG => "pong",
            first => {
                if first & 0x7f != cases::CONTINUATION {
                    self.message.0 = first & 0x7f;
                }
                self.message.1.extend_from_slice(payload);
                let (kind, whole) = (self.message.0, first & FIN != 0);
                let message = whole.then(|| std::mem::take(&mut self.message.1))?;
                return Some(format!("{} {}", named(kind), shown(&message)));
            }
        };
        Some(format!("{control} {}", shown(payload)))
    }
}

/// The frame at the beginning, and how long it is, if it is whole.
fn parse(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, mut at) = match second & 0x7f {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        length => (length.into(), 2),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        mask.copy_from_slice(bytes.get(at..at + 4)?);
        at += 4;
    }
    let mut payload = bytes.get(at..at + length)?.to_vec();
    if mask != [0; 4] {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Some(((first, payload), at + length))
}

fn named(kind: u8) -> String {
    match kind {
        TEXT => "text".into(),
        cases::BINARY => "binary".into(),
        other => format!("first byte {other:02x}"),
    }
}

fn closed(payload: &[u8]) -> String {
    let code = payload.first_chunk().map_or(NO_STATUS, |code| u16::from_be_bytes(*code));
    format!("close {code} {}", shown(payload.get(2..).unwrap_or_default()))
}

/// A payload, short: the usual content by its length.
fn shown(payload: &[u8]) -> String {
    static LONGEST: LazyLock<Vec<u8>> = LazyLock::new(|| content(16 << 20));
    match payload.len() {
        length @ ..200 => format!("{length} {}", payload.escape_ascii()),
        length if LONGEST.get(..length) == Some(payload) => format!("{length}"),
        length => format!("{length} odd {}", payload[..200].escape_ascii()),
    }
}

/// Answers as a peer does that knows the rules: echoes, ends when it is asked to, says what is wrong. What it saw.
pub fn echo(mut socket: WebSocket<impl Duplex>) -> Vec<String> {
    let mut seen = Vec::new();
    let code = loop {
        match socket.read() {
            Ok(Message::Close(frame)) => {
                let code = frame.map_or(NO_STATUS, |frame| frame.code.into());
                seen.push(format!("close {code}"));
            }
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                seen.push(format!("message {}", shown(message.clone().into_data().as_ref())));
                let begins = message.to_text().is_ok_and(|text| text == cases::BEGIN);
                let sent = if begins { socket.close(frame(cases::BEGUN)) } else { socket.send(message) };
                seen.extend(sent.err().map(|error| error.to_string()));
            }
            Ok(message) => seen.push(format!("{message:?}")),
            Err(error) => {
                seen.push(error.to_string());
                break match error {
                    Error::Protocol(_) => 1002,
                    Error::Utf8(_) => 1007,
                    Error::Capacity(_) => 1009,
                    _ => ABNORMAL,
                };
            }
        }
    };
    if code != ABNORMAL {
        // Where the close was said already, nothing is sent.
        let _ = socket.close(frame(code));
    }
    let mut stream = socket.into_inner();
    stream.end_sending();
    stream.drain();
    seen
}

fn frame(code: u16) -> Option<CloseFrame> {
    Some(CloseFrame { code: CloseCode::from(code), reason: "".into() })
}

/// Checks that what came back is what the case says.
#[track_caller]
pub fn check(case: &Case, seen: &[String]) {
    let count =
        |kinds: &[&str]| seen.iter().filter(|event| kinds.iter().any(|kind| event.starts_with(kind))).count();
    let code = format!("close {} ", case.code);
    let closes = usize::from(case.code != ABNORMAL);
    assert_eq!((count(&["close "]), count(&[&code])), (closes, closes), "{}: {seen:?}", case.name);
    assert_eq!(count(&["text ", "binary "]), case.messages, "{}: {seen:?}", case.name);
    assert_eq!(count(&["pong "]), case.pongs, "{}: {seen:?}", case.name);
    assert!(!seen.iter().any(|event| event.contains(" odd ")), "{}: {seen:?}", case.name);
    assert_eq!(seen.last().map(String::as_str), Some("ended"), "{}", case.name);
}
