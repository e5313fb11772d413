//! A page of a list: asked for in protobuf, read in whatever the API server speaks.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;

use crate::list::{self, ListMeta};
use crate::protobuf::{self, schema};
use crate::wire::{Watched, Wire, line};

/// Longest text of a refusal that is read.
const REFUSAL: usize = 64 << 10;

/// A page on its way.
pub(crate) struct Page {
    pub(crate) list: List,
    body: Body,
}

/// A list of which some has come.
pub(crate) enum List {
    Json(list::List),
    Protobuf(protobuf::List),
}

impl Page {
    /// Asks, for JSON if it is to be `plain`. `Err`: it was refused, or isn't answered at all.
    pub(crate) async fn ask(
        client: &Client,
        request: Request<Vec<u8>>,
        plain: bool,
    ) -> Result<Page, kube::Error> {
        let mut request = request.map(Body::from);
        let accept = if plain { "application/json" } else { protobuf::ACCEPT };
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        let (head, body) = client.send(request).await?.into_parts();
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let is_protobuf = content_type.is_some_and(protobuf::is_protobuf);
        if !head.status.is_success() {
            let refusal = Limited::new(body, REFUSAL).collect().await.map_err(kube::Error::Service)?;
            return Err(kube::Error::Api(refused(head.status, is_protobuf, &refusal.to_bytes()).boxed()));
        }
        let list = match is_protobuf {
            true => List::Protobuf(protobuf::List::default()),
            false => List::Json(list::List::default()),
        };
        Ok(Page { list, body })
    }

    /// What comes next of it; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, kube::Error> {
        loop {
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(chunk) = frame.map_err(|error| kube::Error::Service(error.into()))?.into_data() {
                return Ok(Some(chunk));
            }
        }
    }
}

impl List {
    /// Takes the next bytes; each object that is whole goes to `found`. `Err`: it isn't a list, or none that can be held.
    pub(crate) fn take<T: Watched>(
        &mut self,
        chunk: &[u8],
        found: &mut impl FnMut(Wire<T>),
    ) -> Result<(), String> {
        match self {
            List::Json(list) => list.take(chunk, found),
            List::Protobuf(list) => list.take(chunk, found),
        }
    }

    /// What the list says of itself, once all of it has come. `Err`: it was cut short.
    pub(crate) fn end<T: Watched>(self, found: &mut impl FnMut(Wire<T>)) -> Result<ListMeta, String> {
        match self {
            List::Json(list) => list.end(found),
            List::Protobuf(list) => list.end(),
        }
    }
}

/// What an API server says instead of a list; what something else says that answers in its place.
fn refused(status: StatusCode, is_protobuf: bool, body: &[u8]) -> Status {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        message: String,
        reason: String,
    }
    let text = if is_protobuf { protobuf::object(&schema::STATUS, body) } else { None };
    let read = serde_json::from_slice(text.as_deref().unwrap_or(body));
    let other = |_| Refusal { message: line(&String::from_utf8_lossy(body)), reason: String::new() };
    let Refusal { message, reason } = read.unwrap_or_else(other);
    Status::failure(&message, &reason).with_code(status.as_u16())
}
