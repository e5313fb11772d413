//! What becomes of odd and hostile requests, answers and clients, case by case. The test `policy` runs the table, and
//! `docs/http-policy.md` is printed from it, so that the page says what is so.

#![allow(dead_code, unreachable_pub, reason = "the test uses all of it, the example prints it")]

mod address;
mod answers;
mod bytes;
mod elsewhere;
mod fields;
mod http2;
mod length;
mod page;
mod size;

pub use page::page;

/// One rule and its cases.
pub struct Section {
    /// Its name: that of the test which runs it.
    pub rule: &'static str,
    pub title: &'static str,
    pub why: &'static str,
    pub cases: Vec<Case>,
}

/// What is sent, and what must come of it.
pub struct Case {
    /// What is odd about it.
    pub what: String,
    pub sent: Sent,
    pub outcome: Outcome,
}

/// Who sends what.
pub enum Sent {
    /// An HTTP/1 client.
    Http1(Vec<u8>),
    /// An HTTP/2 client: the fields of one request in order, pseudo-header fields too, and its body.
    Http2(Vec<(String, String)>, Option<String>),
    /// A replica, in answer to a request of a client of either version.
    Answer { method: &'static str, bytes: Vec<u8> },
    /// Whatever the test of this name does.
    Test { over: &'static str, test: &'static str },
}

/// What the sender gets, and what the other side sees.
pub enum Outcome {
    /// Kaos answers with this status and word; nothing reaches a replica.
    Refused(u16, &'static str),
    /// A replica answers; it has seen one well-formed request, and of it this.
    Passed(Vec<Seen>),
    /// The stream is reset with this code (RFC 9113 §7).
    Reset(u32),
    /// The connection ends with a GOAWAY of this code.
    Gone(u32),
    /// The client gets this status, and of the fields and the content this.
    Relayed(u16, Vec<Seen>),
    /// Told in words.
    Told(&'static str),
}

/// What must be, and what mustn't, in a message that is passed on.
#[derive(Clone)]
pub enum Seen {
    Target(&'static str),
    /// All values of a field.
    Field(&'static str, Vec<&'static str>),
    /// There is no such field.
    Without(&'static str),
    Body(&'static str),
}

/// Every section, in the order of the page.
pub fn sections() -> Vec<Section> {
    let parts =
        [length::sections(), bytes::sections(), address::sections(), size::sections(), fields::sections()];
    let more = [answers::sections(), http2::sections(), elsewhere::sections()];
    parts.into_iter().chain(more).flatten().collect()
}

pub const BAD: Outcome = Outcome::Refused(400, "bad-request");

/// The bytes of `text`, whose characters are bytes: `\u{80}` is the byte 0x80.
fn raw(text: &str) -> Vec<u8> {
    text.chars().map(|byte| byte as u8).collect()
}

fn http1(what: &str, request: &str, outcome: Outcome) -> Case {
    Case { what: what.to_owned(), sent: Sent::Http1(raw(request)), outcome }
}

fn http2(what: &str, fields: &[(&str, &str)], body: Option<&str>, outcome: Outcome) -> Case {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Case { what: what.to_owned(), sent: Sent::Http2(fields, body.map(str::to_owned)), outcome }
}

/// The same request of both versions. `line` is its method and target, `lines` are field lines beside the host.
fn both(what: &str, line: &str, lines: &[(&str, &str)], outcome: impl Fn() -> Outcome) -> [Case; 2] {
    let (method, target) = line.split_once(' ').unwrap_or((line, "/"));
    let text: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let first = http1(what, &format!("{line} HTTP/1.1\r\nHost: shop\r\n{text}\r\n"), outcome());
    let mut fields = request(method, target, "shop");
    let lower: Vec<_> = lines.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
    fields.extend(lower.iter().map(|(name, value)| (name.as_str(), *value)));
    [first, http2(what, &fields, None, outcome())]
}

/// The pseudo-header fields of a request.
fn request<'a>(method: &'a str, target: &'a str, host: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", host), (":path", target)]
}

/// What a test of another file shows.
fn test(what: &str, over: &'static str, told: &'static str, test: &'static str) -> Case {
    Case { what: what.to_owned(), sent: Sent::Test { over, test }, outcome: Outcome::Told(told) }
}

/// Bytes as they are shown: what isn't printable is escaped.
pub fn shown(bytes: &str) -> String {
    bytes
        .chars()
        .flat_map(|byte| (byte as u32).min(255).try_into().map(std::ascii::escape_default))
        .flatten()
        .map(char::from)
        .collect::<String>()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}
