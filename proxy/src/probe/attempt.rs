//! One try of one replica: everything that it has to answer, in order.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use kaos_core::snapshot::{Check, Probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::first::First;
use crate::http1::framing::{Framing, Piece};
use crate::probe::{Target, grpc};
use crate::upstream::answer::{self, Answer};

/// A check takes no longer than this, whatever it says of itself.
const LONGEST: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const LARGEST: usize = 64 * 1024;

/// Why a replica isn't ready.
pub(crate) type Why = &'static str;

/// Tries all checks in order. The first connection that a request may go over is kept.
pub(crate) async fn all(target: &Target) -> Result<Option<First>, Why> {
    let mut first = None;
    for check in target.checks.iter() {
        let address = SocketAddr::new(target.address.ip(), check.port);
        let kept = tokio::time::timeout(check.timeout.min(LONGEST), one(check, address))
            .await
            .map_err(|_| "no answer in time")??;
        if check.port == target.address.port() {
            first = first.or(kept);
        }
    }
    Ok(first)
}

async fn one(check: &Check, address: SocketAddr) -> Result<Option<First>, Why> {
    let stream = TcpStream::connect(address).await.map_err(|_| "no connection")?;
    // A connect within the ephemeral range can meet itself when nobody listens there.
    if stream.local_addr().is_ok_and(|local| local == address) {
        return Err("no connection");
    }
    let _ = stream.set_nodelay(true);
    match &check.probe {
        Probe::Tcp => Ok(keep(stream, false)),
        Probe::Http { path, headers, .. } => {
            let request =
                request(path, headers, address).ok_or("the probe's path or headers can't be sent")?;
            get(stream, &request).await
        }
        Probe::Grpc { service } => grpc::check(stream, address, service).await.map(|()| None),
    }
}

fn keep(stream: TcpStream, used: bool) -> Option<First> {
    stream.into_std().ok().map(|stream| First { stream, used })
}

/// A GET as bytes; `None` if what was asked for would be no request.
fn request(path: &str, headers: &[(String, String)], address: SocketAddr) -> Option<String> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut request = format!("GET {slash}{path} HTTP/1.1\r\n");
    let usual = [
        ("Host", address.to_string()),
        ("User-Agent", concat!("kaos-probe/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("Accept", "*/*".to_owned()),
    ];
    for (name, value) in &usual {
        if !headers.iter().any(|(said, _)| said.eq_ignore_ascii_case(name)) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        if matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection" | "upgrade") {
            continue;
        }
        http::HeaderValue::from_str(value).ok()?;
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    path.bytes().all(|byte| byte.is_ascii_graphic()).then_some(request)
}

/// Sends `request` and waits for the head of the answer. The connection is kept if the body was there with it.
async fn get(mut stream: TcpStream, request: &str) -> Result<Option<First>, Why> {
    stream.write_all(request.as_bytes()).await.map_err(|_| "the connection broke")?;
    let mut bytes = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut bytes).await.map_err(|_| "the connection broke")? == 0 {
            return Err("the connection ended");
        }
        while let Some((answer, used)) = answer::parse(&bytes, &Method::GET).map_err(|_| "no HTTP")? {
            bytes.drain(..used);
            if answer.status < 200 && answer.status != 101 {
                continue;
            }
            if !(200..400).contains(&answer.status) {
                return Err("a status other than 200 to 399");
            }
            return Ok(if is_over(answer, &bytes) { keep(stream, true) } else { None });
        }
        if bytes.len() > LARGEST {
            return Err("a head that is too large");
        }
    }
}

/// Whether `bytes` are the whole rest of an exchange after which the connection can be used again.
fn is_over(answer: Answer, bytes: &[u8]) -> bool {
    let mut framing = answer.body;
    let mut rest = bytes;
    while answer.reusable && framing != Framing::UntilClose {
        let skipped = match framing.next(rest) {
            Ok(Piece::End { skip, .. }) => return rest.len() == skip,
            Ok(Piece::Data { skip, length }) => skip + length,
            Ok(Piece::More { .. }) | Err(_) => return false,
        };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, headers: &[(&str, &str)]) -> Option<String> {
        let owned: Vec<_> = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        request(path, &owned, "10.0.0.1:8080".parse().unwrap())
    }

    #[test]
    fn what_is_said_replaces_the_usual_and_adds_to_it() {
        let request = asked("healthz?deep=1", &[("host", "shop"), ("X-Probe", "a b")]).unwrap();
        let agent = concat!("User-Agent: kaos-probe/", env!("CARGO_PKG_VERSION"));
        let wanted = format!(
            "GET /healthz?deep=1 HTTP/1.1\r\n{agent}\r\nAccept: */*\r\nhost: shop\r\nx-probe: a b\r\n\r\n"
        );
        assert_eq!(request, wanted);
        assert!(asked("/", &[]).unwrap().contains("\r\nHost: 10.0.0.1:8080\r\n"));
    }

    #[test]
    fn nothing_is_smuggled_into_a_probe() {
        assert_eq!(asked("/ HTTP/1.1\r\nX: y", &[]), None);
        assert_eq!(asked("/", &[("X", "a\r\nY: b")]), None);
        assert_eq!(asked("/", &[("X: y\r\nZ", "a")]), None);
        assert!(!asked("/", &[("Content-Length", "5")]).unwrap().contains('5'));
    }

    #[test]
    fn only_a_whole_exchange_leaves_a_connection() {
        for (head, rest, over) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "o", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok?", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n", "ok", false),
            ("HTTP/1.0 200 OK\r\n\r\n", "ok", false),
        ] {
            let Ok(Some((answer, _))) = answer::parse(head.as_bytes(), &Method::GET) else {
                panic!("{head}")
            };
            assert_eq!(is_over(answer, rest.as_bytes()), over, "{head}{rest}");
        }
    }
}
