//! One HTTP/2 connection of a client, and each of its streams.

use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use kaos_core::Moment;

use crate::admit::{Ended, Record, route};
use crate::clients::Client;
use crate::forward::feed::Feed;
use crate::forward::{Begun, Sent, Streamed, Trip, give_back};
use crate::head::Head;
use crate::http1::respond;
use crate::http2::budget::{Budget, Earned};
use crate::http2::download::{Answer, Download};
use crate::http2::io::Io;
use crate::http2::request;
use crate::http2::streams::{Open, Streams};
use crate::http2::through::Through;
use crate::http2::upload::FromStream;
use crate::pace::Pace;
use crate::refuse::{Refusal, is_grpc};
use crate::rounds::Watched;
use crate::socket::Socket;
use crate::worker::Worker;

/// What a connection may use: streams, bytes per stream and connection, and bytes waiting to be sent per stream.
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 64 * 1024;
/// A ping is sent this often, and must be answered within that.
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);

/// Runs hyper's tasks on the worker's own thread.
#[derive(Clone, Debug)]
struct Local(Rc<Worker>);

/// Sees how a task ends.
struct Ending(Rc<Worker>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.note_end();
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Local
where
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        let ending = Ending(self.0.clone());
        tokio::task::spawn_local(async move {
            let _ending = ending;
            task.await;
        });
    }
}

/// Serves a connection that begins with the HTTP/2 preface to its end. `read`: what was read of it so far, the first
/// `preface` bytes of which are the preface.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    socket: Rc<Socket>,
    client: Client,
    watch: Watched,
    read: &[u8],
    preface: usize,
) {
    let earned = Rc::new(Earned::default());
    let io = Io::new(socket.clone(), read, Budget::new(preface, earned.clone()));
    let watch = Rc::new(watch);
    watch.until(Moment::NEVER);
    let streams = Rc::new(Streams::new(&worker, watch.clone(), earned));
    let service = {
        let (worker, streams) = (worker.clone(), streams.clone());
        service_fn(move |request| {
            let (worker, socket) = (worker.clone(), socket.clone());
            let open = Open::new(streams.clone());
            async move {
                let watch = worker.rounds.watch(&socket);
                Ok::<_, Infallible>(stream(worker, &socket, client, watch, request, open).await)
            }
        })
    };
    let mut connection = std::pin::pin!(builder(&worker).serve_connection(io, service));
    tokio::select! {
        _ = &mut connection => return,
        () = streams.end() => {}
    }
    // What has come until the client knows is still served: the first GOAWAY names no stream, the second follows the
    // answer to a ping (RFC 9113 §6.8).
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = streams.farewell() => {}
    }
}

