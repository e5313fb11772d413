//! What one end of a WebSocket sends to another that echoes, and what must come back: the classes of Autobahn's test suite
//! (framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing), with its limits and its invalid bytes.

#![allow(dead_code, unreachable_pub, reason = "two test programs use it, each a part")]

/// First bytes of frames (RFC 6455 §5.2): FIN, the reserved bits, the opcode.
pub const FIN: u8 = 0x80;
/// The first reserved bit, as RFC 7692 §6 uses it.
pub const COMPRESSED: u8 = 0x40;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = FIN | 8;
pub const PING: u8 = FIN | 9;
pub const PONG: u8 = FIN | 10;

/// No status code in a close frame, and no close frame at all (§7.4.1).
pub const NO_STATUS: u16 = 1005;
pub const ABNORMAL: u16 = 1006;

/// How the bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    AtOnce,
    Frames,
    Octets,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    frames: Vec<(u8, Vec<u8>)>,
    pub pace: Pace,
    /// Masked by who mustn't, or not by who must.
    wrong_mask: bool,
    /// The sending side ends at once behind what is sent, so many bytes before the end of the last frame.
    pub missing: Option<usize>,
    /// Sent once the other end's close frame has come.
    answer: Option<Vec<u8>>,
    /// What comes back: messages, pongs, and the code of the close frame.
    pub messages: usize,
    pub pongs: usize,
    pub code: u16,
}

impl Case {
    /// The frames, then a sound close frame; nothing is expected but the same code.
    fn new(name: impl Into<String>, frames: impl IntoIterator<Item = (u8, Vec<u8>)>) -> Case {
        let mut case = Case::open(name, frames);
        case.frames.push((CLOSE, code(1000)));
        case
    }

    /// The frames alone.
    fn open(name: impl Into<String>, frames: impl IntoIterator<Item = (u8, Vec<u8>)>) -> Case {
        let frames = frames.into_iter().collect();
        let (name, pace) = (name.into(), Pace::AtOnce);
        Case {
            name,
            frames,
            pace,
            wrong_mask: false,
            missing: None,
            answer: None,
            messages: 0,
            pongs: 0,
            code: 1000,
        }
    }

    fn echoes(mut self, messages: usize) -> Case {
        self.messages = messages;
        self
    }

    /// The same where another code comes back.
    pub fn closes(mut self, code: u16) -> Case {
        self.code = code;
        self
    }

    fn paced(mut self, pace: Pace) -> Case {
        self.pace = pace;
        self
    }

    /// What is written, piece by piece.
    pub fn pieces(&self, is_client: bool) -> Vec<Vec<u8>> {
        let is_masked = is_client != self.wrong_mask;
        let frames = self.frames.iter().map(|(first, payload)| frame(*first, payload, is_masked));
        if self.pace == Pace::Frames {
            return frames.collect();
        }
        let mut whole: Vec<u8> = frames.flatten().collect();
        whole.truncate(whole.len() - self.missing.unwrap_or_default());
        if self.pace == Pace::AtOnce { vec![whole] } else { whole.chunks(1).map(<[u8]>::to_vec).collect() }
    }

    /// Whether it takes another end that begins the close when it is asked to.
    pub fn asks_to_begin(&self) -> bool {
        self.frames.iter().any(|(_, payload)| payload == BEGIN.as_bytes())
    }

    /// Whether something follows the close frame.
    pub fn goes_on(&self) -> bool {
        self.frames.iter().rev().skip(1).any(|(first, _)| *first == CLOSE)
    }

    /// The close frame that answers the other end's.
    pub fn answer(&self, is_client: bool) -> Option<Vec<u8>> {
        self.answer.as_ref().map(|payload| frame(CLOSE, payload, is_client))
    }
}

/// A frame as it is sent.
pub fn frame(first: u8, payload: &[u8], is_masked: bool) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    let bit = if is_masked { 0x80 } else { 0 };
    match payload.len() {
        length @ ..126 => frame.push(bit | length as u8),
        length @ ..65536 => {
            frame.push(bit | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(bit | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend(payload);
    }
    frame
}

fn code(code: u16) -> Vec<u8> {
    code.to_be_bytes().to_vec()
}

/// Bytes that a reader who loses or repeats some would notice.
pub fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'!' + ((at / 64 + at) % 90) as u8).collect()
}

/// A message in fragments of these payloads.
fn fragments(kind: u8, payloads: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
    let last = payloads.len() - 1;
    let first = |at: usize| if at == 0 { kind } else { CONTINUATION } | if at == last { FIN } else { 0 };
    payloads.iter().enumerate().map(|(at, payload)| (first(at), payload.to_vec())).collect()
}

