//! What is asked of a proxy: a kind of work, the bytes of an answer, and how many ask at once.

use std::fmt;

use serde::{Serialize, Serializer};

/// Streams that share one HTTP/2 connection, as far as there are so many.
const STREAMS: usize = 8;

/// Most bytes of one answer.
const MOST_BYTES: usize = 1 << 26;

/// Most connections.
const MOST_CONNECTIONS: usize = 4096;

/// Kinds of work. Towards the upstream it is HTTP/1.1 with keep-alive, and HTTP/2 without TLS for gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// HTTP/1.1, keep-alive.
    H1,
    /// HTTP/1.1, keep-alive, over TLS 1.3.
    Tls,
    /// A connection with a full TLS 1.3 handshake for each HTTP/1.1 request.
    Handshake,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
    /// HTTP/2 over TLS 1.3, by ALPN.
    H2,
    /// Unary gRPC calls, HTTP/2 without TLS on both sides.
    Grpc,
}

impl Work {
    const ALL: [(&str, Work); 6] = [
        ("h1", Work::H1),
        ("tls", Work::Tls),
        ("handshake", Work::Handshake),
        ("h2c", Work::H2c),
        ("h2", Work::H2),
        ("grpc", Work::Grpc),
    ];

    /// Its name in a case.
    pub(crate) fn name(self) -> &'static str {
        Work::ALL.iter().find(|(_, work)| *work == self).map_or("", |(name, _)| name)
    }

    /// It needs a listener with a certificate.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Work::Tls | Work::Handshake | Work::H2)
    }

    /// Several ask at once on one connection.
    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Work::H2 | Work::H2c | Work::Grpc)
    }
}

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// What is asked.
    pub(crate) work: Work,
    /// Bytes of each answer's body, or of the message in it.
    pub(crate) size: usize,
    /// Requests at once: connections, or streams of HTTP/2.
    pub(crate) connections: usize,
}

impl Case {
    /// Reads `[WORK:]BYTES@CONNECTIONS`.
    pub(crate) fn parse(text: &str) -> Result<Case, String> {
        let read = |text: &str, most: usize| text.parse().ok().filter(|number| (1..=most).contains(number));
        let (work, rest) = text.split_once(':').unwrap_or(("h1", text));
        let work = Work::ALL.iter().find(|(name, _)| *name == work).map(|(_, work)| *work);
        let numbers = rest
            .split_once('@')
            .and_then(|(size, count)| Some((read(size, MOST_BYTES)?, read(count, MOST_CONNECTIONS)?)));
        match (work, numbers) {
            (Some(work), Some((size, connections))) => Ok(Case { work, size, connections }),
            _ => Err(format!(
                "expected WORK:BYTES@CONNECTIONS, such as tls:64@256: h1, tls, handshake, h2c, h2 or grpc, \
                 up to {MOST_BYTES} and {MOST_CONNECTIONS}"
            )),
        }
    }

    /// Connections, and how many requests at once on each.
    pub(crate) fn streams(self) -> (usize, usize) {
        if !self.work.is_http2() {
            return (self.connections, 1);
        }
        let streams = self.connections.min(STREAMS);
        (self.connections.div_ceil(streams), streams)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.work.name(), self.size, self.connections)
    }
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_or_refused() {
        for (text, shown) in
            [("10240@64", "h1:10240@64"), ("tls:64@1", "tls:64@1"), ("grpc:64@1000", "grpc:64@1000")]
        {
            assert_eq!(Case::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "64", "64@", "@64", "0@64", "64@0", "64@99999", "x@y", "h3:64@64", "tls:64"] {
            assert!(Case::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn streams_share_connections_of_http2_alone() {
        for (text, streams) in
            [("64@64", (64, 1)), ("h2:64@64", (8, 8)), ("h2:64@1", (1, 1)), ("h2:64@9", (2, 8))]
        {
            assert_eq!(Case::parse(text).unwrap().streams(), streams, "{text}");
        }
    }
}
