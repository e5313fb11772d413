//! WebSockets by a library that nobody here wrote, client and server: whatever one end says, the other sees what it would
//! see without a proxy, and what is asked for and answered in the handshake comes through as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]
#![allow(unreachable_pub, reason = "parts of one program")]
#![allow(clippy::result_large_err, reason = "how the library's callbacks refuse")]

#[path = "websocket/cases.rs"]
mod cases;
#[path = "websocket/ends.rs"]
mod ends;
#[path = "websocket/flood.rs"]
mod flood;
#[path = "websocket/handshake.rs"]
mod handshake;
mod support;
#[path = "websocket/ways.rs"]
mod ways;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use cases::Case;
use ends::{check, echo, play};
use support::{PATIENCE, Replica, Rig};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use ways::{Stream, WAYS, connect, open};

/// A server that plays the case that its path names, or echoes. It hands over what it saw.
fn server(cases: Arc<[Case]>) -> (Replica, Receiver<Vec<String>>) {
    let (told, seen) = sync_channel(1);
    let replica = Replica::new(move |client| {
        let mut path = String::new();
        let see = |request: &Request, response: Response| {
            path = request.uri().path().to_owned();
            Ok::<_, ErrorResponse>(response)
        };
        let socket = tungstenite::accept_hdr(Stream(client), see).unwrap();
        let seen = match path.strip_prefix("/case/") {
            Some(number) => play(&cases[number.parse::<usize>().unwrap()], socket.into_inner(), false),
            None => echo(socket),
        };
        told.send(seen).unwrap();
    });
    (replica, seen)
}

/// Each case from both sides; the transcripts, of who plays it and of who echoes, are those of a connection without a proxy.
#[test]
fn what_one_end_says_the_other_sees_as_without_a_proxy() {
    let cases: Arc<[Case]> = cases::all().into();
    let (replica, seen) = server(cases.clone());
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    for (number, case) in cases.iter().enumerate() {
        for client_plays in [true, false] {
            let mut transcripts = WAYS.map(|way| {
                let stream = connect(&rig, replica.address, way);
                if client_plays {
                    let client = play(case, open(stream, "/echo").into_inner(), true);
                    (client, seen.recv_timeout(PATIENCE).unwrap())
                } else {
                    let client = echo(open(stream, &format!("/case/{number}")));
                    (seen.recv_timeout(PATIENCE).unwrap(), client)
                }
            });
            let (first, others) = transcripts.split_first_mut().unwrap();
            check(case, &first.0);
            for (other, way) in others.iter().zip(&WAYS[1..]) {
                assert_eq!(first, other, "{}, {way}; the client plays it: {client_plays}", case.name);
            }
        }
    }
    rig.finish();
}
