//! Sections of fields that come: a request's head, an answer's, trailers.

use std::rc::Rc;

use crate::field::{Name, length};
use crate::mux::block::{Block, Pseudo};
use crate::mux::frame::{self, Head, Reason};
use crate::mux::receive::{Taken, fatal};
use crate::mux::state::{Leaving, Partial, State};
use crate::mux::stream::Stream;
use crate::mux::{Role, wake};
use crate::sabotage::{Rule, is_off};

/// Frames that one section of fields may come in, beside those that its size needs.
const CONTINUATIONS: usize = 16;

impl State {
    pub(super) fn headers(&mut self, head: Head, payload: &[u8]) -> Taken {
        let block = head.unpadded(payload).and_then(|block| head.unprioritised(block));
        let Some((block, depends_on)) = block else { return fatal(Reason::PROTOCOL_ERROR) };
        let ended = head.has(frame::END_STREAM);
        if head.has(frame::END_HEADERS) {
            return self.section(head.stream, ended, depends_on, block);
        }
        let (stream, bytes) = (head.stream, block.to_vec());
        self.partial = Some(Partial { stream, ended, depends_on, bytes, frames: 0 });
        Ok(())
    }

    pub(super) fn continued(&mut self, head: Head, payload: &[u8]) -> Taken {
        let Some(mut partial) = self.partial.take() else { return fatal(Reason::PROTOCOL_ERROR) };
        partial.bytes.extend_from_slice(payload);
        partial.frames += 1;
        // Written, a section is no larger than read: what counts for each field is more than writing it takes.
        let most = self.limits.fields + frame::LARGEST;
        let many = partial.bytes.len() > most || partial.frames > CONTINUATIONS + most / 1024;
        if many && !is_off(Rule::Sections) {
            return fatal(Reason::ENHANCE_YOUR_CALM);
        }
        if head.has(frame::END_HEADERS) {
            let Partial { stream, ended, depends_on, bytes, .. } = partial;
            return self.section(stream, ended, depends_on, &bytes);
        }
        self.partial = Some(partial);
        Ok(())
    }

    /// A whole section of fields. It is read whatever becomes of it: those that come after refer to it.
    fn section(&mut self, id: u32, ended: bool, depends_on: u32, bytes: &[u8]) -> Taken {
        let mut block = Block::new(self.limits.fields);
        let read = self.decoder.decode(bytes, |name, value| {
            block.push(name, value);
            !block.is_excessive()
        });
        if read.is_err() {
            return fatal(Reason::COMPRESSION_ERROR);
        }
        if block.is_excessive() {
            return fatal(Reason::ENHANCE_YOUR_CALM);
        }
        let known = self.streams.get(&id).cloned();
        let Some(stream) = known else {
            return match self.role {
                Role::Server => self.begun(id, ended, depends_on, block),
                Role::Client if self.is_idle(id) => fatal(Reason::PROTOCOL_ERROR),
                Role::Client => Ok(()),
            };
        };
        if stream.received_all.get() {
            return self.fail(&stream, Reason::STREAM_CLOSED);
        }
        if depends_on == id {
            return self.fail(&stream, Reason::PROTOCOL_ERROR);
        }
        if self.role == Role::Client && !stream.answered.get() {
            return self.answered(&stream, ended, block);
        }
        let whole = ended && stream.length.get().is_none_or(|left| left == 0);
        if !whole || !block.may_trail() {
            return self.fail(&stream, Reason::PROTOCOL_ERROR);
        }
        let fields = block.fields.iter();
        let trailers = fields.map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        stream.trailers.replace(Some(trailers));
        self.received_all(&stream);
        Ok(())
    }

    /// The other end begins a stream.
    fn begun(&mut self, id: u32, ended: bool, depends_on: u32, block: Block) -> Taken {
        if id.is_multiple_of(2) {
            return fatal(Reason::PROTOCOL_ERROR);
        }
        if id <= self.last {
            return match self.ended_by_us(id) {
                Some(true) => Ok(()),
                Some(false) => fatal(Reason::STREAM_CLOSED),
                None => fatal(Reason::PROTOCOL_ERROR),
            };
        }
        if self.leaving == Leaving::Heard {
            return Ok(());
        }
        self.last = id;
        if self.streams.len() >= self.limits.streams as usize && !is_off(Rule::Streams) {
            return self.refuse(id, Reason::REFUSED_STREAM);
        }
        let stream = Rc::new(Stream::new(id, self.first_room, self.limits.stream_window));
        self.streams.insert(id, stream.clone());
        let Some(length) = content_length(&block) else {
            return self.fail(&stream, Reason::PROTOCOL_ERROR);
        };
        let lacks = ended && length.is_some_and(|length| length > 0);
        if block.is_malformed() || depends_on == id || lacks {
            return self.fail(&stream, Reason::PROTOCOL_ERROR);
        }
        stream.length.set(length);
        stream.received_all.set(ended);
        self.opened.push_back((stream, block));
        Ok(())
    }

    /// An answer's head has come, or one before it.
    fn answered(&mut self, stream: &Stream, ended: bool, block: Block) -> Taken {
        let status =
            block.pseudo(Pseudo::Status).and_then(length).filter(|status| (100..=999).contains(status));
        let wrong = block.is_malformed() || block.is_oversized();
        let Some(status) = status.filter(|status| !wrong && *status != 101) else {
            return self.fail(stream, Reason::PROTOCOL_ERROR);
        };
        if status < 200 {
            if ended {
                return self.fail(stream, Reason::PROTOCOL_ERROR);
            }
            stream.interim.set(stream.interim.get() + 1);
            wake(&stream.reader);
            return Ok(());
        }
        let length = content_length(&block).flatten().filter(|_| !stream.bodiless && status != 304);
        if ended && length.is_some_and(|length| length > 0) {
            return self.fail(stream, Reason::PROTOCOL_ERROR);
        }
        stream.length.set(length);
        stream.answered.set(true);
        stream.head.replace(Some(block));
        if ended {
            self.received_all(stream);
        }
        wake(&stream.reader);
        Ok(())
    }
}

/// The length that a head names; `None`: it names two, or one that is no number.
fn content_length(block: &Block) -> Option<Option<u64>> {
    let mut said = None;
    for value in block.fields.values(Name::ContentLength) {
        let value = length(value)?;
        if said.replace(value).is_some_and(|before| before != value) {
            return None;
        }
    }
    Some(said)
}
