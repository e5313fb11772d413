//! The head of a request as a replica gets it by HTTP/2: the same fields as by HTTP/1, under its own pseudo-fields.

use http::uri::{Authority, PathAndQuery};

use crate::field::Name;
use crate::head::Head;
use crate::hpack::encode;
use crate::http1::framing::Framing;
use crate::refuse::Refusal;
use crate::upstream::forwarded::Dropped;
use crate::upstream::send::{self, Hop};

/// Writes it, as any connection takes it. With it comes whether a scheme was dropped that the client may not say.
pub(crate) fn head(head: &Head, hop: &Hop<'_>) -> Result<(Vec<u8>, Result<(), Dropped>), Refusal> {
    let mut block = Vec::with_capacity(1024);
    address(head, hop, &mut block)?;
    let mut lines = Vec::with_capacity(1024);
    let speaks_for_others = send::fields(head, hop.edits, &mut lines);
    let written = send::said(head, hop, speaks_for_others, &mut lines);
    copy(&lines, &mut block);
    match &head.body {
        Framing::Length(0) if head.fields.values(Name::ContentLength).next().is_none() => {}
        Framing::Length(length) => {
            encode::number(&mut block, b"content-length", *length);
        }
        _ => {}
    }
    if head.takes_trailers {
        encode::field(&mut block, b"te", b"trailers");
    }
    Ok((block, written))
}

/// Writes the fields of lines that we have written.
fn copy(lines: &[u8], block: &mut Vec<u8>) {
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            let (name, value) = line.split_at(colon);
            encode::field(block, name, value.get(2..).unwrap_or_default());
        }
    }
}

fn address(head: &Head, hop: &Hop<'_>, block: &mut Vec<u8>) -> Result<(), Refusal> {
    let replica;
    let host = if hop.host.is_empty() {
        replica = hop.replica.to_string().into_bytes();
        &replica[..]
    } else {
        hop.host
    };
    let target = PathAndQuery::try_from(hop.target).ok();
    let Some(target) = target.filter(|_| Authority::try_from(host).is_ok()) else {
        return Err(Refusal::BadRequest("the host or the target holds bytes that HTTP/2 can't carry"));
    };
    encode::request(block, head.method.as_str().as_bytes(), host, target.as_str().as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpack::Decoder;
    use crate::hpack::decode::tests::read;

    #[test]
    fn lines_become_fields_in_order() {
        let mut block = Vec::new();
        copy(b"A: b\r\nX-Y: \r\na: c: d\r\n", &mut block);
        let read = read(&mut Decoder::default(), &block).unwrap();
        assert_eq!(read, [("a", "b"), ("x-y", ""), ("a", "c: d")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
