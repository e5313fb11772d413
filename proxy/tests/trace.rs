//! W3C trace context goes through as it came, and none is made up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use http::Request;
use support::http2::{empty, open, rest, rig_with, send};
use support::{Replica, Rig};

const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Fields as a client sends them: sound ones, ones of a later version, and nonsense, which is the replica's to judge.
const SAID: [&[(&str, &str)]; 5] = [
    &[],
    &[("traceparent", SOUND), ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")],
    &[("traceparent", SOUND), ("tracestate", "a=1"), ("tracestate", "b=2")],
    &[("traceparent", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later")],
    &[("traceparent", "nonsense"), ("tracestate", "alone")],
];

/// What the replica got of them.
#[track_caller]
fn check(replica: &Replica, said: &[(&str, &str)]) {
    let seen = replica.saw_one();
    for name in ["traceparent", "tracestate"] {
        let told: Vec<&str> =
            said.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value).collect();
        assert_eq!(seen.values(name), told, "{said:?}");
    }
}

#[test]
fn over_http_1_it_goes_through_untouched() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    for said in SAID {
        let fields: String = said.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        client.send(format!("GET / HTTP/1.1\r\nHost: shop\r\n{fields}\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("traceparent")), (200, None));
        check(&replica, said);
    }
    drop(client);
    rig.finish();
}

#[test]
fn over_http_2_it_goes_through_untouched() {
    let replica = Replica::hello();
    let rig = rig_with(&replica);
    let sender = open(&rig);
    for said in SAID {
        let request = Request::get("http://shop/");
        let request = said.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = send(&rig, &sender, request.body(empty()).unwrap());
        assert_eq!(&rest(&rig, response).0[..], b"hello");
        check(&replica, said);
    }
    drop(sender);
    rig.finish();
}
