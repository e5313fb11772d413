//! The built-in function: a small page that says what has just happened. Runs as a replica like any other program.
//!
//! Knows nothing of Kaos but `PORT`; the phases of a cold start reach the browser in the header `Server-Timing`.

mod page;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::failure::Failure;

/// Most connections at once: fewer than the usual 1024 files.
const CONNECTIONS: usize = 512;

/// The name of the function in the environment of its replicas, for the commands on the page.
pub(crate) const NAME: &str = "KAOS_NAME";

/// What a page says of its replica.
struct Replica {
    name: String,
    began: Instant,
    requests: AtomicU64,
}

/// Answers HTTP on `PORT` until it is stopped.
pub(crate) fn run() -> Result<(), Failure> {
    let began = Instant::now();
    let port = std::env::var("PORT").ok().and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or_else(|| Failure::Usage("PORT is not set to a port".into()))?;
    let name = std::env::var(NAME).ok().filter(|name| crate::config::is_label(name));
    let replica = Arc::new(Replica {
        name: name.unwrap_or_else(|| "hello".into()),
        began,
        requests: AtomicU64::new(0),
    });
    let failed = |error: std::io::Error| Failure::Failed(format!("127.0.0.1:{port}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    runtime.block_on(serve(port, replica)).map_err(failed)
}

async fn serve(port: u16, replica: Arc<Replica>) -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = room.clone().acquire_owned().await;
        let (stream, _) = listener.accept().await?;
        let replica = replica.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let answer = answer(&replica, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            // The proxy closes connections as it likes.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer<B>(replica: &Replica, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    if request.uri().path() == "/favicon.ico" {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let count = replica.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let age = replica.began.elapsed();
    let browser = request
        .headers()
        .get_all(ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    let (kind, text) = if browser {
        ("text/html; charset=utf-8", page::html(&replica.name, count, age))
    } else {
        ("text/plain; charset=utf-8", page::text(&replica.name, count, age))
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    *response.body_mut() = Full::new(Bytes::from(text));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(replica: &Replica, path: &str, accept: &str) -> Response<Full<Bytes>> {
        let request = Request::builder().uri(path).header(ACCEPT, accept).body(()).unwrap();
        answer(replica, &request)
    }

    #[test]
    fn browsers_get_a_page_and_programs_get_text() {
        let replica = Replica { name: "hello".into(), began: Instant::now(), requests: AtomicU64::new(0) };
        let kind =
            |response: Response<Full<Bytes>>| response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(kind(ask(&replica, "/", "text/html,*/*")), "text/html; charset=utf-8");
        assert_eq!(kind(ask(&replica, "/", "*/*")), "text/plain; charset=utf-8");
        assert_eq!(ask(&replica, "/favicon.ico", "*/*").status(), StatusCode::NO_CONTENT);
        assert_eq!(replica.requests.load(Ordering::Relaxed), 2);
    }
}
