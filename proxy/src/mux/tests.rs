use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::block::Pseudo;
use super::frame::{self, Reason};
use super::{Asked, Cut, Drive, Limits, Mux, OUT, Receiver, Role, Sender};
use crate::buffer::{Buffers, Input};
use crate::hpack::encode;
use crate::part::Part;
use crate::socket::Socket;

const LIMITS: Limits =
    Limits { streams: 100, stream_window: 65_536, window: 1 << 20, fields: 16 * 1024, faults: 10 };

/// Both ends of a connection, and what is between them.
struct Pair {
    client: Rc<Mux>,
    server: Rc<Mux>,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let (client, server) = (Mux::new(Role::Client, LIMITS), Mux::new(Role::Server, LIMITS));
        let preface = client.say();
        let (to_server, to_client) = (preface[24..].to_vec(), Vec::new());
        let mut pair = Pair { client, server, to_server, to_client };
        pair.carry();
        pair
    }

    /// Lets each hear what the other has said, until nobody says more.
    fn carry(&mut self) {
        loop {
            self.to_server.extend(self.client.say());
            self.to_client.extend(self.server.say());
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            for (to, bytes) in [(&self.server, &mut self.to_server), (&self.client, &mut self.to_client)] {
                let used = to.hear(bytes).unwrap();
                bytes.drain(..used);
            }
        }
    }

    fn ask(&mut self, ended: bool) -> ((Sender, Receiver), Asked) {
        let write = |out: &mut Vec<u8>| encode::request(out, b"POST", b"shop", b"/a");
        let asked = self.client.open(ended, false, write).unwrap();
        self.carry();
        (asked, self.server.accept().unwrap())
    }

    /// Bytes of content that the ends would still take in all.
    fn windows(&self) -> [i64; 2] {
        [&self.client, &self.server].map(|mux| {
            let state = mux.state.borrow();
            state.window + state.taken as i64
        })
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Sends `content` as far as there is room. Returns what is left.
fn send<'a>(to: &Sender, mut content: &'a [u8]) -> &'a [u8] {
    while let Poll::Ready(Ok(room)) = to.poll_room(&context()) {
        let (now, later) = content.split_at(room.min(content.len()));
        to.content(now, later.is_empty());
        content = later;
        if content.is_empty() {
            break;
        }
    }
    content
}

/// Takes what has come.
fn take(from: &Receiver, into: &mut Vec<u8>) -> Option<Part> {
    while let Poll::Ready(part) = from.poll_part(&context()) {
        match part.unwrap().0 {
            Part::Data(content) => {
                from.release(content.len());
                into.extend_from_slice(&content);
            }
            end => return Some(end),
        }
    }
    None
}

proptest! {
    #[test]
    fn whatever_its_size_content_comes_whole_and_the_windows_are_as_before(
        up in 0usize..300_000,
        down in 0usize..300_000,
    ) {
        let mut pair = Pair::new();
        let before = pair.windows();
        let ((out, back), mut asked) = pair.ask(false);
        prop_assert_eq!(asked.block.pseudo(Pseudo::Path), Some(&b"/a"[..]));
        let request: Vec<u8> = (0..up).map(|place| (place % 251) as u8).collect();
        let (mut left, mut come) = (&request[..], Vec::new());
        loop {
            left = send(&out, left);
            pair.carry();
            if take(&asked.receiver, &mut come).is_some() {
                break;
            }
        }
        prop_assert!(come == request);
        asked.sender.head(false, |out| encode::status(out, 200));
        let (mut left, mut come) = (&request[..down.min(up)], Vec::new());
        pair.carry();
        prop_assert!(matches!(back.poll_head(&context()), Poll::Ready(Ok(_))));
        while !left.is_empty() {
            // Trailers end it.
            let Poll::Ready(Ok(room)) = asked.sender.poll_room(&context()) else {
                take(&back, &mut come);
                pair.carry();
                continue;
            };
            let (now, later) = left.split_at(room.min(left.len()));
            asked.sender.content(now, false);
            left = later;
        }
        asked.sender.end(&Part::Trailers(vec![(b"x".to_vec(), b"y".to_vec())]));
        pair.carry();
        let mut end = take(&back, &mut come);
        while end.is_none() {
            pair.carry();
            end = take(&back, &mut come);
        }
        prop_assert!(matches!(end, Some(Part::Trailers(trailers)) if trailers == [(b"x".to_vec(), b"y".to_vec())]));
        prop_assert!(come == request[..down.min(up)]);
        drop((out, back));
        asked = { drop(asked); pair.ask(true).1 };
        drop(asked);
        pair.carry();
        prop_assert_eq!(pair.windows(), before);
        prop_assert!(pair.server.state.borrow().streams.is_empty());
        prop_assert!(pair.client.state.borrow().streams.is_empty());
    }

    #[test]
    fn no_bytes_break_anything(role in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mux = Mux::new(if role { Role::Server } else { Role::Client }, LIMITS);
        let _ = mux.hear(&bytes);
        while let Some(asked) = mux.accept() {
            drop(asked);
        }
        mux.end();
    }
}

