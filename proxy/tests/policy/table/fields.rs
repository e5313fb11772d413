//! Fields that say something to a proxy.

use super::{BAD, Case, Outcome, Section, Seen, both, http1, test};

pub fn sections() -> Vec<Section> {
    vec![hops(), forwarding(), upgrades(), h2c(), expectations(), trailers(), pipelines()]
}

fn passed(seen: &[Seen]) -> Outcome {
    Outcome::Passed(seen.to_vec())
}

fn hops() -> Section {
    let gone = |name: &'static str, value: &'static str| {
        let line = format!("GET / HTTP/1.1\r\nHost: shop\r\n{name}: {value}\r\n\r\n");
        http1(&format!("`{name}: {value}`"), &line, passed(&[Seen::Without(name)]))
    };
    let listed = |list: &str, more: &str, seen: &[Seen]| {
        let request = format!("GET / HTTP/1.1\r\nHost: shop\r\nConnection: {list}\r\n{more}\r\n");
        http1(&format!("`Connection: {list}`"), &request, passed(seen))
    };
    let mut cases = vec![
        gone("Keep-Alive", "timeout=5"),
        gone("Proxy-Connection", "keep-alive"),
        gone("Trailer", "X-T"),
        gone("TE", "gzip"),
        gone("Upgrade", "websocket"),
        listed("X-Private", "X-Private: y\r\n", &[Seen::Without("X-Private"), Seen::Without("Connection")]),
        listed("Cookie", "Cookie: a=b\r\n", &[Seen::Without("Cookie")]),
        listed(
            "Host, X-Forwarded-For, Forwarded, X-Request-Id",
            "X-Request-Id: 7\r\n",
            &[
                Seen::Field("Host", vec!["shop"]),
                Seen::Field("X-Forwarded-For", vec!["127.0.0.1"]),
                Seen::Field("X-Request-Id", vec!["7"]),
            ],
        ),
        listed("Content-Length", "Content-Length: 0\r\n", &[Seen::Field("Content-Length", vec!["0"])]),
    ];
    for (name, value) in [("Proxy-Authorization", "x"), ("Proxy-Authenticate", "x"), ("HTTP2-Settings", "x")]
    {
        cases.extend(both(&format!("`{name}: {value}`"), "GET /", &[(name, value)], || {
            passed(&[Seen::Without(name)])
        }));
    }
    cases.extend(both("`TE: trailers`", "GET /", &[("TE", "trailers")], || {
        passed(&[Seen::Field("TE", vec!["trailers"]), Seen::Field("Connection", vec!["TE"])])
    }));
    Section {
        rule: "hop_by_hop",
        title: "Fields of one hop",
        why: "They speak of this connection, not of the replica's (RFC 9110 §7.6.1). A client may list further ones in `Connection`, but not \
              what the proxy itself acts on or says: else it could take `X-Forwarded-For` away (CVE-2024-45410).",
        cases,
    }
}

fn forwarding() -> Section {
    let mut cases: Vec<Case> = Vec::new();
    for (name, kept) in [
        ("X-Forwarded-For", Some("127.0.0.1")),
        ("X-Forwarded-Proto", Some("http")),
        ("X-Forwarded-Host", Some("shop")),
        ("X-Forwarded-Prefix", None),
        ("X-Forwarded-Anything", None),
        ("X-Real-IP", None),
        ("X_Forwarded_For", None),
        ("X_Real_IP", None),
        ("Forwarded", Some("for=127.0.0.1;host=\"shop\";proto=http")),
        ("X-Kaos-Hop", None),
    ] {
        cases.extend(both(&format!("`{name}: spoofed`"), "GET /", &[(name, "spoofed")], || {
            passed(&[kept.map_or(Seen::Without(name), |value| Seen::Field(name, vec![value]))])
        }));
    }
    cases.push(test(
        "the same from one of `--trusted-proxies`",
        "HTTP/1, HTTP/2",
        "kept and continued",
        "forwarded::a_trusted_proxys_words_are_kept_and_continued",
    ));
    Section {
        rule: "forwarding",
        title: "What is said of the client",
        why: "Replicas decide by it who may do what. Nobody is believed but `--trusted-proxies`; and of a name with `_` for `-` nobody, for some \
              programs read the two as one.",
        cases,
    }
}

