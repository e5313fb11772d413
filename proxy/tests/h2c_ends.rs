//! Exchanges with replicas that speak HTTP/2 that end before they are whole: each side sees it, and nothing is left of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use support::h2c::Http2;
use support::http2::{Fed, get, is_problem, open, send};
use support::{PATIENCE, Rig, until};
use tokio::sync::{Notify, mpsc};

/// A replica that begins to answer, says `some`, and tells by which code its stream was reset.
fn endless() -> (Http2, Receiver<Option<Reason>>) {
    let (told, resets) = sync_channel(100);
    let replica = Http2::new(move |mut stream| {
        let told = told.clone();
        async move {
            if stream.head.uri.path() == "/hello" {
                return stream.say("hello").await;
            }
            let mut out = stream.begin(Response::new(()));
            out.send(Bytes::from_static(b"some")).await;
            told.send(out.reset().await).unwrap();
        }
    });
    (replica, resets)
}

#[test]
fn a_client_that_leaves_cancels_its_stream_and_no_other() {
    let (replica, resets) = endless();
    let rig = replica.rig(&[]);
    let sender = open(&rig);
    let mut other = send(&rig, &sender, get("/")).into_body();
    let response = send(&rig, &sender, get("/"));
    until("both are in flight", || rig.in_flight() == 2);
    drop(response);
    assert_eq!(resets.recv_timeout(PATIENCE).unwrap(), Some(Reason::CANCEL));
    until("one is left", || rig.in_flight() == 1);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 OK"));
    assert_eq!(client.chunk().unwrap(), b"some");
    drop(client);
    assert_eq!(resets.recv_timeout(PATIENCE).unwrap(), Some(Reason::CANCEL));
    let said = rig.runtime.block_on(async { other.frame().await.unwrap().unwrap().into_data().unwrap() });
    assert_eq!(said, "some");
    assert!(resets.try_recv().is_err(), "the other goes on");
    assert_eq!(rig.connect().get("/hello").text(), "hello");
    assert!(replica.accepted() <= 2, "connections are kept");
    drop((other, sender));
    rig.finish();
}

/// The length of each request's content, or the code it was reset with.
type Ends = Receiver<Result<usize, Option<Reason>>>;

/// A replica that reads requests, tells of each whether it was whole, and how many have begun to reach it.
fn reader() -> (Http2, Ends, Arc<AtomicUsize>) {
    let (told, ends) = sync_channel(100);
    let begun = Arc::<AtomicUsize>::default();
    let beginning = begun.clone();
    let replica = Http2::new(move |mut stream| {
        let (told, begun) = (told.clone(), beginning.clone());
        async move {
            begun.fetch_add(1, Ordering::SeqCst);
            let mut length = 0;
            while let Some(data) = stream.body.data().await {
                match data {
                    Ok(data) => length += data.len(),
                    Err(error) => return told.send(Err(error.reason())).unwrap(),
                }
            }
            told.send(Ok(length)).unwrap();
            stream.say("whole").await;
        }
    });
    (replica, ends, begun)
}

#[test]
fn a_request_that_is_cut_never_looks_whole() {
    let (replica, ends, begun) = reader();
    let rig = replica.rig(&[]);
    // A request that hasn't left yet when its client goes is never sent at all.
    let reaches = |number| until("it is at the replica", || begun.load(Ordering::SeqCst) == number);
    let framings = ["Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Content-Length: 10\r\n\r\nabc"];
    for (number, framing) in (1..).zip(framings) {
        let mut client = rig.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\n{framing}"));
        reaches(number);
        drop(client);
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), Err(Some(Reason::CANCEL)), "{framing}");
        until("it is over", || rig.in_flight() == 0);
    }
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx");
    reaches(3);
    client.send("yz\r\n");
    client.answer().is_problem(400, "bad-request");
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), Err(Some(Reason::CANCEL)));
    let sender = open(&rig);
    let (feed, fed) = mpsc::channel(4);
    feed.try_send(Frame::data(Bytes::from_static(b"abc"))).unwrap();
    let mut other = sender.clone();
    let request = Request::post("http://shop/").body(Fed(fed).boxed()).unwrap();
    let sending = rig.runtime.spawn(async move { other.send_request(request).await });
    reaches(4);
    sending.abort();
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), Err(Some(Reason::CANCEL)));
    drop((feed, client, sender));
    rig.finish();
}

