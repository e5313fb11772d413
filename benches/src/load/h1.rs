//! HTTP/1.1 on one connection: a fixed request, one write and mostly one read each, no allocation per request.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes that one read takes at most.
const BUFFER: usize = 65_536;

/// A connection, plain or over TLS.
pub(crate) struct Http1<S> {
    stream: S,
    request: Vec<u8>,
    length: usize,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    /// Asks for `path`, whose answer has `length` bytes, on `stream`.
    pub(crate) fn new(stream: S, host: &str, path: &str, length: usize) -> Http1<S> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        Http1 { stream, request, length, buffer: vec![0; BUFFER] }
    }

    /// Asks once, and reads the answer to its end. The error says what is wrong with it.
    pub(crate) async fn ask(&mut self) -> Result<(), String> {
        let Http1 { stream, request, length, buffer } = self;
        stream.write_all(request).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        let mut filled = 0;
        let head = loop {
            let read = stream.read(&mut buffer[filled..]).await.map_err(|error| error.to_string())?;
            filled += read;
            if read == 0 {
                return Err("the connection was closed, or the head of the answer is too long".into());
            }
            if let Some(head) = check_head(&buffer[..filled], *length)? {
                break head;
            }
        };
        let mut left = (head + *length).checked_sub(filled).ok_or("the answer is longer than it says")?;
        while left > 0 {
            let most = left.min(buffer.len());
            match stream.read(&mut buffer[..most]).await.map_err(|error| error.to_string())? {
                0 => return Err("the answer broke off".into()),
                read => left -= read,
            }
        }
        Ok(())
    }

    /// Closes the connection in good order.
    pub(crate) async fn close(mut self) {
        // Who has left already needs no goodbye.
        let _ = self.stream.shutdown().await;
    }
}

/// The head's length once it is whole; an error unless it says 200 and the expected length.
fn check_head(bytes: &[u8], length: usize) -> Result<Option<usize>, String> {
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut slots);
    let parsed = response.parse(bytes).map_err(|error| format!("no HTTP: {error}"))?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    if response.code != Some(200) {
        return Err(format!("status {}", response.code.unwrap_or(0)));
    }
    let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
    let said = response.headers.iter().find(named).and_then(|header| std::str::from_utf8(header.value).ok());
    if said.and_then(|said| said.parse().ok()) != Some(length) {
        return Err(format!("Content-Length {said:?} instead of {length}"));
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_head_passes() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(check_head(good, 2), Ok(Some(good.len() - 2)));
        assert_eq!(check_head(&good[..30], 2), Ok(None));
        assert!(check_head(good, 3).is_err());
        assert!(check_head(b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\n", 2).is_err());
        assert!(check_head(b"HTTP/1.1 200 OK\r\n\r\n", 0).is_err());
        assert!(check_head(b"nonsense\r\n", 0).is_err());
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_wrong() {
        for (answer, good) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", false),
            ("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nok", false),
        ] {
            let (client, mut server) = tokio::io::duplex(4096);
            server.write_all(answer.as_bytes()).await.unwrap();
            server.shutdown().await.unwrap();
            assert_eq!(Http1::new(client, "a", "/", 2).ask().await.is_ok(), good, "{answer:?}");
        }
    }
}
