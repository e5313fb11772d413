//! The body of a replica's answer over HTTP/2. The replica is told that it may send more only when what came has gone on to
//! the client.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::RecvStream;

use crate::part::{Part, allowed};
use crate::upstream::http2::session::Place;

/// The receiving side of a stream. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub(crate) struct Inflow {
    body: RecvStream,
    content_ended: bool,
    ended: bool,
    place: Rc<Place>,
}

impl Inflow {
    pub(crate) fn new(body: RecvStream, place: Rc<Place>) -> Self {
        let mut inflow = Inflow { content_ended: false, ended: false, body, place };
        if inflow.body.is_end_stream() {
            inflow.end();
        }
        inflow
    }

    fn end(&mut self) {
        self.ended = true;
        self.place.received.set(true);
    }

    /// Whether everything was taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes what comes next. Content has to be [`Inflow::release`]d once it has gone on. `Err`: the answer isn't whole.
    pub(crate) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, h2::Error>> {
        while !self.ended && !self.content_ended {
            match ready!(self.body.poll_data(cx)).transpose()? {
                Some(content) => {
                    if self.body.is_end_stream() {
                        self.end();
                    }
                    if !content.is_empty() || self.ended {
                        return Poll::Ready(Ok(Part::Data(content)));
                    }
                }
                None => self.content_ended = true,
            }
        }
        if self.ended {
            return Poll::Ready(Ok(Part::End));
        }
        let trailers = ready!(self.body.poll_trailers(cx))?;
        self.end();
        Poll::Ready(Ok(trailers.map_or(Part::End, |trailers| Part::end(allowed(trailers)))))
    }

    /// So many bytes of content have gone on.
    pub(crate) fn release(&mut self, count: usize) {
        // It fails only for more than was taken.
        let _ = self.body.flow_control().release_capacity(count);
    }
}
