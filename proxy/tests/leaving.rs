//! Clients that leave: while they wait, while they are answered, while they send. What they held is free again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use support::{Client, Replica, Rig, until};

/// What a client has sent when it leaves.
const REQUESTS: [(&str, &str); 5] = [
    ("GET", "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"),
    ("POST, whole", "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"),
    ("POST, partly sent", "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\nhello"),
    (
        "Expect, nothing sent",
        "POST / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ),
    ("pipelined second", "GET / HTTP/1.1\r\nHost: shop\r\n\r\nGET /second HTTP/1.1\r\nHost: shop\r\n\r\n"),
];

#[derive(Clone, Copy, Debug)]
enum Leave {
    Fin,
    HalfClose,
    Reset,
}

fn leave(mut client: Client, how: Leave) -> Option<Client> {
    match how {
        Leave::Fin => None,
        Leave::HalfClose => {
            client.finish_sending();
            Some(client)
        }
        Leave::Reset => {
            client.reset();
            None
        }
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_gives_its_place_back() {
    for how in [Leave::Fin, Leave::HalfClose, Leave::Reset] {
        for (what, request) in REQUESTS {
            let rig = Rig::new(&[]);
            let mut client = rig.connect();
            client.send(request);
            until("it waits", || rig.waiting() == 1);
            let begun = Instant::now();
            let left = leave(client, how);
            until("its place is free", || rig.waiting() == 0);
            eprintln!("{what}, {how:?}: free after {:?}", begun.elapsed());
            until("it is counted", || rig.counted(499) == 1);
            assert_eq!(rig.counted(503) + rig.counted(504), 0);
            if let Some(mut client) = left {
                assert!(client.is_ended());
            }
            rig.finish();
        }
    }
}

#[test]
fn a_pipelined_request_leaves_with_its_client_too() {
    let mut rig = Rig::new(&[("container-concurrency", "1")]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    for how in [Leave::Fin, Leave::Reset] {
        let mut client = rig.connect();
        assert_eq!(client.get("/").status(), 200);
        rig.remove("a");
        client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\nGET / HTTP/1.1\r\nHost: shop\r\n\r\n");
        until("the first waits", || rig.waiting() == 1);
        leave(client, how);
        until("its place is free", || rig.waiting() == 0);
        rig.add("a", replica.address);
    }
    assert_eq!(replica.seen().len(), 2, "nothing of those who left was dispatched");
    rig.finish();
}

#[test]
fn a_client_that_leaves_while_its_replica_is_connected_to_is_missed_at_once() {
    let mut rig = Rig::new(&[]);
    // With no room in its queue and nobody who accepts, it lets every further connection wait.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let first = std::net::TcpStream::connect(address).unwrap();
    rig.add("a", address);
    let mut client = rig.connect();
    client.send(REQUESTS[0].1);
    until("it is under way", || rig.in_flight() == 1);
    let begun = Instant::now();
    drop(client);
    until("its slot is free", || rig.in_flight() == 0);
    eprintln!("free after {:?}", begun.elapsed());
    assert_eq!(rig.counted(499), 1, "the client's leaving ended it, not the time to connect");
    drop((first, socket));
    rig.finish();
}

#[test]
fn ten_thousand_that_leave_leave_nothing_behind() {
    let total = 10_000;
    let rig = Rig::new(&[]);
    let mut counted = 0;
    while counted < total {
        let clients: Vec<_> = (0..500)
            .map(|at| {
                let mut client = rig.connect();
                client.send(REQUESTS[at % REQUESTS.len()].1);
                client
            })
            .collect();
        until("they all wait", || rig.waiting() == 500);
        for (at, client) in clients.into_iter().enumerate() {
            leave(client, if at % 2 == 0 { Leave::Fin } else { Leave::Reset });
        }
        until("nobody waits", || rig.waiting() == 0);
        counted += 500;
        until("all are counted", || rig.counted(499) == counted);
    }
    until("no connection is left", || rig.totals().http1_connections == 0);
    rig.finish();
}

/// A replica that begins to answer if it is told to, and says when its connection has ended. One that isn't `attentive`
/// goes on as if nothing had happened.
fn watching(answer: &'static str, attentive: bool) -> (Replica, Receiver<Instant>) {
    let (ended, seen) = sync_channel(100);
    let replica = Replica::new(move |mut client| {
        if client.next_request().is_none() {
            return;
        }
        client.try_send(answer);
        while client.fill() > 0 {
            let count = client.unread().len();
            client.consume(count);
        }
        let _ = ended.send(Instant::now());
        if !attentive {
            // It holds the connection until the proxy has closed it altogether.
            until("the proxy has let go", || !client.try_send("x"));
        }
    });
    (replica, seen)
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

#[test]
fn a_replica_sees_its_connection_end_when_the_client_leaves() {
    let upload = "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\nhello";
    let get = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
    for knobs in [&[][..], &[("container-concurrency", "1")]] {
        for (what, request, answer) in [
            ("before the answer", get, ""),
            ("within the answer", get, STREAM),
            ("within the upload", upload, ""),
            ("within both", upload, STREAM),
        ] {
            for how in [Leave::Fin, Leave::HalfClose, Leave::Reset] {
                let mut rig = Rig::new(knobs);
                let (replica, ended) = watching(answer, true);
                rig.add("a", replica.address);
                let mut client = rig.connect();
                client.send(request);
                until("it is dispatched", || rig.in_flight() == 1 && replica.accepted() == 1);
                if !answer.is_empty() {
                    client.read_until(b"5\r\nhello\r\n");
                }
                let begun = Instant::now();
                let left = leave(client, how);
                let at = ended.recv_timeout(support::PATIENCE).unwrap();
                eprintln!("{what}, {how:?}: the replica saw it after {:?}", at.duration_since(begun));
                until("the slot is free", || rig.in_flight() == 0);
                assert_eq!(rig.counted(if answer.is_empty() { 499 } else { 200 }), 1);
                drop(left);
                rig.finish();
            }
        }
    }
}

#[test]
fn with_a_hard_limit_the_slot_is_free_when_the_replica_has_let_go() {
    let mut rig = Rig::new(&[("container-concurrency", "1")]);
    let (replica, ended) = watching("", true);
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it is dispatched", || replica.accepted() == 1);
    let mut second = rig.connect();
    second.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("the second waits", || rig.waiting() == 1);
    drop(client);
    ended.recv_timeout(support::PATIENCE).unwrap();
    until("the second is dispatched", || replica.accepted() == 2);
    drop(second);
    rig.finish();
}

#[test]
fn a_replica_that_doesnt_let_go_keeps_the_slot_for_a_second() {
    let mut rig = Rig::new(&[("container-concurrency", "1")]);
    let (replica, ended) = watching("", false);
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it is dispatched", || replica.accepted() == 1);
    let mut second = rig.connect();
    second.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("the second waits", || rig.waiting() == 1);
    drop(client);
    let told = ended.recv_timeout(support::PATIENCE).unwrap();
    until("the second is dispatched", || replica.accepted() == 2);
    let kept = told.elapsed();
    assert!(kept >= Duration::from_millis(900), "the slot was given away after {kept:?}");
    drop(second);
    rig.finish();
}

#[test]
fn a_replica_whose_answer_is_unusable_keeps_the_slot_until_it_lets_go() {
    for answer in ["nonsense\r\n\r\n", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"] {
        let mut rig = Rig::new(&[("container-concurrency", "1")]);
        let (replica, ended) = watching(answer, false);
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.get("/").is_problem(502, "upstream-protocol");
        let mut second = rig.connect();
        second.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
        let told = ended.recv_timeout(support::PATIENCE).unwrap();
        until("the second is dispatched", || replica.accepted() == 2);
        let kept = told.elapsed();
        assert!(kept >= Duration::from_millis(900), "the slot was given away after {kept:?}");
        drop((client, second));
        rig.finish();
    }
}

#[test]
fn without_a_hard_limit_nothing_waits_for_the_replica() {
    let mut rig = Rig::new(&[]);
    let (replica, _ended) = watching(STREAM, false);
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    client.read_until(b"5\r\nhello\r\n");
    drop(client);
    until("it is over", || rig.in_flight() == 0 && rig.totals().upstream_active == 0);
    rig.finish();
}
