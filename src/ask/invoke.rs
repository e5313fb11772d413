//! `kaos invoke`: a request to a workload by its name, whatever its hosts are.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::client;
use super::exchange::exchange;
use super::print::json as print_json;
use super::{find, list, text};
use crate::cli::{Form, Invoke};
use crate::failure::Failure;

/// Longest wait for the head of the answer, and between two parts of its body. The proxy's own deadlines come first.
const SILENCE: Duration = Duration::from_secs(3600);
/// Longest body that is read from stdin, or shown as JSON.
const LONGEST: usize = 64 * 1024 * 1024;

/// Runs the command. Fails if the answer's status says that something failed.
pub(crate) fn invoke(invoke: &Invoke) -> Result<(), Failure> {
    let data = invoke.data.as_deref().map(read).transpose()?;
    client::run(ask(invoke, data))
}

fn read(data: &str) -> Result<Bytes, Failure> {
    if data != "-" {
        return Ok(Bytes::copy_from_slice(data.as_bytes()));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LONGEST as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Failed(format!("stdin: {error}")))?;
    if bytes.len() > LONGEST {
        return Err(Failure::Usage("--data: allowed are at most 64 MiB".into()));
    }
    Ok(bytes.into())
}

async fn ask(invoke: &Invoke, data: Option<Bytes>) -> Result<(), Failure> {
    let kaos = find(&invoke.one.ask).await?;
    let workload = kaos.workload(&invoke.one.name).await?;
    let instance = kaos.json("/v1/instance").await?;
    let listen: SocketAddr = text(&instance, "/listen")
        .parse()
        .map_err(|_| Failure::Failed("the Kaos that was asked doesn't say where it takes requests".into()))?;
    let address = reachable(listen).to_string();
    let request = request(&invoke.path, data)?;
    let failed = |why: String| Failure::Failed(format!("http://{address}: {why}"));
    let answer = timeout(SILENCE, exchange(&address, &host(&workload), request)).await;
    let response = answer.map_err(|_| failed("no answer within an hour".into()))?.map_err(failed)?;
    let (head, mut body) = response.into_parts();
    let mut held = Vec::new();
    while let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(|_| failed("silence".into()))? {
        let frame = frame.map_err(|error| failed(format!("the answer was cut short: {error}")))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        match invoke.one.ask.output.form {
            Form::Text => write(data)?,
            Form::Json if held.len() + data.len() > LONGEST => {
                return Err(failed("the answer is longer than 64 MiB; ask without --output json".into()));
            }
            Form::Json => held.extend_from_slice(data),
        }
    }
    if invoke.one.ask.output.form == Form::Json {
        print_json(&shown(&head, &held))?;
    }
    if head.status.is_client_error() || head.status.is_server_error() {
        return Err(Failure::Failed(format!("the answer is {}", head.status)));
    }
    Ok(())
}

fn request(path: &str, data: Option<Bytes>) -> Result<Request<Full<Bytes>>, Failure> {
    let wrong = |_| Failure::Usage(format!("{path}: allowed is a path that begins with /, and a query"));
    let mut request = Request::builder().uri(path).body(Full::default()).map_err(wrong)?;
    if !path.starts_with('/') {
        return Err(Failure::Usage(format!("{path}: allowed is a path that begins with /, and a query")));
    }
    if let Some(data) = data {
        *request.method_mut() = Method::POST;
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok();
        let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        *request.body_mut() = Full::new(data);
    }
    Ok(request)
}

/// An address to connect to where `listen` may be every address of the machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// A host that the workload answers for.
fn host(workload: &Value) -> String {
    let first = list(workload, "/hosts").first().and_then(Value::as_str).unwrap_or_default();
    match first.strip_prefix('*') {
        None if !first.is_empty() => first.to_owned(),
        Some(suffix) if !suffix.is_empty() => format!("invoke{suffix}"),
        _ => format!("{}.localhost", text(workload, "/name")),
    }
}

fn write(data: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(data).and_then(|()| out.flush());
    written.map_err(|error| Failure::Failed(format!("stdout: {error}")))
}

fn shown(head: &hyper::http::response::Parts, body: &[u8]) -> Value {
    let mut headers = Map::new();
    for name in head.headers.keys() {
        let values = |name: &HeaderName| {
            let values =
                head.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            values.collect::<Vec<_>>().join(", ")
        };
        headers.insert(name.as_str().to_owned(), values(name).into());
    }
    json!({ "status": head.status.as_u16(), "headers": headers, "body": String::from_utf8_lossy(body) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_that_the_workload_answers_for() {
        for (hosts, host_of) in [
            (json!(["a.test", "*"]), "a.test"),
            (json!(["*.a.test"]), "invoke.a.test"),
            (json!(["*"]), "shop.localhost"),
            (json!([]), "shop.localhost"),
        ] {
            assert_eq!(host(&json!({ "name": "shop", "hosts": hosts })), host_of);
        }
    }

    #[test]
    fn data_makes_a_post_and_a_path_must_be_one() {
        let posted = request("/x?y", Some(Bytes::from_static(b"{\"a\":1}"))).unwrap();
        assert_eq!(posted.method(), Method::POST);
        assert_eq!(posted.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(request("/", None).unwrap().method(), Method::GET);
        for path in ["x", "", "http://other/", "/ /"] {
            assert!(request(path, None).is_err(), "{path:?}");
        }
    }
}
