//! The fields of one head or trailer section, and whether they keep the rules (RFC 9113 §8.2, §8.3).

use crate::field::{Fields, Name, classify};

/// What a field counts for beside its bytes (RFC 9113 §6.5.2).
const OVERHEAD: usize = 32;
/// Who sends so many times more than is allowed doesn't do it by mistake.
const EXCESS: usize = 4;

/// The fields that stand for the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Status,
}

/// Those of one section.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) fields: Fields,
    /// The values of the pseudo-fields one behind the other, and where each of them is.
    bytes: Vec<u8>,
    places: [Option<(usize, usize)>; 5],
    malformed: bool,
    size: usize,
    most: usize,
}

impl Block {
    /// One of `most` bytes, as `SETTINGS_MAX_HEADER_LIST_SIZE` counts them.
    pub(super) fn new(most: usize) -> Self {
        Block {
            fields: Fields::with_room(),
            bytes: Vec::new(),
            places: [None; 5],
            malformed: false,
            size: 0,
            most,
        }
    }

    /// Takes the next field.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + OVERHEAD;
        if self.is_oversized() || self.malformed {
            return;
        }
        // HTTP/1 has no spaces at either end of a value: they would mean nothing (RFC 9113 §8.2.1).
        let (said, value) = (value, value.trim_ascii());
        self.malformed = !value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        if let Some(name) = name.strip_prefix(b":") {
            return self.push_pseudo(name, value);
        }
        self.malformed |= !is_name(name) || is_of_connection(name, said);
        if !self.malformed {
            self.fields.push(name, value);
        }
    }

    fn push_pseudo(&mut self, name: &[u8], value: &[u8]) {
        let known = match name {
            b"method" => Pseudo::Method,
            b"scheme" => Pseudo::Scheme,
            b"authority" => Pseudo::Authority,
            b"path" => Pseudo::Path,
            b"status" => Pseudo::Status,
            _ => return self.malformed = true,
        };
        let start = self.bytes.len();
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(256);
        }
        self.bytes.extend_from_slice(value);
        let place = self.places.get_mut(known as usize);
        let before = place.and_then(|place| place.replace((start, self.bytes.len())));
        self.malformed |= before.is_some() || self.fields.iter().next().is_some();
    }

    /// The value of a pseudo-field.
    pub(crate) fn pseudo(&self, name: Pseudo) -> Option<&[u8]> {
        let (start, end) = (*self.places.get(name as usize)?)?;
        self.bytes.get(start..end)
    }

    /// Whether it breaks the rules.
    pub(crate) fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// Whether it is larger than is allowed. Then it isn't whole.
    pub(crate) fn is_oversized(&self) -> bool {
        self.size > self.most
    }

    /// Whether it is far larger.
    pub(super) fn is_excessive(&self) -> bool {
        self.size > self.most.saturating_mul(EXCESS)
    }

    /// Whether these may be trailers.
    pub(super) fn may_trail(&self) -> bool {
        !self.malformed && !self.is_oversized() && self.places == [None; 5]
    }
}

fn is_name(name: &[u8]) -> bool {
    let allowed = |byte: &u8| {
        matches!(byte,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'^' | b'`'
            | b'|' | b'~')
    };
    !name.is_empty() && name.iter().all(allowed)
}

/// Whether a field speaks of one connection, which here only frames do (§8.2.2), or of a length with spaces around it.
fn is_of_connection(name: &[u8], value: &[u8]) -> bool {
    match classify(name) {
        Name::Connection | Name::TransferEncoding | Name::Upgrade => true,
        Name::HopByHop => matches!(name, b"keep-alive" | b"proxy-connection"),
        Name::Te => value != b"trailers",
        // A number has none.
        Name::ContentLength => value != value.trim_ascii(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fields: &[(&str, &str)]) -> Block {
        let mut block = Block::new(1000);
        fields.iter().for_each(|(name, value)| block.push(name.as_bytes(), value.as_bytes()));
        block
    }

    #[test]
    fn pseudo_fields_come_once_and_first() {
        let good = block(&[(":method", "GET"), (":path", "/a"), ("x", "y"), ("te", "trailers")]);
        assert!(!good.is_malformed() && !good.may_trail());
        assert_eq!((good.pseudo(Pseudo::Path), good.pseudo(Pseudo::Status)), (Some(&b"/a"[..]), None));
        for fields in [
            &[(":path", "/"), (":path", "/")][..],
            &[("x", "y"), (":path", "/")],
            &[(":protocol", "websocket")],
            &[(":", "")],
            &[("", "x")],
            &[("X", "y")],
            &[("x y", "z")],
            &[("x", "a\r\nb")],
            &[("x", "a\u{0}")],
            &[("x", "\u{7f}")],
            &[("connection", "close")],
            &[("keep-alive", "1")],
            &[("te", "gzip")],
        ] {
            assert!(block(fields).is_malformed(), "{fields:?}");
        }
    }

    #[test]
    fn what_is_too_large_isnt_held() {
        let long = "y".repeat(900);
        let large = block(&[("x", "y"), ("z", &long), ("z", &long)]);
        assert!(large.is_oversized() && !large.is_malformed() && !large.is_excessive() && !large.may_trail());
        assert_eq!(large.fields.iter().count(), 2);
        assert!(block(&[("z", long.as_str()); 5]).is_excessive());
    }
}
