//! One HTTP/2 connection of a client, and each of its streams.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use kaos_core::Moment;
use tokio::task::AbortHandle;

use crate::admit::{Record, Routed, route};
use crate::buffer::Input;
use crate::clients::Client;
use crate::field::Name;
use crate::forward::feed::{Feed, Sink};
use crate::forward::{Begun, Sent, Streamed, Trip, give_back};
use crate::head::Head;
use crate::http2::delivery::{Delivery, Source};
use crate::http2::request::{self, Wrong};
use crate::http2::respond::{self, Form, Left};
use crate::http2::streams::{Open, Streams};
use crate::http2::upload::FromStream;
use crate::mux::budget::{Budget, Earned};
use crate::mux::frame::Reason;
use crate::mux::{self, Asked, Drive, Guard, Limits, Mux, Role, Sender};
use crate::pace::Pace;
use crate::refuse::{Ended, Refusal};
use crate::rounds::Watched;
use crate::socket::Socket;
use crate::subrequest;
use crate::worker::Worker;

/// What a connection may use: streams, bytes per stream and connection, and streams that end by its fault.
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// When nothing has come for two of these, the client is asked whether it is there; it must answer within another.
const SILENCE: Duration = Duration::from_secs(10);
/// How long, and for how many bytes, a client at fault is listened to after it was told, so that it gets to hear it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 128 * 1024;

/// Sees how a stream ends.
struct Ending(Rc<Worker>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.note_end();
    }
}

/// Serves a connection to its end. `input`: what has come, behind the preface.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    socket: Rc<Socket>,
    client: Client,
    watch: Watched,
    input: Input,
) {
    let earned = Rc::new(Earned::default());
    let limits = Limits {
        streams: STREAMS,
        stream_window: STREAM_WINDOW,
        window: CONNECTION_WINDOW,
        fields: worker.config().max_header_size,
        faults: STREAMS as usize,
    };
    let mux = Mux::new(Role::Server, limits);
    let guard = Guard::new(Budget::new(earned.clone()), worker.shares.clone());
    let mut drive = Drive::new(mux.clone(), input, Some(guard));
    let watch = Rc::new(watch);
    watch.until(Moment::NEVER);
    let streams = Rc::new(Streams::new(&worker, watch.clone(), earned));
    let mut driving = pin!(poll_fn(|cx| {
        let ended = drive.poll(cx, &socket, &worker.buffers);
        while let Some(asked) = mux.accept() {
            spawn(&worker, &socket, client, asked, Open::new(streams.clone()));
        }
        ended
    }));
    let mut dead = pin!(silence(&mux));
    let ended = tokio::select! {
        ended = &mut driving => Some(ended),
        () = &mut dead => None,
        () = streams.end() => {
            // What has come until the client knows is still served.
            mux.leave();
            tokio::select! {
                ended = &mut driving => Some(ended),
                () = &mut dead => None,
                () = streams.farewell() => None,
            }
        }
    };
    socket.end();
    if let Some(mux::Ended::Fault(reason)) = ended {
        tracing::debug!(client = %client.address, code = reason.0, "an HTTP/2 connection ended by its client's fault");
        let mut rest = Input::default();
        let heard = rest.drain(&socket, &worker.buffers, LINGER_BYTES);
        // Whoever hasn't heard it by then won't.
        let _ = tokio::time::timeout(LINGER, heard).await;
        rest.discard(&worker.buffers);
    }
}

/// Ready when the client isn't there any more.
async fn silence(mux: &Mux) {
    let mut silent = 0;
    loop {
        tokio::time::sleep(SILENCE).await;
        silent = if mux.has_heard() { 0 } else { silent + 1 };
        match silent {
            0 | 1 => {}
            2 => mux.ask_for_life(),
            _ => return,
        }
    }
}

/// Serves a stream beside the others.
fn spawn(worker: &Rc<Worker>, socket: &Rc<Socket>, client: Client, asked: Asked, open: Open) {
    let ending = Ending(worker.clone());
    // It is large, and would be copied several times on its way to become a task.
    let work = Box::pin(stream(worker.clone(), socket.clone(), client, asked, open));
    tokio::task::spawn_local(async move {
        let ending = ending;
        // And it is over when nothing but the client's room for the answer is waited for.
        let left = work.await;
        if let Some((sender, left)) = left {
            left.hand_over(sender, &ending.0).await;
        }
    });
}

/// Serves a stream until its client doesn't want it any more. Returns what is left to be handed over.
async fn stream(
    worker: Rc<Worker>,
    socket: Rc<Socket>,
    client: Client,
    asked: Asked,
    open: Open,
) -> Option<(Sender, Left)> {
    let Asked { mut block, sender, receiver } = asked;
    let https = client.secure || client.trusted;
    let form = match Form::of(&block) {
        // Who asks for another looks at the status.
        Form::Grpc if client.asks => Form::Whole,
        form => form,
    };
    let head = match request::head(&mut block, receiver.has_ended(), https) {
        Err(Wrong::Malformed) => {
            sender.reset(Reason::PROTOCOL_ERROR);
            return None;
        }
        Err(Wrong::Refused(refusal)) => Err(refusal),
        Ok(head) => Ok(Head { secure: client.secure, ..head }),
    };
    let fields = head.as_ref().map_or(&block.fields, |head| &head.fields);
    let mut record = Record::for_request(&worker, fields.values(Name::RequestId).next());
    record.begin_entry(client, head.as_ref().ok());
    let watch = worker.rounds.watch(&socket);
    let stream = Stream { worker: &worker, socket: &socket, client, sender: &sender, form, watch, open };
    let work = async {
        match head {
            Ok(head) => stream.answer(&head, FromStream::new(&head, receiver, record.meter()), record).await,
            Err(refusal) => stream.refuse(&refusal, record),
        }
    };
    let left = {
        let mut work = pin!(work);
        poll_fn(|cx| if sender.poll_cut(cx).is_ready() { Poll::Ready(None) } else { work.as_mut().poll(cx) })
            .await
    };
    left.map(|left| (sender, left))
}

