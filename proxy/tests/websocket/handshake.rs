//! What is asked for and answered in a handshake is the ends' affair, a refusal too.

use std::io::Write;
use std::sync::mpsc::sync_channel;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::{Error, Message};

use super::cases;
use super::ends::echo;
use super::support::{PATIENCE, Replica, Rig};
use super::ways::{Stream, WAYS, connect};

fn header(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// What a handshake is about (RFC 6455 §4), beside what is said of a client.
const NEGOTIATED: [&str; 8] = [
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    "origin",
    "cookie",
];

fn negotiated(headers: &HeaderMap) -> Vec<Vec<String>> {
    NEGOTIATED.iter().map(|name| header(headers, name)).collect()
}

#[test]
fn subprotocols_and_extensions_are_negotiated_by_the_ends() {
    let (told, asked) = sync_channel(1);
    let replica = Replica::new(move |client| {
        let agree = |request: &Request, mut response: Response| {
            told.send(negotiated(request.headers())).unwrap();
            let headers = response.headers_mut();
            headers.insert("sec-websocket-protocol", HeaderValue::from_static("superchat"));
            headers.append(
                "sec-websocket-extensions",
                HeaderValue::from_static("permessage-deflate; server_no_context_takeover"),
            );
            headers.append("sec-websocket-extensions", HeaderValue::from_static("x-own; a=\"b, c\""));
            headers.append("set-cookie", HeaderValue::from_static("a=b"));
            Ok::<_, ErrorResponse>(response)
        };
        echo(tungstenite::accept_hdr(Stream(client), agree).unwrap());
    });
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    let transcripts = WAYS.map(|way| {
        let mut request = "ws://shop/chat?room=1".into_client_request().unwrap();
        for (name, value) in [
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits, x-own"),
            ("sec-websocket-extensions", "x-more; a=\"b, c\""),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("origin", "https://shop.example"),
            ("cookie", "a=b; c=d"),
        ] {
            let name = HeaderName::from_static(name);
            if name == "sec-websocket-key" {
                request.headers_mut().remove(&name);
            }
            request.headers_mut().append(name, HeaderValue::from_static(value));
        }
        let (mut socket, response) =
            tungstenite::client(request, connect(&rig, replica.address, way)).unwrap();
        // What was agreed on is the ends' affair: this one can't decompress, and says so.
        socket.get_mut().write_all(&cases::compressed().pieces(true).concat()).unwrap();
        let refused = socket.read();
        assert!(
            matches!(&refused, Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1002),
            "{refused:?}"
        );
        let cookies = header(response.headers(), "set-cookie");
        (response.status(), negotiated(response.headers()), cookies, asked.recv_timeout(PATIENCE).unwrap())
    });
    let [direct, others @ ..] = transcripts;
    assert_eq!(direct.1[5], ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    assert_eq!(direct.3[4].len(), 2, "{direct:?}");
    for other in others {
        assert_eq!(direct, other);
    }
    rig.finish();
}

#[test]
fn a_handshake_that_the_server_refuses_is_refused_in_its_words() {
    const REFUSALS: [(u16, &str, &str); 7] = [
        (302, "location", "https://shop.example/login"),
        (400, "x-why", "no"),
        (401, "www-authenticate", "Bearer realm=\"shop\""),
        (403, "x-why", "origin"),
        (404, "x-why", "no"),
        (426, "sec-websocket-version", "13"),
        (503, "retry-after", "120"),
    ];
    let replica = Replica::new(|client| {
        let refuse = |request: &Request, _: Response| {
            let number: usize = request.uri().path()[1..].parse().unwrap();
            let (status, name, value) = REFUSALS[number];
            let body = format!("refused: {status}");
            let refusal = http::Response::builder().status(status).header(name, value);
            Err(refusal.header("content-length", body.len()).body(Some(body)).unwrap())
        };
        assert!(tungstenite::accept_hdr(Stream(client), refuse).is_err());
    });
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    for (number, (status, name, value)) in REFUSALS.iter().enumerate() {
        for way in WAYS {
            let stream = connect(&rig, replica.address, way);
            let refused = tungstenite::client(format!("ws://shop/{number}"), stream);
            let Err(HandshakeError::Failure(Error::Http(response))) = refused else {
                panic!("{status}, {way}: {refused:?}", refused = refused.map(|(_, response)| response));
            };
            assert_eq!(response.status(), StatusCode::from_u16(*status).unwrap(), "{way}");
            assert_eq!(header(response.headers(), name), [*value], "{status}, {way}");
            let body = format!("refused: {status}");
            assert_eq!(response.body().as_deref(), Some(body.as_bytes()), "{status}, {way}");
        }
    }
    rig.finish();
}
