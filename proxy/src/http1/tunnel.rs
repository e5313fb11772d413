//! After a 101: bytes both ways until both sides have ended. The permit is held all the while.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use crate::admit::{Record, Routed};
use crate::buffer::Input;
use crate::forward::{Sent, abort, close};
use crate::head::Head;
use crate::http1::framing::Framing;
use crate::http1::respond;
use crate::pump::{Encoding, Pump};
use crate::rounds::Watch;
use crate::socket::Socket;

/// Answers with the 101 and carries the upgraded connection to its end.
pub(crate) async fn run(
    head: &Head,
    mut sent: Sent,
    client: &Socket,
    input: &mut Input,
    record: &mut Record,
    routed: &Routed,
    watch: &Watch,
) {
    let worker = record.worker.clone();
    record.answered(&sent.answer);
    let mut out = worker.buffers.take();
    respond::answer(
        head,
        &sent.answer,
        &record.request_id,
        &routed.wait,
        routed.told.as_ref(),
        true,
        &mut out,
    );
    let silence = routed.policy(|policy| policy.stream_idle_timeout);
    let replica = sent.link.socket.clone();
    let mut up = Pump::new(Vec::new(), Framing::UntilClose, Encoding::Identity);
    let mut down = Pump::new(out, Framing::UntilClose, Encoding::Identity);
    // A client that ends its side may still be listening to what the replica says.
    watch.mind_client(false);
    watch.until(sent.deadline.min(worker.now() + silence));
    let (mut up_ended, mut down_ended) = (false, false);
    // In turns, as in `Feed::beside`.
    let mut down_first = false;
    let seen = Cell::new(0);
    let both = poll_fn(|cx| {
        down_first = !down_first;
        for is_down in [down_first, !down_first] {
            if is_down && !down_ended {
                let polled = down.poll(cx, &replica, &mut sent.link.input, client, &worker.buffers);
                down_ended = ended(&polled, client)?;
            } else if !is_down && !up_ended {
                up_ended = ended(&up.poll(cx, client, input, &replica, &worker.buffers), &replica)?;
            }
        }
        let moved = up.moved() + down.moved();
        if moved != seen.replace(moved) {
            let now = worker.now();
            watch.until(sent.deadline.min(now + silence));
            routed.active(now);
        }
        if up_ended && down_ended { Poll::Ready(Ok::<(), ()>(())) } else { Poll::Pending }
    });
    // However it ended, both connections are closed now.
    let ended = watch.over(both).await;
    up.rest(&worker.buffers);
    down.rest(&worker.buffers);
    record.note(|entry| {
        (entry.received, entry.sent) = (up.content(), down.content());
        entry.cut = !matches!(ended, Ok(Ok(())));
    });
    match ended {
        Ok(Ok(())) => close(sent.permit, sent.link),
        _ => abort(sent.permit, sent.link),
    }
}

/// Whether one direction has ended; its end is passed on. `Err`: the connection is broken.
fn ended<E>(polled: &Poll<Result<(), E>>, sink: &Socket) -> Result<bool, ()> {
    match polled {
        Poll::Pending => Ok(false),
        Poll::Ready(Ok(())) => {
            sink.end();
            Ok(true)
        }
        Poll::Ready(Err(_)) => Err(()),
    }
}
