//! What replicas write: the last lines of each function, and a live feed. Both are bounded, and neither ever makes a
//! writer wait.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kaos_core::{EndpointUid, Moment, WorkloadId};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Most lines kept per function, and taken at once.
pub(crate) const KEPT_LINES: usize = 1000;

/// Most bytes of text kept per function.
const KEPT_BYTES: usize = 256 * 1024;

/// Most lines that a reader of the feed may be behind; one that is further behind misses some.
const FEED: usize = 1024;

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a replica, or a piece of one that is longer than 8 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The function.
    pub workload: WorkloadId,
    /// The replica.
    pub replica: EndpointUid,
    /// Where it was written.
    pub stream: Stream,
    /// When it was read.
    pub at: Moment,
    /// Grows with each line of all functions.
    pub number: u64,
    /// The text without its end of line; what isn't UTF-8 is replaced.
    pub text: String,
}

/// What a reader of the feed gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The next line.
    Line(Arc<Line>),
    /// The reader was too slow: this many lines were passed over.
    Missed(u64),
}

/// The output of all replicas. Cheap to clone.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

struct Shared {
    kept: Mutex<Kept>,
    feed: broadcast::Sender<Arc<Line>>,
}

#[derive(Default)]
struct Kept {
    rings: HashMap<WorkloadId, Ring>,
    number: u64,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
}

impl Logs {
    pub(crate) fn new() -> Logs {
        Logs(Arc::new(Shared { kept: Mutex::default(), feed: broadcast::channel(FEED).0 }))
    }

    /// The last lines of `workload`, at most `most`, oldest first.
    pub fn recent(&self, workload: &WorkloadId, most: usize) -> Vec<Arc<Line>> {
        self.kept().recent(workload, most)
    }

    /// Every line of all functions from here on.
    pub fn follow(&self) -> Feed {
        let kept = self.kept();
        self.follow_from(&kept)
    }

    /// Whoever writes holds the lock too: nothing comes between the number and the feed.
    fn follow_from(&self, kept: &Kept) -> Feed {
        Feed { lines: self.0.feed.subscribe(), next: kept.number, held: None }
    }

    /// The last lines of `workload`, at most `most`, and every line of all functions after those: none twice, none lost.
    pub fn recent_then_follow(&self, workload: &WorkloadId, most: usize) -> (Vec<Arc<Line>>, Feed) {
        let kept = self.kept();
        (kept.recent(workload, most), self.follow_from(&kept))
    }

    /// Takes `lines` of one replica, in order, before which `skipped` were passed over.
    pub(crate) fn write(&self, skipped: u64, lines: impl IntoIterator<Item = Line>) {
        let mut kept = self.kept();
        kept.number += skipped;
        for mut line in lines {
            line.number = kept.number;
            kept.number += 1;
            let line = Arc::new(line);
            if let Some(ring) = kept.rings.get_mut(&line.workload) {
                ring.keep(Arc::clone(&line));
            }
            // Nobody need be following.
            let _ = self.0.feed.send(line);
        }
    }

    /// Keeps lines of `workload` from here on.
    pub(crate) fn open(&self, workload: &WorkloadId) {
        self.kept().rings.entry(workload.clone()).or_default();
    }

    /// Forgets `workload`.
    pub(crate) fn close(&self, workload: &WorkloadId) {
        self.kept().rings.remove(workload);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn recent(&self, workload: &WorkloadId, most: usize) -> Vec<Arc<Line>> {
        let Some(ring) = self.rings.get(workload) else { return Vec::new() };
        ring.lines.iter().skip(ring.lines.len().saturating_sub(most)).cloned().collect()
    }
}

impl Ring {
    fn keep(&mut self, line: Arc<Line>) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > KEPT_LINES || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.text.len();
        }
    }
}

/// A live reader of all lines.
pub struct Feed {
    lines: broadcast::Receiver<Arc<Line>>,
    /// The number of the line that comes next if none is missed.
    next: u64,
    /// A line that comes after those whose loss was just told.
    held: Option<Arc<Line>>,
}

impl Feed {
    /// The next line, or how many were missed before it; `None` once no more can come. May be dropped at any time.
    pub async fn next(&mut self) -> Option<Item> {
        if let Some(line) = self.held.take() {
            return Some(Item::Line(line));
        }
        loop {
            match self.lines.recv().await {
                Ok(line) => {
                    let missed = line.number.saturating_sub(self.next);
                    self.next = line.number + 1;
                    if missed == 0 {
                        return Some(Item::Line(line));
                    }
                    self.held = Some(line);
                    return Some(Item::Missed(missed));
                }
                // The next line's number tells how many.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