#[test]
fn content_that_nobody_wants_gives_its_room_back() {
    let mut pair = Pair::new();
    let before = pair.windows();
    let ((out, back), asked) = pair.ask(false);
    (0..5).for_each(|_| out.content(&[b'x'; 10_000], false));
    pair.carry();
    let Asked { sender, receiver, .. } = asked;
    drop(receiver);
    // The answer goes on, and what comes is dropped.
    out.content(&[b'x'; 10_000], false);
    pair.carry();
    sender.head(true, |out| encode::status(out, 413));
    pair.carry();
    let head = back.poll_head(&context());
    assert!(matches!(head, Poll::Ready(Ok(_))), "{head:?}");
    assert_eq!(out.poll_cut(&context()), Poll::Ready(Cut::Reset(Reason::NO_ERROR)));
    assert!(take(&back, &mut Vec::new()).is_some());
    assert_eq!(pair.windows(), before);
}

#[test]
fn a_sender_that_is_dropped_resets_its_stream_and_no_other() {
    let mut pair = Pair::new();
    let ((out, back), asked) = pair.ask(false);
    let (other, _asked) = pair.ask(false);
    drop(out);
    pair.carry();
    assert!(matches!(asked.receiver.poll_part(&context()), Poll::Ready(Err(Cut::Reset(Reason::CANCEL)))));
    assert!(matches!(back.poll_head(&context()), Poll::Ready(Err(Cut::Dropped))));
    assert!(other.0.poll_cut(&context()).is_pending());
}

#[test]
fn who_leaves_serves_what_is_under_way() {
    let mut pair = Pair::new();
    let (_begun, asked) = pair.ask(true);
    pair.server.leave();
    pair.carry();
    assert!(!pair.client.is_open());
    assert!(!pair.server.state.borrow().is_over());
    asked.sender.head(true, |out| encode::status(out, 200));
    pair.carry();
    assert!(pair.server.state.borrow().is_over() && pair.client.state.borrow().is_over());
}

#[test]
fn what_comes_in_many_small_frames_takes_no_more_room_than_its_bytes() {
    let mut pair = Pair::new();
    let ((out, _back), asked) = pair.ask(false);
    for _ in 0..10_000 {
        out.content(b"x", false);
    }
    pair.carry();
    let Poll::Ready(Ok((Part::Data(content), false))) = asked.receiver.poll_part(&context()) else {
        panic!()
    };
    assert_eq!(content.len(), 10_000);
}

#[test]
fn a_window_holds() {
    let pair = Pair::new();
    let mut bytes = Vec::new();
    let mut block = Vec::new();
    encode::request(&mut block, b"POST", b"shop", b"/");
    frame::block(&mut bytes, &block, 1, false);
    for _ in 0..5 {
        frame::head(&mut bytes, frame::LARGEST, frame::DATA, 0, 1);
        bytes.extend([b'x'; frame::LARGEST]);
    }
    // Four fill it. The stream is at fault, and the connection goes on.
    assert_eq!(pair.server.hear(&bytes), Some(bytes.len()));
    assert!(pair.server.accept().is_none());
    assert_eq!(pair.windows()[1], 1 << 20);
}

#[test]
fn what_follows_a_reset_is_at_fault_though_the_stream_was_answered_and_reset_before() {
    let pair = Pair::new();
    let (mut block, mut begin, mut reset) = (Vec::new(), Vec::new(), Vec::new());
    encode::request(&mut block, b"POST", b"shop", b"/");
    frame::block(&mut begin, &block, 1, false);
    frame::numbers(&mut reset, frame::RST_STREAM, 1, &[Reason::CANCEL.0]);
    assert_eq!(pair.server.hear(&begin), Some(begin.len()));
    // An answer that doesn't wait for the content ends the stream by our reset.
    let Asked { sender, receiver, .. } = pair.server.accept().unwrap();
    drop(receiver);
    sender.head(true, |out| encode::status(out, 200));
    assert_eq!(pair.server.state.borrow().ended_by_us(1), Some(true));
    assert_eq!(pair.server.hear(&begin), Some(begin.len()), "it was on its way");
    assert_eq!(pair.server.hear(&reset), Some(reset.len()));
    assert_eq!(pair.server.hear(&begin), None, "whoever sends it knew that the stream had ended");
}

