//! One question to the admin port: who may ask, what for, and the answer.

use std::net::{IpAddr, SocketAddr};

use http_body_util::BodyExt;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Version};
use kaos_core::WorkloadId;
use kaos_core::host::normalise;
use serde_json::{Value, json};

use super::exposition::Format;
use super::problem::Problem;
use super::response::{Answer, LINES, of_json, stream, text};
use super::{Desk, advice, health, logs, metrics, reports, workload};

/// Answers a question.
pub(crate) async fn answer<B>(desk: &Desk, request: &Request<B>) -> Response<Answer> {
    let found = match permitted(request, desk.instance.admin) {
        Ok(()) => find(desk, request).await,
        Err(problem) => Err(problem),
    };
    let mut response = found.unwrap_or_else(|problem| refuse(&problem));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the question may be asked at all.
fn permitted<B>(request: &Request<B>, admin: SocketAddr) -> Result<(), Problem> {
    let header = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    let authority = request.uri().authority().map(Authority::as_str);
    match authority.or(header) {
        None if request.version() < Version::HTTP_11 => {}
        None => return Err(Problem::BadHost),
        Some(host) => {
            let host = normalise(host).ok_or(Problem::BadHost)?;
            if admin.ip().is_loopback() && !is_own(&host, admin.ip()) {
                return Err(Problem::Misdirected(host.into_owned()));
            }
        }
    }
    match *request.method() {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Problem::MethodNotAllowed),
    }
}

/// Whether `host` is this address or a name that only ever means loopback (RFC 6761 §6.3).
fn is_own(host: &str, own: IpAddr) -> bool {
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    literal.parse().is_ok_and(|ip: IpAddr| ip == own || ip.is_loopback())
}

async fn find<B>(desk: &Desk, request: &Request<B>) -> Result<Response<Answer>, Problem> {
    let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let asks_for = |word: &str| {
        let query = request.uri().query().unwrap_or_default();
        query
            .split('&')
            .any(|pair| pair == word || pair.split_once('=').is_some_and(|(name, _)| name == word))
    };
    match path[..] {
        ["metrics"] => {
            let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = Format::accepted(accept);
            Ok(text(StatusCode::OK, format.content_type(), metrics::page(desk, format).await?))
        }
        ["livez" | "healthz"] => Ok(health::live(desk, asks_for("verbose"))),
        ["readyz"] => Ok(health::ready(desk, asks_for("verbose"))),
        ["v1", "instance"] => Ok(of_json(StatusCode::OK, "application/json", &json!(*desk.instance))),
        ["v1", "workloads"] => Ok(of_json(StatusCode::OK, "application/json", &all(desk).await?)),
        ["v1", "workloads", namespace, name] => {
            let one = one(desk, &WorkloadId::new(namespace, name)).await?;
            Ok(of_json(StatusCode::OK, "application/json", &one))
        }
        ["v1", "journal", namespace, name] => {
            let id = known(desk, namespace, name)?;
            if desk.journal.is_none() {
                return Err(Problem::Elsewhere("the journal", "an autoscaler"));
            }
            let book = desk.book(&id);
            let list = book.map_or_else(|| json!([]), |book| workload::journal(&book, &desk.clock));
            Ok(of_json(StatusCode::OK, "application/json", &list))
        }
        ["v1", "advice", namespace, name] => {
            let id = WorkloadId::new(namespace, name);
            let found = desk.snapshots.borrow().workload(&id).cloned();
            let workload = found.ok_or_else(|| Problem::NoSuchWorkload(id.to_string()))?;
            if desk.journal.is_none() {
                return Err(Problem::Elsewhere("advice", "an autoscaler"));
            }
            let watched = desk.book(&id).and_then(|book| book.watched());
            let advice = advice::advice(&workload, watched.as_ref(), &desk.clock);
            Ok(of_json(StatusCode::OK, "application/json", &advice))
        }
        ["v1", "reports"] => reports::follow(desk, request.uri().query()),
        ["v1", "logs", namespace, name] => written(desk, &known(desk, namespace, name)?, asks_for("follow")),
        _ => Err(Problem::NoSuchPath),
    }
}