fn upgrades() -> Section {
    Section {
        rule: "upgrades",
        title: "Upgrades",
        why: "A tunnel begins only behind a 101 of the replica for the protocol that was asked for. What comes before it is HTTP, and is read \
              as such: else a request hides in it.",
        cases: vec![
            http1(
                "an upgrade with a body",
                "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
                BAD,
            ),
            http1(
                "an upgrade with chunks",
                "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                BAD,
            ),
            http1(
                "`Upgrade: websocket, x`",
                "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket, x\r\n\r\n",
                passed(&[Seen::Without("Upgrade"), Seen::Without("Connection")]),
            ),
            http1(
                "`Upgrade: websocket`",
                "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                passed(&[
                    Seen::Field("Upgrade", vec!["websocket"]),
                    Seen::Field("Connection", vec!["Upgrade"]),
                ]),
            ),
            test(
                "an upgrade, a request behind it, and a 200 of the replica",
                "HTTP/1",
                "the second is read as a request",
                "upgrade::without_a_101_what_follows_is_the_next_request",
            ),
            test(
                "a 101 for another protocol, or unasked",
                "a replica",
                "502 `upstream-protocol`",
                "upgrade::a_101_that_wasnt_asked_for_is_no_answer",
            ),
        ],
    }
}

fn h2c() -> Section {
    Section {
        rule: "h2c",
        title: "Upgrade to HTTP/2",
        why: "A replica that says 101 to it speaks HTTP/2 through the proxy, with whom nobody looks any more.",
        cases: vec![http1(
            "`Upgrade: h2c` with `HTTP2-Settings`",
            "GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            passed(&[Seen::Without("Upgrade"), Seen::Without("HTTP2-Settings"), Seen::Without("Connection")]),
        )],
    }
}

fn expectations() -> Section {
    let cant = || Outcome::Refused(417, "bad-request");
    let mut cases = Vec::new();
    for value in ["200-ok", "100-continue, x", "100-continue;q=1", ""] {
        cases.extend(both(&format!("`Expect: {value}`"), "POST /", &[("Expect", value)], cant));
    }
    cases.extend(both(
        "`Expect: 100-continue` without a body",
        "GET /",
        &[("Expect", "100-Continue")],
        || passed(&[Seen::Without("Expect")]),
    ));
    cases.push(test(
        "`Expect: 100-continue`",
        "HTTP/1",
        "100 once, when a replica was found and before the body is read",
        "expect::the_client_is_told_to_go_on_once_and_only_when_its_request_is_dispatched",
    ));
    cases.push(test(
        "the same where the queue is full",
        "HTTP/1",
        "503 `queue-full`, without a 100",
        "expect::where_the_queue_is_full_the_answer_is_final",
    ));
    Section {
        rule: "expectations",
        title: "Expectations",
        why: "The one expectation that is known is met by the proxy, so that a request that is refused never uploads. Others can't be met.",
        cases,
    }
}

fn trailers() -> Section {
    Section {
        rule: "trailers",
        title: "Trailers",
        why: "What frames, routes, authenticates or controls stands before the content, where it is looked for (RFC 9110 §6.5.1).",
        cases: vec![
            test(
                "`grpc-status` and `x-check` behind the content",
                "HTTP/2",
                "passed on, both ways",
                "http2_streams::both_ways_go_on_at_once_and_trailers_close_them",
            ),
            test(
                "`Host` and `Content-Length` there",
                "HTTP/2",
                "dropped",
                "http2_streams::both_ways_go_on_at_once_and_trailers_close_them",
            ),
        ],
    }
}

fn pipelines() -> Section {
    Section {
        rule: "pipelines",
        title: "Requests behind requests",
        why: "Answers come in the order of the requests, so the next one begins when the last has ended. Until then it counts for nothing.",
        cases: vec![
            test(
                "requests one behind the other",
                "HTTP/1",
                "answered one after the other",
                "streams::requests_of_one_connection_are_answered_one_after_the_other",
            ),
            test(
                "a second one while the first is under way",
                "HTTP/1",
                "neither dispatched nor counted",
                "streams::a_second_request_is_not_dispatched_while_the_first_is_under_way",
            ),
        ],
    }
}
