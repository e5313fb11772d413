//! Which host, path and method are asked for.

use super::{BAD, Case, Outcome, Section, Seen, both, http1, http2, request, shown, test};

pub fn sections() -> Vec<Section> {
    vec![hosts(), equivalent(), absolute(), targets(), methods()]
}

fn hosts() -> Section {
    let mut cases: Vec<Case> = HOSTS.iter().map(|lines| host(lines)).collect();
    cases.push(http1(
        "no host in HTTP/1.0",
        "GET / HTTP/1.0\r\n\r\n",
        Outcome::Passed(vec![Seen::Target("/")]),
    ));
    Section {
        rule: "one_host",
        title: "The host",
        why: "Who routes by another host than the one that the replica reads serves one tenant's secrets to another. So there is one, \
              said once, and it names a host and nothing else.",
        cases,
    }
}

fn host(lines: &str) -> Case {
    http1(&format!("`{}`", shown(lines)), &format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"), BAD)
}

fn equivalent() -> Section {
    let mut cases = Vec::new();
    for (host, known) in [
        ("APP.Test:80", true),
        ("app.test:8080", true),
        ("App.Test.", true),
        ("[::1]:80", true),
        ("XN--bcher-KVA.example", true),
        ("app.test..", false),
        ("xapp.test", false),
        ("a.app.test", false),
        ("127.0.0.1", false),
    ] {
        let outcome = || match (known, host) {
            (true, _) => Outcome::Passed(vec![Seen::Field("Host", vec![host])]),
            (false, "app.test..") => BAD,
            (false, _) => Outcome::Refused(404, "no-route"),
        };
        let what = format!("`Host: {host}`");
        cases.push(http1(&what, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), outcome()));
        cases.push(http2(&what, &request("GET", "/", host), None, outcome()));
    }
    Section {
        rule: "same_host",
        title: "Hosts that are the same",
        why: "Names have no case, the port is the listener's business, and one dot at the end says that the name is whole (RFC 3986 §3.2.2, \
              RFC 1034 §3.1). Punycode is compared as it is. Here `app.test`, `[::1]` and `xn--bcher-kva.example` are routed.",
        cases,
    }
}

fn absolute() -> Section {
    let wins = |target, host: &'static str| {
        Outcome::Passed(vec![Seen::Field("Host", vec![host]), Seen::Target(target)])
    };
    let case = |target: &str, outcome| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: other.test\r\n\r\n");
        http1(&format!("`GET {target}` with `Host: other.test`"), &request, outcome)
    };
    Section {
        rule: "target_host",
        title: "Targets with a host",
        why: "The target's host wins over the field (RFC 9112 §3.2.2), is what is routed by, and is what the replica is told: one value for all.",
        cases: vec![
            case("http://shop/x?y=z", wins("/x?y=z", "shop")),
            case("HTTP://SHOP:80/x", wins("/x", "SHOP:80")),
            case("http://shop", wins("/", "shop")),
            case("http://shop?q", wins("/?q", "shop")),
            case("http:///x", BAD),
            case("http://", BAD),
            case("http://u@shop/", BAD),
            case("http://shop:x/", BAD),
            case("http://shop, a/", BAD),
            case("ftp://shop/", BAD),
            case("shop:80", BAD),
            case("foo", BAD),
            case("*", BAD),
            case("?x", BAD),
        ],
    }
}

fn targets() -> Section {
    let mut cases = Vec::new();
    for target in ["/a/../b", "//evil", "/\\evil", "/%2e%2e/", "/a%20b", "/%0d%0aX:y", "/?%zz", "/;a=b"] {
        cases.extend(both(&format!("`{target}`"), &format!("GET {target}"), &[], || {
            Outcome::Passed(vec![Seen::Target(target)])
        }));
    }
    for target in ["/a%00b", "/%zz", "/%2", "/%"] {
        cases.extend(both(&format!("`{target}`"), &format!("GET {target}"), &[], || BAD));
    }
    cases.push(http1("`/a#b`", "GET /a#b HTTP/1.1\r\nHost: shop\r\n\r\n", BAD));
    cases.extend(both("`OPTIONS *`", "OPTIONS *", &[], || Outcome::Passed(vec![Seen::Target("*")])));
    cases.push(test(
        "`/a/../b` where `/b` is another workload's",
        "HTTP/1",
        "routed as `/b`: by what a replica may take it for",
        "target::routes_are_found_by_what_a_path_means",
    ));
    Section {
        rule: "targets",
        title: "Paths",
        why: "Nothing is decoded on the way: a path is passed on as it came, or not at all where a program would stop at a NUL or differ \
              in what a broken `%` means.",
        cases,
    }
}

fn methods() -> Section {
    let no = || Outcome::Refused(405, "method-not-allowed");
    let mut cases = vec![
        http1(
            "`CONNECT shop:443`, and a request behind it",
            "CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
            no(),
        ),
        http1(
            "`CONNECT` with a body",
            "CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello",
            no(),
        ),
        http2("`CONNECT shop:443`", &[(":method", "CONNECT"), (":authority", "shop:443")], None, no()),
    ];
    cases.extend(both("`TRACE /`", "TRACE /", &[("Max-Forwards", "0")], no));
    cases.extend(both("`PROPFIND /x`", "PROPFIND /x", &[], || Outcome::Passed(vec![Seen::Target("/x")])));
    let long = "M".repeat(33);
    cases.extend(both("a method of 33 bytes", &format!("{long} /"), &[], || BAD));
    Section {
        rule: "methods",
        title: "Methods",
        why: "CONNECT would make a tunnel of the connection, TRACE shows a client what was added for the replica's eyes; no method that is \
              registered has more than 32 bytes. Any other is the replica's to judge.",
        cases,
    }
}

const HOSTS: &[&str] = &[
    "X: y",
    "Host:",
    "Host: ",
    "Host: a\r\nHost: a",
    "Host: a\r\nHost: b",
    "Host: a\r\nhost: a",
    "Host: a, b",
    "Host: a b",
    "Host: a/x",
    "Host: u@a",
    "Host: u:p@a",
    "Host: :80",
    "Host: a:",
    "Host: a:x",
    "Host: a:0",
    "Host: a:65536",
    "Host: a:80:80",
    "Host: a..b",
    "Host: app.test..",
    "Host: .",
    "Host: .a",
    "Host: [::1",
    "Host: [x]",
    "Host: [::1]x",
    "Host: ::1",
    "Host: b\u{fc}cher.example",
    "Host: \u{80}",
    "Host: a%20b",
    "Host: a\\b",
    "Host: a?b",
    "Host: a#b",
    "Host: http://a",
    "Host: *",
    "Host : a",
    "H_ost: a",
];
