//! What replicas answer: interim answers end at the proxy, broken ones are a 502, bodies end where their heads say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use support::{Client, Replica, Rig};

/// A replica that answers each request of its first connections with the next of `answers` and then keeps silent.
fn saying(answer: impl Into<Vec<u8>>) -> Replica {
    let answer = answer.into();
    Replica::new(move |mut client| {
        if client.next_request().is_some() {
            client.try_send(&answer);
            client.read_to_end();
        }
    })
}

/// One that ends the connection behind its answer.
fn saying_last(answer: impl Into<Vec<u8>>) -> Replica {
    let answer = answer.into();
    Replica::new(move |mut client| {
        if client.next_request().is_some() {
            client.try_send(&answer);
        }
    })
}

fn rig(replica: &Replica) -> Rig {
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    rig
}

const BODY: &str = "Content-Length: 5\r\n\r\nhello";

#[test]
fn an_answer_that_breaks_the_rules_is_a_502_and_its_connection_is_not_used_again() {
    let long = |length: usize| "x".repeat(length);
    let many: String = (0..101).map(|at| format!("X-{at}: y\r\n")).collect();
    let broken = [
        format!("HTTP/1.1 99 X\r\n{BODY}"),
        format!("HTTP/1.1 1000 X\r\n{BODY}"),
        format!("HTTP/1.1 000 X\r\n{BODY}"),
        format!("HTTP/1.1 2x0 X\r\n{BODY}"),
        format!("HTTP/1.1 -20 X\r\n{BODY}"),
        format!("HTTP/1.1  200 X\r\n{BODY}"),
        format!("HTTP/1.1\r\n{BODY}"),
        format!("HTTP/1.2 200 OK\r\n{BODY}"),
        format!("HTTP/2.0 200 OK\r\n{BODY}"),
        format!("http/1.1 200 OK\r\n{BODY}"),
        format!("ICY 200 OK\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{BODY}"),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n{BODY}"),
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello".into(),
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        format!("HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\nX : y\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\n X: y\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\nX y: z\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\nX: \0\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: z\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\n: y\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\nX\r\n{BODY}"),
        format!("HTTP/1.1 200 OK\r\n{many}{BODY}"),
        format!("HTTP/1.1 200 OK\r\nX: {}", long(70_000)),
        format!("HTTP/1.1 200 OK\r\n{}: y\r\n{BODY}", long(70_000)),
        format!("HTTP/1.1 200 {}", long(70_000)),
        long(70_000),
        "SSH-2.0-OpenSSH_9.2\r\n".into(),
        "\x16\x03\x03\0\x02\x02\x28".into(),
        "\0\0\0\0".into(),
        "hello\n".into(),
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
    ];
    for answer in broken {
        let replica = saying(answer.clone());
        let rig = rig(&replica);
        let mut client = rig.connect();
        for round in 1..=2 {
            client.get("/").is_problem(502, "upstream-protocol");
            assert_eq!(replica.accepted(), round, "{answer:.80?}");
        }
        client.send("HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 502 "), "{answer:.80?}");
        assert_eq!(rig.counted(502), 3);
        drop(client);
        rig.finish();
    }
}

#[test]
fn a_connection_that_ends_before_or_within_the_head_is_a_502() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let replica = saying_last(answer);
        let rig = rig(&replica);
        let mut client = rig.connect();
        client.get("/").is_problem(502, "upstream-protocol");
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello");
        client.answer().is_problem(502, "upstream-protocol");
        drop(client);
        rig.finish();
    }
}

#[test]
fn interim_answers_end_at_the_proxy_and_are_counted() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        hints,
        "HTTP/1.1 199 X\r\nContent-Length: 5\r\n\r\n",
    ] {
        for (count, status) in [(1, 200), (16, 200), (17, 502), (500, 502)] {
            let replica = saying(format!("{}HTTP/1.1 200 OK\r\n{BODY}", interim.repeat(count)));
            let rig = rig(&replica);
            let mut client = rig.connect();
            let answer = client.get("/");
            assert_eq!(answer.status(), status, "{count} of {interim:?}");
            if status == 502 {
                answer.is_problem(502, "upstream-protocol");
            }
            drop(client);
            rig.finish();
        }
    }
}

