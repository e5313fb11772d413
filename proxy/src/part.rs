//! A body in pieces, as HTTP/2 knows it: content, and trailers behind it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::pump::may_trail;

/// The next piece of a body.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Content.
    Data(Bytes),
    /// The fields behind the content: the body has ended.
    Trailers(HeaderMap),
    /// The body has ended.
    End,
}

impl Part {
    /// The end of a body with these `trailers`.
    pub(crate) fn end(trailers: HeaderMap) -> Part {
        if trailers.is_empty() { Part::End } else { Part::Trailers(trailers) }
    }
}

/// The trailers of HTTP/1 that may stand behind content.
pub(crate) fn read(trailers: &[(Vec<u8>, Vec<u8>)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// The trailers of HTTP/2 that may stand behind content.
pub(crate) fn allowed(trailers: HeaderMap) -> HeaderMap {
    if trailers.keys().all(|name| may_trail(name.as_str().as_bytes())) {
        return trailers;
    }
    let mut kept = HeaderMap::new();
    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name.as_str().as_bytes())) {
        kept.append(name.clone(), value.clone());
    }
    kept
}
