//! The head of a request as a replica gets it by HTTP/2: the same fields as by HTTP/1, under its own pseudo-fields.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

use crate::field::Name;
use crate::head::Head;
use crate::http1::framing::Framing;
use crate::refuse::Refusal;
use crate::upstream::forwarded::Dropped;
use crate::upstream::send::{self, Hop};

/// Makes the request. With it comes whether a scheme was dropped that the client may not say.
pub(crate) fn head(head: &Head, hop: &Hop<'_>) -> Result<(Request<()>, Result<(), Dropped>), Refusal> {
    let mut lines = Vec::with_capacity(1024);
    let speaks_for_others = send::fields(head, &mut lines);
    let written = send::said(head, hop, speaks_for_others, &mut lines);
    let mut headers = HeaderMap::with_capacity(24);
    read(lines.into(), &mut headers);
    match &head.body {
        Framing::Length(0) if head.fields.values(Name::ContentLength).next().is_none() => {}
        Framing::Length(length) => {
            headers.insert(http::header::CONTENT_LENGTH, (*length).into());
        }
        _ => {}
    }
    if head.takes_trailers {
        headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri(head, hop)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok((request, written))
}

/// Reads lines that we have written. A value isn't copied again.
fn read(lines: Bytes, headers: &mut HeaderMap) {
    let mut rest = lines;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let mut line = rest.split_to(end + 1);
        line.truncate(end.saturating_sub(1));
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(line.get(..colon).unwrap_or_default());
        let value = HeaderValue::from_maybe_shared(line.slice((colon + 2).min(line.len())..));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
}

fn uri(head: &Head, hop: &Hop<'_>) -> Result<Uri, Refusal> {
    let host = match head.host.is_empty() {
        true => Bytes::from(hop.replica.to_string()),
        false => Bytes::copy_from_slice(&head.host),
    };
    let target = Bytes::copy_from_slice(&head.target);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Authority::from_maybe_shared(host).ok();
    parts.path_and_query = PathAndQuery::from_maybe_shared(target).ok();
    Uri::from_parts(parts)
        .map_err(|_| Refusal::BadRequest("the host or the target holds bytes that HTTP/2 can't carry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_fields_in_order() {
        let mut headers = HeaderMap::new();
        read(Bytes::from_static(b"A: b\r\nX-Y: \r\na: c: d\r\n"), &mut headers);
        let values: Vec<_> = headers.get_all("a").iter().collect();
        assert_eq!(values, ["b", "c: d"]);
        assert_eq!((headers.len(), &headers["x-y"]), (3, &HeaderValue::from_static("")));
    }
}
