//! One worker thread: its runtime, and its listener from the first connection to the last.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::door::{Door, Listener};
use crate::kernel::{BACKLOG, is_exhausted};
use crate::report::{Ask, Notice};
use crate::standing::Stage;
use crate::welcome::welcome;
use crate::worker::{Shared, Worker};

/// Pause after accepting failed for want of something that others may give back.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// Connections accepted before others get their turn.
const BATCH: usize = 64;

/// Everything one worker thread needs.
pub(crate) struct Post {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) listeners: Vec<Listener>,
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
        tokio::task::spawn_local(async move { rounds.rounds.run(|late| rounds.go_round(late)).await });
        let sweep = worker.clone();
        tokio::task::spawn_local(async move { sweep.sweep().await });
        for shares in worker.shares.clone() {
            tokio::task::spawn_local(async move { shares.run().await });
        }
        let connects = worker.clone();
        tokio::task::spawn_local(async move { connects.connects.run().await });
        let answer = worker.clone();
        tokio::task::spawn_local(async move { answer.answer(post.asks).await });
        for listener in post.listeners {
            tokio::task::spawn_local(accept(worker.clone(), listener));
        }
        // A sender that is gone says the same as one that sent.
        let _ = post.stop.await;
    });
    Ok(())
}

async fn accept(worker: Rc<Worker>, Listener { socket, door }: Listener) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "can't wait for connections"),
    };
    let mut stage = worker.shared.standing.subscribe();
    let mut accepted = 0;
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            _ = stage.wait_for(|stage| *stage >= Stage::Draining) => return accept_rest(&worker, &listener, &door).await,
        };
        match connection {
            Ok((stream, _)) => {
                welcome(&worker, stream, &door);
                accepted += 1;
                if accepted % BATCH == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if is_exhausted(&error) => {
                tracing::warn!(%error, "accepting pauses, and idle connections are closed");
                worker.free_descriptors();
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The connection was gone before it was accepted (accept(2), "Error handling").
            Err(_) => {}
        }
    }
}

/// Takes what the kernel has accepted before the listener closes: it would be reset.
async fn accept_rest(worker: &Rc<Worker>, listener: &tokio::net::TcpListener, door: &Door) {
    for _ in 0..BACKLOG {
        match poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await {
            Poll::Ready(Ok((stream, _))) => welcome(worker, stream, door),
            _ => return,
        }
    }
}
