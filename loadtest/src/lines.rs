//! The connections of one load: as many as it asked for, opened ahead, each used by as many requests at once as allowed.
//!
//! A [`Turn`] is the right to send one request on one connection; it goes back when dropped. A connection that has ended is
//! opened again by the next turn on it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::failure::Failure;
use crate::scenario::Protocol;
use crate::written::{Stamped, Write, Writes};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that are being opened at once ahead of the start.
const OPENING: usize = 64;

/// Attempts on new connections when the one that was open had ended before anything was sent.
const RENEWALS: u32 = 3;

/// What is sent.
pub type Question = Request<Full<Bytes>>;

/// The connections of one load.
pub struct Lines {
    target: SocketAddr,
    protocol: Protocol,
    slots: Vec<tokio::sync::Mutex<Option<Line>>>,
    free: Mutex<VecDeque<usize>>,
    turns: Arc<Semaphore>,
}

/// One open connection.
struct Line {
    sender: Sender,
    writes: Writes,
}

enum Sender {
    Http1 { sender: http1::SendRequest<Full<Bytes>>, _driver: Driver },
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// The right to send one request.
pub struct Turn {
    lines: Arc<Lines>,
    slot: usize,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The permit is given back after this: whoever gets it finds the slot.
        self.lines.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.slot);
    }
}

impl Lines {
    /// `connections` with `streams` requests at once on each. Opens none yet.
    pub fn new(target: SocketAddr, protocol: Protocol, connections: usize, streams: usize) -> Arc<Lines> {
        // Stream by stream, so that neighbouring requests go out on different connections.
        let free = (0..streams).flat_map(|_| 0..connections).collect();
        Arc::new(Lines {
            target,
            protocol,
            slots: (0..connections).map(|_| tokio::sync::Mutex::new(None)).collect(),
            free: Mutex::new(free),
            turns: Arc::new(Semaphore::new(connections * streams)),
        })
    }

    /// Opens all connections. The error is the first that failed.
    pub async fn open(self: &Arc<Self>) -> Result<(), Failure> {
        let opening = Arc::new(Semaphore::new(OPENING));
        let mut tasks = tokio::task::JoinSet::new();
        for slot in 0..self.slots.len() {
            let (lines, opening) = (Arc::clone(self), Arc::clone(&opening));
            tasks.spawn(async move {
                let _one = opening.acquire().await;
                *lines.slots[slot].lock().await = Some(lines.connect().await?);
                Ok(())
            });
        }
        while let Some(opened) = tasks.join_next().await {
            opened.unwrap_or(Err(Failure::Connect))?;
        }
        Ok(())
    }

    /// True if a turn would have to be waited for.
    pub fn busy(&self) -> bool {
        self.turns.available_permits() == 0
    }

    /// Waits for a turn; first come, first served. The wait ends when an earlier request does, which all do at their timeout.
    pub async fn turn(self: &Arc<Self>) -> Option<Turn> {
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let slot = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        Some(Turn { lines: Arc::clone(self), slot, _permit: permit })
    }

    async fn connect(&self) -> Result<Line, Failure> {
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.target)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::connecting(&error)),
            Err(_late) => return Err(Failure::Connect),
        };
        let _ = stream.set_nodelay(true);
        let (stream, writes) = Stamped::new(stream);
        let io = TokioIo::new(stream);
        let sender = match self.protocol {
            Protocol::H1 => {
                let (sender, connection) = http1::handshake(io).await.map_err(|_| Failure::Connect)?;
                let driver = tokio::spawn(async move {
                    let _ = connection.await;
                });
                Sender::Http1 { sender, _driver: Driver(driver.abort_handle()) }
            }
            Protocol::H2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new()).initial_max_send_streams(1000);
                let (sender, connection) = builder.handshake(io).await.map_err(|_| Failure::Connect)?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                Sender::Http2(sender)
            }
        };
        Ok(Line { sender, writes })
    }
}

/// The head of an answer, and what is known of its request.
pub struct Sent {
    /// The answer, whose body is still to be read.
    pub response: Response<Incoming>,
    /// To be given back by [`Turn::done`].
    pub held: Held,
    /// When the request was written, if that is known.
    pub write: Option<Write>,
}

/// An HTTP/1 connection in use; closed at once if the request is left before its end. Of HTTP/2: nothing.
pub struct Held(Option<Line>);

/// The task that drives an HTTP/1 connection; ended when dropped.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Turn {
    /// Sends `question` and waits for the head of its answer.
    pub async fn send(&self, mut question: Question) -> Result<Sent, Failure> {
        let mut renewals = 0;
        loop {
            let mut line = self.take().await?;
            let asked = Instant::now();
            let answered = match &mut line.sender {
                Sender::Http1 { sender, .. } => sender.try_send_request(question).await,
                Sender::Http2(sender) => sender.try_send_request(question).await,
            };
            let mut error = match answered {
                Ok(response) => {
                    let write = line.writes.since(asked);
                    let held = Held(matches!(line.sender, Sender::Http1 { .. }).then_some(line));
                    return Ok(Sent { response, held, write });
                }
                Err(error) => error,
            };
            match error.take_message() {
                // Nothing was sent: the connection had ended while it was idle, which is nobody's fault.
                Some(unsent) if renewals < RENEWALS => question = unsent,
                _ => return Err(Failure::asking(error.error())),
            }
            renewals += 1;
        }
    }

    /// The open connection of this turn: an HTTP/1 one alone, an HTTP/2 one together with the other turns on it.
    async fn take(&self) -> Result<Line, Failure> {
        let mut slot = self.lines.slots[self.slot].lock().await;
        let open = match slot.as_mut() {
            Some(line) => line.ready().await,
            None => false,
        };
        let line = match slot.take() {
            Some(line) if open => line,
            _ => self.lines.connect().await?,
        };
        if let Sender::Http2(sender) = &line.sender {
            *slot = Some(Line { sender: Sender::Http2(sender.clone()), writes: line.writes.clone() });
        }
        Ok(line)
    }

    /// Gives the connection back after the last byte of the answer.
    pub async fn done(&self, held: Held) {
        if let Some(line) = held.0
            && matches!(&line.sender, Sender::Http1 { sender, .. } if !sender.is_closed())
        {
            *self.lines.slots[self.slot].lock().await = Some(line);
        }
    }
}

impl Line {
    /// True once the next request can be sent on it, false if it has ended.
    async fn ready(&mut self) -> bool {
        match &mut self.sender {
            // The last byte of an answer is there a moment before its connection is free again.
            Sender::Http1 { sender, .. } => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}
