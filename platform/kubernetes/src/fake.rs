//! An API server that does what a real one can't be made to do on demand: stalls, half-written JSON, 410, outages.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::service_fn;

type Answer = Response<BoxBody<Bytes, Infallible>>;
type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

/// The fake. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    known: Mutex<Known>,
    /// Grows with each request and release.
    beat: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    objects: HashMap<String, Vec<Value>>,
    watches: HashMap<String, Vec<Sender>>,
    /// Path and query of every request.
    requests: Vec<String>,
    stalled: HashSet<String>,
    /// Requests that contain this are answered with this status, once.
    refused: Option<(String, u16)>,
    /// Objects per page of a list, if they are paged.
    page: Option<usize>,
    down: bool,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Fake(Arc::new(Inner { known: Mutex::default(), beat: watch::channel(0).0 }))
    }

    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        Client::new(
            service_fn(move |request: Request<Body>| {
                let fake = fake.clone();
                async move { fake.answer(request.uri()).await }
            }),
            "default",
        )
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap()
    }

    /// What lists of `resource` have from here on.
    pub(crate) fn have(&self, resource: &str, objects: Vec<Value>) {
        self.known().objects.insert(resource.into(), objects);
    }

    /// Lists of `resource` aren't answered until it is released.
    pub(crate) fn stall(&self, resource: &str, stalled: bool) {
        if stalled {
            self.known().stalled.insert(resource.into());
        } else {
            self.known().stalled.remove(resource);
        }
        self.0.beat.send_modify(|beat| *beat += 1);
    }

    /// The next request whose path and query contain `text` is answered with `status`.
    pub(crate) fn refuse(&self, text: &str, status: u16) {
        self.known().refused = Some((text.into(), status));
    }

    /// Lists have so many objects per page.
    pub(crate) fn page(&self, objects: usize) {
        self.known().page = Some(objects);
    }

    /// Nothing is answered but 500, and every watch ends.
    pub(crate) fn down(&self, down: bool) {
        let mut known = self.known();
        known.down = down;
        known.watches.clear();
    }

    /// Sends a line to every watch of `resource`: the type first, as an API server does.
    pub(crate) fn say(&self, resource: &str, kind: &str, object: &Value) {
        self.raw(resource, &format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"));
    }

    /// Sends bytes to every watch of `resource`.
    pub(crate) fn raw(&self, resource: &str, text: &str) {
        let mut known = self.known();
        let watches = known.watches.get_mut(resource).expect("watched");
        watches.retain(|to| to.unbounded_send(Ok(Frame::data(Bytes::from(text.to_owned())))).is_ok());
    }

    /// Ends every watch of `resource`.
    pub(crate) fn cut(&self, resource: &str) {
        self.known().watches.remove(resource);
    }

    /// Requests whose path and query contain `text`.
    pub(crate) fn asked(&self, text: &str) -> usize {
        self.known().requests.iter().filter(|request| request.contains(text)).count()
    }

    /// Waits for the request of number `count` (from 1) whose path and query contain `text`.
    pub(crate) async fn until_asked(&self, text: &str, count: usize) {
        let mut beat = self.0.beat.subscribe();
        let asked = async {
            while self.asked(text) < count {
                beat.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(120), asked).await.expect("asked in time");
    }

    async fn answer(&self, uri: &http::Uri) -> Result<Answer, Infallible> {
        let resource = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let watches =
            uri.query().is_some_and(|query| query.contains("watch=true") || query.contains("watch=1"));
        let (mut beat, answer) = {
            let mut known = self.known();
            known.requests.push(uri.to_string());
            let refused = known.refused.take_if(|(text, _)| uri.to_string().contains(&**text));
            let answer = match refused {
                Some((_, status)) => {
                    Some(whole(status, &json!({"kind": "Status", "code": status, "message": "refused"})))
                }
                None if known.down => {
                    Some(whole(500, &json!({"kind": "Status", "code": 500, "message": "down"})))
                }
                None if watches => {
                    let (to, from) = mpsc::unbounded();
                    known.watches.entry(resource.clone()).or_default().push(to);
                    Some(Response::new(BodyExt::boxed(StreamBody::new(from))))
                }
                None => None,
            };
            (self.0.beat.subscribe(), answer)
        };
        self.0.beat.send_modify(|beat| *beat += 1);
        if let Some(answer) = answer {
            return Ok(answer);
        }
        while self.known().stalled.contains(&resource) {
            beat.changed().await.unwrap();
        }
        let known = self.known();
        let items = known.objects.get(&resource).cloned().unwrap_or_default();
        let query = uri.query().unwrap_or_default();
        let token = query.split('&').find_map(|part| part.strip_prefix("continue=")?.parse().ok());
        let from: usize = token.unwrap_or(0);
        let to = known.page.map_or(items.len(), |page| items.len().min(from + page));
        let mut meta = json!({"resourceVersion": "7"});
        if to < items.len() {
            meta["continue"] = json!(to.to_string());
        }
        Ok(whole(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": &items[from..to]}),
        ))
    }
}

fn whole(status: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string())).boxed();
    Response::builder().status(status).body(body).unwrap()
}
