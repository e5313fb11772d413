//! A request's body on its way to a replica that speaks HTTP/2. At most one piece of it is held beyond what the replica's
//! window takes.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::forward::feed::{Replay, Sink, Upload};
use crate::mux::Sender;
use crate::mux::frame::Reason;
use crate::part::Part;
use crate::pump::Broken;
use crate::upstream::http2::session::Place;

/// The sending side of a stream. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub(crate) struct Outflow {
    send: Sender,
    /// What couldn't be sent yet, and whether it is the last.
    pending: Option<(Bytes, bool)>,
    ended: bool,
    moved: u64,
    place: Rc<Place>,
}

impl Outflow {
    pub(crate) fn new(send: Sender, ended: bool, place: Rc<Place>) -> Self {
        Outflow { send, pending: None, ended, moved: 0, place }
    }

    fn end(&mut self) {
        self.ended = true;
        self.place.sent.set(true);
    }

    /// Sends content as far as the window goes.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while let Some((content, last)) = &mut self.pending {
            let room = ready!(self.send.poll_room(cx)).map_err(|_| Broken::SinkEnded)?.min(content.len());
            let last = *last && room == content.len();
            self.send.content(content.get(..room).unwrap_or_default(), last);
            content.advance(room);
            if content.is_empty() {
                self.pending = None;
            }
            self.moved += room as u64;
            if last {
                self.end();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<U: Upload> Sink<U> for Outflow {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut U,
        replay: &mut Replay,
    ) -> Poll<Result<(), Broken>> {
        loop {
            ready!(self.poll_content(cx))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(part) = replay.poll_next(cx, upload) else {
                // A replica may say that it wants no more while the client says nothing.
                return match self.send.poll_cut(cx) {
                    Poll::Ready(_) => Poll::Ready(Err(Broken::SinkEnded)),
                    Poll::Pending => Poll::Pending,
                };
            };
            let part = part.inspect_err(|_| {
                // What is cut must not wait for the answer to be let go of, too.
                self.send.reset(Reason::CANCEL);
            })?;
            match part {
                (Part::Data(content), last) if !content.is_empty() => self.pending = Some((content, last)),
                (Part::Data(_), false) => {}
                (end, _) => {
                    self.send.end(&end);
                    self.end();
                }
            }
        }
    }

    fn moved(&self, _: &U) -> u64 {
        self.moved
    }

    fn waits_for_client(&self, _: &U) -> bool {
        self.pending.is_none() && !self.ended
    }
}
