//! One HTTP/1 connection of a client: request after request, each to its end before the next begins.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use crate::Patience;
use crate::admit::{Record, route};
use crate::buffer::{Input, READ_SIZE};
use crate::clients::Client;
use crate::field::{Name, length};
use crate::forward::feed::Feed;
use crate::forward::{Begun, Trip};
use crate::head::Head;
use crate::http1::relay::{self, FromClient, Next};
use crate::http1::{request, respond, tunnel};
use crate::partial::Partial;
use crate::refuse::{Ended, Refusal};
use crate::rounds::{Alarm, Watched};
use crate::sabotage::{Rule, is_off};
use crate::socket::Socket;
use crate::subrequest;
use crate::upstream::send;
use crate::worker::Worker;

/// After the last answer: how long, and for how many bytes, a client that goes on sending is listened to, so that the
/// answer isn't lost to a reset (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// One client's connection.
pub(crate) struct Connection {
    worker: Rc<Worker>,
    socket: Rc<Socket>,
    client: Client,
    watch: Watched,
    input: Input,
    head: Box<Head>,
}

impl Connection {
    /// A connection whose first bytes were read already.
    pub(crate) fn new(
        worker: Rc<Worker>,
        socket: Rc<Socket>,
        client: Client,
        watch: Watched,
        input: Input,
    ) -> Self {
        let head = Box::new(Head { https: client.secure || client.trusted, ..Head::default() });
        Connection { worker, socket, client, watch, input, head }
    }

    /// Serves it to its end.
    pub(crate) async fn serve(mut self) {
        loop {
            let next = match self.read_head().await {
                Ok(true) => self.exchange().await,
                Ok(false) => return self.socket.end_session(),
                Err(refusal) => self.refuse_unread(&refusal).await,
            };
            match next {
                Next::Again if is_off(Rule::Pipelines) => self.input.discard(&self.worker.buffers),
                Next::Again => {}
                Next::Close => return self.linger().await,
                Next::Cut => return,
            }
        }
    }

    /// Answers whatever is asked with `refusal`, without reading it.
    pub(crate) async fn turn_away(mut self, refusal: &Refusal) {
        if self.refuse_unread(refusal).await == Next::Close {
            self.linger().await;
        }
    }

    /// Longest time for a head, and longest silence before one.
    fn patience(&self) -> (Duration, Duration) {
        let Patience { head, idle, .. } = self.worker.patience();
        let of = |rule, span| if is_off(rule) { Duration::MAX } else { span };
        (of(Rule::HeadTime, head), of(Rule::IdleTime, idle))
    }

    /// Reads the next head. `false`: there is none, the connection is over.
    async fn read_head(&mut self) -> Result<bool, Refusal> {
        let max = self.worker.config().max_header_size;
        let mut begun = !self.input.is_empty();
        let mut partial = Partial::default();
        self.watch.mind_client(false);
        let now = self.worker.now();
        self.watch.rest((!begun).then_some(now));
        let (head, idle) = self.patience();
        self.watch.until(now + if begun { head } else { idle });
        loop {
            if !self.input.is_empty() {
                let unread = self.input.unread();
                if partial.is_worth_reading(unread, max)
                    && let Some(used) = request::read(unread, &mut self.head, max)?
                {
                    self.input.consume(used);
                    return Ok(true);
                }
                if !begun {
                    begun = true;
                    self.watch.rest(None);
                    self.watch.until(self.worker.now() + head);
                }
            }
            let (input, socket, buffers) = (&mut self.input, &self.socket, &self.worker.buffers);
            let filled = self.watch.over(poll_fn(|cx| input.poll_fill(cx, socket, buffers, READ_SIZE))).await;
            match filled {
                Ok(Ok(read)) if read > 0 => {}
                Err(Alarm::Deadline) if begun => return Err(Refusal::RequestTimeout),
                // A request had come already when it was to end for being idle: it is served.
                Err(Alarm::Deadline) if self.socket.has_bytes() => {
                    self.watch.until(self.worker.now() + head);
                }
                _ => return Ok(false),
            }
        }
    }

