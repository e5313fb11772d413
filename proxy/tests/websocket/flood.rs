//! Who reads nothing stops who sends, whichever end that is, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use tungstenite::{Bytes, Message, WebSocket};

use super::support::{PATIENCE, Replica, Rig, until};
use super::ways::{Stream, WAYS, connect, open};

/// What the kernel may hold of two connections, at most, and what is sent: more than that.
const IN_KERNEL: usize = 64 << 20;
const MESSAGES: usize = 96;
const MESSAGE: usize = 1 << 20;

fn message(number: usize) -> Message {
    let mut content = vec![0; MESSAGE];
    content[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Message::Binary(Bytes::from(content))
}

/// Sends all messages and ends. `sent`: how many the other side took.
fn flood(mut socket: WebSocket<Stream>, sent: &AtomicUsize) {
    for number in 0..MESSAGES {
        socket.send(message(number)).unwrap();
        sent.store(number + 1, Ordering::SeqCst);
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

/// Reads everything: nothing is lost, and nothing changes its place.
fn take_all(mut socket: WebSocket<Stream>) {
    for number in 0..MESSAGES {
        assert_eq!(socket.read().unwrap(), message(number), "message {number}");
    }
    assert!(matches!(socket.read(), Ok(Message::Close(None))));
    while socket.read().is_ok() {}
}

/// Waits until the count stands still. Where that is taken for granted too early, less is asserted, and nothing wrong.
fn stands_still(count: &AtomicUsize) -> usize {
    let mut last = (count.load(Ordering::SeqCst), Instant::now());
    until("the sender is stuck", || {
        let now = count.load(Ordering::SeqCst);
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() > Duration::from_millis(300)
    });
    last.0
}

#[test]
fn who_reads_nothing_stops_who_sends_and_loses_nothing() {
    for way in &WAYS[1..] {
        for client_sends in [true, false] {
            let sent: Arc<AtomicUsize> = Arc::default();
            let (go, may_read) = sync_channel::<()>(0);
            let may_read = std::sync::Mutex::new(may_read);
            let (over, ended) = sync_channel(1);
            let count = sent.clone();
            let replica = Replica::new(move |client| {
                client.stream.set_write_timeout(None).unwrap();
                let socket = tungstenite::accept(Stream(client)).unwrap();
                if client_sends {
                    may_read.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                    take_all(socket);
                } else {
                    flood(socket, &count);
                }
                over.send(()).unwrap();
            });
            let mut rig = Rig::new(&[]);
            rig.add("a", replica.address);
            let stream = connect(&rig, replica.address, way);
            stream.0.stream.set_write_timeout(None).unwrap();
            let socket = open(stream, "/");
            let taken = if client_sends {
                let count = sent.clone();
                let sending = std::thread::spawn(move || flood(socket, &count));
                let taken = stands_still(&sent);
                go.send(()).unwrap();
                sending.join().unwrap();
                taken
            } else {
                let taken = stands_still(&sent);
                take_all(socket);
                taken
            };
            assert!(taken * MESSAGE < IN_KERNEL, "{taken} MiB were taken {way}, and nobody read");
            ended.recv_timeout(PATIENCE).unwrap();
            assert_eq!(sent.load(Ordering::SeqCst), MESSAGES);
            rig.finish();
        }
    }
}
