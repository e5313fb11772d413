//! The PROXY protocol: trusted peers say for whom they connect, and nobody else is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::collections::BTreeMap;

use kaos_core::ProxyId;
use kaos_proxy::Limits;
use support::http2::{get, open_behind, rest, send};
use support::{Client, Replica, Rig, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A proxy that believes the headers of `trusted`, before a replica that says hello.
fn trusting(trusted: &[&str], replica: &Replica) -> Rig {
    limited(trusted, replica, 0)
}

/// One that lets a client have `most` connections.
fn limited(trusted: &[&str], replica: &Replica, most: usize) -> Rig {
    let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
    let limits = Limits { trusted, proxy_protocol: true, connections_per_client: most, ..Limits::default() };
    let mut rig = Rig::with(&[], |_| {}, limits);
    rig.add("a", replica.address);
    rig
}

/// A header of version 2.
fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// One that names the IPv4 client.
fn named(client: [u8; 4]) -> Vec<u8> {
    second(0x21, 0x11, &[&client[..], &[10, 0, 0, 1, 0x1f, 0x90, 0, 80]].concat())
}

/// Whether the connection is closed without a word.
fn is_closed(mut client: Client) -> bool {
    client.fill() == 0
}

/// Headers, and whom they name to a peer at 127.0.0.8.
fn headers() -> Vec<(Vec<u8>, &'static str)> {
    let six = [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 20]].concat();
    let values = [&[192, 0, 2, 9, 10, 0, 0, 1, 0, 1, 0, 80][..], &[4, 1, 0], &[0; 256]].concat();
    vec![
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 40000 80\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 40000 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.8"),
        (named([192, 0, 2, 8]), "192.0.2.8"),
        (second(0x21, 0x21, &six), "2001:db8::7"),
        (second(0x21, 0x11, &values), "192.0.2.9"),
        (second(0x20, 0, &[]), "127.0.0.8"),
        (second(0x21, 0x31, &[b'/'; 216]), "127.0.0.8"),
    ]
}

#[test]
fn whom_a_trusted_peer_names_is_the_client() {
    let replica = Replica::hello();
    let rig = trusting(&["127.0.0.8"], &replica);
    for (header, client) in headers() {
        // With the request, and in pieces.
        let mut one = rig.connect_from(8);
        one.send([&header[..], GET.as_bytes()].concat());
        let mut other = rig.connect_from(8);
        for byte in header {
            other.send([byte]);
        }
        assert_eq!(other.get("/").status(), 200);
        assert_eq!(one.answer().text(), "hello");
        // The client is so for the whole of the connection.
        assert_eq!(one.get("/").status(), 200);
        let seen = replica.seen();
        assert_eq!(seen.len(), 3);
        for request in seen {
            assert_eq!(request.unwrap().values("x-forwarded-for"), [client]);
        }
    }
    rig.finish();
}

#[test]
fn fields_are_believed_from_whom_the_header_names() {
    let replica = Replica::hello();
    let rig = trusting(&["127.0.0.8", "10.1.0.0/16"], &replica);
    let ask = |header: &[u8]| {
        let mut client = rig.connect_from(8);
        let said =
            "GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n";
        client.send([header, said.as_bytes()].concat());
        assert_eq!(client.answer().status(), 200);
        let seen = replica.saw_one();
        ["x-forwarded-for", "x-forwarded-proto"].map(|name| seen.values(name).join(";"))
    };
    assert_eq!(ask(&named([192, 0, 2, 7])), ["192.0.2.7", "http"], "a stranger behind a balancer");
    assert_eq!(ask(&named([10, 1, 2, 3])), ["1.2.3.4, 10.1.2.3", "https"], "a trusted proxy behind one");
    assert_eq!(ask(b"PROXY UNKNOWN\r\n"), ["1.2.3.4, 127.0.0.8", "https"], "the balancer itself");
    rig.finish();
}

