//! Requests of HTTP/2 that mean another thing, or two things, once they are written as HTTP/1.

use super::{BAD, Case, Outcome, Section, Seen, http2, request, shown};

/// RFC 9113 §7.
const PROTOCOL_ERROR: u32 = 1;

pub fn sections() -> Vec<Section> {
    let mut cases = authorities();
    cases.extend(pseudo());
    cases.extend(names_and_values());
    cases.extend(bodies());
    vec![Section {
        rule: "downgrade",
        title: "HTTP/2 on its way to a replica that speaks HTTP/1.1",
        why: "Fields of HTTP/2 are strings of any bytes: what they become in HTTP/1.1 must be one request with one host and one end. What \
              breaks the grammar of names and values is no request: its stream is reset, and the others of the connection go on.",
        cases,
    }]
}

fn bad(what: &str, fields: &[(&str, &str)], outcome: Outcome) -> Case {
    http2(what, fields, None, outcome)
}

fn reset() -> Outcome {
    Outcome::Reset(PROTOCOL_ERROR)
}

fn host(value: &'static str) -> Outcome {
    Outcome::Passed(vec![Seen::Field("Host", vec![value])])
}

const WITHOUT_AUTHORITY: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "http"), (":path", "/")];

fn authorities() -> Vec<Case> {
    let only = |hosts: &[(&'static str, &'static str)]| [&WITHOUT_AUTHORITY[..], hosts].concat();
    let beside = |hosts: &[(&'static str, &'static str)]| [&request("GET", "/", "shop")[..], hosts].concat();
    let mut cases = vec![
        bad("`host` alone", &only(&[("host", "shop")]), host("shop")),
        bad("neither `:authority` nor `host`", &only(&[]), BAD),
        bad("an empty `host` alone", &only(&[("host", "")]), BAD),
        bad("two `host`", &only(&[("host", "shop"), ("host", "shop")]), BAD),
        bad("`host` as `:authority`", &beside(&[("host", "shop")]), host("shop")),
        bad("`host` as `:authority` in another case", &beside(&[("host", "SHOP")]), host("shop")),
        bad("`host` other than `:authority`", &beside(&[("host", "other")]), BAD),
        bad("`host` with another port", &beside(&[("host", "shop:80")]), BAD),
        bad("an empty `host` beside `:authority`", &beside(&[("host", "")]), BAD),
        bad("two `host` beside `:authority`", &beside(&[("host", "shop"), ("host", "shop")]), BAD),
    ];
    for (authority, outcome) in [
        ("u@shop", BAD),
        ("shop:0", BAD),
        ("shop:65536", BAD),
        ("shop..", BAD),
        ("shop, other", reset()),
        ("shop/x", reset()),
        ("sh op", reset()),
        ("shop\u{0}", reset()),
        ("", reset()),
    ] {
        let fields = request("GET", "/", authority);
        cases.push(bad(&format!("`:authority: {}`", shown(authority)), &fields, outcome));
    }
    cases
}

