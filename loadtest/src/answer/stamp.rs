//! What each answer tells about the process: who it is, when it began and listened, how many requests are open.
//!
//! A request is open from its head until the last byte of its answer was taken or the client is gone: [`Open`] is a guard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Notify, mpsc};

const PID: HeaderName = HeaderName::from_static("x-answer-pid");
const ORPHAN: HeaderName = HeaderName::from_static("x-answer-orphan-pid");
const STARTED: HeaderName = HeaderName::from_static("x-answer-started-micros");
const LISTENING: HeaderName = HeaderName::from_static("x-answer-listening-micros");
const IN_FLIGHT: HeaderName = HeaderName::from_static("x-answer-in-flight");
const MAX_IN_FLIGHT: HeaderName = HeaderName::from_static("x-answer-max-in-flight");

/// Microseconds since the Unix epoch.
#[expect(
    clippy::disallowed_types,
    reason = "the stamps are compared with another process's: only the wall clock is shared"
)]
pub(crate) fn wall_micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |span| span.as_micros() as u64)
}

/// The counts and the stamps of this process. One per process, shared by all connections.
pub(super) struct Stamp {
    fixed: Vec<(HeaderName, HeaderValue)>,
    open: AtomicU64,
    most: AtomicU64,
    connections: AtomicU64,
    hard_limit: u64,
    exit: mpsc::Sender<u8>,
    ended: Notify,
}

impl Stamp {
    /// `exit` takes the code to end the process with.
    pub(super) fn new(
        started: u64,
        listening: u64,
        orphan: Option<u32>,
        hard_limit: Option<u64>,
        exit: mpsc::Sender<u8>,
    ) -> Arc<Stamp> {
        let mut fixed = vec![
            (PID, HeaderValue::from(std::process::id())),
            (STARTED, HeaderValue::from(started)),
            (LISTENING, HeaderValue::from(listening)),
        ];
        fixed.extend(orphan.map(|pid| (ORPHAN, HeaderValue::from(pid))));
        Arc::new(Stamp {
            fixed,
            open: AtomicU64::new(0),
            most: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            hard_limit: hard_limit.unwrap_or(u64::MAX),
            exit,
            ended: Notify::new(),
        })
    }

    /// Counts a request as open, and ends the process if that breaks the hard limit.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        let now = self.open.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(now, Relaxed);
        if now > self.hard_limit {
            eprintln!("answer: HARD LIMIT BROKEN: {now} open requests, at most {} allowed", self.hard_limit);
            self.exit(super::HARD_LIMIT_BROKEN);
        }
        Open { stamp: Arc::clone(self) }
    }

    /// Counts a connection.
    pub(super) fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Relaxed);
        Connected { stamp: Arc::clone(self) }
    }

    /// Ends the process with `code`, unless another end came first.
    pub(super) fn exit(&self, code: u8) {
        let _ = self.exit.try_send(code);
    }

    /// Writes the stamps into an answer's headers.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.reserve(self.fixed.len() + 4);
        for (name, value) in &self.fixed {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(IN_FLIGHT, HeaderValue::from(self.open.load(Relaxed)));
        headers.insert(MAX_IN_FLIGHT, HeaderValue::from(self.most.load(Relaxed)));
    }

    /// Returns when no connection and no request is open.
    pub(super) async fn quiet(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open.load(Relaxed) == 0 && self.connections.load(Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// One open request; closed when dropped.
pub(super) struct Open {
    stamp: Arc<Stamp>,
}

impl Open {
    /// Ends the process as `/crash` does.
    pub(super) fn crash(&self) {
        eprintln!("answer: told to crash");
        self.stamp.exit(super::CRASHED);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stamp.open.fetch_sub(1, Relaxed);
        self.stamp.ended.notify_one();
    }
}

/// One connection; gone when dropped.
pub(super) struct Connected {
    stamp: Arc<Stamp>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.stamp.connections.fetch_sub(1, Relaxed);
        self.stamp.ended.notify_one();
    }
}