/// Else each would be begun, one a turn, only to be broken off.
#[test]
fn what_is_taken_back_at_once_is_never_begun_and_ends_the_connection() {
    let mut block = Vec::new();
    encode::request(&mut block, b"POST", b"shop", b"/");
    let bytes = |count: u32, reset: bool| {
        let mut bytes = Vec::new();
        for id in (1..).step_by(2).take(count as usize) {
            frame::block(&mut bytes, &block, id, true);
            if reset {
                frame::numbers(&mut bytes, frame::RST_STREAM, id, &[Reason::CANCEL.0]);
            }
        }
        bytes
    };
    let share = |bytes: &[u8]| {
        let pair = Pair::new();
        let (used, taken) = pair.server.take(bytes, |_, _| true);
        (used, taken.map_err(|fatal| fatal.0), pair.server.accept().is_some())
    };
    let (one, asked) = (bytes(1, true), bytes(1, false));
    assert_eq!(share(&one), (one.len(), Ok(()), false));
    assert_eq!(share(&bytes(2, false)), (asked.len(), Ok(()), true), "a share is one request");
    assert_eq!(share(&bytes(20, true)), (20 * one.len(), Ok(()), false));
    assert_eq!(share(&bytes(30, true)), (21 * one.len(), Err(Reason::ENHANCE_YOUR_CALM), false));
}

#[test]
fn who_asks_on_and_reads_nothing_is_not_read_from() {
    let pair = Pair::new();
    let (mut block, mut asked) = (Vec::new(), 0);
    encode::request(&mut block, b"HEAD", b"shop", b"/");
    for id in (1..).step_by(2).take(10_000) {
        let mut bytes = Vec::new();
        frame::block(&mut bytes, &block, id, true);
        if pair.server.hear(&bytes) == Some(0) {
            break;
        }
        let sender = pair.server.accept().unwrap().sender;
        sender.head(true, |out| {
            encode::status(out, 200);
            encode::field(out, b"x-fill", &[b'x'; 100]);
        });
        asked += 1;
    }
    // Each answer is some 120 bytes.
    assert!((1000..2500).contains(&asked), "{asked} were answered");
    pair.server.say();
    let mut bytes = Vec::new();
    frame::block(&mut bytes, &block, 2 * asked + 1, true);
    assert_eq!(pair.server.hear(&bytes), Some(bytes.len()), "it has read all");
}

/// There is always something left to be written, so that what is to be sent is never all sent.
#[tokio::test]
async fn who_reads_slowly_for_long_costs_no_more_room() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let far = listener.accept().await.unwrap().0;
    // So little that what is left is never all taken.
    rustix::net::sockopt::set_socket_send_buffer_size(&near, 16 * 1024).unwrap();
    let (socket, buffers) = (Socket::new(near), Buffers::default());
    let mut pair = Pair::new();
    let (_begun, asked) = pair.ask(true);
    asked.sender.head(false, |out| encode::status(out, 200));
    let mut wide = Vec::new();
    for stream in [0, 1] {
        frame::numbers(&mut wide, frame::WINDOW_UPDATE, stream, &[1 << 30]);
    }
    assert_eq!(pair.server.hear(&wide), Some(wide.len()));
    let mut drive = Drive::new(pair.server.clone(), Input::default(), None);
    let mut read = vec![0; frame::LARGEST];
    for _ in 0..3000 {
        while let Poll::Ready(Ok(room)) = asked.sender.poll_room(&context()) {
            asked.sender.content(&vec![b'x'; room], false);
        }
        std::future::poll_fn(|cx| Poll::Ready(drive.poll(cx, &socket, &buffers).is_pending())).await;
        tokio::task::yield_now().await;
        // Nothing to be read now is as good.
        let _ = far.try_read(&mut read);
    }
    let room = pair.server.state.borrow().room_taken();
    assert!(room <= 4 * OUT, "{room}");
}
