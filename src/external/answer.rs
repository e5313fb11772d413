//! One question that the API server passed on, and its answer, in the form of `external.metrics.k8s.io/v1beta1`
//! (<https://github.com/kubernetes/metrics/blob/master/pkg/apis/external_metrics/v1beta1/types.go>).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use kaos_autoscaler::Journal;
use kaos_core::WorkloadId;
use kaos_core::window::Load;
use kaos_kubernetes::{LOAD, LOAD_OF};
use serde_json::{Value, json};

use crate::clock::rfc3339_now;

/// The group whose metrics these are.
const GROUP: &str = "external.metrics.k8s.io";
/// Its version.
const VERSION: &str = "v1beta1";
/// Longest selector that is read.
const SELECTOR: usize = 4096;

/// Where loads are found; of a workload that is known, `None` where its load isn't.
pub(crate) trait Loads: Send + Sync {
    /// That of this workload, if it is known.
    fn of(&self, id: &WorkloadId) -> Option<Option<Load>>;

    /// Those of all in a namespace.
    fn within(&self, namespace: &str) -> Vec<(WorkloadId, Option<Load>)>;
}

impl Loads for Journal {
    fn of(&self, id: &WorkloadId) -> Option<Option<Load>> {
        self.book(id).map(|book| book.load())
    }

    fn within(&self, namespace: &str) -> Vec<(WorkloadId, Option<Load>)> {
        let all = self.all().into_iter().filter(|(id, _)| id.namespace() == namespace);
        all.map(|(id, book)| (id, book.load())).collect()
    }
}

/// What is wrong with a question.
#[derive(Debug, PartialEq, Eq)]
enum Problem {
    ReadOnly,
    NoSuchPath,
    NoSuchMetric(String),
    BadSelector(String),
    /// Of this workload.
    NoData(WorkloadId),
}

impl Problem {
    /// The status, its reason as the API server's clients know it, and a sentence.
    fn told(&self) -> (StatusCode, &'static str, String) {
        match self {
            Problem::ReadOnly => (
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "metrics can be read only: GET".to_owned(),
            ),
            Problem::NoSuchPath => (
                StatusCode::NOT_FOUND,
                "NotFound",
                format!("there is /apis/{GROUP}/{VERSION}/namespaces/NAMESPACE/{LOAD}"),
            ),
            Problem::NoSuchMetric(name) => {
                (StatusCode::NOT_FOUND, "NotFound", format!("there is no metric {name:?}; there is {LOAD}"))
            }
            Problem::BadSelector(got) => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                format!(
                    "the selector is {got:?}; allowed is {LOAD_OF}=NAME, {LOAD_OF} in (NAME,…), or none for all of the namespace"
                ),
            ),
            Problem::NoData(workload) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                format!(
                    "the load of {workload} isn't known: a proxy of Kaos isn't heard, or not for long enough; the count should stay"
                ),
            ),
        }
    }
}

/// Answers a question.
pub(super) fn answer<B>(loads: &dyn Loads, request: &Request<B>) -> Response<Full<Bytes>> {
    let (status, value) = match find(loads, request) {
        Ok(value) => (StatusCode::OK, value),
        Err(problem) => {
            let (status, reason, message) = problem.told();
            let value = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "reason": reason, "message": message, "code": status.as_u16(),
            });
            (status, value)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn find<B>(loads: &dyn Loads, request: &Request<B>) -> Result<Value, Problem> {
    if request.method() != Method::GET {
        return Err(Problem::ReadOnly);
    }
    let path: Vec<&str> = request.uri().path().trim_end_matches('/').split('/').skip(1).collect();
    let version = || json!({"groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION});
    let group = || json!({"name": GROUP, "versions": [version()], "preferredVersion": version()});
    match path[..] {
        ["apis"] => Ok(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]})),
        ["apis", GROUP] => {
            let mut group = group();
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            Ok(group)
        }
        ["apis", GROUP, VERSION] => Ok(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{VERSION}"),
            "resources": [{
                "name": LOAD, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"],
            }],
        })),
        ["apis", GROUP, VERSION, "namespaces", namespace, LOAD] => {
            let query = request.uri().query().unwrap_or_default();
            list(loads, namespace, selected(query)?)
        }
        ["apis", GROUP, VERSION, "namespaces", _, metric] => Err(Problem::NoSuchMetric(metric.to_owned())),
        _ => Err(Problem::NoSuchPath),
    }
}

/// The names that `query` selects; `None` for all.
fn selected(query: &str) -> Result<Option<Vec<String>>, Problem> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "labelSelector");
    let Some((_, selector)) = found.filter(|(_, selector)| !selector.trim().is_empty()) else {
        return Ok(None);
    };
    let names = (selector.len() <= SELECTOR).then(|| names(&selector)).flatten();
    names.map(Some).ok_or_else(|| Problem::BadSelector(selector.chars().take(200).collect()))
}

/// The grammar of selectors, as far as it chooses by name
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>).
fn names(selector: &str) -> Option<Vec<String>> {
    let rest = selector.trim().strip_prefix(LOAD_OF)?;
    let listed = match rest.trim_start().strip_prefix("in") {
        Some(set) if rest.starts_with(' ') => set.trim().strip_prefix('(')?.strip_suffix(')')?,
        _ => {
            let one = rest.trim_start().strip_prefix('=')?;
            let one = one.strip_prefix('=').unwrap_or(one);
            if one.contains(',') { return None } else { one }
        }
    };
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let names: Vec<&str> = listed.split(',').map(str::trim).collect();
    names.iter().all(plain).then(|| names.into_iter().map(str::to_owned).collect())
}

/// What is known of those. Who is no workload is left out: the one who asks is told that there is none.
fn list(loads: &dyn Loads, namespace: &str, names: Option<Vec<String>>) -> Result<Value, Problem> {
    let known: Vec<(WorkloadId, Option<Load>)> = match names {
        Some(names) => {
            let ids = names.iter().map(|name| WorkloadId::new(namespace, name));
            ids.filter_map(|id| loads.of(&id).map(|load| (id, load))).collect()
        }
        None => loads.within(namespace),
    };
    let at = rfc3339_now();
    let items = known.into_iter().map(|(id, load)| match load {
        Some(load) => Ok(json!({
            "metricName": LOAD, "metricLabels": {LOAD_OF: id.name()}, "timestamp": at, "value": quantity(load),
        })),
        None => Err(Problem::NoData(id)),
    });
    Ok(json!({
        "kind": "ExternalMetricValueList", "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": {},
        "items": items.collect::<Result<Vec<_>, _>>()?,
    }))
}

/// As Kubernetes writes quantities: in thousandths, rounded up, so that a little isn't nothing.
fn quantity(load: Load) -> String {
    format!("{}m", load.millionths().div_ceil(1000))
}

#[cfg(test)]
#[path = "answer_test.rs"]
mod tests;
