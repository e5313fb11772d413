//! Connections that fail: what may be sent again is, what may not is a 502, and nobody is told of a replica that is away for a moment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::frames::{self, End, Frames};
use support::http2;
use support::{Client, Replica, Rig, Vacant, until};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const POST: &str = "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn another_ready_replica_is_tried_where_a_connection_is_refused() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    let vacant = Vacant::new();
    rig.add("dead", vacant.address);
    rig.add("alive", replica.address);
    let mut client = rig.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "hello");
        client.send(POST);
        assert_eq!(client.answer().text(), "hello");
    }
    assert_eq!(replica.seen().len(), 40);
    drop(client);
    rig.finish();
}

#[test]
fn where_the_only_replica_refuses_the_request_waits_until_it_comes_back() {
    let mut rig = Rig::new(&[]);
    let vacant = Vacant::new();
    rig.add("a", vacant.address);
    let mut clients: Vec<_> = (0..20).map(|_| rig.connect()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(if at % 2 == 0 { "GET / HTTP/1.1\r\nHost: shop\r\n\r\n" } else { POST });
    }
    until("they all wait", || rig.waiting() == 20);
    let replica = Replica::at(vacant.address, |mut client| {
        while let Some(request) = support::Request::read(&mut client) {
            request.unwrap();
            client.send(HELLO);
        }
    });
    replica.unwrap();
    for mut client in clients {
        assert_eq!(client.answer().text(), "hello");
    }
    rig.finish();
}

#[test]
fn at_the_deadline_the_answer_says_that_no_replica_was_reached() {
    let mut rig = Rig::new(&[("queue-timeout", "300ms")]);
    let vacant = Vacant::new();
    rig.add("a", vacant.address);
    let mut client = rig.connect();
    let answer = client.get("/");
    answer.is_problem(503, "upstream-unreachable");
    assert!(answer.field("retry-after").is_some());
    client.get("/").is_problem(503, "upstream-unreachable");
    client.send(POST);
    client.answer().is_problem(503, "upstream-unreachable");
    rig.finish();
}

#[test]
fn a_replica_that_closes_idle_connections_at_any_moment_fails_no_request() {
    let requests = if cfg!(debug_assertions) { 3000 } else { 12_000 };
    let mut rig = Rig::new(&[]);
    let replica = Replica::new(|mut client| {
        // One connection each closes right away, after 1 ms, … after 4 ms of silence behind its answer.
        let mut count = client.stream.peer_addr().unwrap().port() as u64;
        while let Some(request) = support::Request::read(&mut client) {
            request.unwrap();
            client.send(HELLO);
            count = count.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let patience = (count >> 33) % 5;
            if patience == 0 || client.is_silent_for(Duration::from_millis(patience)) {
                return;
            }
        }
    });
    rig.add("a", replica.address);
    let address = rig.address;
    let clients: Vec<_> = (0..8)
        .map(|at| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                for round in 0..requests / 8 {
                    client.send(if (round + at) % 2 == 0 {
                        "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
                    } else {
                        POST
                    });
                    let answer = client.answer();
                    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
                    if round % 3 == 0 {
                        std::thread::park_timeout(Duration::from_micros(700 * (round as u64 % 7)));
                    }
                }
            })
        })
        .collect();
    let failed = clients.into_iter().map(std::thread::JoinHandle::join).filter(Result::is_err).count();
    assert_eq!(failed, 0, "clients saw failures");
    eprintln!("{requests} requests over {} connections", replica.accepted());
    rig.finish();
}

/// A replica that resets its first `bad` connections at the `after`-th request, without a byte of an answer.
fn resetting(bad: usize, after: usize) -> (Replica, Arc<AtomicUsize>) {
    let (connections, requests) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let count = requests.clone();
    let replica = Replica::new(move |mut client| {
        let breaks = connections.fetch_add(1, Ordering::SeqCst) < bad;
        for served in 1.. {
            if support::Request::read(&mut client).is_none() {
                return;
            }
            count.fetch_add(1, Ordering::SeqCst);
            if breaks && served == after {
                return client.reset();
            }
            client.send(HELLO);
        }
    });
    (replica, requests)
}

#[test]
fn what_may_be_done_twice_is_sent_again_after_a_reset() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        for after in [1, 2] {
            let (replica, _) = resetting(1, after);
            let mut rig = Rig::new(&[]);
            rig.add("a", replica.address);
            let mut client = rig.connect();
            for _ in 0..after {
                client.send(format!("{method} / HTTP/1.1\r\nHost: shop\r\n\r\n"));
                assert!(client.head().starts_with("HTTP/1.1 200"), "{method}");
                if method != "HEAD" {
                    client.read_exact(5);
                }
            }
            assert_eq!(replica.accepted(), 2);
            drop(client);
            rig.finish();
        }
    }
}

#[test]
fn what_may_not_be_done_twice_is_sent_once() {
    for request in [
        POST,
        "POST / HTTP/1.1\r\nHost: shop\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n",
        "FROBNICATE / HTTP/1.1\r\nHost: shop\r\n\r\n",
        // Too large to be kept.
        &format!("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 65537\r\n\r\n{}", "x".repeat(65_537)),
    ] {
        let (replica, requests) = resetting(1, 1);
        let mut rig = Rig::new(&[]);
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.send(request);
        client.answer().is_problem(502, "upstream-protocol");
        assert_eq!((replica.accepted(), requests.load(Ordering::SeqCst)), (1, 1), "{request:?}");
        drop(client);
        rig.finish();
    }
}

