//! The head of an HTTP/2 request, as the common form that routes and replicas know.

use hyper::body::{Body, Incoming};

use crate::field::{Name, length};
use crate::head::{Head, Version};
use crate::http1::framing::{Chunks, Framing};
use crate::refuse::Refusal;
use crate::sabotage::{Rule, is_off};

/// Takes the head from `request`. `https`: the client may ask for such a URI here.
pub(crate) fn head(request: &http::Request<Incoming>, https: bool) -> Result<Head, Refusal> {
    let mut head = Head {
        https,
        version: Version::Http2,
        method: request.method().clone(),
        keep_alive: true,
        ..Head::default()
    };
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in request.headers() {
        // HTTP/1 has no spaces at either end of a value: to the replica they would mean nothing (RFC 9113 §8.2.1).
        let value = value.as_bytes().trim_ascii();
        if *name == http::header::COOKIE {
            // Crumbs are one field again for HTTP/1 (RFC 9113 §8.2.3).
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
        } else {
            head.fields.push(name.as_str().as_bytes(), value);
        }
    }
    if !cookies.is_empty() {
        head.fields.push(b"cookie", &cookies);
    }
    frame(&mut head, request.body().is_end_stream())?;
    address(&mut head, request.uri())?;
    head.check()?;
    Ok(head)
}

fn frame(head: &mut Head, ended: bool) -> Result<(), Refusal> {
    let mut lengths = head.fields.values(Name::ContentLength);
    let said = lengths.next();
    if lengths.next().is_some() {
        return Err(Refusal::BadRequest("Content-Length may be said once"));
    }
    head.body = match said {
        Some(value) => {
            Framing::Length(length(value).ok_or(Refusal::BadRequest("the Content-Length is no number"))?)
        }
        None if ended => Framing::Length(0),
        None => Framing::Chunked(Chunks::default()),
    };
    Ok(())
}

/// `:authority` and `Host` must agree where both are there (RFC 9113 §8.3.1).
fn address(head: &mut Head, uri: &http::Uri) -> Result<(), Refusal> {
    let mut hosts = head.fields.values(Name::Host);
    let host = hosts.next().map(<[u8]>::to_vec);
    if hosts.next().is_some() {
        return Err(Refusal::BadRequest("Host may be said once"));
    }
    match uri.scheme_str() {
        None | Some("http") => {}
        Some("https") if head.https => {}
        Some("https") => return Err(Refusal::Misdirected),
        Some(_) => return Err(Refusal::BadRequest("the :scheme is neither http nor https")),
    }
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes().to_vec());
    head.host = match (authority, host) {
        (Some(authority), Some(host))
            if !authority.eq_ignore_ascii_case(&host) && !is_off(Rule::Downgrade) =>
        {
            return Err(Refusal::BadRequest("the :authority and the Host differ"));
        }
        (Some(authority), _) => authority,
        (None, Some(host)) if !host.is_empty() => host,
        (None, _) => return Err(Refusal::BadRequest("the :authority is missing")),
    };
    head.target =
        uri.path_and_query().map_or_else(|| b"/".to_vec(), |target| target.as_str().as_bytes().to_vec());
    Ok(())
}
