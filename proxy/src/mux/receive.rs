//! What comes, frame by frame. A stream's fault ends the stream; what leaves the connection in doubt ends the connection.

use crate::mux::frame::{self, Head, Reason};
use crate::mux::state::{HEARD, State};
use crate::mux::stream::{Cut, Stream};
use crate::mux::{Fatal, Role, wake};
use crate::sabotage::{Rule, is_off};

/// Largest window (RFC 9113 §6.9.1).
const LARGEST_WINDOW: i64 = 0x7fff_ffff;
/// Streams that may be reset before anybody has looked at them (CVE-2023-44487).
const STILLBORN: usize = 20;

pub(super) type Taken = Result<(), Fatal>;

pub(super) fn fatal<T>(reason: Reason) -> Result<T, Fatal> {
    Err(Fatal(reason))
}

impl State {
    /// Takes one frame.
    pub(super) fn take(&mut self, head: Head, payload: &[u8]) -> Taken {
        if self.most_streams.is_none() && (head.kind != frame::SETTINGS || head.has(frame::ACK)) {
            // The preface ends with them (§3.4).
            return fatal(Reason::PROTOCOL_ERROR);
        }
        let begun = self.partial.as_ref().map(|partial| partial.stream);
        if begun.is_some_and(|stream| (head.kind, head.stream) != (frame::CONTINUATION, stream)) {
            return fatal(Reason::PROTOCOL_ERROR);
        }
        // Some speak of a stream, some of the connection.
        let astray = match head.kind {
            frame::DATA | frame::HEADERS | frame::PRIORITY => head.stream == 0,
            frame::SETTINGS | frame::PING | frame::GOAWAY => head.stream != 0,
            _ => false,
        };
        if astray {
            return fatal(Reason::PROTOCOL_ERROR);
        }
        match head.kind {
            frame::DATA => self.content(head, payload),
            frame::HEADERS => self.headers(head, payload),
            frame::PRIORITY => self.priority(head, payload),
            frame::RST_STREAM => self.lost(head, payload),
            frame::SETTINGS => self.settings(head, payload),
            // Only servers push, and we allow none to.
            frame::PUSH_PROMISE => fatal(Reason::PROTOCOL_ERROR),
            frame::PING => self.pinged(head, payload),
            frame::GOAWAY => self.goes_away(payload),
            frame::WINDOW_UPDATE => self.widened(head, payload),
            frame::CONTINUATION => self.continued(head, payload),
            _ => Ok(()),
        }
    }

    /// Whether it is content of a stream that isn't open.
    pub(super) fn is_stray(&self, head: &Head) -> bool {
        head.kind == frame::DATA && !self.streams.contains_key(&head.stream)
    }

