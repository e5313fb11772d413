//! Clients that take their time: some are slow, some hold on to what others need.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::time::Duration;

use kaos_proxy::{Limits, Patience};
use support::frames::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, End, Frames, HEADERS, PREFACE, SETTINGS,
};
use support::{Client, Replica, Rig, until};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;
/// Between two pieces of who sends little at a time: long enough to be slower than the rate, short enough to be no silence.
const BEAT: Duration = Duration::from_millis(50);

/// A proxy that waits for clients as briefly as can be.
fn impatient(knobs: &[(&str, &str)]) -> Rig {
    let patience =
        Patience { first_bytes: MILLIS(300), head: MILLIS(300), idle: MILLIS(600), ..Patience::default() };
    Rig::with(knobs, |_| {}, Limits { patience, ..Limits::default() })
}

/// With it, who is waited for has a second at first.
const BRIEF: (&str, &str) = ("stream-idle-timeout", "1s");

/// Sends `piece` again and again until something comes back.
fn drip(client: &mut Client, piece: &str) {
    while client.is_silent_for(BEAT) && client.try_send(piece) {}
}

#[test]
fn who_says_nothing_is_let_go() {
    let rig = impatient(&[]);
    for begun in [&b""[..], &PREFACE[..14]] {
        let mut client = rig.connect();
        client.send(begun);
        assert!(client.is_ended());
    }
    rig.finish();
}

#[test]
fn a_head_must_come_in_time() {
    let rig = impatient(&[]);
    for (begun, piece) in [("GET / HT", ""), ("GET / HTTP/1.1\r\nHost: shop\r\nX: ", "x"), ("\r\n", "\r\n")] {
        let mut client = rig.connect();
        client.send(begun);
        if !piece.is_empty() {
            drip(&mut client, piece);
        }
        client.answer().is_problem(408, "request-timeout");
        assert!(client.is_ended(), "{begun:?}");
    }
    rig.finish();
}

