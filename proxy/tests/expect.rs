//! `Expect: 100-continue`: the client is told to go on once, when its request goes to a replica and not before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::time::Duration;

use support::{Replica, Rig, until};

const ASK: &str = "POST / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn the_client_is_told_to_go_on_once_and_only_when_its_request_is_dispatched() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    let mut client = rig.connect();
    client.send(ASK);
    until("it waits", || rig.waiting() == 1);
    assert!(client.is_silent_for(Duration::from_millis(150)));
    rig.add("a", replica.address);
    assert_eq!(client.head(), "HTTP/1.1 100 Continue");
    assert!(client.is_silent_for(Duration::from_millis(50)));
    client.send("hello");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    let seen = replica.saw_one();
    assert_eq!((seen.values("expect"), seen.body.as_slice()), (vec![], &b"hello"[..]));
    drop(client);
    rig.finish();
}

#[test]
fn a_request_after_one_that_expected_is_not_told_anything() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    for _ in 0..2 {
        client.send(ASK);
        assert_eq!(client.head(), "HTTP/1.1 100 Continue");
        client.send("hello");
        assert_eq!(client.answer().status(), 200);
        assert_eq!(client.get("/").status(), 200);
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n");
        until("it is on its way", || rig.in_flight() == 1);
        client.send("hello");
        assert_eq!(client.answer().status(), 200);
    }
    drop(client);
    rig.finish();
}

#[test]
fn a_body_that_comes_uninvited_needs_no_invitation() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send(format!("{ASK}hello"));
    assert_eq!(client.answer().status(), 200);
    assert_eq!(replica.saw_one().body, b"hello");
    client.send("GET / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    client.send("POST / HTTP/1.0\r\nHost: shop\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert!(client.is_silent_for(Duration::from_millis(50)));
    client.send("hello");
    assert_eq!(client.answer().status(), 200);
    drop(client);
    rig.finish();
}

#[test]
fn where_the_queue_is_full_the_answer_is_final() {
    let mut rig = Rig::new(&[("queue-limit", "0")]);
    let mut client = rig.connect();
    client.send(ASK);
    let answer = client.answer();
    answer.is_problem(503, "queue-full");
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.is_ended());
    let replica = Replica::hello();
    rig.add("a", replica.address);
    rig.finish();
}

#[test]
fn a_refusal_before_the_invitation_ends_the_connection() {
    let mut rig = Rig::new(&[("queue-timeout", "100ms")]);
    let mut client = rig.connect();
    client.send(ASK);
    let answer = client.answer();
    answer.is_problem(504, "queue-timeout");
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.is_ended());
    rig.change(|shop| shop.hosts.clear());
    let mut client = rig.connect();
    client.send(ASK);
    client.answer().is_problem(404, "no-route");
    assert!(client.is_ended());
    rig.finish();
}

#[test]
fn other_expectations_cant_be_met() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    for expect in
        ["200-ok", "100-continue, x", "100", "", "\"100-continue\"", "100-continue\r\nExpect: 100-continue"]
    {
        let mut client = rig.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: shop\r\nExpect: {expect}\r\nContent-Length: 5\r\n\r\nhello"
        ));
        client.answer().is_problem(417, "bad-request");
        assert!(client.is_ended());
    }
    assert_eq!(replica.accepted(), 0);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nExpect: 100-Continue\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    drop(client);
    rig.finish();
}

#[test]
fn a_replicas_own_invitation_ends_at_the_proxy() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::strict(|_, client| {
        client.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send(ASK);
    assert_eq!(client.head(), "HTTP/1.1 100 Continue");
    client.send("hello");
    assert_eq!(client.answer().status(), 200);
    drop(client);
    rig.finish();
}