/// The id of a workload that exists.
fn known(desk: &Desk, namespace: &str, name: &str) -> Result<WorkloadId, Problem> {
    let id = WorkloadId::new(namespace, name);
    let exists = desk.snapshots.borrow().workload(&id).is_some();
    if exists { Ok(id) } else { Err(Problem::NoSuchWorkload(id.to_string())) }
}

async fn all(desk: &Desk) -> Result<Value, Problem> {
    let loads = desk.loads().await?;
    let snapshot = desk.snapshots.borrow().clone();
    Ok(snapshot.workloads.iter().map(|one| desk.shown(one, &loads)).collect())
}

async fn one(desk: &Desk, id: &WorkloadId) -> Result<Value, Problem> {
    let loads = desk.loads().await?;
    let found = desk.snapshots.borrow().workload(id).cloned();
    match found {
        Some(one) => Ok(desk.shown(&one, &loads)),
        None => Err(Problem::NoSuchWorkload(id.to_string())),
    }
}

fn written(desk: &Desk, id: &WorkloadId, follow: bool) -> Result<Response<Answer>, Problem> {
    let kept = desk.logs.as_ref().ok_or(Problem::Elsewhere("logs", "the platform"))?;
    if !follow {
        return Ok(text(StatusCode::OK, LINES, logs::recent(kept, id, &desk.clock)));
    }
    let place = desk.followers.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::TooManyFollowers(super::FOLLOWERS))?;
    Ok(stream(logs::follow(kept, id, desk.clock, place).boxed()))
}

fn refuse(problem: &Problem) -> Response<Answer> {
    let mut response = of_json(problem.status(), "application/problem+json", &problem.body());
    if *problem == Problem::MethodNotAllowed {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, host: Option<&str>, version: Version, admin: &str) -> Result<(), Problem> {
        let mut request = Request::builder().method(method).uri("/metrics").version(version);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        permitted(&request.body(()).unwrap(), admin.parse().unwrap())
    }

    #[test]
    fn on_loopback_only_loopback_names_are_answered() {
        let loopback = |host| ask(Method::GET, Some(host), Version::HTTP_11, "127.0.0.1:9090");
        for host in [
            "127.0.0.1:9090",
            "localhost",
            "LOCALHOST:1",
            "kaos.localhost",
            "[::1]:9090",
            "127.0.0.1.",
            "127.9.9.9",
        ] {
            assert_eq!(loopback(host), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "notlocalhost", "127.0.0.1.nip.io"]
        {
            assert_eq!(loopback(host), Err(Problem::Misdirected(host.to_owned())), "{host}");
        }
        for host in ["", "a b", "u@127.0.0.1"] {
            assert_eq!(loopback(host), Err(Problem::BadHost), "{host}");
        }
        assert_eq!(ask(Method::GET, Some("evil.example"), Version::HTTP_11, "0.0.0.0:9090"), Ok(()));
    }

    #[test]
    fn the_port_is_read_only_and_a_host_must_be_said() {
        let ask = |method, host, version| ask(method, host, version, "127.0.0.1:9090");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            assert_eq!(ask(method, Some("localhost"), Version::HTTP_11), Err(Problem::MethodNotAllowed));
        }
        assert_eq!(ask(Method::HEAD, Some("localhost"), Version::HTTP_11), Ok(()));
        assert_eq!(ask(Method::GET, None, Version::HTTP_11), Err(Problem::BadHost));
        assert_eq!(ask(Method::GET, None, Version::HTTP_10), Ok(()));
    }

    #[test]
    fn an_absolute_target_counts_more_than_the_header() {
        let request = Request::get("http://evil.example/metrics").header(HOST, "localhost").body(()).unwrap();
        let refused = permitted(&request, "127.0.0.1:9090".parse().unwrap());
        assert_eq!(refused, Err(Problem::Misdirected("evil.example".into())));
    }
}
