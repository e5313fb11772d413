//! The way of a request's body to a replica, whatever either end speaks.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::head::Head;
use crate::part::Part;
use crate::pour::Parts;
use crate::pump::Broken;
use crate::refuse::{Ended, Refusal};
use crate::rounds::Alarm;
use crate::sabotage::{Rule, is_off};
use crate::socket::Socket;

/// The way of a request's head and body to a replica.
pub(crate) trait Upload {
    /// Begins anew with the head as a replica gets it by HTTP/1. `keep`: so that it can be begun anew once more.
    fn begin(&mut self, head: Vec<u8>, keep: bool);
    /// Moves what can be moved by HTTP/1, to the end of the body.
    fn poll(&mut self, cx: &mut Context<'_>, to: &Socket, replay: &mut Replay) -> Poll<Result<(), Broken>>;
    /// Takes the next piece of the body, and whether nothing comes after it.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Part, bool), Broken>>;
    /// Lets the client send its body, if it waits to be told.
    fn invite(&mut self) -> impl Future<Output = std::io::Result<()>>;
    /// Whether there is no body: the request can be begun anew.
    fn is_empty(&self) -> bool;
    /// Bytes that have left by HTTP/1.
    fn moved(&self) -> u64;
    /// Whether nothing has left for any replica since [`Upload::begin`].
    fn is_untouched(&self) -> bool {
        self.moved() == 0
    }
    /// Whether, by HTTP/1, the client is waited for: all that came has left, and more is to come.
    fn waits_for_client(&self) -> bool;
    /// Takes no more than `most` bytes of content.
    fn bound(&mut self, most: u64);
    /// Bytes that are held while the request waits, in as little room as they need.
    fn hold(&mut self) -> usize;
}

/// What an upload goes to.
pub(crate) trait Sink<U> {
    /// Moves what can be moved, to the end of the request.
    fn poll(&mut self, cx: &mut Context<'_>, upload: &mut U, replay: &mut Replay)
    -> Poll<Result<(), Broken>>;
    /// Bytes that have left.
    fn moved(&self, upload: &U) -> u64;
    /// Whether the client is waited for: all that came has left, and more is to come.
    fn waits_for_client(&self, upload: &U) -> bool;
}

impl<U: Upload> Sink<U> for Rc<Socket> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut U,
        replay: &mut Replay,
    ) -> Poll<Result<(), Broken>> {
        upload.poll(cx, self, replay)
    }

    fn moved(&self, upload: &U) -> u64 {
        upload.moved()
    }

    fn waits_for_client(&self, upload: &U) -> bool {
        upload.waits_for_client()
    }
}

/// A body in pieces, as a source: first what was kept of it.
pub(crate) struct Replayed<'a, U> {
    pub(crate) upload: &'a mut U,
    pub(crate) replay: &'a mut Replay,
}

impl<U: Upload> Parts for Replayed<'_, U> {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Broken>> {
        self.replay.poll_next(cx, self.upload).map_ok(|(part, _)| part)
    }

    /// Whoever sends it was told so when it was taken.
    fn release(&mut self, _: usize) {}
}

/// Most bytes of a body that are kept to be sent again: a window of HTTP/2.
const KEPT: usize = 64 * 1024;

/// What was taken of a body for a replica that may not have looked at it, or that may be asked twice. gRPC's requests all have a body, so
/// that without this none could be sent again when a replica ends its connection.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    kept: Vec<(Part, bool)>,
    /// The first of `kept` that wasn't given to this replica.
    next: usize,
    bytes: usize,
    /// Something was taken that isn't kept.
    lost: bool,
    /// Nothing more is to be kept.
    over: bool,
}

impl Replay {
    /// Takes the next piece, from what is kept if it begins anew.
    pub(crate) fn poll_next<U: Upload>(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut U,
    ) -> Poll<Result<(Part, bool), Broken>> {
        if let Some(part) = self.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Ok(part.clone()));
        }
        let part = ready!(upload.poll_part(cx))?;
        if let Part::Data(content) = &part.0 {
            self.bytes += content.len();
        }
        if self.bytes > KEPT {
            self.stop();
        }
        if self.over {
            self.lost = true;
        } else {
            self.kept.push(part.clone());
            self.next = self.kept.len();
        }
        Poll::Ready(Ok(part))
    }

    /// Begins anew. Returns whether it can.
    pub(crate) fn rewind(&mut self) -> bool {
        self.next = 0;
        !self.lost
    }

    /// The replica has looked at the request: it is sent to no other.
    pub(crate) fn stop(&mut self) {
        self.lost |= !self.kept.is_empty();
        self.over = true;
        self.kept.drain(..self.next);
        self.next = 0;
        if self.kept.is_empty() {
            self.kept = Vec::new();
        }
    }

    /// Whether nothing was taken.
    pub(crate) fn is_untouched(&self) -> bool {
        self.kept.is_empty() && !self.lost
    }
}

/// An upload and whether it is still worth feeding.
#[derive(Debug)]
pub(crate) struct Feed<U> {
    pub(crate) upload: U,
    pub(crate) replay: Replay,
    /// The whole request has left.
    pub(crate) finished: bool,
    /// It may be begun anew after a replica may have looked at it.
    keep: bool,
    /// The replica takes no more.
    stopped: bool,
}

impl<U: Upload> Feed<U> {
    /// The body of a request with this `head`.
    pub(crate) fn new(upload: U, head: &Head) -> Self {
        let keep = head.is_idempotent() && !head.body.is_longer_than(KEPT as u64);
        Feed { upload, replay: Replay::default(), finished: false, keep, stopped: false }
    }