/// Sends what is left of a request beside its answer. Reading the answer must not drive it: a client that reads only after it
/// has sent would wait for ever. What has left already needs no task.
fn go_on(mut feed: Feed<FromStream>, mut to: impl Sink<FromStream> + 'static) -> Option<AbortHandle> {
    (!feed.finished)
        .then(|| tokio::task::spawn_local(async move { feed.finish(&mut to).await }).abort_handle())
}

/// One request under way.
struct Stream<'a> {
    worker: &'a Rc<Worker>,
    socket: &'a Rc<Socket>,
    client: Client,
    sender: &'a Sender,
    form: Form,
    watch: Watched,
    open: Open,
}

impl Stream<'_> {
    fn refuse(self, refusal: &Refusal, record: Record) -> Option<Left> {
        let body = respond::refuse(self.sender, refusal, record, self.form);
        self.leave(body)
    }

    fn leave(self, body: Bytes) -> Option<Left> {
        (!body.is_empty()).then_some(Left { body, watch: self.watch, _open: self.open })
    }

    async fn answer(self, head: &Head, body: FromStream, mut record: Record) -> Option<Left> {
        if self.client.asks {
            return match subrequest::decide(head, &mut record, &self.watch).await {
                Ok(go) => {
                    respond::go(self.sender, &go, &record);
                    None
                }
                Err(Ended::Refused(refusal)) => self.refuse(&refusal, record),
                Err(Ended::ClientGone) => None,
            };
        }
        let mut routed = match route(self.worker, head, self.client, self.socket, &mut record) {
            Ok(routed) => routed,
            Err(refusal) => return self.refuse(&refusal, record),
        };
        let mut feed = Feed::new(body, head);
        let mut trip = Trip {
            head,
            client: self.client,
            record: &mut record,
            routed: &mut routed,
            watch: &self.watch,
            streams: self.open.among(),
        };
        match trip.forward(&mut feed).await {
            Ok(Begun::Link(sent)) => self.relay(head, sent, feed, record, routed).await,
            Ok(Begun::Stream(streamed)) => {
                self.pass(head, streamed, feed, record, routed).await;
                None
            }
            Err(Ended::Refused(refusal)) => self.refuse(&refusal, record),
            Err(Ended::ClientGone) => None,
        }
    }

    /// Relays an answer that comes by HTTP/1. Returns a short one, for which no replica waits.
    async fn relay(
        self,
        head: &Head,
        mut sent: Sent,
        feed: Feed<FromStream>,
        mut record: Record,
        mut routed: Routed,
    ) -> Option<Left> {
        record.first_byte(&mut routed, &sent.permit);
        let headless = head.method == http::Method::HEAD;
        // A short one that is here already is handed over whole: whatever its client has room for, no replica waits for that.
        let whole = if feed.finished && !headless { sent.whole() } else { None };
        if let Some(body) = whole {
            respond::begin(self.sender, &sent.answer, &mut record, &routed, false);
            record.note(|entry| (entry.sent, entry.cut) = (body.len() as u64, false));
            give_back(sent.permit, sent.link, sent.answer.reusable);
            return self.leave(body);
        }
        let ended = headless || sent.answer.body.has_ended();
        respond::begin(self.sender, &sent.answer, &mut record, &routed, ended);
        let upload = go_on(feed, sent.link.socket.clone());
        let deadline = sent.deadline;
        let Sent { permit, link, answer, .. } = sent;
        let source = Source::Link { permit, link, framing: answer.body, reusable: answer.reusable, ready: 0 };
        self.deliver(source, upload, deadline, ended, record, routed).await;
        None
    }

    /// Passes on an answer that comes by HTTP/2.
    async fn pass(
        self,
        head: &Head,
        streamed: Streamed,
        feed: Feed<FromStream>,
        mut record: Record,
        mut routed: Routed,
    ) {
        let Streamed { permit, outflow, inflow, answer, deadline } = streamed;
        record.first_byte(&mut routed, &permit);
        let ended = answer.body.has_ended() || head.method == http::Method::HEAD;
        respond::begin(self.sender, &answer, &mut record, &routed, ended);
        let upload = go_on(feed, outflow);
        let source = Source::Stream { carried: (permit, inflow), rest: Bytes::new() };
        self.deliver(source, upload, deadline, ended, record, routed).await;
    }

    async fn deliver(
        self,
        source: Source,
        upload: Option<AbortHandle>,
        deadline: Moment,
        ended: bool,
        record: Record,
        routed: Routed,
    ) {
        let policy = routed.policy(Arc::clone);
        let silence = policy.stream_idle_timeout;
        let pace = Pace::new(policy.min_transfer_rate, silence);
        self.watch.until(deadline.min(record.worker.now() + silence));
        let Stream { watch, open, sender, .. } = self;
        let mut delivery =
            Delivery { source, upload, watch, silence, pace, moved: 0, open, deadline, record, routed };
        if ended {
            return delivery.finish();
        }
        if let Err(reason) = poll_fn(|cx| delivery.poll(cx, sender)).await {
            sender.reset(reason);
        }
    }
}
