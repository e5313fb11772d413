//! One request on a connection of its own, written and read by hand: nothing stands between the socket and the clock.

use std::net::SocketAddr;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::wall_micros;
use crate::failure::Failure;

/// Longest answer that is read.
const LONGEST: usize = 4 << 20;

/// Most headers of an answer.
const MOST_HEADERS: usize = 100;

/// An answer and when it came.
pub struct Exchanged {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body: without the framing of a chunked one.
    pub body: Vec<u8>,
    /// Just before the request was written.
    pub sent: Instant,
    /// The same moment, in microseconds since the Unix epoch.
    pub sent_wall: u64,
    /// When the first byte of the answer was read.
    pub first_byte: Instant,
}

/// Connects, sends `head` (which must say `connection: close`) and reads the answer to the end.
pub async fn exchange(address: SocketAddr, head: &str) -> Result<Exchanged, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| Failure::connecting(&error))?;
    exchange_on(stream, head).await
}

/// The same on a connection that is open already.
pub async fn exchange_on(mut stream: TcpStream, head: &str) -> Result<Exchanged, Failure> {
    let _ = stream.set_nodelay(true);
    let (sent, sent_wall) = (Instant::now(), wall_micros());
    stream.write_all(head.as_bytes()).await.map_err(|_| Failure::Reset)?;
    let mut bytes = Vec::with_capacity(16_384);
    let read = stream.read_buf(&mut bytes).await.map_err(|_| Failure::Reset)?;
    let first_byte = Instant::now();
    if read == 0 {
        return Err(Failure::Closed);
    }
    while stream.read_buf(&mut bytes).await.map_err(|_| Failure::Cut)? > 0 {
        if bytes.len() > LONGEST {
            return Err(Failure::Length);
        }
    }
    let (status, headers, body) = parse(&bytes)?;
    Ok(Exchanged { status, headers, body, sent, sent_wall, first_byte })
}

fn parse(bytes: &[u8]) -> Result<(u16, HeaderMap, Vec<u8>), Failure> {
    let mut slots = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut slots);
    let Ok(httparse::Status::Complete(size)) = response.parse(bytes) else { return Err(Failure::Protocol) };
    let mut headers = HeaderMap::new();
    for header in response.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Failure::Protocol)?;
        headers.append(name, HeaderValue::from_bytes(header.value).map_err(|_| Failure::Protocol)?);
    }
    let rest = &bytes[size..];
    let length = headers
        .get(http::header::CONTENT_LENGTH)
        .map(|value| value.to_str().unwrap_or_default().parse::<usize>());
    let body = match length {
        Some(Ok(length)) if rest.len() == length => rest.to_vec(),
        Some(Ok(_)) => return Err(Failure::Cut),
        Some(Err(_)) => return Err(Failure::Protocol),
        None if headers.contains_key(http::header::TRANSFER_ENCODING) => unchunk(rest)?,
        None => rest.to_vec(),
    };
    Ok((response.code.unwrap_or(0), headers, body))
}

/// The content of a chunked body, which must be whole.
fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((begin, size))) = httparse::parse_chunk_size(rest) else {
            return Err(Failure::Cut);
        };
        if size == 0 {
            return Ok(body);
        }
        let size = usize::try_from(size).map_err(|_| Failure::Length)?;
        let end = begin.checked_add(size).ok_or(Failure::Length)?;
        body.extend_from_slice(rest.get(begin..end).ok_or(Failure::Cut)?);
        rest = rest.get(end + 2..).ok_or(Failure::Cut)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_whole_or_refused() {
        let head = "HTTP/1.1 200 OK\r\n";
        for (rest, body) in [
            ("content-length: 2\r\n\r\nok", Ok("ok")),
            ("content-length: 3\r\n\r\nok", Err(Failure::Cut)),
            ("content-length: x\r\n\r\nok", Err(Failure::Protocol)),
            ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", Ok("ok!")),
            ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n", Err(Failure::Cut)),
            ("transfer-encoding: chunked\r\n\r\n9\r\nok\r\n0\r\n\r\n", Err(Failure::Cut)),
            ("\r\nto the end", Ok("to the end")),
        ] {
            let parsed = parse(format!("{head}{rest}").as_bytes());
            assert_eq!(
                parsed.map(|(_, _, body)| String::from_utf8(body).unwrap()),
                body.map(str::to_owned),
                "{rest:?}"
            );
        }
        assert!(parse(b"HTTP/1.1 200").is_err());
    }
}
