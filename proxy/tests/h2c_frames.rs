//! Replicas that speak HTTP/2, frame by frame: what is sent again and what isn't, and when there is another connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use http_body_util::BodyExt;
use support::http2::{get, open, send};
use support::replica_frames::{
    CANCEL, DATA, Frames, GOAWAY, HEADERS, INTERNAL_ERROR, NO_ERROR, OK, REFUSED_STREAM, RST_STREAM, field,
};
use support::{Client, PATIENCE, Replica, Rig, until};

const MAX_CONCURRENT_STREAMS: u16 = 3;
const POST: &str = "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi";

/// A replica whose connections, counted from 0, are played by `play`.
fn playing(settings: &'static [(u16, u32)], play: impl Fn(usize, Frames) + Send + Sync + 'static) -> Replica {
    let connections = AtomicUsize::new(0);
    Replica::new(move |client: Client| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        if let Some(frames) = Frames::begin(client, settings) {
            play(number, frames);
        }
    })
}

/// Answers every request with `hello`.
fn serve(mut frames: Frames) {
    while let Some(stream) = frames.request() {
        frames.answer(stream, "hello");
    }
}

fn rig(replica: &Replica) -> Rig {
    let mut rig = Rig::with(&[("protocol", "h2c")], |config| config.workers = 1, Default::default());
    rig.add("a", replica.address);
    rig
}

#[test]
fn after_goaway_the_old_streams_finish_and_the_others_are_sent_again() {
    let (go, gone) = sync_channel::<()>(1);
    let gone = std::sync::Mutex::new(gone);
    let replica = playing(&[], move |number, mut frames| {
        if number > 0 {
            return serve(frames);
        }
        let first = frames.request().unwrap();
        frames.head(first, OK, false);
        frames.data(first, b"begun", false);
        let second = frames.request().unwrap();
        assert!(second > first);
        frames.goaway(first);
        // The first goes on when the second was answered elsewhere.
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        frames.data(first, b" and ended", true);
        assert_eq!(frames.next().map(|frame| frame.kind), Some(GOAWAY), "it says farewell");
        assert_eq!(frames.next(), None, "and ends");
    });
    let rig = rig(&replica);
    let sender = open(&rig);
    let mut first = send(&rig, &sender, get("/")).into_body();
    let begun = rig.runtime.block_on(async { first.frame().await.unwrap().unwrap().into_data().unwrap() });
    assert_eq!(begun, "begun");
    let mut client = rig.connect();
    client.send(POST);
    assert_eq!(client.answer().text(), "hello", "although it can't be repeated, and has a body");
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(replica.accepted(), 2);
    go.send(()).unwrap();
    let rest = rig.runtime.block_on(async { first.frame().await.unwrap().unwrap().into_data().unwrap() });
    assert_eq!(rest, " and ended");
    drop((first, client, sender));
    rig.finish();
}

#[test]
fn a_refused_stream_is_sent_again_and_a_reset_one_isnt() {
    let replica = playing(&[], |_, mut frames| {
        frames.request().unwrap();
        frames.reset(1, REFUSED_STREAM);
        let second = frames.request().unwrap();
        frames.answer(second, "hello");
        for code in [INTERNAL_ERROR, CANCEL, NO_ERROR] {
            let stream = frames.request().unwrap();
            frames.reset(stream, code);
        }
        serve(frames);
    });
    let rig = rig(&replica);
    let mut client = rig.connect();
    client.send(POST);
    assert_eq!(client.answer().text(), "hello");
    for _ in 0..3 {
        let answer = client.get("/");
        answer.is_problem(502, "upstream-protocol");
        assert!(answer.text().contains("reset the stream before it answered"), "{}", answer.text());
    }
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(replica.accepted(), 1);
    drop(client);
    rig.finish();
}

#[test]
fn a_connection_that_breaks_repeats_only_what_may_be_repeated() {
    let requests = Arc::<AtomicUsize>::default();
    let count = requests.clone();
    let replica = playing(&[], move |number, mut frames| {
        if frames.request().is_none() {
            return;
        }
        count.fetch_add(1, Ordering::SeqCst);
        if number % 2 == 1 {
            frames.answer(1, "hello");
            serve(frames);
        }
    });
    let rig = rig(&replica);
    let mut client = rig.connect();
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!((requests.load(Ordering::SeqCst), replica.accepted()), (2, 2));
    drop(client);
    rig.finish();
    let requests = Arc::<AtomicUsize>::default();
    let count = requests.clone();
    let replica = playing(&[], move |_, mut frames| {
        frames.request();
        count.fetch_add(1, Ordering::SeqCst);
    });
    let rig = self::rig(&replica);
    let mut client = rig.connect();
    client.send(POST);
    client.answer().is_problem(502, "upstream-protocol");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    drop(client);
    rig.finish();
}

