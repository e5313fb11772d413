//! One worker thread: accepts connections, finds out what they speak, and serves each in a task of its own.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::buffer::{Input, READ_SIZE};
use crate::http1::serve::Connection;
use crate::report::{Ask, Notice};
use crate::rounds::Watched;
use crate::socket::Socket;
use crate::worker::{Shared, Worker};
use crate::{http2, rounds};

/// From accepting a connection to its first bytes.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after accepting failed for want of something that others may give back.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// Connections accepted before others get their turn.
const BATCH: usize = 64;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Everything one worker thread needs.
pub(crate) struct Post {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: TcpListener,
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) stop: oneshot::Receiver<()>,
}

/// Runs a worker until it is told to stop. Whatever it still serves then is cut.
pub(crate) fn work(post: Post) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let worker = Rc::new(Worker::new(post.index, post.shared, post.notices));
        let rounds = worker.clone();
        tokio::task::spawn_local(
            async move { rounds.rounds.run(|| rounds.now(), || rounds.is_draining()).await },
        );
        let sweep = worker.clone();
        tokio::task::spawn_local(async move { sweep.sweep().await });
        let answer = worker.clone();
        tokio::task::spawn_local(async move { answer.answer(post.asks).await });
        tokio::task::spawn_local(accept(worker, post.listener));
        // A sender that is gone says the same as one that sent.
        let _ = post.stop.await;
    });
    Ok(())
}

async fn accept(worker: Rc<Worker>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "can't wait for connections"),
    };
    let mut drain = worker.shared.drain.subscribe();
    let mut accepted = 0;
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            _ = drain.wait_for(|draining| *draining) => return,
        };
        match connection {
            Ok((stream, _)) => {
                welcome(&worker, stream);
                accepted += 1;
                if accepted % BATCH == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if is_exhausted(&error) => {
                tracing::warn!(%error, "accepting pauses");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The connection was gone before it was accepted (accept(2), "Error handling").
            Err(_) => {}
        }
    }
}

/// Whether accepting failed for want of descriptors or memory.
fn is_exhausted(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS))
}

/// A place among the connections. Given back when dropped.
struct Place {
    worker: Rc<Worker>,
    protocol: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.shared.connections.fetch_sub(1, Ordering::Relaxed);
        let open = &self.worker.open[self.protocol];
        open.set(open.get() - 1);
    }
}

impl Place {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let before = worker.shared.connections.fetch_add(1, Ordering::Relaxed);
        worker.open[0].set(worker.open[0].get() + 1);
        let place = Place { worker: worker.clone(), protocol: 0 };
        (before < worker.config().max_connections).then_some(place)
    }

    fn speaks_http2(&mut self) {
        self.worker.open[0].set(self.worker.open[0].get() - 1);
        self.worker.open[1].set(self.worker.open[1].get() + 1);
        self.protocol = 1;
    }
}

fn welcome(worker: &Rc<Worker>, stream: TcpStream) {
    let Some(place) = Place::take(worker) else { return };
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        let socket = Socket::new(stream);
        let Ok(client) = socket.peer() else { return };
        serve(worker, Arc::new(socket), client.ip(), place).await;
    });
}

async fn serve(worker: Rc<Worker>, socket: Arc<Socket>, client: IpAddr, mut place: Place) {
    let watch = worker.rounds.watch(&socket);
    let mut input = Input::default();
    let client = client.to_canonical();
    match speaks_http2(&worker, &socket, &watch, &mut input).await {
        Some(true) => {
            place.speaks_http2();
            drop(watch);
            let read = input.unread().to_vec();
            input.discard(&worker.buffers);
            http2::serve::serve(worker.clone(), socket, client, &read).await;
        }
        Some(false) => Connection::new(worker.clone(), socket, client, watch, input).serve().await,
        None => {}
    }
}

/// Whether the connection begins with the HTTP/2 preface. `None`: it began with nothing in time.
async fn speaks_http2(worker: &Worker, socket: &Socket, watch: &Watched, input: &mut Input) -> Option<bool> {
    watch.rest(true);
    watch.until(worker.now() + FIRST_BYTE_TIMEOUT);
    loop {
        let fill = poll_fn(|cx| input.poll_fill(cx, socket, &worker.buffers, READ_SIZE));
        let outcome: Result<io::Result<usize>, rounds::Alarm> = watch.over(fill).await;
        match outcome {
            Ok(Ok(read)) if read > 0 => {}
            _ => {
                input.discard(&worker.buffers);
                return None;
            }
        }
        watch.rest(false);
        let begun = input.unread();
        let shared = begun.len().min(PREFACE.len());
        if begun.get(..shared) != PREFACE.get(..shared) {
            return Some(false);
        }
        if begun.len() >= PREFACE.len() {
            return Some(true);
        }
    }
}
