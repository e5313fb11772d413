//! Reads what one replica writes, cuts it into lines, and keeps the end of it for the reason of a failed start.
//!
//! Reads as fast as the replica writes, so that the replica never waits; what nobody reads in time is passed over.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kaos_core::{EndpointUid, Moment, WorkloadId};
use tokio::net::unix::pipe::Receiver;

use crate::logs::{KEPT_LINES, Line, Logs, Stream};

/// Longest line in bytes; a longer one is cut into pieces.
const LONGEST_LINE: usize = 8 * 1024;

/// Read at once, in bytes: half of what a pipe holds.
const CHUNK: usize = 32 * 1024;

/// Lines kept for the reason of a failed start, and the most of each, in bytes.
const TAIL_LINES: usize = 8;
const TAIL_WIDTH: usize = 512;

/// Whose output it is, and where it goes.
pub(crate) struct Output {
    /// The function.
    pub(crate) workload: WorkloadId,
    /// The replica.
    pub(crate) replica: EndpointUid,
    /// Zero of the moments.
    pub(crate) origin: Instant,
    /// Where lines go.
    pub(crate) logs: Logs,
    /// What is kept of the end.
    pub(crate) tail: Arc<Tail>,
}

/// The last lines of a replica, and what they said about its port.
#[derive(Default)]
pub(crate) struct Tail {
    stdout: Mutex<VecDeque<String>>,
    stderr: Mutex<VecDeque<String>>,
    in_use: AtomicBool,
    settled: AtomicBool,
}

impl Tail {
    /// Whether the replica said that its address is in use.
    pub(crate) fn said_in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed)
    }

    /// It has its port: what it says of addresses from here on means others.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// The last lines for people, as the end of a sentence: those of stderr, else those of stdout, else nothing.
    pub(crate) fn quote(&self) -> String {
        for (name, lines) in [("stderr", &self.stderr), ("stdout", &self.stdout)] {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if !lines.is_empty() {
                let text: Vec<&str> = lines.iter().map(String::as_str).collect();
                return format!("; last on {name}:\n{}", text.join("\n"));
            }
        }
        String::new()
    }

    /// Looks at one line, and remembers it if it is among the `last` of what was read.
    fn keep(&self, stream: Stream, line: &str, last: bool) {
        if !self.settled.load(Ordering::Relaxed) && says_in_use(line) {
            self.in_use.store(true, Ordering::Relaxed);
        }
        if !last || line.trim().is_empty() {
            return;
        }
        let lines = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        let mut end = line.len().min(TAIL_WIDTH);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        lines.push_back(line.get(..end).unwrap_or_default().to_owned());
    }
}

/// EADDRINUSE in the words of libc (`strerror`), Node, and the many that pass them on.
fn says_in_use(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["address already in use", "eaddrinuse", "address in use", "port is already in use"]
        .iter()
        .any(|words| line.contains(words))
}

impl Output {
    /// Reads both streams to their end: when the last process that holds them has closed them.
    pub(crate) async fn read(&self, stdout: Receiver, stderr: Receiver) {
        tokio::join!(self.read_one(stdout, Stream::Stdout), self.read_one(stderr, Stream::Stderr));
    }

