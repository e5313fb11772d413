//! Streams of HTTP/2 clients: bodies both ways, answers before their requests are whole, many at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Frame;
use support::http2::{Fed, full, get, open, rest, rig_with, send};
use support::{Replica, Rig, until};
use tokio::sync::mpsc;

#[test]
fn large_bodies_arrive_whole_both_ways_and_connections_are_kept() {
    let replica = Replica::strict(|request, client| {
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
        client.send(&request.body);
    });
    let rig = rig_with(&replica);
    let sender = open(&rig);
    for (length, said) in
        [(0, true), (1, true), (1, false), (100_000, true), (20_000_003, true), (20_000_003, false)]
    {
        let content: Vec<u8> = (0..length).map(|at: usize| (at / 7 * 31) as u8).collect();
        let content = Bytes::from(content);
        let mut request = Request::put("http://shop/");
        // Without a length it goes in chunks.
        let body =
            if said { full(content.clone()) } else { full(content.clone()).map_frame(|frame| frame).boxed() };
        if said {
            request = request.header("content-length", length);
        }
        let response = send(&rig, &sender, request.body(body).unwrap());
        assert_eq!(response.headers()["content-length"], length.to_string().as_str());
        assert!(rest(&rig, response).0 == content, "{length}");
        let seen = replica.saw_one();
        assert!(seen.body == content, "{length}");
        assert_eq!(seen.values("transfer-encoding").is_empty(), said, "{:?}", seen.fields);
    }
    drop(sender);
    rig.finish();
}

#[test]
fn both_ways_go_on_at_once_and_trailers_close_them() {
    // An echo as a gRPC server would play it behind HTTP/1.1.
    let replica = Replica::new(|mut client| {
        let head = client.next_request().unwrap();
        assert!(head.contains("Transfer-Encoding: chunked") && head.contains("TE: trailers"), "{head}");
        client.send("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTrailer: grpc-status\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(chunk) = client.chunk() {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        assert_eq!(client.head(), "x-check: 7");
        client.send("0\r\ngrpc-status: 0\r\nHost: evil\r\nContent-Length: 7\r\n\r\n");
        client.read_to_end();
    });
    let rig = rig_with(&replica);
    let sender = open(&rig);
    let (feed, fed) = mpsc::channel(10);
    let request = Request::post("http://shop/").header("te", "trailers").body(Fed(fed).boxed()).unwrap();
    let mut response = send(&rig, &sender, request);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let trailers = rig.runtime.block_on(async {
        for round in 0..50 {
            let word = format!("round {round}");
            feed.send(Frame::data(word.clone().into())).await.unwrap();
            let mut echoed = Vec::new();
            while echoed.len() < word.len() {
                echoed.extend(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!(echoed, word.as_bytes());
        }
        let check = HeaderMap::from_iter([("x-check".parse().unwrap(), "7".parse().unwrap())]);
        feed.send(Frame::trailers(check)).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap().into_trailers().unwrap()
    });
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    drop((response, sender));
    rig.finish();
}

#[test]
fn a_client_that_reads_only_after_it_has_sent_gets_its_echo() {
    let length = 4 * 1024 * 1024;
    let replica = Replica::new(move |mut client| {
        client.next_request().unwrap();
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        let body = client.read_exact(length);
        client.send(body);
        client.read_to_end();
    });
    let rig = rig_with(&replica);
    let sender = open(&rig);
    let (feed, fed) = mpsc::channel(1);
    let request =
        Request::post("http://shop/").header("content-length", length).body(Fed(fed).boxed()).unwrap();
    let response = send(&rig, &sender, request);
    rig.runtime.block_on(async {
        for _ in 0..length / 65536 {
            feed.send(Frame::data(vec![b'x'; 65536].into())).await.unwrap();
        }
    });
    drop(feed);
    assert_eq!(rest(&rig, response).0.len(), length);
    drop(sender);
    rig.finish();
}

#[test]
fn an_answer_before_the_end_of_the_upload_is_relayed() {
    for closes in [true, false] {
        let replica = Replica::new(move |mut client| {
            client.read_exact(1024);
            client.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch");
            if !closes {
                client.read_to_end();
            }
        });
        let rig = rig_with(&replica);
        let sender = open(&rig);
        let (feed, fed) = mpsc::channel(1);
        let feeding = rig.runtime.spawn(async move {
            // It ends when the stream's body is let go of.
            while feed.send(Frame::data(vec![b'x'; 65536].into())).await.is_ok() {}
        });
        let request = Request::post("http://shop/")
            .header("content-length", 100 * 1024 * 1024)
            .body(Fed(fed).boxed())
            .unwrap();
        let response = send(&rig, &sender, request);
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(&rest(&rig, response).0[..], b"much");
        rig.runtime
            .block_on(async { tokio::time::timeout(support::PATIENCE, feeding).await.unwrap().unwrap() });
        let next = send(&rig, &sender, get("/%zz"));
        assert_eq!(next.status(), 400, "the connection goes on");
        drop((next, sender));
        rig.finish();
    }
}

#[test]
fn two_thousand_streams_wait_and_are_all_released() {
    let mut rig = Rig::new(&[("queue-limit", "5000")]);
    let replica = Replica::hello();
    let senders: Vec<_> = (0..20).map(|_| open(&rig)).collect();
    let asked: Vec<_> = (0..2000)
        .map(|at| {
            let mut sender = senders[at % senders.len()].clone();
            rig.runtime.spawn(async move {
                let response = sender.send_request(get("/")).await.unwrap();
                (response.status(), response.into_body().collect().await.unwrap().to_bytes())
            })
        })
        .collect();
    until("they all wait", || rig.waiting() == 2000);
    rig.add("a", replica.address);
    for asked in asked {
        let (status, body) = rig.runtime.block_on(asked).unwrap();
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"hello"[..]));
    }
    assert_eq!(replica.seen().len(), 2000);
    drop(senders);
    rig.finish();
}

#[test]
fn streams_of_one_connection_dont_wait_for_each_other() {
    let (go, wait) = sync_channel::<()>(0);
    let wait = Mutex::new(wait);
    let replica = Replica::strict(move |request, client| {
        if request.target == "/slow" {
            wait.lock().unwrap().recv().unwrap();
        }
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    });
    let rig = rig_with(&replica);
    let sender = open(&rig);
    let mut asking = sender.clone();
    let slow = rig.runtime.spawn(async move { asking.send_request(get("/slow")).await.unwrap().status() });
    until("it is there", || rig.in_flight() == 1);
    for _ in 0..10 {
        assert_eq!(&rest(&rig, send(&rig, &sender, get("/"))).0[..], b"hello");
    }
    go.send(()).unwrap();
    assert_eq!(rig.runtime.block_on(slow).unwrap(), 200);
    drop(sender);
    rig.finish();
}

#[test]
fn a_stream_that_nobody_reads_doesnt_keep_its_slot_for_ever() {
    let replica = Replica::new(|mut client| {
        while client.next_request().is_some() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
            // The proxy ends it in the middle.
            let _ = std::io::Write::write_all(&mut client.stream, &vec![b'x'; 50_000_000]);
        }
    });
    let mut rig = Rig::new(&[("stream-idle-timeout", "1s")]);
    rig.add("a", replica.address);
    let sender = open(&rig);
    let unread = send(&rig, &sender, get("/"));
    until("it is under way", || rig.in_flight() == 1);
    until("its slot is free", || rig.in_flight() == 0);
    drop((unread, sender));
    rig.finish();
}
