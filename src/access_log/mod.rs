//! The access log: a line on stdout for each request. Logs go to stderr; who wants this in a file sends stdout there.
//!
//! A thread of its own writes, fed through a bounded queue: a reader of stdout that is slow, or has stopped reading, stops
//! nobody. What finds the queue full is counted. Knows the forms' names; how a line is written is `line.rs`'s matter.

mod line;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use kaos_proxy::{Access, Entry};

use crate::clock::Clock;
use crate::config::{AccessLog, Settings};
use crate::failure::Failure;
use crate::process::log::ToTerminal;
use crate::process::terminal::Terminal;

/// Batches of entries that wait to be written: at most 64 entries each, mostly fewer.
const QUEUED: usize = 256;
/// Longest wait for the last lines at the end.
const FLUSH: Duration = Duration::from_millis(500);

/// Takes entries from the proxy.
#[derive(Debug)]
struct Queue {
    pieces: SyncSender<Piece>,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Piece {
    Entries(Vec<Entry>),
    /// Say when everything before is written.
    Flush(SyncSender<()>),
}

impl Queue {
    fn lose(&self, entries: usize) {
        self.dropped.fetch_add(entries as u64, Ordering::Relaxed);
    }
}

impl kaos_proxy::AccessLog for Queue {
    fn take(&self, entries: Vec<Entry>) {
        let count = entries.len();
        if self.pieces.try_send(Piece::Entries(entries)).is_err() {
            self.lose(count);
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The form of the lines.
#[derive(Clone, Copy, Debug)]
enum Form {
    Json,
    Combined,
}

/// An access log that nothing is written to yet.
pub(crate) struct Opened {
    queue: Arc<Queue>,
    waiting: Receiver<Piece>,
    form: Form,
    share: f64,
    clock: Clock,
}

/// An access log that is being written.
pub(crate) struct Writing {
    queue: Arc<Queue>,
}

/// The access log that was asked for, if one was.
pub(crate) fn open(settings: &Settings, clock: Clock) -> Option<Opened> {
    let form = match settings.access_log? {
        AccessLog::Json => Form::Json,
        AccessLog::Combined => Form::Combined,
        AccessLog::Off => return None,
    };
    let (pieces, waiting) = sync_channel(QUEUED);
    let queue = Arc::new(Queue { pieces, dropped: AtomicU64::new(0) });
    Some(Opened { queue, waiting, form, share: settings.access_log_sample.unwrap_or(1.0), clock })
}

impl Opened {
    /// What the proxy tells.
    pub(crate) fn access(&self) -> Access {
        Access { log: self.queue.clone(), share: self.share }
    }

    /// Starts the thread that writes to stdout, or to `terminal` where that is what stdout is: there a live line may be at the
    /// bottom, which what is written past it would run into.
    pub(crate) fn write(self, terminal: Option<&Terminal>) -> Result<Writing, Failure> {
        let Opened { queue, waiting, form, clock, .. } = self;
        let losing = queue.clone();
        let shared = terminal.filter(|terminal| terminal.is_live() && std::io::stdout().is_terminal());
        let out: Box<dyn Write + Send> = match shared {
            Some(terminal) => Box::new(ToTerminal(terminal.clone())),
            None => Box::new(std::io::stdout()),
        };
        let write = move || write_all(&waiting, &losing, form, &clock, out);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(write)
            .map_err(|error| Failure::Failed(format!("no thread for the access log: {error}")))?;
        Ok(Writing { queue })
    }
}

impl Writing {
    /// Waits, not for long, until everything is written.
    pub(crate) fn finish(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.pieces.try_send(Piece::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

fn write_all(waiting: &Receiver<Piece>, queue: &Queue, form: Form, clock: &Clock, mut out: impl Write) {
    let mut lines = Vec::new();
    let mut told = false;
    while let Ok(piece) = waiting.recv() {
        let entries = match piece {
            Piece::Entries(entries) => entries,
            Piece::Flush(done) => {
                let _ = done.try_send(());
                continue;
            }
        };
        lines.clear();
        for entry in &entries {
            let at = clock.timestamp(entry.arrived);
            match form {
                Form::Json => line::json(entry, at, &mut lines),
                Form::Combined => line::combined(entry, at, &mut lines),
            }
        }
        if let Err(error) = out.write_all(&lines).and_then(|()| out.flush()) {
            // A disk that is full may have room again.
            queue.lose(entries.len());
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, "the access log can't be written; kaos_access_log_dropped_total counts what is lost");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kaos_proxy::AccessLog as _;

    use super::*;

    /// A disk that is full the first time.
    struct Full(Vec<Vec<u8>>, bool);

    impl Write for &mut Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if !std::mem::replace(&mut self.1, true) {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn opened() -> Opened {
        let settings = Settings { access_log: Some(AccessLog::Json), ..Settings::default() };
        open(&settings, Clock::new(std::time::Instant::now())).unwrap()
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let opened = opened();
        for _ in 0..QUEUED + 2 {
            opened.queue.take(vec![line::tests::entry(), line::tests::entry()]);
        }
        assert_eq!(opened.access().log.dropped(), 4);
    }

    #[test]
    fn what_cant_be_written_is_counted_and_the_next_is_tried() {
        let Opened { queue, waiting, form, clock, .. } = opened();
        (0..2).for_each(|_| queue.take(vec![line::tests::entry()]));
        let (done, written) = sync_channel(1);
        queue.pieces.try_send(Piece::Flush(done)).unwrap();
        let losing = Queue { pieces: sync_channel(1).0, dropped: AtomicU64::new(0) };
        // Nobody sends any more.
        drop(queue);
        let mut full = Full(Vec::new(), false);
        write_all(&waiting, &losing, form, &clock, &mut full);
        assert_eq!((losing.dropped(), full.0.len()), (1, 1));
        assert!(written.try_recv().is_ok());
    }

    #[test]
    fn nothing_is_written_unless_it_was_asked_for() {
        let clock = Clock::new(std::time::Instant::now());
        for access_log in [None, Some(AccessLog::Off)] {
            assert!(open(&Settings { access_log, ..Settings::default() }, clock).is_none());
        }
    }
}
