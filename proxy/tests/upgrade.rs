//! After a 101 that was asked for the connection is a tunnel; after anything else it is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::time::Duration;

use support::{Client, Replica, Rig, until};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Masked "Hello" and unmasked "Hello" (RFC 6455 §5.7).
const MASKED: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
const PLAIN: &[u8] = &[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];

/// A replica that changes the protocol and then echoes.
fn echo() -> Replica {
    Replica::new(|mut client| {
        let head = client.next_request().unwrap();
        assert!(head.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"), "{head}");
        client.send(SWITCH);
        loop {
            let bytes = client.unread().to_vec();
            client.consume(bytes.len());
            client.send(bytes);
            if client.fill() == 0 {
                return;
            }
        }
    })
}

fn open(rig: &Rig) -> Client {
    let mut client = rig.connect();
    client.send(ASK);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in
        ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    {
        assert!(head.lines().any(|known| known == line), "{line}: {head}");
    }
    client
}

#[test]
fn frames_go_both_ways_and_count_as_in_flight_until_the_end() {
    for knobs in [&[][..], &[("container-concurrency", "1")]] {
        let mut rig = Rig::new(knobs);
        let replica = echo();
        rig.add("a", replica.address);
        let mut client = open(&rig);
        for _ in 0..3 {
            client.send(MASKED);
            assert_eq!(client.read_exact(MASKED.len()), MASKED);
            assert_eq!(rig.in_flight(), 1);
        }
        let large = vec![7; 3 * 1024 * 1024];
        let mut writer = client.writer();
        let sent = large.clone();
        let writing = std::thread::spawn(move || writer.send(sent));
        assert_eq!(client.read_exact(large.len()), large);
        writing.join().unwrap();
        assert_eq!(rig.in_flight(), 1);
        client.finish_sending();
        assert!(client.is_ended());
        until("the tunnel is counted", || rig.counted(101) == 1);
        rig.finish();
    }
}

#[test]
fn either_side_may_end_first_and_what_was_sent_before_the_101_isnt_lost() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::new(|mut client| {
        client.next_request().unwrap();
        client.send([SWITCH.as_bytes(), PLAIN].concat());
        assert_eq!(client.read_exact(MASKED.len()), MASKED);
        client.send(PLAIN);
        client.finish_sending();
        client.read_to_end();
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send([ASK.as_bytes(), MASKED].concat());
    assert!(client.head().contains("101"));
    assert_eq!(client.read_to_end(), [PLAIN, PLAIN].concat());
    drop(client);
    rig.finish();
}

#[test]
fn a_tunnel_whose_client_is_reset_is_over() {
    let mut rig = Rig::new(&[("container-concurrency", "1")]);
    let (ended, seen) = std::sync::mpsc::sync_channel(10);
    let replica = Replica::new(move |mut client| {
        client.next_request().unwrap();
        client.send(SWITCH);
        client.read_to_end();
        ended.send(()).unwrap();
    });
    rig.add("a", replica.address);
    for _ in 0..3 {
        open(&rig).reset();
        seen.recv_timeout(Duration::from_secs(10)).unwrap();
        until("the slot is free", || rig.in_flight() == 0);
    }
    rig.finish();
}

#[test]
fn without_a_101_what_follows_is_the_next_request() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send(format!("{ASK}GET /smuggled HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: spoofed\r\n\r\n"));
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(client.answer().text(), "hello");
    let seen: Vec<_> = replica.seen().into_iter().map(Result::unwrap).collect();
    assert_eq!(
        seen.iter().map(|request| request.target.as_str()).collect::<Vec<_>>(),
        ["/chat", "/smuggled"]
    );
    assert_eq!(seen[1].values("x-forwarded-for"), ["127.0.0.1"]);
    client.send(format!("{ASK}\u{81}\u{85}no request"));
    assert_eq!(client.answer().text(), "hello");
    client.answer().is_problem(400, "bad-request");
    rig.finish();
}

#[test]
fn a_request_with_a_body_cant_ask_for_an_upgrade() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    for body in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
        for method in ["GET", "POST"] {
            let mut client = rig.connect();
            client.send(format!(
                "{method} / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{body}"
            ));
            client.answer().is_problem(400, "bad-request");
            assert!(client.is_ended());
        }
    }
    assert_eq!(replica.accepted(), 0);
    rig.finish();
}

#[test]
fn a_101_that_wasnt_asked_for_is_no_answer() {
    for (asked, got) in [
        ("", "Connection: Upgrade\r\nUpgrade: websocket"),
        ("Upgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: websocket"),
        ("Connection: Upgrade\r\n", "Connection: Upgrade\r\nUpgrade: websocket"),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: h2c"),
        (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
            "Connection: Upgrade\r\nUpgrade: h2c",
        ),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: other"),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: websocket, other"),
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: other",
        ),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "X: y"),
    ] {
        let mut rig = Rig::new(&[]);
        let replica = Replica::new(move |mut client| {
            client.next_request().unwrap();
            client.send(format!("HTTP/1.1 101 Switching Protocols\r\n{got}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
            client.read_to_end();
        });
        rig.add("a", replica.address);
        let mut client = rig.connect();
        for round in 1..=2 {
            client.send(format!("GET / HTTP/1.1\r\nHost: shop\r\n{asked}\r\n"));
            client.answer().is_problem(502, "upstream-protocol");
            assert_eq!(replica.accepted(), round, "the connection isn't used again");
        }
        drop(client);
        rig.finish();
    }
}

#[test]
fn an_upgrade_to_http2_is_never_passed_on() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    for upgrade in ["h2c", "H2C", "h2c, websocket", "websocket, h2c"] {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        ));
        assert_eq!(client.answer().text(), "hello");
        let seen = replica.saw_one();
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(seen.values(name).is_empty(), "{upgrade}: {:?}", seen.fields);
        }
    }
    drop(client);
    rig.finish();
}
