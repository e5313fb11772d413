//! Clients that believe the certificate of one test.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use rustls::{ClientConnection, Stream};

use super::certificate::Made;
use super::{PATIENCE, Reply};

impl Made {
    pub fn write(&self, chain: &Path, key: &Path) {
        fs::write(chain, &self.chain).unwrap();
        fs::write(key, &self.key).unwrap();
    }

    /// What a client gets that asks for `name` and believes this certificate alone.
    pub fn get(&self, address: SocketAddr, name: &'static str) -> Option<Reply> {
        let request = format!("GET /headers HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        self.ask(TcpStream::connect(address).unwrap(), name, &request)
    }

    /// The answer to `request` on a connection to the host `name`.
    pub fn ask(&self, mut stream: TcpStream, name: &'static str, request: &str) -> Option<Reply> {
        let mut session = ClientConnection::new(self.believed(), name.try_into().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = Stream::new(&mut session, &mut stream);
        stream.write_all(request.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        Reply::parse(&bytes)
    }
}
