//! Brings a replica's answer to an HTTP/1 client, while the rest of the request may still be on its way.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use crate::admit::{Ended, Record, Routed};
use crate::buffer::{Buffers, Input};
use crate::forward::{Feed, Sent, Upload, abort, close};
use crate::head::Head;
use crate::http1::framing::Framing;
use crate::http1::respond;
use crate::pace::Progress;
use crate::pump::{Broken, Encoding, Pump};
use crate::refuse::Refusal;
use crate::rounds::{Alarm, Watch};
use crate::sabotage::{Rule, is_off};
use crate::socket::Socket;

/// A request's body on its way from an HTTP/1 client.
#[derive(Debug)]
pub(crate) struct FromClient<'a> {
    pub(crate) client: &'a Socket,
    pub(crate) input: &'a mut Input,
    pub(crate) buffers: &'a Buffers,
    framing: Framing,
    encoding: Encoding,
    invite: bool,
    most: u64,
    pump: Option<Pump>,
}

impl<'a> FromClient<'a> {
    pub(crate) fn new(head: &Head, client: &'a Socket, input: &'a mut Input, buffers: &'a Buffers) -> Self {
        let trailers = head.fields.values(crate::field::Name::Trailer).next().is_some();
        let encoding = match head.body {
            Framing::Chunked(_) => Encoding::Chunked { trailers },
            _ => Encoding::Identity,
        };
        // A body that comes already needs no invitation.
        let invite = head.expects_continue && input.is_empty();
        FromClient {
            client,
            input,
            buffers,
            framing: head.body.clone(),
            encoding,
            invite,
            most: u64::MAX,
            pump: None,
        }
    }

    /// Whether the client still holds back its body.
    pub(crate) fn is_uninvited(&self) -> bool {
        self.invite
    }

    /// Bytes of content that have come.
    pub(crate) fn received(&self) -> u64 {
        self.pump.as_ref().map_or(0, Pump::content)
    }

    /// Whether the client's bytes of this request were all read.
    pub(crate) fn has_read_all(&self) -> bool {
        self.pump.as_ref().map_or(self.framing.has_ended(), Pump::has_read_all)
    }
}

impl Upload for FromClient<'_> {
    fn begin(&mut self, head: Vec<u8>) {
        if let Some(mut used) =
            self.pump.replace(Pump::new(head, self.framing.clone(), self.encoding).bounded(self.most))
        {
            used.rest(self.buffers);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<Result<(), Broken>> {
        let Some(pump) = &mut self.pump else { return Poll::Ready(Ok(())) };
        std::task::ready!(pump.poll(cx, self.client, self.input, to, self.buffers))?;
        pump.rest(self.buffers);
        Poll::Ready(Ok(()))
    }

    async fn invite(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.invite) {
            self.client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.framing.has_ended()
    }

    fn is_untouched(&self) -> bool {
        self.pump.as_ref().is_some_and(Pump::is_untouched)
    }

    fn moved(&self) -> u64 {
        self.pump.as_ref().map_or(0, Pump::moved)
    }

    fn waits_for_client(&self) -> bool {
        self.pump.as_ref().is_some_and(Pump::waits_for_source)
    }

    fn bound(&mut self, most: u64) {
        self.most = most;
    }

    fn hold(&mut self) -> usize {
        self.input.shrink(self.buffers)
    }
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It may carry another request.
    Again,
    /// Nothing more is to be said on it.
    Close,
    /// It is cut: the client must see that the answer isn't whole.
    Cut,
}

/// Relays the answer, then gives the replica's connection back if it can be used again. `Err`: nothing was said to the
/// client yet, and the answer turned out to be unusable.
pub(crate) async fn answer(
    head: &Head,
    mut sent: Sent,
    feed: &mut Feed<FromClient<'_>>,
    record: &mut Record,
    routed: &mut Routed,
    watch: &Watch,
) -> Result<Next, Ended> {
    let worker = record.worker.clone();
    record.answered(&sent.answer);
    record.first_byte(routed, &sent.permit);
    let (encoding, delimited) = respond::framing(head, &sent.answer);
    let keep = delimited && head.keep_alive && feed.finished && worker.keeps_connections();
    let mut out = worker.buffers.take();
    respond::answer(head, &sent.answer, &record.request_id, &routed.wait, keep, &mut out);
    let client = feed.upload.client;
    let mut pump = Pump::new(out, sent.answer.body.clone(), encoding);
    let policy = routed.seat.gate.view().workload.policy.clone();
    let progress = Progress::new(watch, &worker, sent.deadline, &policy, feed.upload.moved());
    let to = sent.link.socket.clone();
    let download = poll_fn(|cx| {
        let polled = pump.poll(cx, &to, &mut sent.link.input, client, &worker.buffers);
        // What is read and written in one go needs no clock.
        if polled.is_pending()
            && let Some(now) = progress.downloaded(pump.moved(), pump.waits_for_sink())
        {
            routed.active(now);
        }
        polled
    });
    let uploaded = |upload: &FromClient<'_>| progress.uploaded(upload.moved());
    let outcome = watch.over(feed.beside(&to, uploaded, download)).await;
    pump.rest(&worker.buffers);
    record.note(|entry| entry.sent = pump.content());
    match outcome {
        Ok(Ok(Ok(()))) => record.note(|entry| entry.cut = false),
        failed => {
            tracing::debug!(request_id = record.request_id, ?failed, "an answer was cut");
            abort(sent.permit, sent.link);
            if let Some(refusal) = fault(&failed).filter(|_| pump.is_untouched()) {
                return Err(refusal.into());
            }
            if !delimited {
                client.reset_on_close();
            }
            return Ok(Next::Cut);
        }
    }
    if !feed.finished {
        // The answer is whole before the request is: the replica wants no more of it.
        abort(sent.permit, sent.link);
        return Ok(Next::Close);
    }
    if sent.answer.reusable && (sent.link.input.is_empty() || is_off(Rule::BytesBehind)) {
        sent.permit.port.keep(sent.link, worker.now(), &worker.buffers);
        drop(sent.permit);
    } else {
        close(sent.permit, sent.link);
    }
    Ok(if keep { Next::Again } else { Next::Close })
}

/// What there is to be said of an exchange that failed, if its client can still be told.
fn fault(failed: &Result<Result<Result<(), Broken>, Broken>, Alarm>) -> Option<Refusal> {
    match failed {
        Ok(Err(broken)) => broken.refusal(),
        Ok(Ok(Err(Broken::Malformed(why)))) => Some(Refusal::UpstreamProtocol(why)),
        _ => None,
    }
}