/// What every connection may use.
fn builder(worker: &Rc<Worker>) -> hyper::server::conn::http2::Builder<Local> {
    let mut builder = hyper::server::conn::http2::Builder::new(Local(worker.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        // By what they do wrong clients make streams end that have become requests: as many as may be open at once.
        .max_local_error_reset_streams(Some(STREAMS as usize))
        .max_header_list_size(worker.config().max_header_size as u32)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// One request.
async fn stream(
    worker: Rc<Worker>,
    socket: &Socket,
    client: Client,
    watch: Watched,
    request: Request<Incoming>,
    open: Open,
) -> Response<Answer> {
    let id = request.headers().get("x-request-id").map(HeaderValue::as_bytes);
    let mut record = Record::for_request(&worker, id);
    let grpc = request.headers().get(http::header::CONTENT_TYPE).is_some_and(|kind| is_grpc(kind.as_bytes()));
    let form = if grpc {
        Form::Grpc
    } else if request.method() == http::Method::HEAD {
        Form::Head
    } else {
        Form::Whole
    };
    let head = match request::head(&request, client.secure || client.trusted) {
        Ok(head) => head,
        Err(refusal) => {
            record.begin_entry(client, None);
            return refuse(&refusal, record, form);
        }
    };
    record.begin_entry(client, Some(&head));
    let mut routed = match route(&worker, &head, socket, &mut record) {
        Ok(routed) => routed,
        Err(refusal) => return refuse(&refusal, record, form),
    };
    let mut feed = Feed::new(FromStream::new(&head, request.into_body(), record.meter()));
    let streams = open.among();
    let mut trip =
        Trip { head: &head, client, record: &mut record, routed: &mut routed, watch: &watch, streams };
    let sent = trip.forward(&mut feed).await;
    match sent {
        Ok(Begun::Link(sent)) => answer(&head, sent, feed, record, routed, watch, open),
        Ok(Begun::Stream(streamed)) => pass(&head, streamed, feed, record, routed, watch, open),
        Err(Ended::Refused(refusal)) => refuse(&refusal, record, form),
        // Nobody reads it: hyper drops this stream.
        Err(Ended::ClientGone) => Response::new(Answer::Own(None)),
    }
}

fn answer(
    head: &Head,
    mut sent: Sent,
    mut feed: Feed<FromStream>,
    mut record: Record,
    mut routed: crate::admit::Routed,
    watch: Watched,
    open: Open,
) -> Response<Answer> {
    let worker = record.worker.clone();
    record.first_byte(&mut routed, &sent.permit);
    let mut response = begin(&sent.answer, &mut record, &routed);
    let policy = routed.seat.gate.view().workload.policy.clone();
    let silence = policy.stream_idle_timeout;
    // A short one that is here already is handed over whole: whatever its client has room for, no replica waits for that.
    if feed.finished
        && head.method != http::Method::HEAD
        && let Some(body) = sent.whole()
    {
        record.note(|entry| (entry.sent, entry.cut) = (body.len() as u64, false));
        give_back(sent.permit, sent.link, sent.answer.reusable);
        *response.body_mut() = Answer::Own(Some(body));
        return response;
    }
    watch.until(sent.deadline.min(worker.now() + silence));
    // Reading the answer must not drive the upload: a client that reads only after it has sent would wait for ever.
    let upload = (!feed.finished).then(|| {
        let mut to = sent.link.socket.clone();
        tokio::task::spawn_local(async move { feed.finish(&mut to).await }).abort_handle()
    });
    let mut download = Download {
        framing: sent.answer.body,
        reusable: sent.answer.reusable,
        carried: Some((sent.permit, sent.link)),
        upload,
        watch,
        silence,
        pace: Pace::new(policy.min_transfer_rate, silence),
        moved: 0,
        open,
        deadline: sent.deadline,
        record,
        routed,
    };
    if download.framing.has_ended() || head.method == http::Method::HEAD {
        download.finish();
    }
    *response.body_mut() = Answer::Replica(Box::new(download));
    response
}

/// Passes on an answer that comes by HTTP/2.
fn pass(
    head: &Head,
    streamed: Streamed,
    mut feed: Feed<FromStream>,
    mut record: Record,
    mut routed: crate::admit::Routed,
    watch: Watched,
    open: Open,
) -> Response<Answer> {
    let Streamed { permit, mut outflow, inflow, answer, deadline } = streamed;
    record.first_byte(&mut routed, &permit);
    let mut response = begin(&answer, &mut record, &routed);
    let policy = routed.seat.gate.view().workload.policy.clone();
    let silence = policy.stream_idle_timeout;
    watch.until(deadline.min(record.worker.now() + silence));
    // As above. What has left already needs no task.
    let upload = (!feed.finished)
        .then(|| tokio::task::spawn_local(async move { feed.finish(&mut outflow).await }).abort_handle());
    let carried = Some((permit, inflow));
    let pace = Pace::new(policy.min_transfer_rate, silence);
    let mut through =
        Through { carried, upload, watch, silence, pace, moved: 0, open, deadline, record, routed };
    if answer.body.has_ended() || head.method == http::Method::HEAD {
        through.finish();
    }
    *response.body_mut() = Answer::Stream(Box::new(through));
    response
}

/// The head of a replica's answer.
fn begin(
    answer: &crate::upstream::answer::Answer,
    record: &mut Record,
    routed: &crate::admit::Routed,
) -> Response<Answer> {
    record.answered(answer);
    let mut response = Response::new(Answer::Own(None));
    if let Ok(status) = http::StatusCode::from_u16(answer.status) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    let listed = answer.fields.lists_more();
    for field in answer.fields.iter().filter(|field| respond::passes_back(field.kind, &routed.wait)) {
        let name = HeaderName::from_bytes(field.name);
        let value = HeaderValue::from_bytes(field.value);
        if let (Ok(name), Ok(value), false) = (name, value, listed && answer.fields.is_listed(&field)) {
            headers.append(name, value);
        }
    }
    if let Some(length) = answer.length.filter(|_| answer.status != 204) {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    say(headers, "x-request-id", &record.request_id);
    if let Some((span, phases)) = routed.wait.cold {
        say(headers, "x-kaos-cold-start", "true");
        say(headers, "server-timing", &respond::server_timing(span, phases));
    }
    response
}

/// How our own answer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Whole,
    /// To HEAD.
    Head,
    Grpc,
}

fn refuse(refusal: &Refusal, mut record: Record, form: Form) -> Response<Answer> {
    record.refused(refusal);
    if let (Form::Grpc, false) = (form, matches!(refusal, Refusal::NoWake(_))) {
        record.note(|entry| entry.cut = false);
        return refuse_grpc(refusal, &record);
    }
    let body = respond::problem(refusal, record.worker.config().error_detail, &record);
    let body = (form == Form::Whole && !body.is_empty()).then(|| Bytes::from(body));
    // Handed over whole: what becomes of it then only hyper knows.
    record.note(|entry| (entry.sent, entry.cut) = (body.as_ref().map_or(0, |body| body.len() as u64), false));
    let mut response = Response::new(Answer::Own(body));
    if let Ok(status) = http::StatusCode::from_u16(refusal.status()) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    match refusal {
        Refusal::NoWake(_) => say(headers, "cache-control", "no-store"),
        _ => say(headers, "content-type", "application/problem+json"),
    }
    say(headers, "x-request-id", &record.request_id);
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(http::header::RETRY_AFTER, seconds.into());
    }
    response
}

/// As gRPC says it: by trailers alone, in the place of a head.
fn refuse_grpc(refusal: &Refusal, record: &Record) -> Response<Answer> {
    let (status, message) = respond::grpc(refusal, record.worker.config().error_detail, record);
    let mut response = Response::new(Answer::Own(None));
    let headers = response.headers_mut();
    say(headers, "content-type", "application/grpc");
    headers.insert("grpc-status", status.into());
    say(headers, "grpc-message", &message);
    say(headers, "x-request-id", &record.request_id);
    response
}

fn say(headers: &mut http::HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(HeaderName::from_static(name), value);
    }
}
