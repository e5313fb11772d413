//! Why a request failed, in words that are few enough to count by.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

/// Why a request has no whole, expected answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// No connection came about otherwise.
    Connect,
    /// The connection was reset (HTTP/2: the stream).
    Reset,
    /// The connection was closed without an answer.
    Closed,
    /// The answer broke off.
    Cut,
    /// What came was no HTTP.
    Protocol,
    /// No whole answer within the client's timeout.
    Timeout,
    /// Every attempt was given up.
    GaveUp,
    /// An answer with a status that isn't expected.
    Status,
    /// An answer with a body of another length than expected.
    Length,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Failure::Refused => "connection refused",
            Failure::Connect => "no connection",
            Failure::Reset => "reset",
            Failure::Closed => "closed without an answer",
            Failure::Cut => "answer broke off",
            Failure::Protocol => "no HTTP",
            Failure::Timeout => "timeout",
            Failure::GaveUp => "gave up",
            Failure::Status => "unexpected status",
            Failure::Length => "unexpected length",
        })
    }
}

impl Failure {
    /// From what connecting failed with.
    pub(crate) fn connecting(error: &std::io::Error) -> Failure {
        if error.kind() == ErrorKind::ConnectionRefused { Failure::Refused } else { Failure::Connect }
    }

    /// From what a request failed with before its head.
    pub(crate) fn asking(error: &hyper::Error) -> Failure {
        if error.is_parse() || error.is_user() {
            return Failure::Protocol;
        }
        let mut source = error.source();
        while let Some(cause) = source {
            match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return Failure::Reset,
                Some(ErrorKind::InvalidData) => return Failure::Protocol,
                _ => source = cause.source(),
            }
        }
        // HTTP/2 errors hold the frame that was received in their text only.
        let stream_ended = !error.is_incomplete_message() && !error.is_canceled() && !error.is_closed();
        if stream_ended && format!("{error:?}").contains("Reset(") { Failure::Reset } else { Failure::Closed }
    }
}
