//! What replicas write, as lines of JSON: the last ones, and with `?follow` all that come after.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use kaos_core::WorkloadId;
use kaos_local::{Item, Line, Logs, Stream};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::clock::Clock;

/// Most lines that are shown of the past.
const RECENT: usize = 1000;
/// Lines on their way to one follower; a slower one misses some and is told.
const AHEAD: usize = 64;

/// The last lines of `workload`.
pub(crate) fn recent(logs: &Logs, workload: &WorkloadId, clock: &Clock) -> String {
    logs.recent(workload, RECENT).iter().map(|line| shown(line, clock)).collect()
}

/// The last lines of `workload` and every one after; `place` is given back when the follower leaves.
pub(crate) fn follow(
    logs: &Logs,
    workload: &WorkloadId,
    clock: Clock,
    place: OwnedSemaphorePermit,
) -> Following {
    let (lines, queue) = mpsc::channel(AHEAD);
    let (past, mut feed) = logs.recent_then_follow(workload, RECENT);
    let workload = workload.clone();
    tokio::spawn(async move {
        let _place = place;
        let mut last = None;
        for line in past {
            last = Some(line.number);
            if lines.send(shown(&line, &clock)).await.is_err() {
                return;
            }
        }
        loop {
            let item = tokio::select! {
                item = feed.next() => item,
                () = lines.closed() => return,
            };
            let text = match item {
                Some(Item::Line(line))
                    if line.workload == workload && last.is_none_or(|last| line.number > last) =>
                {
                    shown(&line, &clock)
                }
                Some(Item::Line(_)) => continue,
                Some(Item::Missed(count)) => missed(count),
                None => return,
            };
            if lines.send(text).await.is_err() {
                return;
            }
        }
    });
    Following { queue }
}

fn shown(line: &Line, clock: &Clock) -> String {
    let stream = match line.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let at = clock.rfc3339(line.at);
    format!("{}\n", json!({ "at": at, "replica": line.replica, "stream": stream, "line": line.text }))
}

fn missed(count: u64) -> String {
    let line = format!("({count} lines of all functions were missed: the reader is too slow)");
    format!(
        "{}\n",
        json!({ "at": crate::clock::rfc3339_now(), "replica": "kaos", "stream": "stderr", "line": line })
    )
}

/// A body that goes on until the reader leaves or Kaos ends.
pub(crate) struct Following {
    queue: mpsc::Receiver<String>,
}

impl Body for Following {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.queue.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(Bytes::from(line)))))
    }
}
