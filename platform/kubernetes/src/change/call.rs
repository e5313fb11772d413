//! One call of the API server: a deadline, a turn, the class of its failure, and another try where that is safe.
//!
//! Every request sent here may be sent twice: it either has a precondition or sets what is there already. Knows no
//! workload. kube's own retries are not for writes: fifteen tries with minutes between them outlive every decision.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::error;

use super::fault::Fault;
use super::object::{List, encode};
use crate::rights::{self, Right};

/// A write is answered within this, its further tries included, or has failed as far as we know.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// Most wakes in flight. They have turns of their own: a wake waits for no other kind of write.
const WAKES: usize = 64;

/// Most other calls in flight.
const CALLS: usize = 32;

/// After a broken connection the call is sent once more, this much later.
const BROKEN_PAUSE: Duration = Duration::from_millis(20);

/// A missing right is logged again after this.
const FORBIDDEN: Duration = Duration::from_secs(600);

/// Longest answer that is read, in bytes. An object in etcd has at most 1.5 MiB; lists are asked for in pages.
const ANSWER: usize = 8 << 20;

/// Objects of a page, and most pages of a list.
const PAGE: usize = 500;
/// See [`PAGE`].
const PAGES: usize = 20;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody waits for a replica, or may soon.
    Wake,
    /// Everything else.
    Other,
}

/// A request as data, so that it can be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What it needs.
    pub(crate) right: Right,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    /// In which form it is answered.
    accept: &'static str,
    pub(crate) body: Vec<u8>,
}

/// The object as it is.
const WHOLE: &str = "application/json";
/// Its metadata alone.
const HEAD: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

impl Ask {
    /// Reads what is at `path`.
    pub(crate) fn get(right: Right, path: String) -> Self {
        let content_type = "application/json";
        Ask { right, method: Method::GET, path, content_type, accept: WHOLE, body: Vec::new() }
    }

    /// Reads the metadata of what is at `path`.
    pub(crate) fn head(right: Right, path: String) -> Self {
        Ask { accept: HEAD, ..Ask::get(right, path) }
    }

    /// A request with a body.
    pub(crate) fn with(
        right: Right,
        method: Method,
        path: String,
        content_type: &'static str,
        body: &serde_json::Value,
    ) -> Self {
        Ask { right, method, path, content_type, accept: WHOLE, body: body.to_string().into_bytes() }
    }

    /// A JSON merge patch (RFC 7386).
    pub(crate) fn merge(right: Right, path: String, body: &serde_json::Value) -> Self {
        Ask::with(right, Method::PATCH, path, "application/merge-patch+json", body)
    }

    /// A JSON patch (RFC 6902).
    pub(crate) fn patch(right: Right, path: String, body: &serde_json::Value) -> Self {
        Ask::with(right, Method::PATCH, path, "application/json-patch+json", body)
    }
}

/// How often a connection for wakes is used though nobody wakes: an idle one is closed after 90 s by the client's pool, and
/// sooner by what stands between.
const WARM: Duration = Duration::from_secs(20);

/// Clients of one cluster. kube's speak HTTP/1: a connection carries one request at a time, so another that is asked
/// meanwhile begins with a handshake of TLS, which takes tens of milliseconds of a busy API server's time.
#[derive(Clone)]
pub struct Clients {
    /// For everything else.
    pub others: Client,
    /// For wakes: its connections are taken by nothing else. `None`: those of the others.
    pub wakes: Option<Client>,
}

impl From<Client> for Clients {
    fn from(others: Client) -> Self {
        Clients { others, wakes: None }
    }
}

/// The API server, as writers see it.
pub(crate) struct Api {
    clients: Clients,
    wakes: Semaphore,
    calls: Semaphore,
    /// When a missing right was last logged. As many as there are rights in this code.
    said: Mutex<HashMap<Right, Instant>>,
}

impl Api {
    /// Calls through `clients`, which must not retry by themselves.
    pub(crate) fn new(clients: impl Into<Clients>) -> Self {
        let (wakes, calls) = (Semaphore::new(WAKES), Semaphore::new(CALLS));
        Api { clients: clients.into(), wakes, calls, said: Mutex::default() }
    }

    /// Keeps a connection ready on which the next wake is sent at once, by reading what is at `path`. One that is dead is found
    /// before a wake is lost on it.
    pub(crate) async fn stay_warm(self: Arc<Self>, path: String) {
        let Some(client) = &self.clients.wakes else { return std::future::pending().await };
        loop {
            // Whatever is answered: what was in flight when its time is over closes its connection.
            let asked = Self::exchange(client, Request::get(&path).body(Body::empty()));
            drop(timeout_at(Instant::now() + DEADLINE, asked).await);
            sleep(WARM).await;
        }
    }

