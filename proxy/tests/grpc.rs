//! gRPC through the proxy: from a cold start, and our own errors in its words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use support::h2c::{Http2, Stream};
use support::http2::{Content, Fed, full, is_problem, open, rest, send};
use support::{Replica, Rig, until};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

fn call(method: &str, body: Content) -> Request<Content> {
    Request::post(format!("http://shop/test.Echo/{method}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// A server of calls of each kind.
async fn serve(mut stream: Stream) {
    assert_eq!(stream.head.headers["te"], "trailers");
    let grpc = || Response::builder().header("content-type", "application/grpc");
    if stream.head.uri.path().ends_with("/Fail") {
        let response = grpc().header("grpc-status", "5").header("grpc-message", "none");
        stream.respond.send_response(response.body(()).unwrap(), true).unwrap();
        return;
    }
    let mut out = stream.begin(grpc().body(()).unwrap());
    match stream.head.uri.path().rsplit('/').next().unwrap() {
        "Unary" | "Upload" => {
            let (content, _) = stream.read().await;
            out.send(content.into()).await;
        }
        "Download" => {
            for _ in 0..3 {
                out.send(Bytes::from_static(b"piece")).await;
            }
        }
        "Talk" => {
            while let Some(data) = stream.data().await {
                out.send(data).await;
            }
        }
        other => panic!("{other}"),
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("x-detail-bin", "AAEC".parse().unwrap());
    out.0.send_trailers(trailers).unwrap();
}

/// The value of a field; empty if it isn't there.
fn value<'a>(fields: &'a HeaderMap, name: &str) -> &'a str {
    fields.get(name).map_or("", |value| value.to_str().unwrap())
}

fn succeeded(rig: &Rig, response: Response<Incoming>) -> Bytes {
    assert_eq!(response.status(), 200);
    assert_eq!(value(response.headers(), "content-type"), "application/grpc");
    let (content, trailers) = rest(rig, response);
    assert_eq!((value(&trailers, "grpc-status"), value(&trailers, "x-detail-bin")), ("0", "AAEC"));
    content
}

#[test]
fn calls_of_every_kind_wait_for_the_first_replica() {
    let replica = Http2::new(serve);
    let mut rig = Rig::new(&[("protocol", "h2c")]);
    let sender = open(&rig);
    let (feed, fed) = mpsc::channel(8);
    let waiting = |request: Request<Content>| {
        let mut sender = sender.clone();
        rig.runtime.spawn(async move { sender.send_request(request).await.unwrap() })
    };
    let unary = waiting(call("Unary", full("hello")));
    let download = waiting(call("Download", full("")));
    let upload = waiting(call("Upload", full(vec![7; 100_000])));
    let talk = waiting(call("Talk", Fed(fed).boxed()));
    until("all wait", || rig.waiting() == 4);
    rig.add("a", replica.address);
    let answered = |call: JoinHandle<_>| {
        rig.runtime.block_on(async { tokio::time::timeout(support::PATIENCE, call).await.unwrap().unwrap() })
    };
    let (unary, download, upload, talk) =
        (answered(unary), answered(download), answered(upload), answered(talk));
    assert_eq!(succeeded(&rig, unary), "hello");
    assert_eq!(succeeded(&rig, download), "piecepiecepiece");
    assert_eq!(succeeded(&rig, upload).len(), 100_000);
    let mut heard = talk.into_body();
    rig.runtime.block_on(async {
        for said in ["one", "two"] {
            feed.send(Frame::data(Bytes::from(said))).await.unwrap();
            assert_eq!(heard.frame().await.unwrap().unwrap().into_data().unwrap(), said);
        }
        drop(feed);
        assert_eq!(heard.frame().await.unwrap().unwrap().into_trailers().unwrap()["grpc-status"], "0");
    });
    // Of an answer that is nothing but trailers, they are in the head.
    let failed = send(&rig, &sender, call("Fail", full("")));
    let said = ["grpc-status", "grpc-message"].map(|name| value(failed.headers(), name));
    assert_eq!(said, ["5", "none"]);
    assert_eq!(failed.headers().get("content-length"), None);
    drop((heard, failed, sender));
    rig.finish();
}

/// Checks that `response` is one of our own errors as gRPC takes it.
fn is_refused(response: &Response<Incoming>, status: &str, word: &str) {
    let headers = response.headers();
    assert_eq!((response.status().as_u16(), value(headers, "grpc-status")), (200, status), "{headers:?}");
    assert_eq!(value(headers, "content-type"), "application/grpc");
    assert!(value(headers, "grpc-message").starts_with(&format!("{word}: ")), "{headers:?}");
    assert_ne!(value(headers, "x-request-id"), "");
}

#[test]
fn our_own_errors_are_grpcs() {
    let mut rig = Rig::new(&[("protocol", "h2c"), ("queue-timeout", "100ms")]);
    let sender = open(&rig);
    is_refused(&send(&rig, &sender, call("Unary", full("hello"))), "4", "queue-timeout");
    // The same by HTTP/1, and on the same connection again.
    let mut client = rig.connect();
    let request = "POST /a HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n";
    for _ in 0..2 {
        client.send(format!("{request}\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some("4")));
        assert_eq!(answer.field("content-type"), Some("application/grpc"));
        assert!(answer.field("grpc-message").unwrap().starts_with("queue-timeout: "), "{}", answer.head);
    }
    until("they are counted by the status that they would have had", || rig.counted(504) == 3);
    client.send(format!("{request}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"));
    assert_eq!(client.answer().field("grpc-status"), Some("13"));
    rig.withdraw();
    is_refused(&send(&rig, &sender, call("Unary", full("hello"))), "12", "no-route");
    // What only looks like it is told in HTTP's words.
    let web = Request::post("http://shop/").header("content-type", "application/grpc-web");
    is_problem(&rig, send(&rig, &sender, web.body(full("")).unwrap()), 404, "no-route");
    drop((client, sender));
    rig.finish();
}

#[test]
fn a_full_queue_and_a_broken_replica_are_told_too() {
    let broken = Replica::new(|mut client| {
        client.fill();
    });
    let mut rig = Rig::new(&[("protocol", "h2c"), ("queue-limit", "1")]);
    let sender = open(&rig);
    let mut waiting = sender.clone();
    let first = rig.runtime.spawn(async move { waiting.send_request(call("Unary", full("hello"))).await });
    until("one waits", || rig.waiting() == 1);
    is_refused(&send(&rig, &sender, call("Unary", full("hello"))), "8", "queue-full");
    rig.add("a", broken.address);
    let first = rig.runtime.block_on(first).unwrap().unwrap();
    is_refused(&first, "14", "upstream-protocol");
    until("it is counted", || rig.counted(502) == 1);
    drop((first, sender));
    rig.finish();
}

#[test]
fn a_call_whose_deadline_passes_is_over_everywhere() {
    let replica = Http2::new(|mut stream| async move {
        let _ = std::future::poll_fn(|cx| stream.respond.poll_reset(cx)).await;
    });
    let rig = replica.rig(&[]);
    let sender = open(&rig);
    let mut calling = sender.clone();
    let late = rig.runtime.block_on(async {
        let call = calling.send_request(call("Unary", full("hello")));
        tokio::time::timeout(Duration::from_millis(200), call).await
    });
    assert!(late.is_err());
    until("nothing is in flight", || rig.in_flight() == 0);
    until("it is counted", || rig.counted(499) == 1);
    drop(sender);
    rig.finish();
}
