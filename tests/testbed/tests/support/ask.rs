//! Requests as bytes, each on a connection of its own.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Its head as it came, in lower case.
    pub head: String,
    pub body: String,
}

/// GET on a connection of its own. `None`: no whole answer came.
pub async fn ask(address: SocketAddr, host: &str, path: &str) -> Option<Answer> {
    ask_for(address, "GET", host, path, "").await
}

/// The same by another method, and with a body unless it is empty.
pub async fn ask_for(
    address: SocketAddr,
    method: &str,
    host: &str,
    path: &str,
    body: &str,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}Connection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}