    /// Whether nobody has begun this stream.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        match self.role {
            Role::Server => id.is_multiple_of(2) || id > self.last,
            Role::Client => id.is_multiple_of(2) || id >= self.next,
        }
    }

    /// Whether a stream has ended not long ago, and if so whether we ended it.
    pub(super) fn ended_by_us(&self, id: u32) -> Option<bool> {
        self.closed.iter().rev().find(|(closed, _)| *closed == id).map(|(_, by_us)| *by_us)
    }

    /// A stream breaks the rules, by the other end's fault.
    pub(super) fn fail(&mut self, stream: &Stream, reason: Reason) -> Taken {
        self.cut(stream, reason, Cut::Fault(reason));
        self.blame()
    }

    /// As [`State::fail`], of one that isn't known.
    pub(super) fn refuse(&mut self, id: u32, reason: Reason) -> Taken {
        self.say_reset(id, reason);
        self.blame()
    }

    fn blame(&mut self) -> Taken {
        self.faults += 1;
        let many = self.faults > self.limits.faults && !is_off(Rule::Faults);
        if many { fatal(Reason::ENHANCE_YOUR_CALM) } else { Ok(()) }
    }

    fn content(&mut self, head: Head, payload: &[u8]) -> Taken {
        let Some(content) = head.unpadded(payload) else { return fatal(Reason::PROTOCOL_ERROR) };
        if payload.len() as i64 > self.window && !is_off(Rule::Windows) {
            return fatal(Reason::FLOW_CONTROL_ERROR);
        }
        self.window -= payload.len() as i64;
        let Some(stream) = self.streams.get(&head.stream).cloned() else {
            self.give(payload.len());
            if self.is_idle(head.stream) {
                return fatal(Reason::PROTOCOL_ERROR);
            }
            // It may have been on its way when we ended the stream.
            if self.ended_by_us(head.stream) != Some(true) {
                self.say_reset(head.stream, Reason::STREAM_CLOSED);
            }
            return Ok(());
        };
        let fault = if stream.received_all.get() {
            Some(Reason::STREAM_CLOSED)
        } else if payload.len() as i64 > stream.window.get() && !is_off(Rule::Windows) {
            Some(Reason::FLOW_CONTROL_ERROR)
        } else if self.role == Role::Client && !stream.answered.get() {
            Some(Reason::PROTOCOL_ERROR)
        } else {
            let left = stream.length.get().map(|left| left.checked_sub(content.len() as u64));
            stream.length.set(left.flatten());
            let ended = head.has(frame::END_STREAM);
            let fits = left.is_none_or(|left| left.is_some_and(|left| !ended || left == 0));
            (!fits).then_some(Reason::PROTOCOL_ERROR)
        };
        if let Some(reason) = fault {
            self.give(payload.len());
            return self.fail(&stream, reason);
        }
        stream.window.set(stream.window.get() - payload.len() as i64);
        self.release(&stream, payload.len() - content.len());
        if stream.unheard.get() {
            self.give(content.len());
        } else if !content.is_empty() {
            stream.keep(content);
        }
        if head.has(frame::END_STREAM) {
            self.received_all(&stream);
        }
        Ok(())
    }

    pub(super) fn received_all(&mut self, stream: &Stream) {
        stream.received_all.set(true);
        if stream.sent_all.get() {
            self.close(stream, false);
        }
        wake(&stream.reader);
    }

    fn priority(&mut self, head: Head, payload: &[u8]) -> Taken {
        let known = self.streams.get(&head.stream).cloned();
        let reason = match <&[u8; 5]>::try_from(payload) {
            Err(_) => Reason::FRAME_SIZE_ERROR,
            Ok(priority) if frame::depends_on(priority) == head.stream => Reason::PROTOCOL_ERROR,
            Ok(_) => return Ok(()),
        };
        match known {
            Some(stream) => self.fail(&stream, reason),
            None if self.is_idle(head.stream) => fatal(reason),
            None => self.refuse(head.stream, reason),
        }
    }

    fn lost(&mut self, head: Head, payload: &[u8]) -> Taken {
        let Ok(reason) = <[u8; 4]>::try_from(payload) else { return fatal(Reason::FRAME_SIZE_ERROR) };
        if self.is_idle(head.stream) {
            return fatal(Reason::PROTOCOL_ERROR);
        }
        let Some(stream) = self.streams.get(&head.stream).cloned() else {
            // Nothing that comes behind this was on its way when we ended the stream (RFC 7540 §5.1).
            let closed = self.closed.iter_mut().rev().find(|(closed, _)| *closed == head.stream);
            closed.into_iter().for_each(|(_, by_us)| *by_us = false);
            return Ok(());
        };
        let newest = self.opened.iter().rposition(|(opened, _)| opened.id == stream.id);
        self.lose(&stream, Cut::Reset(Reason(u32::from_be_bytes(reason))));
        if let Some(newest) = newest {
            self.opened.remove(newest);
            self.stillborn += 1;
            if self.stillborn > STILLBORN {
                return fatal(Reason::ENHANCE_YOUR_CALM);
            }
        }
        Ok(())
    }

    fn settings(&mut self, head: Head, payload: &[u8]) -> Taken {
        let acknowledged = head.has(frame::ACK);
        if !payload.len().is_multiple_of(6) || acknowledged && !payload.is_empty() {
            return fatal(Reason::FRAME_SIZE_ERROR);
        }
        if acknowledged {
            return Ok(());
        }
        for setting in payload.chunks_exact(6) {
            let [a, b, value @ ..] = setting else { continue };
            let value = u32::from_be_bytes(<[u8; 4]>::try_from(value).unwrap_or_default());
            self.set(u16::from_be_bytes([*a, *b]), value)?;
        }
        // Who says nothing allows any number.
        self.most_streams.get_or_insert(usize::MAX);
        frame::head(self.out(), 0, frame::SETTINGS, frame::ACK, 0);
        Ok(())
    }

    fn set(&mut self, name: u16, value: u32) -> Taken {
        match name {
            frame::ENABLE_PUSH if value > u32::from(self.role == Role::Server) => {
                fatal(Reason::PROTOCOL_ERROR)
            }
            frame::MAX_CONCURRENT_STREAMS => {
                self.most_streams = Some(value as usize);
                Ok(())
            }
            frame::INITIAL_WINDOW_SIZE if i64::from(value) > LARGEST_WINDOW => {
                fatal(Reason::FLOW_CONTROL_ERROR)
            }
            frame::INITIAL_WINDOW_SIZE => {
                let more = i64::from(value) - self.first_room;
                self.first_room = i64::from(value);
                for stream in self.streams.values() {
                    stream.room.set(stream.room.get() + more);
                    wake(&stream.writer);
                    if stream.room.get() > LARGEST_WINDOW {
                        return fatal(Reason::FLOW_CONTROL_ERROR);
                    }
                }
                Ok(())
            }
            // We send no larger frames than everybody takes.
            frame::MAX_FRAME_SIZE if !(frame::LARGEST as u32..1 << 24).contains(&value) => {
                fatal(Reason::PROTOCOL_ERROR)
            }
            _ => Ok(()),
        }
    }

    fn pinged(&mut self, head: Head, payload: &[u8]) -> Taken {
        if payload.len() != 8 {
            return fatal(Reason::FRAME_SIZE_ERROR);
        }
        if !head.has(frame::ACK) {
            let out = self.out();
            frame::head(out, 8, frame::PING, frame::ACK, 0);
            out.extend_from_slice(payload);
        } else if payload == HEARD {
            self.heard();
        }
        Ok(())
    }

    fn goes_away(&mut self, payload: &[u8]) -> Taken {
        let Some((last, _)) = payload.split_first_chunk::<4>().filter(|_| payload.len() >= 8) else {
            return fatal(Reason::FRAME_SIZE_ERROR);
        };
        let last = u32::from_be_bytes(*last) & 0x7fff_ffff;
        self.left = Some(last);
        if self.role == Role::Client {
            let unseen = self.streams.values().filter(|stream| stream.id > last).cloned();
            for stream in unseen.collect::<Vec<_>>() {
                self.lose(&stream, Cut::Unprocessed);
            }
        }
        Ok(())
    }

    fn widened(&mut self, head: Head, payload: &[u8]) -> Taken {
        let Ok(more) = <[u8; 4]>::try_from(payload) else { return fatal(Reason::FRAME_SIZE_ERROR) };
        let more = i64::from(u32::from_be_bytes(more) & 0x7fff_ffff);
        if head.stream == 0 {
            self.room += more;
            return match more {
                0 => fatal(Reason::PROTOCOL_ERROR),
                _ if self.room > LARGEST_WINDOW => fatal(Reason::FLOW_CONTROL_ERROR),
                _ => {
                    self.call_crowd();
                    Ok(())
                }
            };
        }
        let Some(stream) = self.streams.get(&head.stream).cloned() else {
            return if self.is_idle(head.stream) { fatal(Reason::PROTOCOL_ERROR) } else { Ok(()) };
        };
        stream.room.set(stream.room.get() + more);
        if more == 0 {
            return self.fail(&stream, Reason::PROTOCOL_ERROR);
        }
        if stream.room.get() > LARGEST_WINDOW {
            return self.fail(&stream, Reason::FLOW_CONTROL_ERROR);
        }
        wake(&stream.writer);
        Ok(())
    }
}
