//! Bodies: large ones whole both ways, both ways at once, at the pace of who is slower, and one request after another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use support::{Client, Replica, Request, Rig, until};

/// Bytes that differ from place to place.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::with_capacity(body.len() + body.len() / size * 12 + 16);
    for chunk in body.chunks(size) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

/// A replica that reads a whole body and sends it back as it came: by length or in chunks.
fn mirror() -> Replica {
    Replica::new(|mut client| {
        while let Some(request) = Request::read(&mut client) {
            let request = request.unwrap();
            if request.values("transfer-encoding").is_empty() {
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
                client.send(request.body);
            } else {
                client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                client.send(chunked(&request.body, 50_000));
            }
        }
    })
}

#[test]
fn large_bodies_arrive_whole_both_ways() {
    let mut rig = Rig::new(&[]);
    let replica = mirror();
    rig.add("a", replica.address);
    let body = noise(50 * 1024 * 1024 + 17);
    let mut client = rig.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    assert!(client.answer().body == body, "by length");
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunked(&body, 1_000_003));
    assert!(client.answer().body == body, "in chunks");
    drop(client);
    rig.finish();
}

#[test]
fn bodies_of_every_size_and_chunking_arrive_whole() {
    let mut rig = Rig::new(&[]);
    let replica = mirror();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    let sizes = [0, 1, 2, 1000, 4095, 16_383, 16_384, 16_385, 65_536, 262_143, 262_144, 262_145, 1_000_000];
    for length in sizes {
        let body = noise(length);
        client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n"));
        client.send(&body);
        assert!(client.answer().body == body, "{length} by length");
        for size in
            [1, 7, 1000, 16_383, 16_384, 16_390, 300_000].into_iter().filter(|size| length / size < 5_000)
        {
            client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(chunked(&body, size));
            assert!(client.answer().body == body, "{length} in chunks of {size}");
        }
    }
    drop(client);
    rig.finish();
}

#[test]
fn an_answer_may_begin_before_the_upload_ends_and_both_go_on() {
    let mut rig = Rig::new(&[]);
    // An echo, chunk by chunk.
    let replica = Replica::new(|mut client| {
        client.next_request().unwrap();
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(chunk) = client.chunk() {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        client.read_to_end();
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    for round in 0..100 {
        let word = format!("round {round}");
        client.send(format!("{:x}\r\n{word}\r\n", word.len()));
        let mut echoed = Vec::new();
        while echoed.len() < word.len() {
            echoed.extend(client.chunk().unwrap());
        }
        assert_eq!(String::from_utf8(echoed).unwrap(), word);
    }
    client.send("0\r\n\r\n");
    assert!(client.chunk().is_none());
    drop(client);
    rig.finish();
}

#[test]
fn a_client_that_reads_only_after_it_has_sent_gets_its_echo() {
    let length = 10 * 1024 * 1024;
    let mut rig = Rig::new(&[]);
    // Echoes while it reads, but reads on while nobody takes the echo.
    let replica = Replica::new(move |mut client| {
        client.next_request().unwrap();
        let mut writer = Client::of(client.stream.try_clone().unwrap());
        let (pieces, queue) = sync_channel::<Vec<u8>>(10_000);
        let writing = std::thread::spawn(move || {
            writer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            for piece in queue {
                writer.send(piece);
            }
        });
        let mut echoed = 0;
        while echoed < length {
            if client.unread().is_empty() {
                client.fill();
            }
            let piece = client.unread().to_vec();
            client.consume(piece.len());
            echoed += piece.len();
            pieces.send(piece).unwrap();
        }
        drop(pieces);
        writing.join().unwrap();
        client.read_to_end();
    });
    rig.add("a", replica.address);
    let body = noise(length);
    let mut client = rig.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n"));
    client.send(&body);
    assert!(client.answer().body == body);
    drop(client);
    rig.finish();
}

#[test]
fn requests_of_one_connection_are_answered_one_after_the_other() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::strict(|request, client| {
        let body = &request.target;
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    });
    let mut client = rig.connect();
    let mut requests = String::new();
    for at in 0..50 {
        let body = if at % 3 == 0 { "Content-Length: 3\r\n\r\nabc" } else { "\r\n" };
        requests +=
            &format!("{} /{at} HTTP/1.1\r\nHost: shop\r\n{body}", if at % 3 == 0 { "POST" } else { "GET" });
    }
    client.send(requests);
    until("the first waits", || rig.waiting() == 1);
    assert!(client.is_silent_for(Duration::from_millis(100)));
    assert_eq!(rig.waiting(), 1, "the second isn't there before the first is answered");
    rig.add("a", replica.address);
    for at in 0..50 {
        assert_eq!(client.answer().text(), format!("/{at}"));
    }
    let order: Vec<_> = replica.seen().into_iter().map(|request| request.unwrap().target).collect();
    assert_eq!(order, (0..50).map(|at| format!("/{at}")).collect::<Vec<_>>());
    drop(client);
    rig.finish();
}

#[test]
fn a_second_request_is_not_dispatched_while_the_first_is_under_way() {
    let mut rig = Rig::new(&[]);
    let (go, wait) = sync_channel::<()>(0);
    let wait = Mutex::new(wait);
    let replica = Replica::strict(move |_, client| {
        wait.lock().unwrap().recv().unwrap();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: shop\r\n\r\nGET /2 HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("the first is there", || rig.in_flight() == 1);
    assert!(client.is_silent_for(Duration::from_millis(100)));
    assert_eq!((rig.in_flight(), rig.waiting(), replica.seen().len()), (1, 0, 1));
    go.send(()).unwrap();
    assert_eq!(client.answer().status(), 200);
    go.send(()).unwrap();
    assert_eq!(client.answer().status(), 200);
    assert_eq!(replica.saw_one().target, "/2");
    drop(client);
    rig.finish();
}
