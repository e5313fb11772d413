//! What goes to stderr: log lines, what replicas write, and one live line at the bottom of a terminal.
//!
//! A thread of its own writes, fed through a bounded queue: a reader of stderr that has stopped reading stops nobody.
//! Lines that find the queue full are counted, and the count is written when there is room again.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be written.
const QUEUED: usize = 4096;
/// Longest wait for the last lines at the end.
const FLUSH: Duration = Duration::from_millis(500);

/// A handle to the writing thread. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    pieces: SyncSender<Piece>,
    dropped: Arc<AtomicU64>,
    live: bool,
    colour: bool,
}

#[derive(Debug)]
enum Piece {
    /// Bytes that end a line.
    Line(Vec<u8>),
    /// What the live line says; nothing takes it away.
    Live(String),
    /// Say when everything before is written.
    Flush(SyncSender<()>),
}

impl Terminal {
    /// Starts the thread that writes to stderr.
    pub(crate) fn start() -> std::io::Result<Terminal> {
        let (pieces, queue) = sync_channel(QUEUED);
        let dropped = Arc::new(AtomicU64::new(0));
        let terminal = std::io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let lost = dropped.clone();
        std::thread::Builder::new().name("stderr".into()).spawn(move || write_all(&queue, &lost))?;
        Ok(Terminal { pieces, dropped, live: terminal && !dumb, colour: terminal && !dumb && !plain })
    }

    /// Whether there is a live line.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Whether colours are welcome.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// Writes a line; `line` ends with a line feed.
    pub(crate) fn line(&self, line: Vec<u8>) {
        if self.pieces.try_send(Piece::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Replaces the live line, cut to the terminal's width.
    pub(crate) fn show(&self, live: &str) {
        if self.live {
            let width = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col);
            let cut = live.chars().take(usize::from(width.max(20)) - 1).collect();
            // The next one comes soon.
            let _ = self.pieces.try_send(Piece::Live(cut));
        }
    }

    /// Takes the live line away and waits, not for long, until everything is written.
    pub(crate) fn finish(&self) {
        let (done, written) = sync_channel(1);
        let _ = self.pieces.try_send(Piece::Live(String::new()));
        if self.pieces.try_send(Piece::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

fn write_all(queue: &Receiver<Piece>, dropped: &AtomicU64) {
    let mut live = String::new();
    let mut out = std::io::stderr();
    while let Ok(piece) = queue.recv() {
        let mut bytes = Vec::new();
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            bytes.extend_from_slice(format!("({lost} lines were lost: stderr was not read)\n").as_bytes());
        }
        let done = match piece {
            Piece::Line(line) => {
                bytes.extend_from_slice(&line);
                None
            }
            Piece::Live(next) if next == live && bytes.is_empty() => continue,
            Piece::Live(next) => {
                bytes.splice(0..0, wipe(&live).iter().copied());
                live = next;
                bytes.extend_from_slice(live.as_bytes());
                let _ = out.write_all(&bytes);
                continue;
            }
            Piece::Flush(done) => Some(done),
        };
        if !bytes.is_empty() {
            bytes.splice(0..0, wipe(&live).iter().copied());
            bytes.extend_from_slice(live.as_bytes());
            // Nobody is left to be told that stderr is closed.
            let _ = out.write_all(&bytes);
        }
        if let Some(done) = done {
            let _ = done.try_send(());
        }
    }
}

/// Goes to the beginning of the live line and clears it, if there is one.
fn wipe(live: &str) -> &'static [u8] {
    if live.is_empty() { b"" } else { b"\r\x1b[2K" }
}
