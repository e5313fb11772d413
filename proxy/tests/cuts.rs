//! Answers that break off, and answers that come before their request is whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use support::frames::{self, End, Frames};
use support::{Client, Replica, Rig, until};

const BEGINNINGS: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
];

/// A replica that begins an answer and then ends the connection, with a reset or not.
fn breaking_off(answer: &'static str, reset: bool) -> Replica {
    Replica::new(move |mut client| {
        client.next_request();
        client.send(answer);
        // The reset must not overtake the bytes.
        until("they have left", || client.is_silent_for(Duration::from_millis(20)));
        if reset {
            client.reset();
        }
    })
}

#[test]
fn an_answer_that_breaks_off_has_no_clean_end() {
    for answer in BEGINNINGS {
        for reset in [false, true] {
            let mut rig = Rig::new(&[]);
            let replica = breaking_off(answer, reset);
            rig.add("a", replica.address);
            let mut client = rig.connect();
            client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
            let body = client.read_to_end();
            assert!(body.windows(5).any(|window| window == b"hello"), "{body:?}");
            if head.contains("chunked") {
                assert!(!body.windows(3).any(|window| window == b"0\r\n"), "{body:?}");
            } else {
                assert_eq!(body, b"hello");
            }
            assert_eq!(replica.accepted(), 1, "it isn't asked again");
            rig.finish();
        }
    }
}

#[test]
fn a_large_answer_that_breaks_off_is_no_shorter_one() {
    const SENT: usize = 4 * 1024 * 1024;
    for reset in [false, true] {
        let mut rig = Rig::new(&[]);
        let replica = Replica::new(move |mut client| {
            client.next_request();
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * SENT));
            client.send(vec![b'x'; SENT]);
            if reset {
                client.reset();
            }
        });
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 200 OK"));
        let body = client.read_to_end();
        assert!(body.iter().all(|byte| *byte == b'x'));
        // A reset may overtake what was sent before it.
        assert!(if reset { body.len() <= SENT } else { body.len() == SENT }, "{}", body.len());
        rig.finish();
    }
}

#[test]
fn a_client_that_knows_the_end_by_the_connections_end_is_reset() {
    for (answer, reset) in
        [(BEGINNINGS[1], false), (BEGINNINGS[2], true), ("HTTP/1.1 200 OK\r\n\r\nhello", true)]
    {
        let mut rig = Rig::new(&[]);
        let replica = breaking_off(answer, reset);
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.send("GET / HTTP/1.0\r\nHost: shop\r\n\r\n");
        let head = client.head();
        assert!(!head.contains("Content-Length"), "{head}");
        client.read_to_end();
        assert!(client.was_reset, "{answer:?} must not look whole");
        rig.finish();
    }
}

const BAD_CHUNKS: [&str; 6] = [
    "x\r\n",
    "5\r\nhelloo\r\n",
    "-5\r\nhello\r\n",
    "5\nhello\r\n",
    "fffffffffffffffff\r\n",
    "0\r\nX y: z\r\n\r\n",
];
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

#[test]
fn a_malformed_chunk_of_a_replica_cuts_the_answer() {
    for bad in BAD_CHUNKS {
        let mut rig = Rig::new(&[]);
        let (go, wait) = sync_channel(0);
        let wait = Mutex::new(wait);
        let replica = Replica::new(move |mut client| {
            client.next_request();
            client.send(CHUNKED);
            wait.lock().unwrap().recv().unwrap();
            client.send(bad);
            client.read_to_end();
        });
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
        client.read_until(b"5\r\nhello\r\n");
        go.send(()).unwrap();
        let rest = client.read_to_end();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{bad:?}: {rest:?}");
        rig.finish();
    }
}

#[test]
fn a_malformed_chunk_that_comes_with_the_head_is_a_502() {
    for bad in BAD_CHUNKS {
        let mut rig = Rig::new(&[]);
        let replica = Replica::new(move |mut client| {
            client.next_request();
            client.send(format!("{CHUNKED}{bad}"));
            client.read_to_end();
        });
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.get("/").is_problem(502, "upstream-protocol");
        client.get("/").is_problem(502, "upstream-protocol");
        assert_eq!((replica.accepted(), rig.counted(502)), (2, 2));
        drop(client);
        rig.finish();
    }
}

