//! Brings a replica's answer to an HTTP/1 client, while the rest of the request may still be on its way.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::admit::{Record, Routed};
use crate::buffer::{Buffers, Input, READ_SIZE};
use crate::forward::feed::{Feed, Replay, Replayed, Sink as _, Upload};
use crate::forward::{Sent, Streamed, abort, give_back};
use crate::head::Head;
use crate::http1::framing::{Framing, Piece};
use crate::http1::respond;
use crate::pace::Progress;
use crate::part::Part;
use crate::pour::Pour;
use crate::pump::{Broken, Encoding, Pump};
use crate::refuse::{Ended, Refusal};
use crate::rounds::{Alarm, Watch};
use crate::socket::Socket;
use crate::upstream::answer::Answer;

/// A request's body on its way from an HTTP/1 client.
#[derive(Debug)]
pub(crate) struct FromClient<'a> {
    pub(crate) client: &'a Socket,
    pub(crate) input: &'a mut Input,
    pub(crate) buffers: &'a Buffers,
    framing: Framing,
    empty: bool,
    encoding: Encoding,
    invite: bool,
    /// Bytes of content that may still come.
    most: u64,
    /// Bytes of content that were taken in pieces.
    taken: u64,
    way: Option<Way>,
}

/// The way of a body by HTTP/1.
#[derive(Debug)]
enum Way {
    /// As it comes.
    Pump(Pump),
    /// In pieces, that are kept.
    Pour(Pour),
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
        let (framing, empty) = (head.body.clone(), head.body.has_ended());
        let (most, taken, way) = (u64::MAX, 0, None);
        FromClient { client, input, buffers, framing, empty, encoding, invite, most, taken, way }
    }

    /// Whether the client still holds back its body.
    pub(crate) fn is_uninvited(&self) -> bool {
        self.invite
    }

    /// Bytes of content that have come.
    pub(crate) fn received(&self) -> u64 {
        self.pump().map_or(self.taken, Pump::content)
    }

    /// Whether the client's bytes of this request were all read.
    pub(crate) fn has_read_all(&self) -> bool {
        self.pump().map_or(self.framing.has_ended(), Pump::has_read_all)
    }

    fn pump(&self) -> Option<&Pump> {
        if let Some(Way::Pump(pump)) = &self.way { Some(pump) } else { None }
    }
}

