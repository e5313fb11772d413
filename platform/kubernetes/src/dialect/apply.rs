//! Sets the annotations of a plan, by server-side apply under a name of its own: nothing else of the object is touched, and what
//! others have set stays theirs.

use std::collections::BTreeMap;
use std::fmt;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kaos_core::annotation::PREFIX;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::MANAGER;
use super::plan::{Plan, is_ours};
use crate::change::encode;
use crate::safety::gather::{Fault, PATIENCE, away, get, silent};
use crate::safety::look;
use crate::wire::line;

/// Longest answer that is read.
const ANSWER: usize = 4 << 20;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It says what the plan says, and didn't before.
    Set,
    /// It said so already.
    Unchanged,
    /// Nothing was set: a sentence says why.
    Refused(String),
}

/// Sets what `plan` says. Nothing of it is set if somebody else has set one of the annotations otherwise meanwhile.
pub async fn apply(client: &Client, plan: &Plan) -> Applied {
    match set(client, plan).await {
        Ok(applied) => applied,
        Err(fault) => Applied::Refused(fault.to_string()),
    }
}

async fn set(client: &Client, plan: &Plan) -> Result<Applied, Fault> {
    let (namespace, name) = (plan.workload.namespace(), plan.workload.name());
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}", encode(namespace), encode(name));
    let found = timeout(PATIENCE, get(client, &path)).await.map_err(|_| silent())??;
    if !plan.uid.is_empty() && look::text(&found, "/metadata/uid") != plan.uid {
        return Ok(Applied::Refused("it was deleted meanwhile, and another has its name: look again".into()));
    }
    let wanted = wanted(plan, &found);
    let is = |(name, value): (&String, &String)| look::annotation(&found, name) == value;
    if wanted.iter().all(is) {
        return Ok(Applied::Unchanged);
    }
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": namespace, "uid": look::text(&found, "/metadata/uid"), "annotations": wanted,
        },
    });
    timeout(PATIENCE, send(client, &path, &body)).await.map_err(|_| silent())?
}

/// What is applied: all that is ours, or it would be taken away again, and what the plan says.
fn wanted(plan: &Plan, found: &Value) -> BTreeMap<String, String> {
    let ours = look::entries(found, "/metadata/annotations")
        .filter(|(name, _)| name.starts_with(PREFIX) && is_ours(found, name))
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_str()?.to_owned())));
    ours.chain(plan.lines.iter().map(|line| (line.name.clone(), line.value.clone()))).collect()
}

async fn send(client: &Client, path: &str, body: &Value) -> Result<Applied, Fault> {
    let request = Request::patch(format!("{path}?fieldManager={MANAGER}"))
        .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
        .header(header::ACCEPT, "application/json")
        .body(Body::from(body.to_string().into_bytes()))
        .map_err(away)?;
    let (head, answer) = client.send(request).await.map_err(away)?.into_parts();
    if head.status.is_success() {
        return Ok(Applied::Set);
    }
    let answer = Limited::new(answer, ANSWER).collect().await.map_err(away)?.to_bytes();
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(Applied::Refused(match conflicts(&answer) {
        Some(why) if head.status == StatusCode::CONFLICT => why,
        _ => Fault::Refused(head.status, line(look::text(&answer, "/message"))).to_string(),
    }))
}

/// Who else has set what, by the API server's own answer.
fn conflicts(answer: &Value) -> Option<String> {
    let all = look::list(answer, "/details/causes").iter();
    let conflicts = all.filter(|cause| look::text(cause, "/reason") == "FieldManagerConflict");
    let told: Vec<String> = conflicts
        .map(|cause| {
            let (field, message) = (look::text(cause, "/field"), look::text(cause, "/message"));
            let field = field.strip_prefix(".metadata.annotations.").unwrap_or(field);
            let who = message.split('"').nth(1).unwrap_or(message);
            format!("{} is {}'s", line(field), line(who))
        })
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "{}: nothing was set, nothing is forced; take the annotation away, or set it yourself",
            told.join(", ")
        )
    })
}

impl fmt::Display for Applied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Applied::Set => out.write_str("set"),
            Applied::Unchanged => out.write_str("unchanged"),
            Applied::Refused(why) => out.write_str(why),
        }
    }
}
