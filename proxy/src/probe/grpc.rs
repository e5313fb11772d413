//! The health check that gRPC servers answer: `grpc.health.v1.Health/Check` over HTTP/2 with prior knowledge.
//!
//! Its two messages have one field each, so they are written and read here (protobuf's encoding: a key, then a varint or a
//! length and bytes).

use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// Most bytes of an answer.
const LARGEST: usize = 4096;
/// Field 1 of a message, as a varint and as bytes.
const VARINT: u8 = 0x08;
const BYTES: u8 = 0x0a;
const SERVING: u64 = 1;

/// Asks about `service`. `Ok`: it serves.
pub(crate) async fn check(stream: TcpStream, address: SocketAddr, service: &str) -> Result<(), &'static str> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|_| "no HTTP/2")?;
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", concat!("kaos-probe/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(question(service)))
        .map_err(|_| "the probe can't be sent")?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|_| "the connection broke")?;
        if response.status() != 200 {
            return Err("a status other than 200");
        }
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.map_err(|_| "the connection broke")?;
        let status =
            |fields: Option<&HeaderMap>| fields.and_then(|fields| fields.get("grpc-status")).cloned();
        let status = status(body.trailers()).or_else(|| status(Some(&head.headers)));
        match (status.as_ref().map(http::HeaderValue::as_bytes), serves(body.to_bytes())) {
            (Some(b"0"), true) => Ok(()),
            (Some(b"0"), false) => Err("it says that it doesn't serve"),
            _ => Err("an error of gRPC"),
        }
    };
    tokio::select! {
        outcome = exchange => outcome,
        _ = connection => Err("the connection ended"),
    }
}

/// A message with the service's name, in gRPC's frame: not compressed, then its length.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(BYTES);
        let mut left = service.len();
        while left >= 0x80 {
            message.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        message.push(left as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

/// Whether a framed answer says SERVING.
fn serves(mut framed: Bytes) -> bool {
    if framed.len() < 5 || framed.get_u8() != 0 || framed.get_u32() as usize != framed.len() {
        return false;
    }
    let mut status = 0;
    while framed.has_remaining() {
        let (Some(key), Some(value)) = (varint(&mut framed), varint(&mut framed)) else { return false };
        match key & 7 {
            0 if key == u64::from(VARINT) => status = value,
            0 => {}
            // A field of bytes that isn't known here.
            2 if value <= framed.remaining() as u64 => framed.advance(value as usize),
            _ => return false,
        }
    }
    status == SERVING
}

fn varint(bytes: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.has_remaining().then(|| bytes.get_u8())?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(question("")[..], [0; 5]);
        assert_eq!(question("shop")[..], *b"\0\0\0\0\x06\x0a\x04shop");
        assert_eq!(question(&"x".repeat(300))[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn only_serving_serves() {
        for (answer, serving) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], true),
            (b"\0\0\0\0\x02\x08\x02", false),
            (b"\0\0\0\0\0", false),
            (b"\0\0\0\0\x05\x12\x01x\x08\x01", true),
            (b"\x01\0\0\0\x02\x08\x01", false),
            (b"\0\0\0\0\x03\x08\x01", false),
            (b"\0\0\0\0\x02\x08\x81", false),
            (b"\0\0", false),
        ] {
            assert_eq!(serves(Bytes::from_static(answer)), serving, "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let framed = [&[0, 0, 0, 0, bytes.len() as u8][..], &bytes].concat();
            let _ = (serves(framed.into()), serves(bytes.into()));
        }
    }
}
