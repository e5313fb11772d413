//! The header of the PROXY protocol, versions 1 and 2 ("The PROXY protocol", HAProxy, 2020). Knows bytes alone: whoever reads
//! a connection gives what has come so far.
//!
//! Strict: what two readers could read in two ways is malformed. Of a header that is malformed already no more is waited for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest header of version 1, with its CR LF (§2.1).
const LONGEST_LINE: usize = 107;
/// Most bytes of a header of version 2 behind its first 16. It could say 64 KiB; what is sent has some hundreds.
const LONGEST_BLOCK: usize = 4096;

const LINE: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, length.
const FIXED: usize = 16;

/// The type of the value that is a checksum of the header, and its length.
const CRC32C: u8 = 0x03;
const CRC32C_LENGTH: usize = 4;

/// A header that has come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its length in bytes: what follows is the connection's own.
    pub(crate) length: usize,
    /// For whom the peer has connected. `None`: for itself, or for somebody without an address.
    pub(crate) client: Option<IpAddr>,
}

/// Reads a header from the start of `bytes`; `None` if more bytes are needed. The error says what is wrong.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Header>, &'static str> {
    if begins(bytes, LINE) {
        line(bytes)
    } else if begins(bytes, SIGNATURE) {
        block(bytes)
    } else {
        Err("it does not begin with a header of the PROXY protocol")
    }
}

/// Whether `bytes` begin with `start`, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let shared = bytes.len().min(start.len());
    bytes.get(..shared) == start.get(..shared)
}

/// Version 1: one line.
fn line(bytes: &[u8]) -> Result<Option<Header>, &'static str> {
    let within = bytes.get(..bytes.len().min(LONGEST_LINE)).unwrap_or_default();
    let Some(end) = within.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        // The last byte that may come is the line feed.
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err("the header line is too long") };
    };
    match within.get(end..end + 2) {
        Some(b"\r\n") => {}
        None if within.last() == Some(&b'\r') && end + 1 < LONGEST_LINE => return Ok(None),
        _ => return Err("the header line does not end in CR LF"),
    }
    let rest = within.get(LINE.len()..end).ok_or("the header line is malformed")?;
    let rest = std::str::from_utf8(rest).map_err(|_| "the header line is malformed")?;
    Ok(Some(Header { length: end + 2, client: named(rest).ok_or("the header line is malformed")? }))
}

/// The client in what follows the first word of the line. The outer `None`: it is malformed.
fn named(rest: &str) -> Option<Option<IpAddr>> {
    let mut words = rest.split(' ');
    let mut address: fn(&str) -> Option<IpAddr> = |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    match words.next()? {
        "TCP4" => {}
        "TCP6" => address = |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        // Whatever follows is to be ignored (§2.1).
        "UNKNOWN" => return Some(None),
        _ => return None,
    }
    let client = address(words.next()?)?;
    address(words.next()?)?;
    let whole = is_port(words.next()?) && is_port(words.next()?) && words.next().is_none();
    whole.then_some(Some(client))
}

/// Digits alone, without zeros before them.
fn is_port(word: &str) -> bool {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    plain && word.parse::<u16>().is_ok()
}

/// Version 2: binary.
fn block(bytes: &[u8]) -> Result<Option<Header>, &'static str> {
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return match bytes.get(SIGNATURE.len()) {
            Some(command) if command >> 4 != 2 => Err("the header's version is not 2"),
            _ => Ok(None),
        };
    };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err("the header's version is not 2, or its command is unknown"),
    };
    let (of_addresses, is_ipv4) = match (family >> 4, family & 0xf) {
        // Nothing behind the first bytes is looked at: the peer itself, or somebody whose kind of address isn't ours.
        _ if is_local => (0, false),
        (1, 1) => (12, true),
        (2, 1) => (36, false),
        (0..=3, 0..=2) => (0, false),
        _ => return Err("the header's family or transport is unknown"),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BLOCK {
        return Err("the header is longer than 4 KiB");
    }
    if length < of_addresses {
        return Err("the header is shorter than its addresses");
    }
    let length = FIXED + length;
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    if of_addresses == 0 {
        return Ok(Some(Header { length, client: None }));
    }
    let rest = header.get(FIXED..).unwrap_or_default();
    values(header, FIXED + of_addresses)?;
    Ok(Some(Header { length, client: if is_ipv4 { ipv4(rest) } else { ipv6(rest) } }))
}

fn ipv4(bytes: &[u8]) -> Option<IpAddr> {
    bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into())
}

fn ipv6(bytes: &[u8]) -> Option<IpAddr> {
    bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into())
}

/// Checks the values that stand in `header` from `at` on: that they are whole, and the checksum, if it is one of them.
fn values(header: &[u8], mut at: usize) -> Result<(), &'static str> {
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..at + 3) else {
            return Err("a value of the header is cut short");
        };
        let start = at + 3;
        at = start + usize::from(u16::from_be_bytes([high, low]));
        let value = header.get(start..at).ok_or("a value of the header is cut short")?;
        if kind == CRC32C {
            let told: [u8; CRC32C_LENGTH] =
                value.try_into().map_err(|_| "the header's checksum has a wrong length")?;
            let (before, after) = (header.get(..start), header.get(at..));
            let parts = [before.unwrap_or_default(), &[0; CRC32C_LENGTH], after.unwrap_or_default()];
            if crc32c(&parts) != u32::from_be_bytes(told) {
                return Err("the header's checksum is wrong");
            }
        }
    }
    Ok(())
}

/// The checksum of RFC 9260, appendix A, bit by bit: a header is short, and few have one.
fn crc32c(parts: &[&[u8]]) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut sum = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
        }
    }
    !sum
}

#[cfg(test)]
#[path = "header_test.rs"]
mod tests;
