//! The body of a replica's answer over HTTP/2. The replica is told that it may send more only when what came has gone on to
//! the client.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::mux::{Cut, Receiver};
use crate::part::Part;
use crate::pour::Parts;
use crate::pump::Broken;
use crate::upstream::http2::session::Place;

/// The receiving side of a stream. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub(crate) struct Inflow {
    body: Receiver,
    place: Rc<Place>,
}

impl Inflow {
    pub(crate) fn new(body: Receiver, place: Rc<Place>) -> Self {
        place.received.set(body.has_ended());
        Inflow { body, place }
    }

    /// Whether everything was taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.place.received.get()
    }

    /// Takes what comes next. Content has to be released once it has gone on. `Err`: the answer isn't whole.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Result<Part, Cut>> {
        let (part, last) = ready!(self.body.poll_part(cx))?;
        self.place.received.set(last);
        Poll::Ready(Ok(part))
    }
}

impl Parts for Inflow {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Broken>> {
        self.poll_next(cx).map_err(|_| Broken::SourceEnded)
    }

    fn release(&mut self, length: usize) {
        self.body.release(length);
    }
}
