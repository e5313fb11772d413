//! Requests whose end two readers could find in two places never reach a replica; whatever does reach one is well-formed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::time::Duration;

use support::{Client, Replica, Rig, until};

/// What an attacker hopes to have read as a request of its own.
const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n";

/// What one case of the grid is answered: 400 on the spot, or 200 with whatever follows.
struct Case {
    line: Vec<u8>,
    sound: &'static str,
}

/// A byte at each place of a field line where a lenient reader might take it for something else, beside a sound framing.
fn grid() -> Vec<Case> {
    let mut cases = Vec::new();
    for byte in 0..=255_u8 {
        for (name, values) in [
            ("Transfer-Encoding", ["chunked", "identity"]),
            ("Content-Length", ["3", "43"]),
            ("Host", ["other", "shop:80"]),
            ("Connection", ["close", "content-length"]),
        ] {
            for value in values {
                let dash = name.find('-').unwrap_or(2);
                for line in [
                    [name.as_bytes(), &[byte], b": ", value.as_bytes()].concat(),
                    [name.as_bytes(), b":", &[byte], value.as_bytes()].concat(),
                    [name.as_bytes(), b": ", value.as_bytes(), &[byte]].concat(),
                    [&[byte], name.as_bytes(), b": ", value.as_bytes()].concat(),
                    [
                        &name.as_bytes()[..dash],
                        &[byte],
                        &name.as_bytes()[dash + 1..],
                        b": ",
                        value.as_bytes(),
                    ]
                    .concat(),
                ] {
                    let sound = if name == "Content-Length" {
                        "Transfer-Encoding: chunked"
                    } else {
                        "Content-Length: 43"
                    };
                    cases.push(Case { line, sound });
                }
            }
        }
    }
    cases
}

#[test]
fn whatever_is_accepted_reaches_the_replica_as_one_well_formed_request() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let cases = grid();
    assert!(cases.len() >= 5000, "{}", cases.len());
    assert_eq!(SMUGGLED.len(), 43);
    let mut accepted = 0;
    let mut client = rig.connect();
    for (at, case) in cases.iter().enumerate() {
        let shown = String::from_utf8_lossy(&case.line);
        let body = if case.sound.starts_with('T') {
            format!("2b\r\n{SMUGGLED}\r\n0\r\n\r\n")
        } else {
            SMUGGLED.into()
        };
        let mut request = format!("POST /{at} HTTP/1.1\r\nHost: shop\r\n").into_bytes();
        request.extend_from_slice(&case.line);
        request.extend_from_slice(format!("\r\n{}\r\n\r\n{body}", case.sound).as_bytes());
        client.send(&request);
        let answer = client.answer();
        match answer.status() {
            200 => {
                accepted += 1;
                let seen = replica.saw_one();
                assert_eq!(seen.target, format!("/{at}"), "{shown:?}");
                if case.line.contains(&b'\n') {
                    // It may have ended the head: what follows is no request then.
                    let rest = client.read_to_end();
                    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{shown:?}");
                    client = rig.connect();
                } else {
                    assert_eq!(seen.body, SMUGGLED.as_bytes(), "{shown:?}");
                }
            }
            _ => {
                answer.is_problem(400, "bad-request");
                assert_eq!(replica.seen(), [], "{shown:?}");
            }
        }
        if answer.field("connection") == Some("close") {
            client = rig.connect();
        }
    }
    // Bytes that a name may hold, at the three places where they make another name: most of the rest is refused.
    assert!((1000..3000).contains(&accepted), "{accepted} of {} were accepted", cases.len());
    drop(client);
    rig.finish();
}

/// Some of the table's: a wrong end, size, content and trailer.
const BAD_CHUNKS: &[&str] = &["5\nhello\r\n", "0x5\r\nhello\r\n", "5\r\nhelloo\r\n", "0\r\n X: y\r\n\r\n"];

#[test]
fn a_malformed_chunk_is_refused_and_the_replicas_request_never_ends() {
    let mut rig = Rig::new(&[]);
    let (whole, cut) = std::sync::mpsc::sync_channel(100);
    let replica = Replica::new(move |mut client| {
        let sent = client.read_to_end();
        whole.send(String::from_utf8_lossy(&sent).into_owned()).unwrap();
    });
    rig.add("a", replica.address);
    for bad in BAD_CHUNKS {
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        until("the first chunk is on its way", || rig.in_flight() == 1);
        client.send(bad);
        let answer = client.answer();
        answer.is_problem(400, "bad-request");
        assert_eq!(answer.field("connection"), Some("close"));
        let sent = cut.recv_timeout(Duration::from_secs(10)).unwrap();
        let body = sent.split_once("\r\n\r\n").unwrap().1;
        assert!(body.starts_with("5\r\nhello\r\n"), "{bad:?}: {sent:?}");
        assert!(!body.contains("\r\n0\r\n"), "{bad:?} ended cleanly: {sent:?}");
    }
    rig.finish();
}

#[test]
fn a_malformed_chunk_behind_the_beginning_of_the_answer_cuts_it() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::new(|mut client| {
        client.next_request().unwrap();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        client.read_to_end();
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    client.send("bad\n");
    assert_eq!(client.read_to_end(), b"hello");
    rig.finish();
}

#[test]
fn sound_chunks_arrive_whole_and_only_their_content() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client: Client = rig.connect();
    for (body, content) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5 ;x=y; z=\"0\"\r\nhello\r\n0;q\r\n\r\n", "hello"),
        ("00005\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", "hello0123456789"),
        ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    ] {
        client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        assert_eq!(client.answer().status(), 200, "{body:?}");
        assert_eq!(replica.saw_one().body, content.as_bytes(), "{body:?}");
    }
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 005\r\n\r\nhello");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(replica.saw_one().values("content-length"), ["5"]);
    drop(client);
    rig.finish();
}
