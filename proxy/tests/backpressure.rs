//! Who takes slowly slows who sends, and the proxy keeps nothing in between. One test alone, as memory is the process's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use support::{Client, Replica, Rig};

/// Sends until the other end takes no more for a while; the bytes that were taken.
fn sent_until_stuck(client: &mut Client) -> usize {
    use std::io::ErrorKind;
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let piece = [b'x'; 16 * 1024];
    let mut sent = 0;
    loop {
        match client.write(&piece) {
            Ok(()) => sent += piece.len(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return sent,
            Err(error) => panic!("the connection failed after {sent} bytes: {error}"),
        }
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

/// What the kernel may hold of two connections, at most.
const IN_KERNEL: usize = 64 * 1024 * 1024;
/// Streams that are stuck at once, and what each may cost: a buffer for reading, one for writing, a thread's stack.
const STREAMS: usize = 16;
const EACH: usize = 640 * 1024;

#[test]
fn who_takes_slowly_slows_who_sends_and_costs_no_memory() {
    let mut rig = Rig::new(&[]);
    let (taken, stuck) = sync_channel(STREAMS);
    let replica = Replica::new(move |mut client| {
        if client.next_request().unwrap().starts_with("POST") {
            // It reads nothing of a large request.
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while client.try_send("1\r\nx\r\n") {
                std::thread::park_timeout(Duration::from_millis(50));
            }
        } else {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            taken.send(sent_until_stuck(&mut client)).unwrap();
            // It holds on until the proxy lets go.
            client.read_to_end();
        }
    });
    rig.add("a", replica.address);
    let before = resident();
    // Clients that read nothing of a large answer.
    let mut readers: Vec<_> = (0..STREAMS / 2).map(|_| rig.connect()).collect();
    for reader in &mut readers {
        reader.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    }
    let down: Vec<usize> = readers.iter().map(|_| stuck.recv_timeout(support::PATIENCE).unwrap()).collect();
    let (mut writers, mut up) = (Vec::new(), Vec::new());
    for _ in 0..STREAMS / 2 {
        let mut writer = rig.connect();
        writer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000000\r\n\r\n");
        up.push(sent_until_stuck(&mut writer));
        writers.push(writer);
    }
    let grown = resident().saturating_sub(before);
    eprintln!("stuck after {} bytes down, {} up at most; grew by {} KiB", down[0], up[0], grown / 1024);
    assert!(down.iter().chain(&up).all(|taken| *taken < IN_KERNEL), "{down:?} {up:?}");
    assert!(grown < STREAMS * EACH, "{grown} bytes");
    drop((readers, writers));
    rig.finish();
}
