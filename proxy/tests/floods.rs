//! HTTP/2 clients that send frames without end: each is stopped after so many, whoever counts them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use support::flood::{self, Flood};
use support::frames::{DATA, END_HEADERS, End, Frames, HEADERS, block, get};
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
    run(&[flood::content()]);
}

#[test]
fn content_in_the_smallest_pieces_holds_nobody_up() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = Frames::open(&rig);
    // A byte each, so that they fit a window however slowly they are taken.
    let sent = flood::run(&flood::trickle(), &mut client, 60_000);
    assert!(sent >= 60_000, "it is content, in whatever pieces");
    client.get(3);
    assert!(matches!(client.end(3), End::Answered(200, _)), "the connection goes on");
    let mut honest = Frames::open(&rig);
    honest.get(1);
    assert!(matches!(honest.end(1), End::Answered(200, _)));
    drop((client, honest));
    until("nothing is under way", || rig.in_flight() == 0);
    rig.finish();
}

#[test]
fn who_only_errs_is_sent_away() {
    let rig = Rig::new(&[]);
    let mut client = Frames::open(&rig);
    let wrong = block(&[("X-Upper".into(), "y".into())]);
    for stream in 0..101 {
        client.send(HEADERS, END_HEADERS, stream * 2 + 1, &wrong);
    }
    // ENHANCE_YOUR_CALM.
    assert_eq!(client.gone(), Some(11));
    rig.finish();
}

#[test]
fn content_beyond_its_window_ends_its_stream() {
    let rig = Rig::new(&[]);
    let mut client = Frames::open(&rig);
    client.send(HEADERS, END_HEADERS, 1, &block(&get("/")));
    // Nobody takes it, for there is no replica: four frames fill the window.
    for _ in 0..5 {
        client.send(DATA, 0, 1, &[b'x'; 16 * 1024]);
    }
    assert_eq!(client.end(1), End::Reset(3));
    client.get(3);
    until("the connection goes on", || rig.waiting() == 1);
    drop(client);
    until("nobody waits", || rig.waiting() == 0);
    rig.finish();
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