    /// Sends `ask` until it is answered or `deadline` has come. `may` is looked at before each step of each sending.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        turn: Turn,
        deadline: Instant,
        may: impl Fn() -> bool,
    ) -> Result<T, Fault> {
        let turns = if turn == Turn::Wake { &self.wakes } else { &self.calls };
        let permit = timeout_at(deadline, turns.acquire()).await.map_err(|_| Fault::Late)?;
        let _permit = permit.map_err(|_| Fault::Failed("kaos is shutting down".into()))?;
        let mut broken = false;
        loop {
            let fault = match fenced(self.send(ask, turn), deadline, &may).await? {
                Ok((status, _, body)) if status.is_success() => return parse(&body),
                Ok((status, headers, body)) => Fault::of(status, &headers, &body),
                Err(fault) => fault,
            };
            let pause = match &fault {
                Fault::Later(after, _) => *after,
                Fault::Broken(_) if !broken => BROKEN_PAUSE,
                Fault::Forbidden(why) => {
                    // What users give is told to them, with the rule that it takes.
                    if ask.right != rights::TARGET_SCALE {
                        self.forbidden(ask.right, why);
                    }
                    return Err(fault);
                }
                _ => return Err(fault),
            };
            broken |= matches!(fault, Fault::Broken(_));
            let again = Instant::now() + pause.max(BROKEN_PAUSE);
            if again >= deadline {
                return Err(fault);
            }
            sleep_until(again).await;
        }
    }

    /// A call that needs no leadership and can wait.
    pub(crate) async fn read<T: DeserializeOwned>(&self, right: Right, path: String) -> Result<T, Fault> {
        self.call(&Ask::get(right, path), Turn::Other, Instant::now() + DEADLINE, || true).await
    }

    /// What is listed at `path`, page by page. `query` goes into the query of each, and `first` into that of the first.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        right: Right,
        path: &str,
        query: &str,
        first: &str,
        deadline: Instant,
    ) -> Result<Vec<T>, Fault> {
        let (mut more, mut found) = (first.to_owned(), Vec::new());
        for _ in 0..PAGES {
            let ask = Ask::get(right, format!("{path}?limit={PAGE}{query}{more}"));
            let page: List<T> = self.call(&ask, Turn::Other, deadline, || true).await?;
            found.extend(page.items);
            if page.metadata.next.is_empty() {
                return Ok(found);
            }
            more = format!("&continue={}", encode(&page.metadata.next));
        }
        Err(Fault::Failed(format!("{path} lists more than {}", PAGES * PAGE)))
    }

    /// Loud once, and again while it lasts: each right at most once in [`FORBIDDEN`].
    fn forbidden(&self, right: Right, why: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.get(&right).is_none_or(|at| now.duration_since(*at) >= FORBIDDEN) {
            said.insert(right, now);
            error!(%right, why, "Kaos lacks a right; apply the roles that `kaos install` prints");
        }
    }

    async fn send(&self, ask: &Ask, turn: Turn) -> Result<(StatusCode, HeaderMap, Vec<u8>), Fault> {
        let mut request = Request::builder().method(ask.method.clone()).uri(&ask.path);
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, ask.content_type);
        }
        let request = request.header(header::ACCEPT, ask.accept).body(Body::from(ask.body.clone()));
        let Clients { others, wakes } = &self.clients;
        Self::exchange(wakes.as_ref().filter(|_| turn == Turn::Wake).unwrap_or(others), request).await
    }

    async fn exchange(
        client: &Client,
        request: http::Result<Request<Body>>,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), Fault> {
        let request = request.map_err(|why| Fault::Failed(format!("no request: {why}")))?;
        let answer = client.send(request).await.map_err(|why| Fault::Broken(chain(&why)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER).collect().await.map_err(|why| Fault::Broken(chain(&*why)))?;
        Ok((head.status, head.headers, body.to_bytes().to_vec()))
    }
}

/// What `sending` comes to, if every step of it is before `deadline` and while it `may` go on.
///
/// A connection may have to be made before anything is sent, and the process may be stopped meanwhile: its timers and its
/// sockets are then looked at together, and what was decided is of old. Who goes on drops the request before it is sent.
async fn fenced<T>(
    sending: impl Future<Output = T>,
    deadline: Instant,
    may: impl Fn() -> bool,
) -> Result<T, Fault> {
    let mut sending = pin!(sending);
    let mut begun = false;
    let step = poll_fn(|context| {
        if Instant::now() >= deadline {
            return Poll::Ready(Err(Fault::Late));
        }
        if !may() {
            // Once it was begun nobody knows how far it came.
            return Poll::Ready(Err(if begun { Fault::Late } else { Fault::Deposed }));
        }
        begun = true;
        sending.as_mut().poll(context).map(Ok)
    });
    timeout_at(deadline, step).await.unwrap_or(Err(Fault::Late))
}

/// A success without the object: the write's outcome is known by reading again, as after a broken connection.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|why| Fault::Failed(format!("the answer isn't the object asked for: {why}")))
}

/// An error with what caused it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
