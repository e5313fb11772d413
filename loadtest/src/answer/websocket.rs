//! `/ws`: the WebSocket handshake, and frames sent back as they came (RFC 6455).

use std::sync::Arc;

use http::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::body::Answer;
use super::response::{stamped, text};
use super::stamp::{Open, Stamp};

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// Longest frame that is echoed; a longer one ends the connection.
const LONGEST_FRAME: u64 = 1 << 20;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Answers the handshake and echoes on the upgraded connection, with the request open until that ends.
pub(super) fn upgrade(
    mut request: Request<Incoming>,
    stamp: &Arc<Stamp>,
    open: Option<Open>,
) -> Response<Answer> {
    let asked = request
        .headers()
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let accept = request.headers().get(KEY).filter(|_| asked).and_then(accept);
    let Some(accept) = accept else {
        let why = "expected a WebSocket handshake: Upgrade: websocket and Sec-WebSocket-Key\n";
        return stamped(stamp, StatusCode::UPGRADE_REQUIRED, text(why.into()), open);
    };
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _open = open;
        if let Ok(upgraded) = upgrading.await {
            echo(TokioIo::new(upgraded)).await;
        }
    });
    let mut response = stamped(stamp, StatusCode::SWITCHING_PROTOCOLS, text(String::new()), None);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(ACCEPT, accept);
    response
}

/// RFC 6455 §4.2.2: base64 of the SHA-1 of the key and a fixed text.
fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    let mut text = key.as_bytes().to_vec();
    text.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::from_str(&base64(&sha1(&text))).ok()
}

/// Sends each frame back unmasked; a ping as a pong; ends after a close, an error or a frame that is too long.
async fn echo(mut stream: TokioIo<Upgraded>) {
    while let Ok((first, payload)) = read_frame(&mut stream).await {
        let reply = if first & 0x0f == PING { first & 0xf0 | PONG } else { first };
        let closed = first & 0x0f == CLOSE;
        if first & 0x0f != PONG && write_frame(&mut stream, reply, &payload).await.is_err() || closed {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

/// The first byte of a frame (its flags and opcode) and its payload, unmasked.
async fn read_frame(stream: &mut TokioIo<Upgraded>) -> std::io::Result<(u8, Vec<u8>)> {
    let first = stream.read_u8().await?;
    let second = stream.read_u8().await?;
    let size = match second & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        small => u64::from(small),
    };
    // RFC 6455 §5.1: a client masks every frame.
    if size > LONGEST_FRAME || second & 0x80 == 0 {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = vec![0; size as usize];
    stream.read_exact(&mut payload).await?;
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok((first, payload))
}

async fn write_frame(stream: &mut TokioIo<Upgraded>, first: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![first];
    match payload.len() {
        size @ 0..126 => frame.push(size as u8),
        size @ 126..65_536 => {
            frame.push(126);
            frame.extend_from_slice(&(size as u16).to_be_bytes());
        }
        size => {
            frame.push(127);
            frame.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// FIPS 180-4 §6.1. Good enough for a handshake, which needs no secrecy.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((message.len() + 8) / 64 * 64 + 56, 0);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for at in 16..80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mixed)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word =
            (0..3).fold(0_usize, |word, at| word << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = LETTERS[word >> (18 - 6 * at) & 63];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_standard() {
        // RFC 6455 §1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn sha1_of_every_padding() {
        // FIPS 180-2 appendix A; the lengths around a block's end are where padding goes wrong.
        let hex = |bytes: &[u8]| sha1(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(
            hex(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        );
        for (size, digest) in [
            (55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
            (56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
            (63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"),
            (64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
            (119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"),
            (120, "f34c1488385346a55709ba056ddd08280dd4c6d6"),
        ] {
            assert_eq!(hex(&vec![b'a'; size]), digest, "{size}");
        }
    }

    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