    /// One request, from its head to the last byte of its answer.
    async fn exchange(&mut self) -> Next {
        let asked = self.head.fields.values(Name::RequestId).next();
        let mut record = Record::for_request(&self.worker, asked);
        self.watch.rest(None);
        let passed = self.passed_on();
        self.head.passed = passed.map(|(wait, _)| wait);
        self.head.secure = passed.map_or(self.client.secure, |(_, secure)| secure);
        record.begin_entry(self.client, Some(&self.head));
        if self.client.asks {
            return self.answer_ask(record).await;
        }
        let mut routed = match route(&self.worker, &self.head, self.client, &self.socket, &mut record) {
            Ok(routed) => routed,
            Err(refusal) => {
                let whole = self.head.body.has_ended();
                return self.refuse(&refusal, &mut record, whole).await;
            }
        };
        let worker = self.worker.clone();
        let socket = self.socket.clone();
        let upload = FromClient::new(&self.head, &socket, &mut self.input, &worker.buffers);
        let mut feed = Feed::new(upload, &self.head);
        let mut trip = Trip {
            head: &self.head,
            client: self.client,
            record: &mut record,
            routed: &mut routed,
            watch: &self.watch,
            streams: 1,
        };
        let outcome = match trip.forward(&mut feed).await {
            Ok(Begun::Link(sent)) if sent.answer.upgrade.is_some() => {
                drop(feed);
                tunnel::run(&self.head, sent, &socket, &mut self.input, &mut record, &routed, &self.watch)
                    .await;
                return Next::Cut;
            }
            Ok(Begun::Link(sent)) => {
                relay::answer(&self.head, sent, &mut feed, &mut record, &mut routed, &self.watch).await
            }
            Ok(Begun::Stream(streamed)) => {
                relay::stream(&self.head, streamed, &mut feed, &mut record, &mut routed, &self.watch).await
            }
            Err(ended) => Err(ended),
        };
        record.note(|entry| entry.received = feed.upload.received());
        match outcome {
            Ok(next) => next,
            Err(Ended::ClientGone) => Next::Cut,
            Err(Ended::Refused(refusal)) => {
                let whole = feed.upload.has_read_all() && !feed.upload.is_uninvited();
                drop(feed);
                self.refuse(&refusal, &mut record, whole).await
            }
        }
    }

    /// Tells a proxy whether the request may go for which it asks.
    async fn answer_ask(&mut self, mut record: Record) -> Next {
        let whole = self.head.body.has_ended();
        let go = match subrequest::decide(&self.head, &mut record, &self.watch).await {
            Ok(go) => go,
            Err(Ended::ClientGone) => return Next::Cut,
            Err(Ended::Refused(refusal)) => return self.refuse(&refusal, &mut record, whole).await,
        };
        let keep = whole && self.head.keep_alive && self.worker.keeps_connections();
        let mut out = self.worker.buffers.take();
        respond::go(&go, &self.head, &record.request_id, keep, &mut out);
        self.watch.until(self.worker.now() + self.worker.patience().head);
        let written = self.watch.over(self.socket.write_all(&out)).await;
        self.worker.buffers.give(out);
        match written {
            Ok(Ok(())) if keep => Next::Again,
            Ok(Ok(())) => Next::Close,
            _ => Next::Cut,
        }
    }

    /// How long a request may wait that another proxy has passed on, and whether it came to that over TLS. Anybody else may say
    /// what they like.
    fn passed_on(&self) -> Option<(Duration, bool)> {
        let believed = &self.worker.shared.believed;
        if believed.is_empty() {
            return None;
        }
        let said = self.head.fields.values(Name::Passed).next()?;
        let (said, secure) = match said.strip_suffix(send::OVER_TLS) {
            Some(said) => (said, true),
            None => (said, false),
        };
        let millis = length(said).filter(|_| believed.contains(self.client.address))?;
        Some((Duration::from_millis(millis), secure))
    }

    /// Answers a request whose head could not be read.
    async fn refuse_unread(&mut self, refusal: &Refusal) -> Next {
        self.head.method = http::Method::GET;
        self.head.fields.clear();
        let mut record = Record::new(self.worker.clone(), self.worker.now(), self.worker.new_id());
        record.begin_entry(self.client, None);
        self.refuse(refusal, &mut record, false).await
    }

    /// Answers ourselves. `whole`: the request was read to its end, so another one may follow.
    async fn refuse(&mut self, refusal: &Refusal, record: &mut Record, whole: bool) -> Next {
        record.refused(refusal);
        let keep = whole && self.head.keep_alive && !refusal.closes() && self.worker.keeps_connections();
        let detail = self.worker.config().error_detail;
        let mut out = self.worker.buffers.take();
        // Who asks for another looks at the status.
        let grpc = self.head.is_grpc() && refusal.is_error() && !self.client.asks;
        let mut sent = 0;
        if grpc {
            respond::grpc_refusal(refusal, detail, record, keep, &mut out);
        } else {
            let body = respond::problem(refusal, detail, record);
            let with_body = self.head.method != http::Method::HEAD;
            respond::refusal(refusal, &body, &record.request_id, with_body, keep, &mut out);
            sent = if with_body { body.len() as u64 } else { 0 };
        }
        self.watch.until(self.worker.now() + self.worker.patience().head);
        let written = self.watch.over(self.socket.write_all(&out)).await;
        self.worker.buffers.give(out);
        if let Ok(Ok(())) = written {
            record.note(|entry| (entry.sent, entry.cut) = (sent, false));
        }
        match written {
            Ok(Ok(())) if keep => Next::Again,
            Ok(Ok(())) => Next::Close,
            _ => Next::Cut,
        }
    }

    /// Ends our side, and listens a little longer to a client that is still sending.
    async fn linger(mut self) {
        self.socket.end();
        self.watch.mind_client(false);
        self.watch.until(self.worker.now() + LINGER);
        let drain = self.input.drain(&self.socket, &self.worker.buffers, LINGER_BYTES);
        let _ = self.watch.over(drain).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.input.discard(&self.worker.buffers);
    }
}