/// A strict replica that ends its first connection when it has read a whole request.
fn forgetful() -> Replica {
    let failed = AtomicBool::new(false);
    Replica::strict(move |_, client| {
        if failed.swap(true, Ordering::SeqCst) {
            client.send(HELLO);
        } else {
            client.finish_sending();
        }
    })
}

#[test]
fn a_small_body_is_sent_again_with_its_request() {
    let large = "x".repeat(65_536);
    let chunked = format!("3\r\nabc\r\n{:x}\r\n{}\r\n0\r\n\r\n", 50_000, &large[..50_000]);
    for (framing, sent, wanted) in [
        ("Content-Length: 5", "hello", "hello"),
        ("Content-Length: 65536", &large, &large),
        ("Transfer-Encoding: chunked", &chunked, &format!("abc{}", &large[..50_000])),
    ] {
        let replica = forgetful();
        let mut rig = Rig::new(&[]);
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.send(format!("PUT / HTTP/1.1\r\nHost: shop\r\n{framing}\r\n\r\n{sent}"));
        assert_eq!(client.answer().text(), "hello", "{framing}");
        let bodies: Vec<_> = replica.seen().into_iter().map(|request| request.unwrap().body).collect();
        assert!(bodies == [wanted.as_bytes(), wanted.as_bytes()], "{framing}");
        assert_eq!(rig.shop().counts.retries, 1);
        // And the connection is where it should be.
        assert_eq!(client.get("/").text(), "hello");
        drop(client);
        rig.finish();
    }
}

#[test]
fn over_http_2_a_small_body_is_sent_again_too() {
    let replica = forgetful();
    let rig = http2::rig_with(&replica);
    let mut client = Frames::open(&rig);
    let mut put = frames::get("/");
    put[0].1 = "PUT".into();
    client.ask(1, &put, Some("hello"));
    assert!(matches!(client.end(1), End::Answered(200, ..)));
    let bodies: Vec<_> = replica.seen().into_iter().map(|request| request.unwrap().body).collect();
    assert_eq!(bodies, [b"hello", b"hello"]);
    drop(client);
    rig.finish();
}

#[test]
fn what_fails_everywhere_is_sent_little_more_than_once() {
    const REQUESTS: usize = 200;
    let (replica, requests) = resetting(usize::MAX, 1);
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    let began = Instant::now();
    let mut client = rig.connect();
    for _ in 0..REQUESTS {
        client.get("/").is_problem(502, "upstream-protocol");
    }
    // Ten at the start, a fifth, and one a second.
    let most = REQUESTS + 10 + REQUESTS / 5 + began.elapsed().as_secs() as usize + 1;
    let seen = requests.load(Ordering::SeqCst);
    assert!((REQUESTS + 10..=most).contains(&seen), "{seen} of at most {most}");
    assert_eq!(rig.shop().counts.retries as usize, seen - REQUESTS);
    drop(client);
    rig.finish();
}

#[test]
fn a_request_is_sent_again_a_bounded_number_of_times() {
    let (replica, requests) = resetting(usize::MAX, 1);
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.get("/").is_problem(502, "upstream-protocol");
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    drop(client);
    rig.finish();
}

#[test]
fn any_number_of_stale_connections_fails_no_request() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    // Every connection is reset at its second request.
    let replica = Replica::new(move |mut client| {
        count.fetch_add(1, Ordering::SeqCst);
        support::Request::read(&mut client).unwrap().unwrap();
        // Answers come together, so that as many connections as requests are kept.
        until("ten connections are there", || count.load(Ordering::SeqCst) >= 10);
        client.send(HELLO);
        if support::Request::read(&mut client).is_some() {
            client.reset();
        }
    });
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    let mut clients: Vec<_> = (0..10).map(|_| rig.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "hello");
    }
    until("they are kept", || rig.totals().upstream_idle == 10);
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
    }
    drop(clients);
    rig.finish();
}

/// A strict replica that ends every connection on which it is asked for `/poison`, without a word.
fn poisonable() -> Replica {
    Replica::strict(|request, client| {
        if request.target == "/poison" {
            client.finish_sending();
        } else {
            client.send(HELLO);
        }
    })
}

#[test]
fn a_request_that_no_replica_survives_holds_up_nobody() {
    let mut rig = Rig::new(&[]);
    let replica = poisonable();
    rig.add("a", replica.address);
    let (mut poisoner, mut client) = (rig.connect(), rig.connect());
    for _ in 0..50 {
        poisoner.send("POST /poison HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
        poisoner.answer().is_problem(502, "upstream-protocol");
        assert_eq!(client.get("/").text(), "hello");
        client.send(POST);
        assert_eq!(client.answer().text(), "hello");
    }
    assert_eq!(rig.shop().counts.queue_waits.count(), 0, "nobody had to wait");
    drop((poisoner, client));
    rig.finish();
}

#[test]
fn a_replica_that_takes_connections_and_says_nothing_is_passed_by() {
    let mut rig = Rig::new(&[]);
    let (mute, replica) = (Replica::new(|_| {}), Replica::hello());
    rig.add("mute", mute.address);
    rig.add("alive", replica.address);
    let mut client = rig.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/").text(), "hello");
    }
    assert!(mute.accepted() > 0);
    drop(client);
    rig.finish();
}

#[test]
fn who_has_the_address_of_one_that_is_gone_gets_none_of_its_connections() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    assert_eq!(client.get("/").text(), "hello");
    rig.remove("a");
    // A pod that is new may have the address of one that has just gone, before anybody's connections have ended.
    rig.add("b", replica.address);
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(replica.accepted(), 2);
    drop(client);
    rig.finish();
}