/// All of them. Their names differ.
pub fn all() -> Vec<Case> {
    [sizes(), pings(), violations(), fragmented(), utf8(), closing(), ends()].concat()
}

/// A message that is compressed by permessage-deflate (RFC 7692 §7.2.3.1).
pub fn compressed() -> Case {
    Case::new("compressed", [(COMPRESSED | FIN | TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00".to_vec())])
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 1, 125, 126, 127, 128, 65535, 65536, 1 << 20, 16 << 20] {
        for (kind, name) in [(TEXT, "text"), (BINARY, "binary")] {
            cases.push(Case::new(format!("{name} of {length}"), [(FIN | kind, content(length))]).echoes(1));
        }
    }
    let mixed: Vec<_> = [0, 1, 126, 65536, 125].map(|length| (FIN | BINARY, content(length))).into();
    let thousand = (0..1000).map(|at| (FIN | TEXT, format!("message {at}").into_bytes()));
    cases.push(Case::new("messages of all sizes at once", mixed.clone()).echoes(5));
    cases.push(Case::new("messages of all sizes one by one", mixed).echoes(5).paced(Pace::Frames));
    cases.push(Case::new("a thousand messages at once", thousand.clone()).echoes(1000));
    cases.push(Case::new("a thousand messages one by one", thousand).echoes(1000).paced(Pace::Frames));
    let chopped = [0, 1, 125, 126, 127].map(|length| (FIN | TEXT, content(length)));
    cases.push(Case::new("messages octet by octet", chopped).echoes(5).paced(Pace::Octets));
    cases
}

fn pings() -> Vec<Case> {
    let answered = |name: &str, pings: Vec<(u8, Vec<u8>)>, pongs| Case { pongs, ..Case::new(name, pings) };
    vec![
        answered("a ping without a payload", vec![(PING, vec![])], 1),
        answered("a ping of 125", vec![(PING, vec![0xfe; 125])], 1),
        answered("a ping octet by octet", vec![(PING, vec![0xfe; 125])], 1).paced(Pace::Octets),
        answered("ten pings", (0..10).map(|at| (PING, vec![at])).collect(), 10),
        Case::open("a ping of 126", [(PING, vec![0xfe; 126])]).closes(1002),
        Case::open("a ping in fragments", [(PING & !FIN, vec![1]), (FIN, vec![2])]).closes(1002),
        Case::new("pongs that nobody asked for", [(PONG, vec![]), (PONG, content(125))]),
        answered("a pong, then a ping", vec![(PONG, b"a".into()), (PING, b"b".into())], 1),
    ]
}

/// What ends a connection: everything before it is still answered.
fn violations() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in 1..8 {
        let frames = [(FIN | TEXT, b"sound".to_vec()), (FIN | bits << 4 | TEXT, b"odd".to_vec())];
        cases.push(Case::open(format!("reserved bits {bits:03b}"), frames).echoes(1).closes(1002));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let frames = [(FIN | TEXT, b"sound".to_vec()), (FIN | opcode, b"odd".to_vec())];
        cases.push(Case::open(format!("reserved opcode {opcode}"), frames).echoes(1).closes(1002));
    }
    cases.push(Case::open("a continuation of nothing", [(FIN, b"odd".to_vec())]).closes(1002));
    let twice = [(TEXT, b"a".to_vec()), (FIN | TEXT, b"b".to_vec())];
    cases.push(Case::open("a message within a message", twice).closes(1002));
    let masked = Case::open("the wrong way of masking", [(FIN | TEXT, b"odd".to_vec())]).closes(1002);
    cases.push(Case { wrong_mask: true, ..masked });
    cases
}

fn fragmented() -> Vec<Case> {
    let whole = content(4096);
    let mut cases = Vec::new();
    for length in [1, 7, 64, 1024, 2048] {
        let payloads: Vec<&[u8]> = whole.chunks(length).collect();
        for (kind, name) in [(TEXT, "text"), (BINARY, "binary")] {
            let frames = fragments(kind, &payloads);
            cases.push(Case::new(format!("{name} in fragments of {length}"), frames.clone()).echoes(1));
            let name = format!("{name} in fragments of {length}, one by one");
            cases.push(Case::new(name, frames).echoes(1).paced(Pace::Frames));
        }
    }
    let large = content(4 << 20);
    let payloads: Vec<&[u8]> = large.chunks(1024).collect();
    cases.push(Case::new("4 MiB in fragments of 1024", fragments(BINARY, &payloads)).echoes(1));
    cases.push(Case::new("empty fragments", fragments(TEXT, &[b"", b"a", b"", b"b", b""])).echoes(1));
    let mut between = fragments(TEXT, &[b"Hello-", b"\xc2\xb5@\xc3\x9f", b"\xc3\xb6\xc3\xa4"]);
    between.insert(2, (PING, content(125)));
    between.insert(1, (PING, vec![]));
    for (pace, how) in [(Pace::AtOnce, "at once"), (Pace::Octets, "octet by octet")] {
        let case = Case::new(format!("pings between fragments {how}"), between.clone());
        cases.push(Case { pongs: 2, ..case.echoes(1).paced(pace) });
    }
    cases
}

fn utf8() -> Vec<Case> {
    const SOUND: [&str; 4] =
        ["κόσμε", "\u{80}\u{7ff}\u{800}\u{ffff}", "\u{10000}\u{10ffff}", "\u{fffe}\u{feff}"];
    // Unfinished, overlong, surrogates, beyond U+10FFFF, bytes that begin nothing.
    const BROKEN: [&[u8]; 10] = [
        b"\xce",
        b"\xce\xba\xe1\xbd",
        b"\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xaf\xbf\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe\xff",
    ];
    let mut cases = Vec::new();
    for (at, text) in SOUND.iter().enumerate() {
        let bytes = text.as_bytes();
        cases.push(Case::new(format!("UTF-8 {at}"), [(FIN | TEXT, bytes.to_vec())]).echoes(1));
        let payloads: Vec<&[u8]> = bytes.chunks(1).collect();
        let split = Case::new(format!("UTF-8 {at}, a byte a fragment"), fragments(TEXT, &payloads));
        cases.push(split.echoes(1).paced(Pace::Octets));
    }
    for bytes in BROKEN {
        let text = [b"ok", bytes].concat();
        let name = format!("no UTF-8: {bytes:x?}");
        cases.push(Case::open(&name, [(FIN | TEXT, text.clone())]).closes(1007));
        let binary = Case::new(format!("{name}, as binary"), [(FIN | BINARY, text)]);
        cases.push(binary.echoes(1));
    }
    cases
}

fn closing() -> Vec<Case> {
    let close = |name: String, payload: Vec<u8>| Case::open(name, [(CLOSE, payload)]);
    let mut cases = vec![
        close("a close without a code".into(), vec![]).closes(NO_STATUS),
        close("a close of one byte".into(), vec![3]).closes(1002),
        close("a close with a reason of 123".into(), [code(1000), content(123)].concat()),
        close("a close with a reason of 124".into(), [code(1000), content(124)].concat()).closes(1002),
        close("a close whose reason is no UTF-8".into(), [code(1000), b"\xce".to_vec()].concat())
            .closes(1007),
        close("a close octet by octet".into(), [code(1001), content(50)].concat())
            .closes(1001)
            .paced(Pace::Octets),
    ];
    for sound in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(close(format!("a close with {sound}"), code(sound)).closes(sound));
    }
    for wrong in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535] {
        cases.push(close(format!("a close with {wrong}, which mustn't be sent"), code(wrong)).closes(1002));
    }
    cases
}

