//! One end of a connection, read and written byte for byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;
use super::tls::Session;

/// One end of a connection: a client of the proxy, or a replica that the proxy has connected to.
pub struct Client {
    pub stream: TcpStream,
    /// Everything is said within a session of TLS.
    pub session: Option<Session>,
    read: Vec<u8>,
    /// The other end has reset the connection.
    pub was_reset: bool,
}

/// An answer as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
    pub trailers: String,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a field, in lower-case look-up.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The word of a problem answer.
    pub fn word(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Checks that it is one of our own errors, whole.
    #[track_caller]
    pub fn is_problem(&self, status: u16, word: &str) {
        assert_eq!((self.status(), self.word().as_str()), (status, word), "{}\n{}", self.head, self.text());
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"].as_str(), self.field("x-request-id"));
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::of(stream)
    }

    pub fn of(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, session: None, read: Vec::new(), was_reset: false }
    }

    /// Begins a session of TLS.
    pub fn secure(mut self, session: Session) -> Client {
        self.session = Some(session);
        self
    }

    /// The same connection, for another thread to write to.
    pub fn writer(&self) -> Client {
        Client { session: self.session.clone(), ..Client::of(self.stream.try_clone().unwrap()) }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(bytes.as_ref()).unwrap();
    }

    /// Sends what the other end takes. Returns whether it took all.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.write(bytes.as_ref()).is_ok()
    }

    /// Sends all of it, or fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &self.session {
            Some(session) => session.write(&self.stream, bytes),
            None => self.stream.write_all(bytes),
        }
    }

    /// Ends the sending side.
    pub fn finish_sending(&mut self) {
        if let Some(session) = &self.session {
            session.finish(&self.stream).unwrap();
        }
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads until `bytes` have come, and returns all before and with them.
    #[track_caller]
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.take(at + end.len());
            }
            assert!(
                self.fill() > 0,
                "ended before {:?}: {:?}",
                String::from_utf8_lossy(end),
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    #[track_caller]
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.fill() > 0, "ended after {} of {length} bytes", self.read.len());
        }
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken = self.read[..length].to_vec();
        self.consume(length);
        taken
    }

    /// Reads what comes next. 0: the connection has ended.
    #[track_caller]
    pub fn fill(&mut self) -> usize {
        let mut bytes = [0; 65536];
        let read = match &self.session {
            Some(session) => session.read(&self.stream, &mut bytes),
            None => self.stream.read(&mut bytes),
        };
        let count = match read {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("nothing came within {PATIENCE:?}, after {:?}", String::from_utf8_lossy(&self.read))
            }
            Err(_) => {
                self.was_reset = true;
                0
            }
        };
        self.read.extend_from_slice(&bytes[..count]);
        count
    }

    /// What has come and nobody has read.
    pub fn unread(&self) -> &[u8] {
        &self.read
    }

    pub fn consume(&mut self, count: usize) {
        self.read.drain(..count);
    }

    /// Everything to the end of the connection.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Whether the peer has ended the connection with nothing more to say.
    #[track_caller]
    pub fn is_ended(&mut self) -> bool {
        self.read.is_empty() && self.fill() == 0
    }

    /// Whether the peer says nothing for a while: it has nothing to say.
    pub fn is_silent_for(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let mut byte = [0; 1];
        let read = self.stream.peek(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let silent =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        self.read.is_empty() && read.is_err_and(|error| silent(&error))
    }

    /// Takes what has come by now and forgets it. Whether more may come.
    pub fn goes_on(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        let ended = loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false).unwrap();
        !ended
    }

    /// A head, as text without the empty line.
    #[track_caller]
    pub fn head(&mut self) -> String {
        let head = self.read_until(b"\r\n\r\n");
        String::from_utf8_lossy(&head[..head.len() - 4]).into_owned()
    }

    /// A whole answer to a GET.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut answer = Answer { head: self.head(), ..Answer::default() };
        if let Some(length) = answer.field("content-length") {
            let length = length.parse().unwrap();
            answer.body = self.read_exact(length);
        } else if answer.field("transfer-encoding") == Some("chunked") {
            (answer.body, answer.trailers) = self.chunks();
        } else if !matches!(answer.status(), 101 | 204 | 304) {
            answer.body = self.read_to_end();
            assert!(!self.was_reset, "a body that the end of the connection ends must not end in a reset");
        }
        answer
    }

    /// A body in chunks, and its trailers.
    #[track_caller]
    pub fn chunks(&mut self) -> (Vec<u8>, String) {
        let mut body = Vec::new();
        loop {
            let Some(chunk) = self.chunk() else {
                let mut trailers = String::new();
                loop {
                    let line = self.read_until(b"\r\n");
                    if line == b"\r\n" {
                        return (body, trailers);
                    }
                    trailers.push_str(&String::from_utf8_lossy(&line));
                }
            };
            body.extend_from_slice(&chunk);
        }
    }

    /// The next chunk; `None` for the last, without what follows it.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.read_until(b"\r\n");
        let digits = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
        let size = usize::from_str_radix(digits, 16).unwrap();
        if size == 0 {
            return None;
        }
        let chunk = self.read_exact(size);
        assert_eq!(self.read_exact(2), b"\r\n");
        Some(chunk)
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        self.answer()
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}