impl Upload for FromClient<'_> {
    fn begin(&mut self, head: Vec<u8>, keep: bool) {
        let way = if keep && !self.empty {
            Way::Pour(Pour::new(head, self.encoding, false))
        } else {
            Way::Pump(Pump::new(head, self.framing.clone(), self.encoding).bounded(self.most))
        };
        if let Some(Way::Pump(mut used)) = self.way.replace(way) {
            used.rest(self.buffers);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, to: &Socket, replay: &mut Replay) -> Poll<Result<(), Broken>> {
        if let Some(Way::Pump(pump)) = &mut self.way {
            ready!(pump.poll(cx, self.client, self.input, to, self.buffers))?;
            pump.rest(self.buffers);
            return Poll::Ready(Ok(()));
        }
        let Some(Way::Pour(mut pour)) = self.way.take() else { return Poll::Ready(Ok(())) };
        let polled = pour.poll(cx, &mut Replayed { upload: self, replay }, to);
        self.way = Some(Way::Pour(pour));
        polled
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Part, bool), Broken>> {
        loop {
            match self.framing.next(self.input.unread()).map_err(Broken::Malformed)? {
                Piece::Data { skip, length } => {
                    self.input.consume(skip);
                    let content = self.input.unread().get(..length).unwrap_or_default();
                    let content = Bytes::copy_from_slice(content);
                    self.input.consume(length);
                    self.taken += length as u64;
                    self.most = self.most.checked_sub(length as u64).ok_or(Broken::TooLarge)?;
                    return Poll::Ready(Ok((Part::Data(content), self.framing.has_ended())));
                }
                Piece::End { skip, trailers } => {
                    self.input.consume(skip);
                    self.input.rest(self.buffers);
                    return Poll::Ready(Ok((Part::end(trailers), true)));
                }
                Piece::More { skip } => self.input.consume(skip),
            }
            match ready!(self.input.poll_fill(cx, self.client, self.buffers, READ_SIZE)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::SourceEnded)),
                Ok(_) => {}
            }
        }
    }

    async fn invite(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.invite) {
            self.client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.empty
    }

    fn moved(&self) -> u64 {
        match &self.way {
            Some(Way::Pump(pump)) => pump.moved(),
            Some(Way::Pour(pour)) => pour.moved(),
            None => 0,
        }
    }

    fn waits_for_client(&self) -> bool {
        match &self.way {
            Some(Way::Pump(pump)) => pump.waits_for_source(),
            Some(Way::Pour(pour)) => pour.waits_for_source(),
            None => false,
        }
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
    record.first_byte(routed, &sent.permit);
    let Opening { out, encoding, delimited, keep } = open(head, &sent.answer, feed, record, routed);
    let client = feed.upload.client;
    let mut pump = Pump::new(out, sent.answer.body.clone(), encoding);
    let policy = routed.policy(Arc::clone);
    let progress = Progress::new(watch, &worker, sent.deadline, &policy, feed.upload.moved());
    let mut to = sent.link.socket.clone();
    let from = to.clone();
    let download = poll_fn(|cx| {
        let polled = pump.poll(cx, &from, &mut sent.link.input, client, &worker.buffers);
        // What is read and written in one go needs no clock.
        if polled.is_pending()
            && let Some(now) = progress.downloaded(pump.moved(), pump.waits_for_sink())
        {
            routed.active(now);
        }
        polled
    });
    let uploaded = |moved, _| progress.uploaded(moved);
    let outcome = watch.over(feed.beside(&mut to, uploaded, download)).await;
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
            return Ok(cut(client, delimited));
        }
    }
    if !feed.finished {
        // The answer is whole before the request is: the replica wants no more of it.
        abort(sent.permit, sent.link);
        return Ok(Next::Close);
    }
    give_back(sent.permit, sent.link, sent.answer.reusable);
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
/// Relays an answer that comes by HTTP/2.
pub(crate) async fn stream(
    head: &Head,
    mut streamed: Streamed,
    feed: &mut Feed<FromClient<'_>>,
    record: &mut Record,
    routed: &mut Routed,
    watch: &Watch,
) -> Result<Next, Ended> {
    let worker = record.worker.clone();
    record.first_byte(routed, &streamed.permit);
    let Opening { out, encoding, delimited, keep } = open(head, &streamed.answer, feed, record, routed);
    let client = feed.upload.client;
    let mut pour = Pour::new(out, encoding, streamed.answer.body.has_ended());
    let policy = routed.policy(Arc::clone);
    let left = streamed.outflow.moved(&feed.upload);
    let progress = Progress::new(watch, &worker, streamed.deadline, &policy, left);
    let download = poll_fn(|cx| {
        let polled = pour.poll(cx, &mut streamed.inflow, client);
        if polled.is_pending()
            && let Some(now) = progress.downloaded(pour.moved(), pour.waits_for_sink())
        {
            routed.active(now);
        }
        polled
    });
    let uploaded = |moved, _| progress.uploaded(moved);
    let outcome = watch.over(feed.beside(&mut streamed.outflow, uploaded, download)).await;
    pour.rest(&worker.buffers);
    record.note(|entry| entry.sent = pour.content());
    if let Ok(Ok(Ok(()))) = outcome {
        record.note(|entry| entry.cut = false);
        // An answer that is whole before the request is: the replica wants no more of it.
        return Ok(if keep && feed.finished { Next::Again } else { Next::Close });
    }
    tracing::debug!(request_id = record.request_id, ?outcome, "an answer was cut");
    match fault(&outcome).filter(|_| pour.moved() == 0) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(cut(client, delimited)),
    }
}

/// How an answer begins.
struct Opening {
    /// Its head.
    out: Vec<u8>,
    encoding: Encoding,
    /// Its end can be seen without the connection's.
    delimited: bool,
    /// The connection can go on after it.
    keep: bool,
}

fn open(
    head: &Head,
    answer: &Answer,
    feed: &Feed<FromClient<'_>>,
    record: &mut Record,
    routed: &Routed,
) -> Opening {
    let worker = record.worker.clone();
    record.answered(answer);
    let (encoding, delimited) = respond::framing(head, answer);
    let keep = delimited && head.keep_alive && feed.finished && worker.keeps_connections();
    let mut out = worker.buffers.take();
    respond::answer(head, answer, &record.request_id, &routed.wait, routed.told.as_ref(), keep, &mut out);
    Opening { out, encoding, delimited, keep }
}

/// The client must see that the answer isn't whole.
fn cut(client: &Socket, delimited: bool) -> Next {
    if !delimited {
        client.reset_on_close();
    }
    Next::Cut
}