/// Text that asks the other end to begin the close.
pub const BEGIN: &str = "close";
/// The code with which it does.
pub const BEGUN: u16 = 3001;

fn ends() -> Vec<Case> {
    let ask = (FIN | TEXT, BEGIN.as_bytes().to_vec());
    let begun = Case::open("the other end begins the close", [ask.clone()]).closes(BEGUN);
    let bare = Case::open("the other end begins the close, answered without a code", [ask.clone()]);
    let both = Case::open("both ends begin the close", [ask, (CLOSE, code(1001))]);
    let late = [(CLOSE, code(1000)), (FIN | TEXT, b"late".to_vec()), (PING, vec![])];
    let hundred = (0..100).map(|at| (FIN | BINARY, content(at * 100)));
    let listening = Case::open("an end behind a hundred messages, whose echoes are still read", hundred);
    let part = |name: &str, missing| {
        let case = Case::open(name, [(FIN | TEXT, b"whole".to_vec()), (FIN | TEXT, content(500))]);
        Case { missing: Some(missing), ..case.echoes(1).closes(ABNORMAL) }
    };
    vec![
        Case { answer: Some(code(BEGUN)), ..begun },
        Case { answer: Some(vec![]), ..bare.closes(BEGUN) },
        both.closes(BEGUN),
        Case::open("frames after the close", late),
        Case { missing: Some(0), ..listening.echoes(100).closes(ABNORMAL) },
        part("an end within a payload", 300),
        part("an end within a frame's head", 503),
    ]
}
