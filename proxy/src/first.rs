//! The connection by which a replica was found ready, kept for its first request.

use std::net::TcpStream;

/// The connection that a success was found over, for the first request.
#[derive(Debug)]
pub(crate) struct First {
    pub(crate) stream: TcpStream,
    /// It has carried an exchange: the replica may close it when it likes.
    pub(crate) used: bool,
}
