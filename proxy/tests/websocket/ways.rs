//! The ways from a client to a server, as the library takes a connection.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use tungstenite::WebSocket;

use super::ends::Duplex;
use super::support::{Client, Rig};

/// The rig's connection as the library takes one.
pub struct Stream(pub Client);

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &self.0.session {
            Some(session) => session.read(&self.0.stream, into),
            None => self.0.stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Duplex for Stream {
    fn duplicate(&self) -> Stream {
        Stream(self.0.writer())
    }

    fn end_sending(&mut self) {
        // Whoever was reset has ended.
        let _ = self.0.session.as_ref().map(|session| session.finish(&self.0.stream));
        let _ = self.0.stream.shutdown(std::net::Shutdown::Write);
    }
}

/// The ways to one server.
pub const WAYS: [&str; 3] = ["directly", "through Kaos", "through Kaos, over TLS"];

pub fn connect(rig: &Rig, replica: SocketAddr, way: &str) -> Stream {
    Stream(match WAYS.iter().position(|known| *known == way) {
        Some(0) => Client::connect(replica),
        Some(1) => Client::connect(rig.address),
        _ => rig.connect_securely(),
    })
}

/// A WebSocket that is open.
pub fn open(stream: Stream, path: &str) -> WebSocket<Stream> {
    tungstenite::client(format!("ws://shop{path}"), stream).unwrap().0
}
