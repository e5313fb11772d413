//! Frames of HTTP/2 as bytes (RFC 9113 §4, §6): for clients that say what no library would.

#![expect(missing_docs, reason = "the names are those of RFC 9113")]

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame.
pub fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The fields of a GET of `target` at `host`.
pub fn get(host: &str, target: &str) -> Vec<(String, String)> {
    [(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", target)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A block of fields: each a literal without indexing (RFC 7541 §6.2.2), its strings as they are, a character a byte.
pub fn block(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let text: Vec<u8> = text.chars().map(|byte| byte as u8).collect();
            number(text.len(), &mut block);
            block.extend(text);
        }
    }
    block
}

/// A number in 7 bits and as many bytes as it needs (RFC 7541 §5.1).
fn number(number: usize, block: &mut Vec<u8>) {
    if number < 127 {
        return block.push(number as u8);
    }
    block.push(127);
    let mut left = number - 127;
    while left >= 128 {
        block.push((left % 128) as u8 | 128);
        left /= 128;
    }
    block.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_length_and_stream() {
        assert_eq!(bytes(PING, ACK, 0, &[7; 8]), [&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &[7; 8]].concat());
        assert_eq!(bytes(DATA, 0, 0x0102, b"x"), [0, 0, 1, 0, 0, 0, 0, 1, 2, b'x']);
    }

    #[test]
    fn a_block_is_literals() {
        assert_eq!(block(&[("a".into(), "b".into())]), [0, 1, b'a', 1, b'b']);
        // RFC 7541, C.1.2 has 1337 in five bits; in seven it is 127 and 1210.
        let long = block(&[("a".into(), "b".repeat(1337))]);
        assert_eq!(long[..6], [0, 1, b'a', 127, 0xba, 0x09]);
        assert_eq!(long.len(), 6 + 1337);
    }
}
