//! Fetches the objects that are looked at, with the rights of whoever asks. A kind that the cluster doesn't know, or that may not be
//! listed, is noted and no failure.

use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::finding::Topic;
use super::kinds::{self, KINDS, Kind, Place};
use super::look;
use super::objects::{Objects, Unseen};
use crate::change::encode;
use crate::controller::Controller;
use crate::list::List;
use crate::wire::line;

/// The field manager that sets annotations of Kaos in place of others'.
pub const MANAGER: &str = "kaos-adopt";

/// Longest wait for a page.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Objects of a page.
const PAGE: usize = 500;
/// Most objects of one kind that are looked at.
const MOST: usize = 20_000;
/// Most bytes of text in ConfigMaps that are looked at, and in one value.
const TEXT: usize = 64 << 20;
const VALUE: usize = 64 << 10;
/// Longest refusal that is read.
const REFUSAL: usize = 64 << 10;

/// Which workloads are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one namespace.
    Namespace(String),
    /// One of a namespace, by its name; of either kind, if none is said.
    One(String, Option<Controller>, String),
    /// All.
    Everywhere,
}

impl Scope {
    fn namespace(&self) -> Option<&str> {
        match self {
            Scope::Namespace(namespace) | Scope::One(namespace, ..) => Some(namespace),
            Scope::Everywhere => None,
        }
    }
}

/// Why nothing can be said: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// Why a list didn't come.
pub(crate) enum Fault {
    Refused(StatusCode, String),
    Away(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused(status, why) => write!(out, "the API server says {status}: {why}"),
            Fault::Away(why) => write!(out, "the API server can't be asked: {why}"),
        }
    }
}

/// Everything that may speak against a sleep of `scope`. `Err`: its Deployments can't be read.
pub async fn gather(client: &Client, scope: &Scope) -> Result<Objects, Unreachable> {
    fetch(client, scope, |objects| {
        KINDS.iter().filter(|kind| kind.place != Place::Elsewhere || hinted(kind, objects)).collect()
    })
    .await
}

/// The Deployments of `scope`, and the objects of those of the kinds `wanted` that aren't Deployments.
pub(crate) async fn fetch(
    client: &Client,
    scope: &Scope,
    wanted: impl FnOnce(&Objects) -> Vec<&'static Kind>,
) -> Result<Objects, Unreachable> {
    let mut objects = Objects::default();
    deployments(client, scope, &mut objects).await.map_err(|fault| Unreachable(fault.to_string()))?;
    let namespace = scope.namespace();
    let wanted = wanted(&objects).into_iter().filter(|kind| kind.kind != KINDS[0].kind);
    let asked = wanted.map(|kind| async move {
        let namespace = namespace.filter(|_| kind.place == Place::Beside);
        (kind, every(client, kind, namespace).await)
    });
    for (kind, (found, why)) in join_all(asked).await {
        found.into_iter().for_each(|object| objects.keep(kind, object));
        if let Some((why, absent)) = why {
            objects.miss(Unseen { resource: kind.resource(), why, absent, topic: kind.topic });
        }
    }
    // Where they may not be listed, the one that is meant.
    let sets = Controller::StatefulSet;
    if let Scope::One(namespace, Some(Controller::StatefulSet), name) = scope
        && objects.unseen().iter().any(|one| one.resource.starts_with(sets.plural()))
        && let Some(kind) = kinds::find(sets.kind(), "apps")
    {
        let path = format!("{}/{}", kind.path(kind.versions[0], Some(namespace)), encode(name));
        let object = timeout(PATIENCE, get(client, &path)).await.map_err(|_| silent());
        let object = object.and_then(|got| got).map_err(|fault| Unreachable(fault.to_string()))?;
        objects.keep(kind, dressed(kind, object));
    }
    Ok(objects)
}

/// All Deployments of the scope: others may call the one that is meant. Where they may not be listed, that one alone.
async fn deployments(client: &Client, scope: &Scope, objects: &mut Objects) -> Result<(), Fault> {
    let kind = &KINDS[0];
    let path = kind.path(kind.versions[0], scope.namespace());
    let mut found = Vec::new();
    match (list(client, kind, &path, &mut found).await, scope) {
        (Err(Fault::Refused(StatusCode::FORBIDDEN, _)), Scope::One(_, Some(Controller::StatefulSet), _)) => {
            objects.miss(forbidden(kind));
        }
        (Err(Fault::Refused(StatusCode::FORBIDDEN, _)), Scope::One(_, _, name)) => {
            let path = format!("{path}/{}", encode(name));
            let object = timeout(PATIENCE, get(client, &path)).await.map_err(|_| silent())??;
            found.push(dressed(kind, object));
            objects.miss(forbidden(kind));
        }
        (Err(fault), _) => return Err(fault),
        (Ok(_), _) => {}
    }
    found.into_iter().for_each(|object| objects.keep(kind, object));
    Ok(())
}

/// Others of this kind may call the one that is meant.
fn forbidden(kind: &Kind) -> Unseen {
    let why = "forbidden".to_owned();
    Unseen { resource: kind.resource(), why, absent: false, topic: Topic::Program }
}

