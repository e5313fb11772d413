//! The body of an HTTP/2 request on its way to a replica.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::forward::feed::{Replay, Replayed, Upload};
use crate::head::Head;
use crate::http1::framing::Framing;
use crate::mux::Receiver;
use crate::part::Part;
use crate::pour::Pour;
use crate::pump::{Broken, Encoding};
use crate::socket::Socket;

/// A body that comes in frames.
#[derive(Debug)]
pub(crate) struct FromStream {
    body: Receiver,
    empty: bool,
    encoding: Encoding,
    /// Its way by HTTP/1.
    pour: Option<Pour>,
    /// Counts the content that comes, for whoever wants to know.
    meter: Option<Rc<Cell<u64>>>,
    /// Bytes of content that may still come.
    room: u64,
}

impl FromStream {
    pub(crate) fn new(head: &Head, body: Receiver, meter: Option<Rc<Cell<u64>>>) -> Self {
        let encoding = match head.body {
            Framing::Chunked(_) => Encoding::Chunked { trailers: true },
            _ => Encoding::Identity,
        };
        FromStream { body, empty: head.body.has_ended(), encoding, pour: None, meter, room: u64::MAX }
    }
}

impl Upload for FromStream {
    fn begin(&mut self, head: Vec<u8>, _: bool) {
        self.pour = Some(Pour::new(head, self.encoding, self.empty));
    }

    fn poll(&mut self, cx: &mut Context<'_>, to: &Socket, replay: &mut Replay) -> Poll<Result<(), Broken>> {
        let Some(mut pour) = self.pour.take() else { return Poll::Ready(Ok(())) };
        let polled = pour.poll(cx, &mut Replayed { upload: self, replay }, to);
        self.pour = Some(pour);
        polled
    }

    /// Takes the next piece. The client may send more for what was taken.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Part, bool), Broken>> {
        let piece = ready!(self.body.poll_part(cx)).map_err(|_| Broken::SourceEnded)?;
        if let Part::Data(content) = &piece.0 {
            let length = content.len() as u64;
            if let Some(meter) = &self.meter {
                meter.set(meter.get() + length);
            }
            self.room = self.room.checked_sub(length).ok_or(Broken::TooLarge)?;
            self.body.release(content.len());
        }
        Poll::Ready(Ok(piece))
    }

    async fn invite(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.empty
    }

    fn moved(&self) -> u64 {
        self.pour.as_ref().map_or(0, Pour::moved)
    }

    fn waits_for_client(&self) -> bool {
        self.pour.as_ref().is_some_and(Pour::waits_for_source)
    }

    fn bound(&mut self, most: u64) {
        self.room = most;
    }

    fn hold(&mut self) -> usize {
        // What a stream holds while it waits is bounded by its window.
        1024
    }
}
