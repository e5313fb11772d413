//! What a proxy does when connections or memory become scarce.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::time::Duration;

use kaos_proxy::Limits;
use support::{Client, Replica, Rig, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";

fn few(most: usize) -> Rig {
    Rig::with(&[], |config| (config.max_connections, config.workers) = (most, 1), Limits::default())
}

/// Whether a connection gets an answer; else it was closed.
fn is_served(client: &mut Client) -> bool {
    client.try_send(GET) && client.fill() > 0 && client.answer().status() == 200
}

#[test]
fn at_the_cap_the_connection_that_was_idle_longest_makes_room() {
    let mut rig = few(4);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = rig.connect();
            assert!(is_served(&mut client));
            client
        })
        .collect();
    assert!(is_served(&mut clients[0]), "the first isn't the one that was idle longest any more");
    let mut fifth = rig.connect();
    assert!(is_served(&mut fifth));
    assert!(clients[1].is_ended() && !clients[1].was_reset);
    for at in [0, 2, 3] {
        assert!(is_served(&mut clients[at]), "{at}");
    }
    drop((clients, fifth));
    rig.finish();
}

#[test]
fn busy_connections_make_no_room() {
    let rig = few(2);
    let mut busy: Vec<_> = (0..2).map(|_| rig.connect()).collect();
    busy.iter_mut().for_each(|client| client.send(GET));
    until("they wait", || rig.waiting() == 2);
    let mut third = rig.connect();
    assert!(!is_served(&mut third));
    assert_eq!(rig.waiting(), 2);
    drop((busy, third));
    rig.finish();
}

#[test]
fn one_client_has_no_more_connections_than_it_may() {
    let limits = Limits {
        connections_per_client: 2,
        trusted: vec!["127.0.0.8/32".parse().unwrap()],
        ..Limits::default()
    };
    let mut rig = Rig::with(&[], |_| {}, limits);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut held: Vec<_> = (0..2).map(|_| rig.connect_from(7)).collect();
    assert!(held.iter_mut().all(is_served));
    assert!(!is_served(&mut rig.connect_from(7)));
    assert!(is_served(&mut rig.connect_from(9)));
    let mut trusted: Vec<_> = (0..5).map(|_| rig.connect_from(8)).collect();
    assert!(trusted.iter_mut().all(is_served));
    held.pop();
    until("its place is free", || is_served(&mut rig.connect_from(7)));
    drop((held, trusted));
    rig.finish();
}

#[test]
fn as_memory_fills_the_proxy_gives_up_one_thing_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let fill = |percent: u32| {
        // Whole at any moment: it is read while it is written.
        let next = folder.path().join("next");
        std::fs::write(&next, percent.to_string()).unwrap();
        std::fs::rename(next, folder.path().join("memory.current")).unwrap();
    };
    std::fs::write(folder.path().join("memory.max"), "100").unwrap();
    fill(50);
    let limits = Limits { memory: Some(folder.path().to_owned()), ..Limits::default() };
    let mut rig = Rig::with(&[("container-concurrency", "1"), ("queue-timeout", "10ms")], |_| {}, limits);
    let mut client = rig.connect();
    client.get("/").is_problem(504, "queue-timeout");
    fill(86);
    until("nobody may wait", || client.get("/").status() == 503);
    client.get("/").is_problem(503, "overloaded");
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut idle = rig.connect();
    for client in [&mut client, &mut idle] {
        let answer = client.get("/");
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("hello", None));
        until("its slot is free", || rig.in_flight() == 0);
    }
    fill(93);
    assert!(idle.is_ended() && !idle.was_reset);
    let answer = rig.connect().get("/");
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("hello", Some("close")));
    fill(96);
    until("connections are refused", || rig.connect().get("/").status() == 503);
    let answer = rig.connect().get("/");
    answer.is_problem(503, "overloaded");
    assert_eq!(answer.field("connection"), Some("close"));
    fill(50);
    until("all is well", || {
        let mut client = rig.connect();
        let answer = client.get("/");
        answer.status() == 200 && answer.field("connection").is_none()
    });
    rig.remove("a");
    let mut client = rig.connect();
    client.get("/").is_problem(504, "queue-timeout");
    drop((client, idle));
    rig.finish();
}

#[test]
fn an_http2_client_is_told_how_many_streams_it_may_open() {
    let rig = Rig::new(&[]);
    let mut client = rig.connect();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let head = client.read_exact(9);
    assert_eq!((head[3], &head[5..]), (4, &[0; 4][..]), "SETTINGS comes first");
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let settings = client.read_exact(length);
    // MAX_CONCURRENT_STREAMS is 3 (RFC 9113 §6.5.2).
    let streams = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).unwrap();
    assert_eq!(u32::from_be_bytes(streams[2..].try_into().unwrap()), 100);
    drop(client);
    rig.finish();
}

#[test]
fn an_idle_http2_connection_makes_room_too() {
    let mut rig = few(2);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let [first, second] = [(); 2].map(|()| {
        let sender = support::http2::open(&rig);
        let response = support::http2::send(&rig, &sender, support::http2::get("/"));
        assert_eq!(&support::http2::rest(&rig, response).0[..], b"hello");
        sender
    });
    let mut third = rig.connect();
    assert!(is_served(&mut third));
    until("the one that was idle longest is closed", || first.is_closed());
    assert!(!second.is_closed());
    assert!(third.is_silent_for(Duration::from_millis(50)));
    drop((first, second, third));
    rig.finish();
}