fn pseudo() -> Vec<Case> {
    let get = |path: &'static str| request("GET", path, "shop");
    let with = |scheme: &'static str| {
        vec![(":method", "GET"), (":scheme", scheme), (":authority", "shop"), (":path", "/")]
    };
    let without = |name: &str| {
        let fields = get("/").into_iter().filter(|(known, _)| *known != name);
        bad(&format!("no `{name}`"), &fields.collect::<Vec<_>>(), reset())
    };
    let twice = |name: &'static str, value: &'static str| {
        let fields = [&[(name, value)][..], &get("/")].concat();
        bad(&format!("`{name}` twice"), &fields, reset())
    };
    vec![
        without(":method"),
        without(":scheme"),
        without(":path"),
        twice(":method", "POST"),
        twice(":scheme", "http"),
        twice(":authority", "shop"),
        twice(":path", "/x"),
        bad("`:status` in a request", &[&[(":status", "200")][..], &get("/")].concat(), reset()),
        bad("`:unknown`", &[&[(":unknown", "x")][..], &get("/")].concat(), reset()),
        bad("a pseudo-header field behind others", &[&[("x", "y")][..], &get("/")].concat(), reset()),
        bad(
            "`:scheme: https`, where plain HTTP is spoken",
            &with("https"),
            Outcome::Refused(421, "misdirected"),
        ),
        bad("`:scheme: ftp`", &with("ftp"), BAD),
        bad("an empty `:path`", &get(""), reset()),
        bad("`:path: foo`", &get("foo"), reset()),
        bad("`:path: *` of a GET", &get("*"), BAD),
        bad("`:path: http://other/`", &get("http://other/"), reset()),
        bad("a space in `:path`", &get("/a HTTP/1.1"), reset()),
        bad("CR LF in `:path`", &get("/ HTTP/1.1\r\nX: y"), reset()),
        bad("`:path: /a#b`", &get("/a#b"), Outcome::Passed(vec![Seen::Target("/a")])),
        bad("a byte above 0x7e in `:path`", &get("/\u{fc}"), reset()),
        bad("a space in `:method`", &request("GET /x", "/", "shop"), reset()),
        bad("CR LF in `:method`", &request("GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "/", "shop"), reset()),
        bad(
            "`:protocol` of an extended CONNECT",
            &[&[(":protocol", "websocket")][..], &request("CONNECT", "/", "shop")].concat(),
            reset(),
        ),
    ]
}

fn names_and_values() -> Vec<Case> {
    let field = |name: &'static str, value: &'static str, outcome| {
        let fields = [&request("GET", "/", "shop")[..], &[(name, value)]].concat();
        bad(&format!("`{}: {}`", shown(name), shown(value)), &fields, outcome)
    };
    let mut cases: Vec<Case> = [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "x"),
        ("proxy-connection", "x"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ]
    .into_iter()
    .map(|(name, value)| field(name, value, reset()))
    .collect();
    let malformed = [
        ("X-Upper", "y"),
        ("x y", "z"),
        ("x:y", "z"),
        ("x\r\ny", "z"),
        ("x\u{0}", "z"),
        ("", "z"),
        ("x\u{e9}", "z"),
        ("x", "y\r\nhost: other"),
        ("x", "y\nz"),
        ("x", "y\rz"),
        ("x", "y\u{0}"),
        ("x", "y\u{1}"),
        ("x", "y\u{7f}"),
    ];
    cases.extend(malformed.map(|(name, value)| field(name, value, reset())));
    cases.extend([
        field("content_length", "1", Outcome::Passed(vec![Seen::Without("content_length")])),
        field("transfer_encoding", "chunked", Outcome::Passed(vec![Seen::Without("transfer_encoding")])),
        field("x", " y ", Outcome::Passed(vec![Seen::Field("x", vec!["y"])])),
    ]);
    let crumbs = [("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f; g=h")];
    let fields = [&request("GET", "/", "shop")[..], &crumbs].concat();
    let joined = Outcome::Passed(vec![Seen::Field("cookie", vec!["a=b; c=d; e=f; g=h"])]);
    cases.push(bad("three `cookie`", &fields, joined));
    cases
}

fn bodies() -> Vec<Case> {
    let post = |lengths: &[&'static str]| {
        let lengths: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
        [&request("POST", "/", "shop")[..], &lengths].concat()
    };
    let case =
        |what: &str, lengths: &[&'static str], body, outcome| http2(what, &post(lengths), body, outcome);
    let hello = Some("hello");
    vec![
        case(
            "a body without a length",
            &[],
            hello,
            Outcome::Passed(vec![Seen::Field("Transfer-Encoding", vec!["chunked"]), Seen::Body("hello")]),
        ),
        case(
            "`content-length: 5` and 5 bytes",
            &["5"],
            hello,
            Outcome::Passed(vec![Seen::Field("Content-Length", vec!["5"]), Seen::Body("hello")]),
        ),
        case("`content-length: 5` twice", &["5", "5"], hello, BAD),
        case("`content-length: 5` and `6`", &["5", "6"], hello, reset()),
        case("`content-length: 4` and 5 bytes", &["4"], hello, reset()),
        case("`content-length: 6` and 5 bytes", &["6"], hello, reset()),
        case("`content-length: 5` without a body", &["5"], None, reset()),
        case("`content-length: +5`", &["+5"], hello, reset()),
        case("`content-length: 5, 5`", &["5, 5"], hello, reset()),
        case(
            "`content-length: 005`",
            &["005"],
            hello,
            Outcome::Passed(vec![Seen::Field("Content-Length", vec!["5"]), Seen::Body("hello")]),
        ),
    ]
}
