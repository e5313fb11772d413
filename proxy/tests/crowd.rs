//! Many at once: attackers who come back again and again, and streams that wait. Alone in its process, as memory is the
//! whole process's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::flood;
use support::frames::{End, Frames};
use support::{Replica, Rig, until};

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
    let replica = Replica::hello();
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

const CONNECTIONS: usize = 100;

#[test]
fn ten_thousand_streams_wait_in_little_memory() {
    let _alone = ALONE.lock();
    let rig = Rig::with(
        &[("queue-limit", "20000")],
        |config| config.max_connections = CONNECTIONS,
        kaos_proxy::Limits::default(),
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