    async fn read_one(&self, pipe: Receiver, stream: Stream) {
        let mut lines = Lines::default();
        while pipe.readable().await.is_ok() {
            match self.read_chunk(&pipe, stream, &mut lines) {
                Ok(0) => break,
                // A pipe that never runs dry would keep this thread from everybody else.
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::warn!(replica = %self.replica, %error, "the output of a replica can't be read");
                    break;
                }
            }
        }
        let mut last = Latest::default();
        lines.end(|line| last.push(line));
        self.write(stream, last);
    }

    /// Not async: its buffer lives on the stack, and not for as long as the replica is silent.
    fn read_chunk(&self, pipe: &Receiver, stream: Stream, lines: &mut Lines) -> io::Result<usize> {
        let mut buffer = [0; CHUNK];
        let length = pipe.try_read(&mut buffer)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        let mut whole = Latest { passed_over: ends.saturating_sub(KEPT_LINES), ..Latest::default() };
        lines.feed(bytes, |line| whole.push(line));
        self.write(stream, whole);
        Ok(length)
    }

    fn write(&self, stream: Stream, latest: Latest) {
        let at = Moment::at(self.origin, Instant::now());
        let tail = latest.lines.len().saturating_sub(TAIL_LINES);
        for (place, text) in latest.lines.iter().enumerate() {
            self.tail.keep(stream, text, place >= tail);
        }
        let line = |text| Line {
            workload: self.workload.clone(),
            replica: self.replica.clone(),
            stream,
            at,
            number: 0,
            text,
        };
        self.logs.write(latest.skipped, latest.lines.into_iter().map(line));
    }
}

/// The last lines of what was read at once: nobody is shown more than are kept.
#[derive(Default)]
struct Latest {
    lines: Vec<String>,
    /// Lines before those.
    skipped: u64,
    /// Lines still to be skipped.
    passed_over: usize,
}

impl Latest {
    fn push(&mut self, line: &[u8]) {
        if self.passed_over > 0 {
            self.passed_over -= 1;
            self.skipped += 1;
        } else {
            self.lines.push(String::from_utf8_lossy(line).into_owned());
        }
    }
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    /// The beginning of a line whose end hasn't come; shorter than the longest line.
    begun: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut part, ends) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            while self.begun.len() + part.len() > LONGEST_LINE {
                let (fits, rest) = part.split_at(LONGEST_LINE - self.begun.len());
                self.begun.extend_from_slice(fits);
                line(&self.begun);
                self.begun.clear();
                part = rest;
            }
            if ends && self.begun.is_empty() {
                line(part.strip_suffix(b"\r").unwrap_or(part));
            } else {
                self.begun.extend_from_slice(part);
                if ends {
                    self.end(&mut line);
                }
            }
        }
    }

    /// Gives what was begun as a line, if there is anything.
    fn end(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            line(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun));
        }
        // A long line's memory isn't kept.
        self.begun = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| found.push(line.to_vec()));
        }
        lines.end(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(cut(&[b"a\nb", b"c\r\n", b"\n", b"d"]), [&b"a"[..], b"bc", b"", b"d"]);
        assert_eq!(cut(&[b""]), Vec::<Vec<u8>>::new());
        let text = b"one\r\ntwo\n\nthree";
        let bytewise: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(cut(&bytewise), cut(&[text]));
    }

    #[test]
    fn a_long_line_is_cut_and_nothing_is_lost() {
        let long = vec![b'x'; 2 * LONGEST_LINE + 7];
        let found = cut(&[&long[..5], &long[5..], b"\nend\n"]);
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, 7, 3]);
        let exact = [vec![b'y'; LONGEST_LINE], b"\n".to_vec()].concat();
        assert_eq!(cut(&[&exact]).len(), 1);
    }

    #[test]
    fn the_tail_is_bounded_and_prefers_stderr() {
        let tail = Tail::default();
        assert_eq!(tail.quote(), "");
        tail.keep(Stream::Stdout, "hello", true);
        assert_eq!(tail.quote(), "; last on stdout:\nhello");
        for number in 0..100 {
            tail.keep(Stream::Stderr, &format!("{number} {}", "ü".repeat(2000)), true);
        }
        let quote = tail.quote();
        assert!(quote.starts_with("; last on stderr:\n92 ü"), "{quote}");
        assert!(quote.len() <= 32 + TAIL_LINES * (TAIL_WIDTH + 1), "{}", quote.len());
        assert!(!tail.said_in_use());
        tail.keep(Stream::Stdout, "OSError: [Errno 98] Address already in use", false);
        assert!(tail.said_in_use());
    }
}
