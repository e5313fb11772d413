//! WebSockets through `kaos up`, to a server that was made for Autobahn's suite: gorilla/websocket's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

#[path = "../../../proxy/tests/websocket/cases.rs"]
mod cases;
#[path = "../../../proxy/tests/websocket/ends.rs"]
mod ends;
mod up;

use std::net::{Shutdown, SocketAddr, TcpStream};

use cases::NO_STATUS;
use ends::{Duplex, check, play};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use up::{Kaos, PATIENCE};

impl Duplex for TcpStream {
    fn duplicate(&self) -> TcpStream {
        self.try_clone().unwrap()
    }

    fn end_sending(&mut self) {
        // Whoever was reset has ended.
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// A WebSocket that is open, and which extensions were agreed on.
fn open(address: SocketAddr, path: &str, extensions: &'static str) -> (TcpStream, Option<HeaderValue>) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("ws://echo.localhost{path}").into_client_request().unwrap();
    if !extensions.is_empty() {
        request.headers_mut().insert("sec-websocket-extensions", HeaderValue::from_static(extensions));
    }
    let (socket, response) = tungstenite::client(request, stream).unwrap();
    (socket.into_inner(), response.headers().get("sec-websocket-extensions").cloned())
}

/// Cases that this server answers in its own way, with or without a proxy: one byte is no code (RFC 6455 §5.5.1), and it takes
/// it for a close without one; a reason that is no UTF-8 is for it a broken rule like others.
const OWN_CODES: [(&str, u16); 2] =
    [("a close of one byte", NO_STATUS), ("a close whose reason is no UTF-8", 1002)];

#[test]
fn a_server_made_for_autobahns_suite_answers_as_without_a_proxy() {
    let server = kaos_testbed::websocket_echo().unwrap();
    let kaos = Kaos::up("echo", &["--min-scale", "1"], &[&server, "-addr", "127.0.0.1:{port}"]);
    let replica = kaos.replica("echo");
    // It never begins a close, and where something follows one, it may reset the connection instead of ending it.
    let cases = cases::all();
    let its_own = cases.iter().filter(|case| !case.asks_to_begin() && !case.goes_on());
    // By messages, by writers, by prepared messages.
    for (case, path) in its_own.zip(["/m", "/r", "/p"].iter().cycle()) {
        let direct = play(case, open(replica, path, "").0, true);
        let own = OWN_CODES.iter().find(|(name, _)| *name == case.name);
        check(&case.clone().closes(own.map_or(case.code, |(_, code)| *code)), &direct);
        assert_eq!(direct, play(case, open(kaos.listen, path, "").0, true), "{}, {path}", case.name);
    }
    kaos.lets_go();
}

#[test]
fn compressed_messages_pass_as_the_ends_agreed() {
    const OFFER: &str = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
    let server = kaos_testbed::websocket_echo().unwrap();
    let kaos = Kaos::up("echo", &["--min-scale", "1"], &[&server, "-addr", "127.0.0.1:{port}"]);
    let transcripts = [kaos.replica("echo"), kaos.listen].map(|address| {
        let (stream, agreed) = open(address, "/m", OFFER);
        (agreed, play(&cases::compressed(), stream, true))
    });
    assert_eq!(transcripts[0], transcripts[1]);
    let [(agreed, seen), _] = &transcripts;
    assert!(agreed.as_ref().unwrap().to_str().unwrap().starts_with("permessage-deflate"), "{agreed:?}");
    // A first byte without FIN: the first reserved bit and text.
    assert!(seen[0].starts_with("first byte 41 "), "{seen:?}");
    kaos.lets_go();
}