#[test]
fn with_one_stream_to_a_connection_there_are_more_of_them_and_then_one_waits() {
    let replica = playing(&[(MAX_CONCURRENT_STREAMS, 1)], |_, mut frames| {
        while let Some(frame) = frames.next() {
            if frame.kind == HEADERS {
                frames.head(frame.stream, OK, false);
                frames.data(frame.stream, b"some", false);
            }
        }
    });
    let rig = rig(&replica);
    let sender = open(&rig);
    let mut taken: Vec<_> = (0..8).map(|_| send(&rig, &sender, get("/"))).collect();
    assert_eq!(replica.accepted(), 8);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it is in flight", || rig.in_flight() == 9);
    assert!(client.is_silent_for(std::time::Duration::from_millis(100)), "it waits for a stream");
    taken.pop();
    assert!(client.head().starts_with("HTTP/1.1 200 OK"));
    assert_eq!(replica.accepted(), 8);
    drop((client, taken, sender));
    rig.finish();
}

#[test]
fn no_number_of_resets_poisons_a_connection() {
    let replica = playing(&[], |_, mut frames| {
        // It goes on sending on streams that were reset.
        while let Some(frame) = frames.next() {
            match frame.kind {
                HEADERS => {
                    frames.head(frame.stream, OK, false);
                    frames.data(frame.stream, b"some", false);
                }
                RST_STREAM if frame.code() == CANCEL => {
                    frames.data(frame.stream, b"more", true);
                }
                // What came for a stream that was forgotten is answered by another reset.
                RST_STREAM | DATA | GOAWAY => {}
                other => panic!("a frame of kind {other}"),
            }
        }
    });
    let rig = rig(&replica);
    let sender = open(&rig);
    let mut kept = send(&rig, &sender, get("/")).into_body();
    for at in 0..1_200 {
        let response = send(&rig, &sender, get("/"));
        assert_eq!(response.status(), 200, "{at}");
        drop(response);
    }
    assert_eq!(replica.accepted(), 1, "one connection carries them all");
    let some = rig.runtime.block_on(async { kept.frame().await.unwrap().unwrap().into_data().unwrap() });
    assert_eq!(some, "some", "what was under way goes on");
    drop((kept, sender));
    rig.finish();
}

#[test]
fn interim_answers_end_here_up_to_a_bound() {
    let replica = playing(&[], |_, mut frames| {
        for interim in [3, 17] {
            let Some(stream) = frames.request() else { return };
            for _ in 0..interim {
                frames.head(stream, &field(":status", "103"), false);
            }
            frames.answer(stream, "hello");
        }
        // The second is reset.
        while frames.next().is_some() {}
    });
    let rig = rig(&replica);
    let mut client = rig.connect();
    assert_eq!(client.get("/").text(), "hello");
    let answer = client.get("/");
    answer.is_problem(502, "upstream-protocol");
    assert!(answer.text().contains("more than 16 interim answers"), "{}", answer.text());
    drop(client);
    rig.finish();
}

#[test]
fn answers_that_break_the_rules_are_no_answers() {
    for block in [
        // No status at all.
        field("a", "b"),
        field(":status", "2x0"),
        [OK, &field("connection", "close")].concat(),
        [OK, &field("content-length", "5"), &field("content-length", "5")].concat(),
        [OK, &field("content-length", "5 ")].concat(),
    ] {
        let played = block.clone();
        let replica = playing(&[], move |_, mut frames| {
            while let Some(stream) = frames.request() {
                frames.head(stream, &played, false);
                frames.data(stream, b"hello", true);
            }
        });
        let rig = rig(&replica);
        let mut client = rig.connect();
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.word().as_str()), (502, "upstream-protocol"), "{block:?}");
        drop(client);
        rig.finish();
    }
}

#[test]
fn a_replica_that_dies_cuts_what_it_had_begun() {
    let (die, dies) = sync_channel::<()>(1);
    let dies = std::sync::Mutex::new(dies);
    let replica = playing(&[], move |_, mut frames| {
        let stream = frames.request().unwrap();
        frames.head(stream, OK, false);
        frames.data(stream, b"some", false);
        dies.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    });
    let rig = rig(&replica);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    client.read_until(b"4\r\nsome\r\n");
    die.send(()).unwrap();
    assert_eq!(client.read_to_end(), b"", "no end of chunks");
    let sender = open(&rig);
    let mut body = send(&rig, &sender, get("/")).into_body();
    rig.runtime.block_on(async {
        body.frame().await.unwrap().unwrap();
        die.send(()).unwrap();
        body.frame().await.unwrap().unwrap_err();
    });
    drop((body, sender));
    rig.finish();
}
