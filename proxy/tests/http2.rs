//! HTTP/2 clients: the same rules as for HTTP/1, and the same way to the replica.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use support::http2::{Fed, empty, get, is_problem, open, rest, rig_with, send};
use support::{Replica, Rig, until};
use tokio::sync::mpsc;

#[test]
fn what_reaches_the_replica_is_one_well_formed_request() {
    let replica = Replica::hello();
    let rig = rig_with(&replica);
    let sender = open(&rig);
    let request = Request::get("http://shop/a?b=c")
        .header("cookie", "a=b")
        .header("cookie", "c=d")
        .header("cookie", "e=f; g=h")
        .header("te", "trailers")
        .header("x-forwarded-for", "spoofed")
        .header("x_forwarded_for", "spoofed")
        .header("proxy-authorization", "secret")
        .header("x-public", "yes")
        .body(empty())
        .unwrap();
    let response = send(&rig, &sender, request);
    assert_eq!(response.status(), 200);
    assert_eq!(&rest(&rig, response).0[..], b"hello");
    let seen = replica.saw_one();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/a?b=c"));
    assert_eq!(seen.values("host"), ["shop"]);
    assert_eq!(seen.values("cookie"), ["a=b; c=d; e=f; g=h"]);
    assert_eq!(seen.values("te"), ["trailers"]);
    assert_eq!(seen.values("x-public"), ["yes"]);
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert!(
        !seen.fields.iter().any(|(_, value)| value == "spoofed" || value == "secret"),
        "{:?}",
        seen.fields
    );
    drop(sender);
    rig.finish();
}

#[test]
fn what_is_refused_over_http_1_is_refused_here() {
    let replica = Replica::hello();
    let rig = rig_with(&replica);
    let sender = open(&rig);
    let request = || Request::get("http://shop/");
    let body = |request: http::request::Builder| request.body(empty()).unwrap();
    for (request, status, word) in [
        (body(request().header("host", "other")), 400, "bad-request"),
        (body(request().header("host", "shop").header("host", "shop")), 400, "bad-request"),
        (body(Request::get("http://u@shop/")), 400, "bad-request"),
        (body(Request::get("http://shop:0/")), 400, "bad-request"),
        (body(Request::get("http://shop/%zz")), 400, "bad-request"),
        (body(Request::get("http://shop/%00")), 400, "bad-request"),
        (body(request().header("expect", "x")), 417, "bad-request"),
        (body(Request::connect("shop:80")), 405, "method-not-allowed"),
        (body(request().method("TRACE")), 405, "method-not-allowed"),
        (body(Request::get(format!("http://shop/{}", "x".repeat(17_000)))), 414, "uri-too-long"),
    ] {
        let shown = format!("{request:?}");
        let response = send(&rig, &sender, request);
        assert_eq!(response.status(), status, "{shown}");
        is_problem(&rig, response, status, word);
    }
    let same = send(&rig, &sender, body(request().header("host", "SHOP")));
    assert_eq!(same.status(), 200);
    drop(same);
    let head = send(&rig, &sender, body(Request::head("http://shop/%zz")));
    assert_eq!(head.status(), 400);
    assert!(rest(&rig, head).0.is_empty());
    assert_eq!(replica.seen().len(), 1);
    drop(sender);
    rig.finish();
}

#[test]
fn an_answer_that_breaks_off_resets_the_stream() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
    ] {
        let replica = Replica::new(move |mut client| {
            client.next_request();
            client.send(answer);
        });
        let rig = rig_with(&replica);
        let sender = open(&rig);
        let mut asking = sender.clone();
        // A reset may overtake the head.
        let whole = rig.runtime.block_on(async move {
            let response = asking.send_request(get("/")).await?;
            assert_eq!(response.status(), 200);
            response.into_body().collect().await
        });
        assert!(whole.is_err(), "{answer:?} must not look whole");
        drop(sender);
        rig.finish();
    }
}

#[test]
fn broken_answers_are_a_502_and_answers_without_content_have_none() {
    for (method, answer, status) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502),
        ("GET", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
        ("GET", "garbage\r\n\r\n", 502),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304),
        ("GET", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nConnection: close, x-private\r\nX-Private: a\r\nKeep-Alive: x\r\n\r\n",
            200,
        ),
    ] {
        let replica = Replica::new(move |mut client| {
            client.next_request();
            client.send(answer);
        });
        let rig = rig_with(&replica);
        let sender = open(&rig);
        let request = Request::builder().method(method).uri("http://shop/").body(empty()).unwrap();
        let response = send(&rig, &sender, request);
        assert_eq!(response.status(), status, "{answer:?}");
        for name in ["connection", "keep-alive", "x-private", "transfer-encoding"] {
            assert!(!response.headers().contains_key(name), "{name}");
        }
        if status == 502 {
            is_problem(&rig, response, 502, "upstream-protocol");
        } else {
            assert!(rest(&rig, response).0.is_empty(), "{answer:?}");
        }
        drop(sender);
        rig.finish();
    }
}

#[test]
fn a_stream_that_is_reset_gives_its_place_back() {
    let rig = Rig::new(&[]);
    let sender = open(&rig);
    for body in [true, false] {
        let (feed, fed) = mpsc::channel(1);
        let request =
            Request::post("http://shop/").body(if body { Fed(fed).boxed() } else { empty() }).unwrap();
        let mut asking = sender.clone();
        let asked = rig.runtime.spawn(async move { asking.send_request(request).await.map(drop) });
        until("it waits", || rig.waiting() == 1);
        let begun = std::time::Instant::now();
        asked.abort();
        until("its place is free", || rig.waiting() == 0);
        eprintln!("RST_STREAM: free after {:?}", begun.elapsed());
        drop(feed);
    }
    until("they are counted", || rig.counted(499) == 2);
    let mut asking = sender.clone();
    let asked = rig.runtime.spawn(async move { asking.send_request(get("/")).await.map(drop) });
    until("it waits", || rig.waiting() == 1);
    // The whole connection goes.
    asked.abort();
    drop(sender);
    until("its place is free", || rig.waiting() == 0);
    rig.finish();
}

#[test]
fn a_stream_that_is_reset_within_its_answer_frees_the_slot() {
    let mut rig = Rig::new(&[("container-concurrency", "1")]);
    let (ended, seen) = sync_channel(10);
    let replica = Replica::new(move |mut client| {
        if client.next_request().is_some() {
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            client.read_to_end();
            ended.send(()).unwrap();
        }
    });
    rig.add("a", replica.address);
    let sender = open(&rig);
    for _ in 0..3 {
        let mut response = send(&rig, &sender, get("/"));
        let frame = rig.runtime.block_on(response.body_mut().frame()).unwrap().unwrap();
        assert_eq!(&frame.into_data().unwrap()[..], b"hello");
        assert_eq!(rig.in_flight(), 1);
        drop(response);
        seen.recv_timeout(Duration::from_secs(10)).unwrap();
        until("the slot is free", || rig.in_flight() == 0);
    }
    drop(sender);
    rig.finish();
}