/// Whether a Deployment says that there are objects of this kind.
fn hinted(kind: &Kind, objects: &Objects) -> bool {
    let (hint, manager) = match kind.kind {
        "Application" => ("argocd.argoproj.io/tracking-id", "argocd"),
        _ => ("helm.toolkit.fluxcd.io/name", "helm-controller"),
    };
    objects.every("Deployment").any(|object| {
        let mut writers = look::list(object, "/metadata/managedFields").iter();
        !look::annotation(object, hint).is_empty()
            || !look::label(object, hint).is_empty()
            || writers.any(|one| look::text(one, "/manager").starts_with(manager))
    })
}

/// The objects of a kind, and why that aren't all of them: in a few words, and whether there can't be any.
async fn every(
    client: &Client,
    kind: &Kind,
    namespace: Option<&str>,
) -> (Vec<Value>, Option<(String, bool)>) {
    for version in kind.versions {
        let mut found = Vec::new();
        match list(client, kind, &kind.path(version, namespace), &mut found).await {
            Ok(true) => return (found, None),
            Ok(false) => return (found, Some(("there are more than can be looked at".to_owned(), false))),
            Err(Fault::Refused(StatusCode::NOT_FOUND, _)) => {}
            Err(Fault::Refused(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _)) => {
                return (Vec::new(), Some(("forbidden".to_owned(), false)));
            }
            Err(fault) => return (Vec::new(), Some((fault.to_string(), false))),
        }
    }
    (Vec::new(), Some(("not installed".to_owned(), true)))
}

/// Lists what is at `path` into `found`. Whether that is all of it.
async fn list(client: &Client, kind: &Kind, path: &str, found: &mut Vec<Value>) -> Result<bool, Fault> {
    let (mut token, mut text) = (String::new(), 0);
    loop {
        let page = format!("{path}?limit={PAGE}{token}");
        let mut whole = true;
        let mut keep = |object: Value| {
            let object = dressed(kind, object);
            let length = |(_, value): (&str, &Value)| value.as_str().map_or(0, str::len);
            text += look::entries(&object, "/data").map(length).sum::<usize>();
            whole = found.len() < MOST && text < TEXT;
            if whole {
                found.push(object);
            }
        };
        let next = timeout(PATIENCE, read(client, &page, &mut keep)).await.map_err(|_| silent())??;
        match next {
            Some(next) if whole => token = format!("&continue={}", encode(&next)),
            next => return Ok(whole && next.is_none()),
        }
    }
}

/// One page; each object of it goes to `keep` as it comes. What the next page is asked for with, if there is one.
async fn read(client: &Client, page: &str, keep: &mut impl FnMut(Value)) -> Result<Option<String>, Fault> {
    let mut body = ask(client, page).await?;
    let mut list = List::default();
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.map_err(away)?.into_data() {
            list.take(&chunk, keep).map_err(Fault::Away)?;
        }
    }
    let meta = list.end(keep).map_err(Fault::Away)?;
    Ok(meta.token.filter(|token| !token.is_empty()))
}

/// The one object at `path`.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Value, Fault> {
    let body = Limited::new(ask(client, path).await?, crate::list::MOST).collect().await.map_err(away)?;
    serde_json::from_slice(&body.to_bytes()).map_err(away)
}

pub(crate) fn silent() -> Fault {
    Fault::Away(format!("no answer within {} s", PATIENCE.as_secs()))
}

/// What comes with GET `path`.
async fn ask(client: &Client, path: &str) -> Result<Body, Fault> {
    let request =
        Request::get(path).header(header::ACCEPT, "application/json").body(Body::empty()).map_err(away)?;
    let (head, body) = client.send(request).await.map_err(away)?.into_parts();
    if head.status.is_success() {
        return Ok(body);
    }
    let refusal = Limited::new(body, REFUSAL).collect().await.map_err(away)?.to_bytes();
    let read: Value = serde_json::from_slice(&refusal).unwrap_or_default();
    Err(Fault::Refused(head.status, line(look::text(&read, "/message"))))
}

pub(crate) fn away(error: impl fmt::Display) -> Fault {
    Fault::Away(line(&error.to_string()))
}

/// An object of a list as it is by itself, with its kind; without what isn't looked at, which may be long.
fn dressed(kind: &Kind, mut object: Value) -> Value {
    let Some(parts) = object.as_object_mut() else { return object };
    parts.insert("kind".into(), kind.kind.into());
    parts.remove("status");
    parts.remove("binaryData");
    if let Some(data) = parts.get_mut("data").and_then(Value::as_object_mut) {
        data.retain(|_, value| value.as_str().is_some_and(|text| text.len() <= VALUE));
    }
    let Some(meta) = parts.get_mut("metadata") else { return object };
    if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    if let Some(books) = meta.get_mut("managedFields") {
        *books = books.as_array().into_iter().flatten().map(written).collect();
    }
    object
}

/// An entry of the API server's books: who, when, and of what was written the count, and what `kaos adopt` has set.
fn written(entry: &Value) -> Value {
    let one = |name: &str| entry.get(name).cloned().unwrap_or_default();
    let count = entry.pointer("/fieldsV1/f:spec/f:replicas").is_some();
    let mut fields = if count { json!({"f:spec": {"f:replicas": {}}}) } else { json!({}) };
    if look::text(entry, "/manager") == MANAGER
        && let Some(annotations) = entry.pointer("/fieldsV1/f:metadata/f:annotations")
    {
        fields["f:metadata"] = json!({"f:annotations": annotations});
    }
    json!({"manager": one("manager"), "subresource": one("subresource"), "time": one("time"), "fieldsV1": fields})
}
