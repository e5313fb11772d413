//! One request as the access log knows it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kaos_core::{EndpointUid, Moment, WorkloadId};

use crate::clients::Client;
use crate::field::Name;
use crate::head::{Head, Version};
use crate::trace::TraceId;

/// Most bytes that are kept of a text: clients choose how long theirs are, and entries wait to be written.
const LONGEST: usize = 1024;

/// One request that has ended. What isn't known is `None` or empty.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When its head had come.
    pub arrived: Moment,
    /// From then to its end.
    pub duration: Duration,
    /// Who has asked: the other end of the connection, or whom that has named by the PROXY protocol.
    pub client: IpAddr,
    /// The version of HTTP, as a request line has it. `None`: the head couldn't be read.
    pub protocol: Option<&'static str>,
    /// The trace that it belongs to, as its client says.
    pub trace_id: Option<TraceId>,
    /// Its id.
    pub request_id: String,
    /// The status of its answer; 499 if the client left before there was one.
    pub status: u16,
    /// Bytes of content that came with it, and that went back.
    pub received: u64,
    /// See `received`.
    pub sent: u64,
    /// How long it waited for a replica.
    pub queue_wait: Duration,
    /// It waited for a start.
    pub cold: bool,
    /// The workload that it belongs to.
    pub workload: Option<WorkloadId>,
    /// What it was sent to last.
    pub replica: Option<Target>,
    /// Kaos answered itself: the stable word of the reason.
    pub refusal: Option<&'static str>,
    /// The answer isn't whole.
    pub cut: bool,
    /// What the client wrote.
    pub texts: Texts,
}

/// A replica, or another proxy in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its identity; `proxy:ID` for a proxy.
    pub uid: EndpointUid,
    /// Where it is.
    pub address: SocketAddr,
}

impl Entry {
    /// The entry of a request of which no more is known than these texts: method, host, path, `User-Agent`, `Referer` and
    /// `X-Forwarded-For`.
    pub fn new(arrived: Moment, client: IpAddr, texts: [&[u8]; 6]) -> Self {
        Entry {
            arrived,
            duration: Duration::ZERO,
            client,
            protocol: None,
            trace_id: None,
            request_id: String::new(),
            status: 0,
            received: 0,
            sent: 0,
            queue_wait: Duration::ZERO,
            cold: false,
            workload: None,
            replica: None,
            refusal: None,
            cut: true,
            texts: Texts::of(texts),
        }
    }

    /// The entry of a request that has just come; without a head if that couldn't be read.
    pub(super) fn begin(arrived: Moment, client: Client, head: Option<&Head>) -> Self {
        let said = head.map(|head| Said::of(head, client)).unwrap_or_default();
        let protocol = head.map(|head| protocol(head.version));
        let entry = Entry::new(arrived, client.address, said.texts);
        Entry { protocol, trace_id: said.trace_id, ..entry }
    }

    /// The method.
    pub fn method(&self) -> &[u8] {
        self.texts.at(0)
    }

    /// The host that was asked for, as it was written.
    pub fn host(&self) -> &[u8] {
        self.texts.at(1)
    }

    /// The path, without the query: that may hold secrets.
    pub fn path(&self) -> &[u8] {
        self.texts.at(2)
    }

    /// The `User-Agent`.
    pub fn user_agent(&self) -> &[u8] {
        self.texts.at(3)
    }

    /// The `Referer`.
    pub fn referer(&self) -> &[u8] {
        self.texts.at(4)
    }

    /// For whom a trusted proxy says that it asks: its first `X-Forwarded-For`.
    pub fn forwarded_for(&self) -> &[u8] {
        self.texts.at(5)
    }

    /// Whether it went wrong, so that it is told of in any case: by our own doing, a replica's, or the client's leaving.
    pub(super) fn is_error(&self) -> bool {
        // That a path wakes nothing is what somebody has asked for.
        let refused = self.refusal.is_some_and(|word| word != "no-wake");
        self.status >= 499 || self.cut || refused
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2.0",
    }
}

/// What a head says.
#[derive(Default)]
struct Said<'a> {
    trace_id: Option<TraceId>,
    texts: [&'a [u8]; TEXTS],
}

impl<'a> Said<'a> {
    fn of(head: &'a Head, client: Client) -> Self {
        let path = head.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let (mut agent, mut referer, mut client_of): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
        let (mut parent, mut parents) = (None, 0);
        for field in head.fields.iter() {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name.as_bytes());
            match field.kind {
                Name::Other if is("user-agent") => agent = field.value,
                Name::Other if is("referer") => referer = field.value,
                // Said twice it says nothing (W3C Trace Context, §3.2).
                Name::Other if is("traceparent") => (parent, parents) = (Some(field.value), parents + 1),
                Name::Forwarding if client.trusted && client_of.is_empty() && is("x-forwarded-for") => {
                    client_of = field.value;
                }
                _ => {}
            }
        }
        let trace_id = parent.filter(|_| parents == 1).and_then(TraceId::read);
        let method = head.method.as_str().as_bytes();
        Said { trace_id, texts: [method, &head.host, path, agent, referer, client_of] }
    }
}

const TEXTS: usize = 6;

/// Texts one behind the other, in one allocation. [`Entry`] knows which is which.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: [u16; TEXTS],
}

impl Texts {
    fn of(texts: [&[u8]; TEXTS]) -> Self {
        let texts = texts.map(|text| text.get(..LONGEST).unwrap_or(text));
        let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len()).sum());
        let ends = texts.map(|text| {
            bytes.extend_from_slice(text);
            bytes.len() as u16
        });
        Texts { bytes, ends }
    }

    fn at(&self, index: usize) -> &[u8] {
        let end = |index: usize| self.ends.get(index).map_or(0, |end| usize::from(*end));
        let start = index.checked_sub(1).map_or(0, end);
        self.bytes.get(start..end(index)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_apart_and_cut_where_they_are_long() {
        let long = vec![b'x'; LONGEST + 1];
        let texts = Texts::of([b"GET", b"", b"/a", &long, &long, b"last"]);
        assert_eq!([texts.at(0), texts.at(1), texts.at(2)], [&b"GET"[..], b"", b"/a"]);
        assert_eq!((texts.at(3).len(), texts.at(4).len(), texts.at(5)), (LONGEST, LONGEST, &b"last"[..]));
        assert_eq!(Texts::default().at(5), b"");
    }

    #[test]
    fn what_went_wrong_is_an_error_whoever_did_it() {
        let client = Client { address: [127, 0, 0, 1].into(), trusted: false, secure: false, asks: false };
        let entry = Entry { cut: false, ..Entry::begin(Moment::ZERO, client, None) };
        for (status, refusal, cut, is_error) in [
            (200, None, false, false),
            (404, None, false, false),
            (404, Some("no-wake"), false, false),
            (404, Some("no-route"), false, true),
            (200, None, true, true),
            (499, None, false, true),
            (500, None, false, true),
        ] {
            let entry = Entry { status, refusal, cut, ..entry.clone() };
            assert_eq!(entry.is_error(), is_error, "{status} {refusal:?} {cut}");
        }
    }
}
