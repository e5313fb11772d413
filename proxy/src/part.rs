//! A body in pieces, as HTTP/2 knows it: content, and trailers behind it.

use bytes::Bytes;

use crate::pump::may_trail;

/// Fields behind the content: names and values.
pub(crate) type Trailers = Vec<(Vec<u8>, Vec<u8>)>;

/// The next piece of a body.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Content.
    Data(Bytes),
    /// The fields behind the content: the body has ended.
    Trailers(Trailers),
    /// The body has ended.
    End,
}

impl Part {
    /// The end of a body, with those of `trailers` that may stand there.
    pub(crate) fn end(mut trailers: Trailers) -> Part {
        trailers.retain(|(name, _)| may_trail(name));
        if trailers.is_empty() { Part::End } else { Part::Trailers(trailers) }
    }
}
