//! An API server for tests: a function from request to answer, with every request written down. And a clock that jumps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kaos_core::Moment;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::time::Instant;
use tower::service_fn;

use super::call::Api;
use super::clock::Clock;

pub(crate) mod cluster;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    /// Since the fake was made.
    pub(crate) at: Duration,
}

impl Seen {
    /// Method and path without its query.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }
}

/// What is answered.
pub(crate) enum Answer {
    /// Status, extra head, body.
    With(u16, &'static [(&'static str, &'static str)], String),
    /// The connection breaks.
    Break,
    /// Nothing, ever.
    Hang,
}

/// A JSON object with 200.
pub(crate) fn ok(body: &Value) -> Answer {
    Answer::With(200, &[], body.to_string())
}

/// A refusal, as Kubernetes words it.
pub(crate) fn no(code: u16) -> Answer {
    Answer::With(code, &[], format!(r#"{{"kind":"Status","message":"no","code":{code}}}"#))
}

/// What arrived so far.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.all().iter().map(Seen::line).collect()
    }
}

/// An API that answers by `answer`.
pub(crate) fn fake(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> (Client, Log) {
    let (log, answer, start) = (Log::default(), Arc::new(answer), Instant::now());
    let seen = log.clone();
    let service =
        service_fn(move |request: Request<Body>| respond(request, seen.clone(), answer.clone(), start));
    (Client::new(service, "default"), log)
}

/// The same as writers see it.
pub(crate) fn fake_api(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> (Arc<Api>, Log) {
    let (client, log) = fake(answer);
    (Arc::new(Api::new(client)), log)
}

async fn respond<F: Fn(&Seen) -> Answer>(
    request: Request<Body>,
    log: Log,
    answer: Arc<F>,
    start: Instant,
) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path_and_query().unwrap().to_string(),
        content_type: kind.unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: start.elapsed(),
    };
    log.0.lock().unwrap().push(seen.clone());
    match answer(&seen) {
        Answer::With(code, extra, body) => {
            let mut response = Response::builder().status(code);
            for (name, value) in extra {
                response = response.header(*name, *value);
            }
            Ok(response.body(Body::from(body.into_bytes())).unwrap())
        }
        Answer::Break => Err(std::io::ErrorKind::ConnectionReset.into()),
        Answer::Hang => std::future::pending().await,
    }
}

/// A clock that follows tokio's, which stands still in tests but for its timers, and jumps when told to.
#[derive(Clone)]
pub(crate) struct Jumping {
    start: Instant,
    ahead: Arc<Mutex<Duration>>,
}

impl Jumping {
    pub(crate) fn new() -> Self {
        Jumping { start: Instant::now(), ahead: Arc::default() }
    }

    pub(crate) fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::new(move || Moment::from_secs(1000) + this.start.elapsed() + *this.ahead.lock().unwrap())
    }

    pub(crate) fn jump(&self, span: Duration) {
        *self.ahead.lock().unwrap() += span;
    }
}