#[test]
fn an_endless_flood_of_interim_answers_is_ended() {
    let (ended, seen) = std::sync::mpsc::sync_channel(10);
    let replica = Replica::new(move |mut client| {
        client.next_request();
        while client.try_send("HTTP/1.1 103 Early Hints\r\n\r\n") {}
        ended.send(()).unwrap();
    });
    let rig = rig(&replica);
    let mut client = rig.connect();
    client.get("/").is_problem(502, "upstream-protocol");
    seen.recv_timeout(support::PATIENCE).unwrap();
    drop(client);
    rig.finish();
}

/// Sends a request and returns the head of the answer, then a GET, which must find the connection where it should be.
fn head_and_next(client: &mut Client, method: &str) -> String {
    client.send(format!(
        "{method} / HTTP/1.1\r\nHost: shop\r\n\r\nOPTIONS * HTTP/1.0\r\nHost: nobody\r\nExpect: x\r\n\r\n"
    ));
    let head = client.head();
    let next = client.head();
    assert!(next.starts_with("HTTP/1.1 417 "), "behind {head:?} comes {next:?}");
    head
}

#[test]
fn answers_without_content_have_none_whatever_the_replica_sends() {
    for (method, answer, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Some("5")),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Some("5")),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", None),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", None),
        ("HEAD", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", Some("0")),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", None),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Some("5")),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", Some("5")),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", None),
        ("GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", Some("0")),
        ("GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello", Some("0")),
        ("GET", "HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Some("0")),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some("0")),
    ] {
        let replica = saying(answer);
        let rig = rig(&replica);
        let mut client = rig.connect();
        let head = head_and_next(&mut client, method);
        let status = answer.get(9..12).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?}: {head}");
        let said = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        assert_eq!(said, length, "{method} {answer:?}: {head}");
        assert!(!head.contains("Transfer-Encoding"), "{head}");
        drop(client);
        rig.finish();
    }
}

#[test]
fn bytes_behind_an_answer_are_never_anothers_answer() {
    for extra in ["x", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"] {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            let replica = Replica::new(move |mut client| {
                while client.next_request().is_some() {
                    client.try_send(format!("{answer}{extra}"));
                }
            });
            let rig = rig(&replica);
            let mut client = rig.connect();
            for round in 1..=3 {
                assert_eq!(client.get("/").text(), "hello");
                assert_eq!(replica.accepted(), round);
            }
            drop(client);
            rig.finish();
        }
    }
}

#[test]
fn a_body_that_the_end_of_the_connection_ends_is_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.1 200 OK\n\nhello",
    ] {
        let replica = saying_last(answer);
        let rig = rig(&replica);
        let mut client = rig.connect();
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!(
                (answer.field("transfer-encoding"), answer.text().as_str()),
                (Some("chunked"), "hello")
            );
        }
        client.send("GET / HTTP/1.0\r\nHost: shop\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        assert_eq!(
            (answer.field("connection"), answer.field("transfer-encoding"), answer.text().as_str()),
            (Some("close"), None, "hello")
        );
        rig.finish();
    }
    let replica = saying_last("HTTP/1.1 200 OK\r\n\r\n");
    let rig = rig(&replica);
    let mut client = rig.connect();
    assert_eq!(client.get("/").text(), "");
    drop(client);
    rig.finish();
}

#[test]
fn clients_and_replicas_of_http_1_0_are_served() {
    let replica = Replica::strict(|_, client| {
        client.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello");
    });
    let rig = rig(&replica);
    let mut client = rig.connect();
    for (fields, kept) in [
        ("Connection: keep-alive\r\n", true),
        ("Host: shop\r\nConnection: Keep-Alive\r\n", true),
        ("Host: shop\r\n", false),
    ] {
        client.send(format!("GET / HTTP/1.0\r\n{fields}\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.field("connection"), Some(if kept { "keep-alive" } else { "close" }));
        assert_eq!(replica.saw_one().values("host").len(), 1);
    }
    assert!(client.is_ended());
    assert_eq!(replica.accepted(), 1);
    rig.finish();
}

#[test]
fn chunks_reach_a_client_of_http_1_0_without_their_framing() {
    let replica = saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\nX: y\r\n\r\n",
    );
    let rig = rig(&replica);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer();
    assert_eq!(
        (answer.field("connection"), answer.field("transfer-encoding"), answer.text().as_str()),
        (Some("close"), None, "hello!")
    );
    rig.finish();
}
