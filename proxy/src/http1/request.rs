//! Reads the head of an HTTP/1 request. Strict where two readers could differ: such a request is refused, and nothing of it
//! reaches a replica.

use std::mem::MaybeUninit;

use http::Method;

use crate::field::{Name, length, tokens};
use crate::head::{Head, LONGEST_TARGET, Version};
use crate::http1::framing::{Chunks, Framing};
use crate::refuse::Refusal;
use crate::sabotage::{Rule, is_off};

const FIELDS: usize = 100;

/// Reads a head from the start of `bytes` into `head`. Returns its length; `None` if more bytes are needed.
pub(crate) fn read(bytes: &[u8], head: &mut Head, max_size: usize) -> Result<Option<usize>, Refusal> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let mut grammar = httparse::ParserConfig::default();
    grammar.ignore_invalid_headers_in_requests(is_off(Rule::HeadBytes));
    let max_size = if is_off(Rule::HeadSize) { usize::MAX } else { max_size };
    let length = match grammar.parse_request_with_uninit_headers(&mut request, bytes, &mut room) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= max_size => return Err(too_large(bytes)),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed(error)),
    };
    if length > max_size {
        return Err(too_large(bytes));
    }
    let method = request.method.unwrap_or_default();
    head.method =
        Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::BadRequest("the method is malformed"))?;
    head.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
    head.fields.clear();
    for field in request.headers.iter() {
        head.fields.push(field.name.as_bytes(), field.value);
    }
    let target = request.path.unwrap_or_default().as_bytes();
    frame(head)?;
    address(head, target)?;
    connection(head)?;
    head.check()?;
    Ok(Some(length))
}

fn too_large(bytes: &[u8]) -> Refusal {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    if line > LONGEST_TARGET { Refusal::UriTooLong } else { Refusal::HeaderTooLarge }
}

fn malformed(error: httparse::Error) -> Refusal {
    Refusal::BadRequest(match error {
        httparse::Error::TooManyHeaders => return Refusal::HeaderTooLarge,
        httparse::Error::HeaderName => "a header field's name is malformed",
        httparse::Error::HeaderValue => "a header field's value is malformed",
        httparse::Error::NewLine => "a line ends in a way that HTTP doesn't know",
        httparse::Error::Version => "the version is neither HTTP/1.1 nor HTTP/1.0",
        _ => "the request line is malformed",
    })
}

/// Where the body ends. One way to say it, said once (RFC 9112 §6.3, and stricter: a length beside chunks is an attack).
fn frame(head: &mut Head) -> Result<(), Refusal> {
    let mut lengths = head.fields.values(Name::ContentLength);
    let mut encodings = head.fields.values(Name::TransferEncoding);
    head.body = match (lengths.next(), encodings.next()) {
        (None, None) => Framing::Length(0),
        (Some(_), Some(_)) if !is_off(Rule::OneLength) => {
            return Err(Refusal::BadRequest("Content-Length and Transfer-Encoding exclude each other"));
        }
        (Some(value), _) => {
            let length = length(value).ok_or(Refusal::BadRequest("the Content-Length is no number"))?;
            Framing::Length(length)
        }
        (None, Some(_)) if head.version == Version::Http10 => {
            return Err(Refusal::BadRequest("HTTP/1.0 has no Transfer-Encoding"));
        }
        (None, Some(value)) if value.eq_ignore_ascii_case(b"chunked") => Framing::Chunked(Chunks::default()),
        (None, Some(_)) => return Err(Refusal::BadRequest("the only Transfer-Encoding is chunked, once")),
    };
    if lengths.next().is_some() && !is_off(Rule::OneLength) || encodings.next().is_some() {
        return Err(Refusal::BadRequest("Content-Length and Transfer-Encoding may be said once"));
    }
    Ok(())
}

/// Which host and path are asked for. A target that names a host wins over the field (RFC 9112 §3.2.2).
fn address(head: &mut Head, target: &[u8]) -> Result<(), Refusal> {
    let mut hosts = head.fields.values(Name::Host);
    let host = hosts.next();
    if hosts.next().is_some() && !is_off(Rule::OneHost) {
        return Err(Refusal::BadRequest("Host may be said once"));
    }
    match host {
        Some(b"") => return Err(Refusal::BadRequest("the Host is empty")),
        None if head.version == Version::Http11 => return Err(Refusal::BadRequest("the Host is missing")),
        _ => {}
    }
    let host = host.unwrap_or_default().to_vec();
    let scheme = |name: &str| {
        target.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    };
    if scheme("https://") && !head.https {
        return Err(Refusal::Misdirected);
    }
    head.host.clear();
    head.target.clear();
    if let Some(name) = ["http://", "https://"].into_iter().find(|name| scheme(name)) {
        let rest = target.get(name.len()..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() {
            return Err(Refusal::BadRequest("the request target names no host"));
        }
        head.host.extend_from_slice(if is_off(Rule::TargetHost) { &host } else { authority });
        if !path.starts_with(b"/") {
            head.target.push(b'/');
        }
        head.target.extend_from_slice(path);
    } else {
        head.host = host;
        head.target.extend_from_slice(target);
    }
    Ok(())
}

/// What becomes of the connection after this request.
fn connection(head: &mut Head) -> Result<(), Refusal> {
    let close = head.fields.lists(b"close");
    head.keep_alive = match head.version {
        Version::Http10 => !close && head.fields.lists(b"keep-alive"),
        _ => !close,
    };
    head.upgrade = None;
    if head.version == Version::Http11 && head.fields.lists(b"upgrade") {
        let mut wanted = head.fields.values(Name::Upgrade);
        let protocol = wanted.next().filter(|protocol| tokens(protocol).count() == 1);
        if wanted.next().is_none()
            && protocol.is_some_and(|protocol| is_off(Rule::H2c) || !protocol.eq_ignore_ascii_case(b"h2c"))
        {
            head.upgrade = protocol.map(<[u8]>::to_vec);
        }
    }
    if head.upgrade.is_some() && !head.body.has_ended() && !is_off(Rule::Upgrades) {
        return Err(Refusal::BadRequest("a request that asks for an upgrade has no body"));
    }
    Ok(())
}
