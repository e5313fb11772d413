//! HTTP/2 clients that send frames without end: each is stopped after so many, whoever counts them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use support::flood::{self, Flood};
use support::frames::{End, Frames};
use support::{Replica, Rig, until};

/// Frames that no flood gets away with: what is counted, and what two sockets may hold beside.
const MOST: usize = 2_000_000;

/// Floods a proxy until it ends the connection; others are served before and after.
fn stopped(rig: &Rig, flood: &Flood) {
    let mut client = Frames::open(rig);
    let sent = flood::run(flood, &mut client, MOST);
    assert!(sent < MOST, "{}: {sent} frames, and no end", flood.name);
    let code = client.gone();
    eprintln!("{}: ended after at most {sent} frames, GOAWAY {code:?}", flood.name);
    let mut honest = Frames::open(rig);
    honest.get(1);
    assert!(matches!(honest.end(1), End::Answered(200, _)), "after {}", flood.name);
    until("nothing is under way", || rig.in_flight() == 0);
}

fn run(floods: &[Flood]) {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    for flood in floods {
        stopped(&rig, flood);
    }
    rig.finish();
}

#[test]
fn frames_that_carry_nothing_are_counted() {
    run(&flood::empty());
}

#[test]
fn streams_that_are_reset_are_counted() {
    run(&flood::resets());
}

#[test]
fn what_breaks_the_rules_of_streams_ends_the_connection() {
    run(&flood::broken());
}

#[test]
fn fields_without_end_are_not_held() {
    run(&flood::fields());
}

#[test]
fn content_without_content_is_counted() {
    run(&flood::content());
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let rig = Rig::new(&[]);
    let mut client = Frames::open(&rig);
    for stream in 0..101 {
        assert!(client.get(stream * 2 + 1));
    }
    // REFUSED_STREAM: it may be sent again (RFC 9113 §8.7).
    assert_eq!(client.end(201), End::Reset(7));
    until("the others wait", || rig.waiting() == 100);
    let sent = flood::run(&flood::streams(), &mut client, MOST);
    assert!(sent < MOST);
    client.gone();
    until("nobody waits", || rig.waiting() == 0);
    rig.finish();
}