#[test]
fn who_asks_nothing_more_is_let_go() {
    let mut rig = impatient(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    assert_eq!(client.get("/").status(), 200);
    assert!(client.is_ended());
    rig.finish();
}

#[test]
fn an_http2_connection_without_streams_is_let_go() {
    let mut rig = impatient(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut silent = rig.connect();
    silent.send(PREFACE);
    let mut idle = Frames::open(&rig);
    let mut served = Frames::open(&rig);
    served.get(1);
    assert!(matches!(served.end(1), End::Answered(200, _)));
    // Its fields never end: nothing else may come between, not even the answer to a ping.
    let mut endless = Frames::open(&rig);
    endless.send(HEADERS, 0, 1, &frames::block(&frames::get("/")));
    endless.send(CONTINUATION, 0, 1, b"");
    assert_eq!(served.gone(), Some(0));
    assert_eq!(idle.gone(), Some(0));
    silent.read_to_end();
    endless.gone();
    until("all are gone", || rig.totals().http2_connections == 0);
    rig.finish();
}

#[test]
fn a_body_must_move() {
    let mut rig = impatient(&[BRIEF]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    for framing in ["Content-Length: 1000000\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"] {
        for piece in ["", if framing.contains("chunked") { "1\r\nx\r\n" } else { "x" }] {
            let mut client = rig.connect();
            client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\n{framing}"));
            if !piece.is_empty() {
                drip(&mut client, piece);
            }
            client.answer().is_problem(408, "request-timeout");
            until("its slot is free", || rig.in_flight() == 0);
        }
    }
    for drips in [false, true] {
        let mut client = Frames::open(&rig);
        let mut fields = frames::get("/");
        fields[0].1 = "POST".into();
        client.send(HEADERS, END_HEADERS, 1, &frames::block(&fields));
        // The settings come first.
        client.next();
        while drips && rig.counted(408) < 6 {
            client.send(DATA, 0, 1, b"x");
            std::thread::park_timeout(BEAT);
        }
        assert!(matches!(client.end(1), End::Answered(408, _)));
    }
    for seen in replica.seen() {
        assert!(seen.unwrap_err().starts_with("cut "));
    }
    rig.finish();
}

/// A replica that answers with so much that nothing between can hold it.
fn large() -> Replica {
    Replica::new(|mut client| {
        while client.next_request().is_some() {
            client.try_send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            let piece = vec![b'x'; 1 << 20];
            while client.try_send(&piece) {}
        }
    })
}

#[test]
fn an_answer_must_be_taken() {
    let mut rig = impatient(&[BRIEF]);
    let replica = large();
    rig.add("a", replica.address);
    for drips in [false, true] {
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
        client.head();
        until("it is under way", || rig.in_flight() == 1);
        until("its slot is free", || {
            if drips {
                // Less in each beat than the rate, once what lies between is full.
                read_a_little(&mut client);
                std::thread::park_timeout(BEAT);
            }
            rig.in_flight() == 0
        });
    }
    let mut client = Frames::open(&rig);
    // No window at all (RFC 9113 §6.5.2: SETTINGS_INITIAL_WINDOW_SIZE).
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    client.get(1);
    until("it is under way", || rig.in_flight() == 1);
    until("its slot is free", || rig.in_flight() == 0);
    rig.finish();
}

fn read_a_little(client: &mut Client) {
    let mut few = [0; 4];
    // What it reads doesn't matter, nor that it is cut.
    let _ = std::io::Read::read(&mut client.stream, &mut few);
}

#[test]
fn who_is_slow_and_honest_lives() {
    let mut rig = impatient(&[BRIEF]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    // Four times as long as it would live without what it sends.
    let pieces = 4 * 1000 / BEAT.as_millis() as usize;
    let piece = "x".repeat(50);
    client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n", pieces * piece.len()));
    for _ in 0..pieces {
        assert!(client.is_silent_for(BEAT));
        client.send(&piece);
    }
    assert_eq!(client.answer().status(), 200);
    assert_eq!(replica.saw_one().body.len(), pieces * piece.len());
    drop(client);
    rig.finish();
}

#[test]
fn streams_live_at_any_pace() {
    let mut rig = impatient(&[BRIEF]);
    let replica = Replica::new(|mut client| {
        let head = client.next_request().unwrap();
        if head.contains("Upgrade") {
            client.send("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
            while client.fill() > 0 {
                let came = client.unread().to_vec();
                client.consume(came.len());
                client.send(came);
            }
        } else if head.contains("grpc") {
            while client.chunk().is_some() {}
            client.read_until(b"\r\n");
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        } else {
            client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
            while client.is_silent_for(BEAT * 4) && client.try_send(":\n\n") {}
        }
    });
    rig.add("a", replica.address);
    let mut events = rig.connect();
    events.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    let mut tunnel = rig.connect();
    tunnel.send("GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert!(tunnel.head().contains(" 101 "));
    let mut calls = Frames::open(&rig);
    let mut fields = frames::get("/");
    fields[0].1 = "POST".into();
    fields.push(("content-type".into(), "application/grpc".into()));
    calls.send(HEADERS, END_HEADERS, 1, &frames::block(&fields));
    events.head();
    // Three seconds: three times as long as anybody lives who must move something.
    for _ in 0..15 {
        events.read_until(b":\n\n");
        tunnel.send("x");
        assert_eq!(tunnel.read_exact(1), b"x");
        assert!(calls.send(DATA, 0, 1, b"x"));
    }
    calls.send(DATA, END_STREAM, 1, b"");
    assert!(matches!(calls.end(1), End::Answered(200, _)));
    drop((events, tunnel, calls));
    rig.finish();
}

#[test]
fn an_old_http2_connection_is_asked_to_go() {
    let patience = Patience { idle: MILLIS(400), age: MILLIS(400), ..Patience::default() };
    let mut rig = Rig::with(&[], |_| {}, Limits { patience, ..Limits::default() });
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let wait = std::sync::Mutex::new(wait);
    let replica = Replica::strict(move |_, client| {
        wait.lock().unwrap().recv().unwrap();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    });
    rig.add("a", replica.address);
    let mut client = Frames::open(&rig);
    client.get(1);
    // The first names no stream, so that what is on its way is still served.
    while client.next().unwrap().kind != frames::GOAWAY {}
    assert_eq!(rig.in_flight(), 1, "what is under way goes on");
    go.send(()).unwrap();
    assert!(matches!(client.end(1), End::Answered(200, _)));
    client.gone();
    rig.finish();
}
