//! Many at once: attackers who come back again and again, and streams that wait. Alone in its process, as memory is the
//! whole process's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kaos_proxy::{Limits, Patience};
use support::flood;
use support::frames::{End, Frames};
use support::{PATIENCE, Replica, Rig, until};

/// One test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

const ATTACKERS: usize = 100;
const ROUNDS: usize = 3;
/// Attackers that are at work at the same time: each is a thread.
const AT_ONCE: usize = 10;

#[test]
fn a_hundred_attackers_keep_nobody_from_being_served() {
    let _alone = ALONE.lock();
    let mut rig = Rig::new(&[]);
    // It remembers nothing.
    let replica = Replica::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    rig.add("a", replica.address);
    let before = resident();
    let (begun, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let served = std::thread::scope(|threads| {
        let (rig, begun, over) = (&rig, &begun, &over);
        let attackers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                threads.spawn(move || {
                    loop {
                        let attack = begun.fetch_add(1, Ordering::Relaxed);
                        if attack >= ATTACKERS * ROUNDS {
                            return;
                        }
                        let floods = flood::all();
                        let mut client = Frames::open(rig);
                        flood::run(&floods[attack % floods.len()], &mut client, 100_000);
                    }
                })
            })
            .collect();
        let honest = threads.spawn(move || {
            let mut served = 0;
            while served < 100 || !over.load(Ordering::Relaxed) {
                assert_eq!(rig.connect().get("/").text(), "hello");
                let mut client = Frames::open(rig);
                client.get(1);
                assert_eq!(client.end(1), End::Answered(200, b"hello".to_vec()));
                served += 1;
            }
            served
        });
        attackers.into_iter().for_each(|attacker| attacker.join().unwrap());
        over.store(true, Ordering::Relaxed);
        honest.join().unwrap()
    });
    let grown = resident().saturating_sub(before);
    eprintln!("{served} honest requests of each version beside them; grew by {} KiB", grown / 1024);
    assert!(grown < ATTACKERS * (1 << 20), "{grown} bytes");
    until("all are gone", || rig.totals().http2_connections == 0 && rig.in_flight() == 0);
    rig.finish();
}

/// How a client is slow: what it begins with, and what it says again and again.
const SLOW: [(&str, &str); 11] = [
    ("", ""),
    ("PRI * HT", ""),
    ("GET / HT", ""),
    ("GET / HTTP/1.1\r\nHost: shop\r\nX: ", "x"),
    ("\r\n", "\r\n"),
    ("GET / HTTP/1.1\r\nHost: shop\r\n\r\n", ""),
    ("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n\r\nx", ""),
    ("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "1\r\nx\r\n"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", ""),
    // HEADERS of one byte, and no end of them: a GET.
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x42", ""),
];

/// Between two pieces: less than the lowest rate, more than silence.
const BEAT: Duration = Duration::from_millis(50);

/// Slow clients of each kind: ten thousand of all, or what the descriptors of this process are enough for.
fn slow_of_each_kind() -> usize {
    kaos_loadtest::descriptors::raise_limit();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    // Both ends are here, and three kinds of eleven have a connection to the replica for a while, with two ends too.
    (most.saturating_sub(1000) / 3).clamp(500, 10_000) as usize / SLOW.len()
}

#[test]
fn thousands_of_slow_clients_keep_nobody_from_being_served() {
    let _alone = ALONE.lock();
    let each = slow_of_each_kind();
    let brief = Duration::from_secs(2);
    let patience = Patience { first_bytes: brief, head: brief, idle: brief, ..Patience::default() };
    let limits = Limits { patience, ..Limits::default() };
    let mut rig = Rig::with(&[("stream-idle-timeout", "2s")], |_| {}, limits);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    // How many are still there. The honest client goes on until there is none, or for as long as anybody waits here.
    let left = AtomicUsize::new(usize::MAX);
    let began = Instant::now();
    std::thread::scope(|threads| {
        let honest = threads.spawn(|| {
            let mut served = 0;
            while left.load(Ordering::Relaxed) > 0 && began.elapsed() < 2 * PATIENCE {
                assert_eq!(rig.connect().get("/").text(), "hello");
                served += 1;
            }
            served
        });
        let mut slow = Vec::new();
        for _ in 0..each {
            slow.extend(SLOW.iter().map(|(begun, piece)| {
                let mut client = rig.connect();
                client.try_send(begun);
                (client, *piece)
            }));
        }
        eprintln!("{} slow clients", slow.len());
        let mut said = Instant::now();
        until("all are let go", || {
            let drips = said.elapsed() >= BEAT;
            if drips {
                said = Instant::now();
            }
            slow.retain_mut(|(client, piece)| client.goes_on() && (!drips || client.try_send(piece)));
            left.store(slow.len(), Ordering::Relaxed);
            slow.is_empty()
        });
        assert!(honest.join().unwrap() > 0);
    });
    until("nothing is left", || rig.in_flight() == 0);
    rig.finish();
}

const CONNECTIONS: usize = 100;

#[test]
fn ten_thousand_streams_wait_in_little_memory() {
    let _alone = ALONE.lock();
    let rig = Rig::with(
        &[("queue-limit", "20000")],
        |config| config.max_connections = CONNECTIONS,
        Limits::default(),
    );
    let before = resident();
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| Frames::open(&rig)).collect();
    for client in &mut clients {
        assert!((0..100).all(|stream| client.get(stream * 2 + 1)));
    }
    until("they all wait", || rig.waiting() == 100 * CONNECTIONS as u32);
    let grown = resident().saturating_sub(before);
    eprintln!("{} streams wait in {} KiB", 100 * CONNECTIONS, grown / 1024);
    assert!(grown < 100 << 20, "{grown} bytes");
    let mut more = rig.connect();
    more.try_send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(more.is_ended(), "there is no place, and none is idle");
    drop(clients);
    until("nobody waits", || rig.waiting() == 0);
    rig.finish();
}