    /// Whether the request may be sent once more even if a replica may have looked at it: that harms nobody, and all of it is
    /// still there.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.keep && !self.replay.lost
    }

    /// Whether all of it, from its beginning, is there for another replica.
    pub(crate) fn is_whole(&self) -> bool {
        self.upload.is_empty() || self.is_repeatable()
    }

    /// Whose fault it is that an exchange with `to` was ended before its answer had begun.
    pub(crate) fn ended_by(&self, alarm: Alarm, to: &impl Sink<U>) -> Ended {
        match alarm {
            Alarm::ClientGone => Ended::ClientGone,
            Alarm::Deadline if !self.finished && to.waits_for_client(&self.upload) => {
                Refusal::RequestTimeout.into()
            }
            Alarm::Deadline => Refusal::ResponseTimeout.into(),
        }
    }

    /// Begins anew, by HTTP/1.
    pub(crate) fn begin(&mut self, head: Vec<u8>) {
        if !self.keep {
            self.replay.stop();
        }
        self.replay.rewind();
        self.upload.begin(head, self.keep);
        self.finished = false;
        self.stopped = false;
    }

    /// Begins anew, by HTTP/2. Returns whether it can.
    pub(crate) fn begin_stream(&mut self) -> bool {
        self.finished = false;
        self.stopped = false;
        self.replay.rewind()
    }

    /// Sends the rest of the request.
    pub(crate) async fn finish(&mut self, to: &mut impl Sink<U>) -> Result<(), Broken> {
        poll_fn(|cx| to.poll(cx, &mut self.upload, &mut self.replay)).await?;
        self.finished = true;
        Ok(())
    }

    /// Does `work` while the upload goes on beside it. Ends early if the client breaks its side. `progress` hears how many
    /// bytes have left, and whether the client is waited for, when that changes.
    ///
    /// They take turns in going first: one that always has something to move may use up all that the runtime lets a task do
    /// before it must yield, and the other would never come to its turn.
    pub(crate) async fn beside<T>(
        &mut self,
        to: &mut impl Sink<U>,
        mut progress: impl FnMut(u64, bool),
        work: impl Future<Output = T>,
    ) -> Result<T, Broken> {
        let mut work = std::pin::pin!(work);
        let mut before = (to.moved(&self.upload), false);
        let mut work_first = true;
        poll_fn(|cx| {
            work_first = !work_first;
            if work_first && let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if !self.finished && !self.stopped {
                match to.poll(cx, &mut self.upload, &mut self.replay) {
                    Poll::Ready(Ok(())) => self.finished = true,
                    Poll::Ready(Err(Broken::SinkEnded)) => self.stopped = true,
                    Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                    Poll::Pending => {}
                }
                let waits = !self.finished && to.waits_for_client(&self.upload);
                let now = (to.moved(&self.upload), waits);
                if now != before {
                    before = now;
                    progress(now.0, now.1);
                }
            }
            if work_first || (!self.finished && is_off(Rule::EarlyAnswer)) {
                return Poll::Pending;
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    /// A body of `left` pieces of 30,000 bytes.
    struct Pieces {
        left: usize,
    }

    impl Upload for Pieces {
        fn begin(&mut self, _: Vec<u8>, _: bool) {}

        fn poll(&mut self, _: &mut Context<'_>, _: &Socket, _: &mut Replay) -> Poll<Result<(), Broken>> {
            Poll::Pending
        }

        fn poll_part(&mut self, _: &mut Context<'_>) -> Poll<Result<(Part, bool), Broken>> {
            if self.left == 0 {
                return Poll::Ready(Ok((Part::End, true)));
            }
            self.left -= 1;
            Poll::Ready(Ok((Part::Data(Bytes::from(vec![self.left as u8; 30_000])), false)))
        }

        async fn invite(&mut self) -> std::io::Result<()> {
            Ok(())
        }

        fn is_empty(&self) -> bool {
            false
        }

        fn moved(&self) -> u64 {
            0
        }

        fn waits_for_client(&self) -> bool {
            true
        }

        fn bound(&mut self, _: u64) {}

        fn hold(&mut self) -> usize {
            0
        }
    }

    /// The first byte of the next piece, `None` at the end.
    fn next(replay: &mut Replay, from: &mut Pieces) -> Option<u8> {
        match replay.poll_next(&mut Context::from_waker(Waker::noop()), from) {
            Poll::Ready(Ok((Part::Data(content), _))) => Some(content[0]),
            Poll::Ready(Ok((Part::End, true))) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_fits_is_given_again_from_its_beginning() {
        let (mut replay, mut from) = (Replay::default(), Pieces { left: 2 });
        assert!(replay.is_untouched());
        assert_eq!(next(&mut replay, &mut from), Some(1));
        assert!(replay.rewind() && !replay.is_untouched());
        let all = [0; 3].map(|_| next(&mut replay, &mut from));
        assert_eq!(all, [Some(1), Some(0), None]);
        assert!(replay.rewind());
        assert_eq!(next(&mut replay, &mut from), Some(1));
        // The replica looks at it now: the rest still comes, but no replica gets it anew.
        replay.stop();
        assert_eq!(next(&mut replay, &mut from), Some(0));
        assert!(!replay.rewind());
    }

    #[test]
    fn more_than_a_window_isnt_kept() {
        let (mut replay, mut from) = (Replay::default(), Pieces { left: 3 });
        for piece in [2, 1, 0] {
            assert_eq!(next(&mut replay, &mut from), Some(piece));
        }
        assert!(!replay.rewind());
        assert!(replay.kept.is_empty());
    }
}
