//! What is sent on streams, and how they end.

use std::rc::Rc;

use crate::hpack::encode;
use crate::mux::frame::{self, Reason};
use crate::mux::state::{Leaving, State};
use crate::mux::stream::{Cut, Stream};
use crate::mux::{REMEMBERED, Role};
use crate::part::Trailers;

impl State {
    /// Begins a stream, see [`crate::mux::Mux::open`].
    pub(super) fn open(
        &mut self,
        ended: bool,
        bodiless: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Rc<Stream>> {
        if !self.is_open() {
            return None;
        }
        let mut stream = Stream::new(self.next, self.first_room, self.limits.stream_window);
        stream.bodiless = bodiless;
        let stream = Rc::new(stream);
        self.next += 2;
        self.streams.insert(stream.id, stream.clone());
        self.send_head(&stream, ended, write);
        Some(stream)
    }

    pub(super) fn send_head(&mut self, stream: &Stream, ended: bool, write: impl FnOnce(&mut Vec<u8>)) {
        if stream.cut.get().is_some() {
            return;
        }
        let mut block = std::mem::take(&mut self.block);
        write(&mut block);
        frame::block(self.out(), &block, stream.id, ended);
        block.clear();
        self.block = block;
        if ended {
            self.sent_all(stream);
        }
    }

    pub(super) fn send_content(&mut self, stream: &Stream, content: &[u8], ended: bool) {
        if stream.cut.get().is_some() {
            return;
        }
        let length = content.len() as i64;
        self.room -= length;
        stream.room.set(stream.room.get() - length);
        let out = self.out();
        let flags = if ended { frame::END_STREAM } else { 0 };
        frame::head(out, content.len(), frame::DATA, flags, stream.id);
        out.extend_from_slice(content);
        if ended {
            self.sent_all(stream);
        }
    }

    pub(super) fn send_trailers(&mut self, stream: &Stream, trailers: &Trailers) {
        self.send_head(stream, true, |out| {
            trailers.iter().for_each(|(name, value)| encode::field(out, name, value));
        });
    }

    fn sent_all(&mut self, stream: &Stream) {
        stream.sent_all.set(true);
        if stream.received_all.get() {
            self.close(stream, false);
        } else if stream.unheard.get() {
            self.reset(stream, Reason::NO_ERROR);
        }
    }

    /// The stream has ended in both directions.
    pub(super) fn close(&mut self, stream: &Stream, by_us: bool) {
        if self.streams.remove(&stream.id).is_none() {
            return;
        }
        if self.closed.len() == REMEMBERED {
            self.closed.pop_front();
        }
        self.closed.push_back((stream.id, by_us));
        if self.streams.is_empty() && (self.leaving != Leaving::No || self.left.is_some()) {
            // The driver sees that it was the last.
            self.out();
        }
    }

    /// Ends a stream by our hand, as far as it hasn't ended.
    pub(super) fn reset(&mut self, stream: &Stream, reason: Reason) {
        self.cut(stream, reason, Cut::Dropped);
    }

    /// Ends a stream, which the other end is told.
    pub(super) fn cut(&mut self, stream: &Stream, reason: Reason, cut: Cut) {
        if stream.cut.get().is_some() || !self.streams.contains_key(&stream.id) {
            return;
        }
        self.say_reset(stream.id, reason);
        self.close(stream, true);
        let left = stream.end(cut);
        self.give(left);
    }

    /// Tells the other end that a stream has ended.
    pub(super) fn say_reset(&mut self, id: u32, reason: Reason) {
        frame::numbers(self.out(), frame::RST_STREAM, id, &[reason.0]);
    }

    /// Ends a stream that the other end has ended.
    pub(super) fn lose(&mut self, stream: &Stream, cut: Cut) {
        self.close(stream, false);
        let left = stream.end(cut);
        self.give(left);
    }

    /// Nobody takes what comes on a stream.
    pub(super) fn leave_unheard(&mut self, stream: &Stream) {
        stream.unheard.set(true);
        let left = stream.forget();
        self.give(left);
        if stream.received_all.get() {
            return;
        }
        match self.role {
            // The answer goes on.
            Role::Server if !stream.sent_all.get() => {}
            Role::Server => self.reset(stream, Reason::NO_ERROR),
            Role::Client => self.reset(stream, Reason::CANCEL),
        }
    }

    /// So many bytes of a stream have gone on.
    pub(super) fn release(&mut self, stream: &Stream, count: usize) {
        self.give(count);
        if stream.received_all.get() || stream.cut.get().is_some() {
            return;
        }
        let taken = stream.taken.get() + count;
        stream.taken.set(taken);
        if taken * 2 >= self.limits.stream_window as usize {
            stream.taken.set(0);
            stream.window.set(stream.window.get() + taken as i64);
            frame::numbers(self.out(), frame::WINDOW_UPDATE, stream.id, &[taken as u32]);
        }
    }

    /// So many bytes of content may come anew.
    pub(super) fn give(&mut self, count: usize) {
        self.taken += count;
        if self.taken * 2 >= self.limits.window as usize {
            let taken = std::mem::take(&mut self.taken);
            self.window += taken as i64;
            frame::numbers(self.out(), frame::WINDOW_UPDATE, 0, &[taken as u32]);
        }
    }
}