#[test]
fn over_http_2_it_is_the_same() {
    let replica = Replica::hello();
    let rig = trusting(&["127.0.0.1"], &replica);
    let sender = open_behind(&rig, b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n");
    for _ in 0..2 {
        let response = send(&rig, &sender, get("/"));
        assert_eq!(&rest(&rig, response).0[..], b"hello");
        assert_eq!(replica.saw_one().values("x-forwarded-for"), ["192.0.2.7"]);
    }
    drop(sender);
    rig.finish();
}

#[test]
fn strangers_are_served_as_they_are_and_their_headers_are_no_http() {
    let replica = Replica::hello();
    let rig = trusting(&["127.0.0.8"], &replica);
    assert_eq!(rig.connect_from(9).get("/").text(), "hello");
    assert_eq!(replica.saw_one().values("x-forwarded-for"), ["127.0.0.9"]);
    for (header, _) in headers() {
        let mut client = rig.connect_from(9);
        client.send([&header[..], GET.as_bytes()].concat());
        client.answer().is_problem(400, "bad-request");
    }
    assert!(replica.seen().is_empty());
    rig.finish();
}

#[test]
fn without_the_setting_nobodys_header_is_read() {
    let trusted = vec!["127.0.0.8".parse().unwrap()];
    let rig = Rig::with(&[], |_| {}, Limits { trusted, ..Limits::default() });
    for (header, _) in headers() {
        let mut client = rig.connect_from(8);
        client.send([&header[..], GET.as_bytes()].concat());
        client.answer().is_problem(400, "bad-request");
    }
    rig.finish();
}

#[test]
fn a_trusted_peer_without_a_sound_header_is_closed_without_a_word() {
    let replica = Replica::hello();
    let rig = trusting(&["127.0.0.8"], &replica);
    let mut wrong_checksum = vec![192, 0, 2, 9, 10, 0, 0, 1, 0, 1, 0, 80];
    wrong_checksum.extend([3, 0, 4, 0, 0, 0, 0]);
    for bytes in [
        GET.as_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\n",
        &[b'x'; 200],
        &second(0x22, 0x11, &[0; 12])[..],
        &second(0x21, 0x11, &[0; 5])[..],
        &second(0x21, 0x11, &wrong_checksum)[..],
        // It isn't waited for.
        &second(0x21, 0x11, &[0; 5000])[..20],
    ] {
        let mut client = rig.connect_from(8);
        client.try_send([bytes, GET.as_bytes()].concat());
        assert!(is_closed(client), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert!(replica.seen().is_empty() && rig.counted(400) == 0);
    rig.finish();
}

#[test]
fn a_header_that_never_comes_whole_is_not_waited_for() {
    let replica = Replica::hello();
    let rig = trusting(&["127.0.0.8"], &replica);
    let silent = rig.connect_from(8);
    let mut slow = rig.connect_from(8);
    slow.send(&SIGNATURE[..11]);
    let mut ends = rig.connect_from(8);
    ends.send("PROXY TCP4 192");
    ends.finish_sending();
    assert!(is_closed(ends) && is_closed(slow) && is_closed(silent));
    rig.finish();
}

#[test]
fn connections_are_counted_by_whom_the_header_names() {
    let replica = Replica::hello();
    let rig = limited(&["127.0.0.8"], &replica, 2);
    let connect = |client| {
        let mut connection = rig.connect_from(8);
        connection.send([&named(client)[..], GET.as_bytes()].concat());
        connection
    };
    let is_served = |connection: &mut Client| connection.fill() > 0 && connection.answer().status() == 200;
    let mut held: Vec<_> = (0..2).map(|_| connect([192, 0, 2, 7])).collect();
    assert!(held.iter_mut().all(is_served));
    assert!(!is_served(&mut connect([192, 0, 2, 7])));
    assert!(is_served(&mut connect([192, 0, 2, 8])), "another client of the same peer");
    held.pop();
    until("its place is free", || is_served(&mut connect([192, 0, 2, 7])));
    let local = || {
        let mut connection = rig.connect_from(8);
        connection.send([&second(0x20, 0, &[])[..], GET.as_bytes()].concat());
        connection
    };
    let mut checks: Vec<_> = (0..5).map(|_| local()).collect();
    assert!(checks.iter_mut().all(is_served), "the peer itself isn't bounded");
    drop((held, checks));
    rig.finish();
}

#[test]
fn proxies_of_our_own_connect_as_themselves() {
    let replica = Replica::hello();
    let rig = trusting(&["127.0.0.0/8"], &replica);
    let set = [("test", rig.address), ("other", "127.0.0.9:1".parse().unwrap())];
    rig.peers.send_replace(BTreeMap::from(set.map(|(id, address)| (ProxyId::new(id), address))));
    until("the other is known", || {
        let mut client = rig.connect_from(9);
        client.try_send(GET) && client.fill() > 0 && client.answer().text() == "hello"
    });
    assert!(is_closed({
        let mut client = rig.connect_from(8);
        client.send(GET);
        client
    }));
    rig.finish();
}
