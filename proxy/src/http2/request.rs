//! The head of an HTTP/2 request, as the common form that routes and replicas know.

use std::mem;

use http::Method;
use http::uri::{Authority, PathAndQuery};

use crate::field::{Fields, Name, length};
use crate::head::{Head, Version};
use crate::http1::framing::{Chunks, Framing};
use crate::mux::block::{Block, Pseudo};
use crate::refuse::Refusal;
use crate::sabotage::{Rule, is_off};

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// What came isn't one: its stream is reset (RFC 9113 §8.1.1).
    Malformed,
    Refused(Refusal),
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Wrong::Refused(refusal)
    }
}

/// Takes the head from `block`. `ended`: no content follows. `https`: the client may ask for such a URI here.
pub(crate) fn head(block: &mut Block, ended: bool, https: bool) -> Result<Head, Wrong> {
    if block.is_oversized() {
        return Err(Refusal::HeaderTooLarge.into());
    }
    let method = block.pseudo(Pseudo::Method).and_then(|method| Method::from_bytes(method).ok());
    let mut head = Head {
        https,
        version: Version::Http2,
        method: method.ok_or(Wrong::Malformed)?,
        target: target(block)?,
        keep_alive: true,
        ..Head::default()
    };
    let authority = authority(block)?;
    let scheme = block.pseudo(Pseudo::Scheme).map(<[u8]>::to_vec);
    head.fields = with_one_cookie(mem::take(&mut block.fields));
    let checked = finish(&mut head, ended, scheme.as_deref(), authority);
    if checked.is_err() {
        block.fields = mem::take(&mut head.fields);
    }
    checked?;
    Ok(head)
}

fn finish(
    head: &mut Head,
    ended: bool,
    scheme: Option<&[u8]>,
    authority: Option<Vec<u8>>,
) -> Result<(), Refusal> {
    frame(head, ended)?;
    address(head, scheme, authority)?;
    head.check()
}

/// What is asked for, of which CONNECT has none (RFC 9113 §8.3.1, §8.5).
fn target(block: &Block) -> Result<Vec<u8>, Wrong> {
    let (scheme, path) = (block.pseudo(Pseudo::Scheme), block.pseudo(Pseudo::Path));
    if block.pseudo(Pseudo::Status).is_some() {
        return Err(Wrong::Malformed);
    }
    if block.pseudo(Pseudo::Method) == Some(b"CONNECT") {
        return if scheme.is_none() && path.is_none() { Ok(Vec::new()) } else { Err(Wrong::Malformed) };
    }
    let (Some(1..), Some(path)) = (scheme.map(<[u8]>::len), path.filter(|path| !path.is_empty())) else {
        return Err(Wrong::Malformed);
    };
    let path = PathAndQuery::try_from(path).map_err(|_| Wrong::Malformed)?;
    Ok(path.as_str().as_bytes().to_vec())
}

fn authority(block: &Block) -> Result<Option<Vec<u8>>, Wrong> {
    let authority = block.pseudo(Pseudo::Authority);
    let read = authority.map(Authority::try_from).transpose().map_err(|_| Wrong::Malformed)?;
    Ok(read.and(authority).map(<[u8]>::to_vec))
}

/// Crumbs are one field again for HTTP/1 (RFC 9113 §8.2.3).
fn with_one_cookie(fields: Fields) -> Fields {
    if fields.values(Name::Cookie).nth(1).is_none() {
        return fields;
    }
    let mut joined = Fields::with_room();
    fields
        .iter()
        .filter(|field| field.kind != Name::Cookie)
        .for_each(|field| joined.push(field.name, field.value));
    let crumbs: Vec<_> = fields.values(Name::Cookie).collect();
    joined.push(b"cookie", &crumbs.join(&b"; "[..]));
    joined
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
fn address(head: &mut Head, scheme: Option<&[u8]>, authority: Option<Vec<u8>>) -> Result<(), Refusal> {
    let mut hosts = head.fields.values(Name::Host);
    let host = hosts.next().map(<[u8]>::to_vec);
    if hosts.next().is_some() {
        return Err(Refusal::BadRequest("Host may be said once"));
    }
    let is = |known: &str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known.as_bytes()));
    if is("https") && !head.https {
        return Err(Refusal::Misdirected);
    }
    if !(scheme.is_none() || is("http") || is("https")) {
        return Err(Refusal::BadRequest("the :scheme is neither http nor https"));
    }
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
    Ok(())
}