#[test]
fn an_answer_that_the_replica_resets_is_cut_for_the_client() {
    let replica = Http2::new(|mut stream| async move {
        let length = stream.head.uri.path() == "/length";
        let response = Response::builder();
        let response = if length { response.header("content-length", "10") } else { response };
        let mut out = stream.begin(response.body(()).unwrap());
        out.send(Bytes::from_static(b"some")).await;
        stream.data().await;
        out.0.send_reset(Reason::ENHANCE_YOUR_CALM);
    });
    let rig = replica.rig(&[]);
    for (target, version) in [("/", "1.1"), ("/length", "1.1"), ("/", "1.0")] {
        let mut client = rig.connect();
        client.send(format!("POST {target} HTTP/{version}\r\nHost: shop\r\nContent-Length: 1\r\n\r\n"));
        let head = client.head();
        let seen = client.read_until(b"some");
        client.send("x");
        let rest = client.read_to_end();
        assert!(head.contains(" 200 OK") && !seen.is_empty(), "{head}");
        assert!(!rest.ends_with(b"0\r\n\r\n"), "no end of chunks");
        assert!(
            version == "1.1" || client.was_reset,
            "an end of the connection would be an end of the answer"
        );
    }
    let sender = open(&rig);
    let (feed, fed) = mpsc::channel(4);
    let mut body =
        send(&rig, &sender, Request::post("http://shop/").body(Fed(fed).boxed()).unwrap()).into_body();
    let error = rig.runtime.block_on(async {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "some");
        feed.send(Frame::data(Bytes::from_static(b"x"))).await.unwrap();
        body.frame().await.unwrap().unwrap_err()
    });
    let source = std::error::Error::source(&error).and_then(|error| error.downcast_ref::<h2::Error>());
    assert_eq!(source.and_then(h2::Error::reason), Some(Reason::ENHANCE_YOUR_CALM), "{error:?}");
    drop((feed, body, sender));
    rig.finish();
}

#[test]
fn an_answer_may_end_before_its_request() {
    let replica = Http2::new(|mut stream| async move {
        stream.data().await;
        let mut out = stream.begin(Response::builder().status(413).body(()).unwrap());
        out.send(Bytes::from_static(b"too much")).await;
        // The server says with NO_ERROR that it wants no more, once all of this is out.
        out.end();
    });
    let rig = replica.rig(&[]);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n\r\nx");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (413, "too much"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.is_ended());
    let sender = open(&rig);
    let (feed, fed) = mpsc::channel(4);
    feed.try_send(Frame::data(Bytes::from_static(b"x"))).unwrap();
    let response = send(&rig, &sender, Request::post("http://shop/").body(Fed(fed).boxed()).unwrap());
    assert_eq!(response.status(), 413);
    assert_eq!(support::http2::rest(&rig, response).0, "too much");
    drop((feed, client, sender));
    rig.finish();
}