const LARGE: usize = 100 * 1024 * 1024;

/// Uploads 100 MB, or as much of it as is taken, beside reading the answer.
fn upload(client: &mut Client, framing: &str) -> (support::Answer, usize) {
    client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\n{framing}\r\n\r\n"));
    let mut writer = client.writer();
    let chunked = framing.contains("chunked");
    let writing = std::thread::spawn(move || {
        let mut piece = vec![b'x'; 65536];
        if chunked {
            piece = [&b"10000\r\n"[..], &piece, b"\r\n"].concat();
        }
        let mut sent = 0;
        while sent < LARGE && writer.try_send(&piece) {
            sent += piece.len();
        }
        sent
    });
    let answer = client.answer();
    assert_eq!(answer.field("connection"), Some("close"));
    client.read_to_end();
    (answer, writing.join().unwrap())
}

#[test]
fn an_answer_before_the_end_of_the_upload_is_relayed_and_ends_it() {
    for framing in [format!("Content-Length: {LARGE}"), "Transfer-Encoding: chunked".to_owned()] {
        for (after, knobs) in [
            ("closes", &[][..]),
            ("stops reading", &[]),
            ("goes on reading", &[]),
            ("goes on reading", &[("container-concurrency", "1")]),
        ] {
            let mut rig = Rig::new(knobs);
            let replica = Replica::new(move |mut client| {
                client.read_exact(1024);
                client.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch");
                match after {
                    "closes" => {}
                    "stops reading" => until("the proxy ends it", || is_closed(&client)),
                    _ => {
                        client.read_to_end();
                    }
                }
            });
            rig.add("a", replica.address);
            let begun = Instant::now();
            let (answer, sent) = upload(&mut rig.connect(), &framing);
            assert_eq!((answer.status(), answer.text().as_str()), (413, "much"), "{after}");
            assert!(sent < LARGE, "all of it was taken");
            eprintln!(
                "a replica that {after}: answered and ended after {:?}, {sent} bytes taken",
                begun.elapsed()
            );
            rig.finish();
        }
    }
}

/// Whether the other end has closed, also behind bytes that nobody has read.
fn is_closed(client: &Client) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut watched = [PollFd::new(&client.stream, PollFlags::RDHUP)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).unwrap() > 0
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let mut rig = Rig::new(&[("max-request-body", "10")]);
    // One that says its length wakes nothing.
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 11\r\n\r\n");
    let answer = client.answer();
    answer.is_problem(413, "body-too-large");
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(rig.reported_waiting().unwrap_or(0), 0);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let post = "POST / HTTP/1.1\r\nHost: shop\r\n";
    for (body, status) in [
        ("Content-Length: 10\r\n\r\n0123456789", 200),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", 200),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n", 413),
        ("Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n", 413),
    ] {
        let mut client = rig.connect();
        client.send(format!("{post}{body}"));
        assert_eq!(client.answer().status(), status, "{body}");
    }
    for (length, body, status) in
        [(Some("11"), "01234567890", 413), (None, "0123456789", 200), (None, "01234567890", 413)]
    {
        let mut fields = frames::get("/");
        fields[0].1 = "POST".into();
        fields.extend(length.map(|length| ("content-length".into(), length.into())));
        let mut client = Frames::open(&rig);
        client.ask(1, &fields, Some(body));
        assert!(matches!(client.end(1), End::Answered(got, _) if got == status), "{body}");
    }
    until("nothing is under way", || rig.in_flight() == 0);
    let (whole, cut): (Vec<_>, Vec<_>) = replica.seen().into_iter().partition(Result::is_ok);
    assert_eq!(whole.len(), 3);
    assert!(cut.into_iter().all(|seen| seen.unwrap_err().starts_with("cut ")));
    rig.finish();
}