#[test]
fn deadlines_hold() {
    let replica = Http2::new(|mut stream| async move {
        if stream.head.uri.path() == "/silent" {
            let mut out = stream.begin(Response::new(()));
            out.send(Bytes::from_static(b"some")).await;
            out.reset().await;
        } else {
            let _ = stream.body.data().await;
            let _ = std::future::poll_fn(|cx| stream.respond.poll_reset(cx)).await;
        }
    });
    let rig = replica.rig(&[("response-start-timeout", "100ms"), ("stream-idle-timeout", "1s")]);
    let sender = open(&rig);
    rig.connect().get("/").is_problem(504, "response-timeout");
    is_problem(&rig, send(&rig, &sender, get("/")), 504, "response-timeout");
    let mut client = rig.connect();
    client.send("GET /silent HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(!client.read_to_end().ends_with(b"0\r\n\r\n"), "it is cut");
    let mut body = send(&rig, &sender, get("/silent")).into_body();
    rig.runtime.block_on(async {
        body.frame().await.unwrap().unwrap();
        body.frame().await.unwrap().unwrap_err();
    });
    drop((body, sender));
    rig.finish();
    let rig = replica.rig(&[("request-timeout", "200ms")]);
    rig.connect().get("/").is_problem(504, "response-timeout");
    let mut client = rig.connect();
    client.send("GET /silent HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(!client.read_to_end().ends_with(b"0\r\n\r\n"), "it is cut");
    rig.finish();
}

#[test]
fn with_a_hard_limit_a_reset_gives_the_place_back() {
    let (replica, resets) = endless();
    let rig = replica.rig(&[("container-concurrency", "1")]);
    let sender = open(&rig);
    let response = send(&rig, &sender, get("/"));
    let mut client = rig.connect();
    client.send("GET /hello HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it waits", || rig.waiting() == 1);
    drop(response);
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(resets.recv_timeout(PATIENCE).unwrap(), Some(Reason::CANCEL));
    drop((client, sender));
    rig.finish();
}

#[test]
fn a_client_that_doesnt_read_holds_the_replica_back_and_nobody_else() {
    let sent = Arc::<AtomicUsize>::default();
    let sending = sent.clone();
    let replica = Http2::new(move |mut stream| {
        let sent = sending.clone();
        async move {
            if stream.head.uri.path() == "/hello" {
                return stream.say("hello").await;
            }
            let mut out = stream.begin(Response::new(()));
            while out.send(Bytes::from_static(&[7; 1024])).await {
                sent.fetch_add(1024, Ordering::SeqCst);
            }
        }
    });
    let mut rig = Rig::with(&[("protocol", "h2c")], |config| config.workers = 1, Default::default());
    rig.add("a", replica.address);
    let sender = open(&rig);
    let mut responses: Vec<_> = (0..40).map(|_| send(&rig, &sender, get("/"))).collect();
    // A client's own window for all its streams is what it is; the test is that it doesn't grow.
    let mut before = 0;
    until("the replica can send no more", || {
        let now = sent.load(Ordering::SeqCst);
        std::thread::park_timeout(Duration::from_millis(100));
        std::mem::replace(&mut before, now) == now && now > 0
    });
    // Of each stream: our window, what waits to be sent, and what the client's connection took.
    assert!(before <= 40 * 3 * 64 * 1024 + 8 * 1024 * 1024, "{before} bytes for clients that don't read");
    assert_eq!(rig.connect().get("/hello").text(), "hello", "another one on the same connection");
    assert_eq!(replica.accepted(), 1);
    responses.truncate(1);
    let mut body = responses.remove(0).into_body();
    rig.runtime.block_on(async {
        let mut read = 0;
        while read < 1_000_000 {
            read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
    });
    drop((body, sender));
    rig.finish();
}

#[test]
fn a_replica_that_doesnt_read_holds_its_client_back() {
    let done = Arc::<Notify>::default();
    let stop = done.clone();
    let replica = Http2::new(move |stream| {
        let done = stop.clone();
        async move {
            done.notified().await;
            drop(stream);
        }
    });
    let rig = replica.rig(&[]);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000000\r\n\r\n");
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut taken = 0;
    while client.try_send([7; 64 * 1024]) {
        taken += 64 * 1024;
        assert!(taken < 50_000_000, "what nobody reads is held");
    }
    done.notify_one();
    drop(client);
    rig.finish();
}
