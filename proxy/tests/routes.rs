//! What a route says of its requests, done by HTTP/1 and HTTP/2; and backends that nobody decides on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Arc;

use http::Request;
use kaos_core::Policy;
use kaos_core::rule::{Cors, Edits, Origin, Redirect, Rewrite, Rule};
use kaos_core::snapshot::{Mode, Replicas};
use support::http2::{empty, get, open, rest, send};
use support::{Replica, Rig, until};

/// Says something of CORS itself.
const HELLO: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nAccess-Control-Allow-Origin: https://mine.test\r\n\r\nhello";

fn rig(replica: &Replica, rule: Rule) -> Rig {
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    rig.rule(rule);
    rig
}

fn cut(length: usize, by: &str) -> Option<Rewrite> {
    Some(Rewrite::Prefix { length, by: by.to_owned() })
}

#[test]
fn what_came_without_tls_is_sent_to_https_and_wakes_nothing() {
    let mut rig = Rig::new(&[]);
    rig.rule(Rule { https_only: true, ..Rule::default() });
    if support::tls::EVERYWHERE {
        return rig.finish();
    }
    let mut client = rig.connect();
    for _ in 0..2 {
        client.send("GET /a?b HTTP/1.1\r\nHost: Shop.test:80\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text().as_str()), (308, ""));
        assert_eq!(answer.field("location"), Some("https://shop.test/a?b"));
        assert_eq!(answer.field("content-type"), None);
    }
    let response = send(&rig, &open(&rig), get("/x"));
    assert_eq!(response.status(), 308);
    assert!(response.headers()["location"].to_str().unwrap().ends_with("/x"));
    let counts = rig.shop().counts;
    assert_eq!((counts.last_activity, rig.counted(308), rig.waiting()), (None, 3, 0));
    // What came over TLS goes on: with no replica it waits.
    let mut client = rig.connect_securely();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    until("it waits", || rig.waiting() == 1);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    assert_eq!(client.answer().status(), 200);
    drop(client);
    rig.finish();
}

#[test]
fn who_may_not_ask_is_told_so() {
    let replica = Replica::hello();
    let rig = rig(&replica, Rule { allowed: Some(["127.0.0.1".parse().unwrap()].into()), ..Rule::default() });
    if support::tls::EVERYWHERE {
        return rig.finish();
    }
    assert_eq!(rig.connect().get("/").status(), 200);
    let mut other = rig.connect_from(7);
    other.get("/").is_problem(403, "forbidden");
    drop(other);
    rig.finish();
}

#[test]
fn a_path_is_rewritten_for_the_replica_alone() {
    let replica = Replica::hello();
    let rig = rig(&replica, Rule { rewrite: cut(4, "/v1/"), ..Rule::default() });
    assert_eq!(rig.connect().get("/api/x%20y?z=/api").status(), 200);
    assert_eq!(replica.seen().pop().unwrap().unwrap().target, "/v1/x%20y?z=/api");
    let response = send(&rig, &open(&rig), get("/api"));
    assert_eq!(response.status(), 200);
    rest(&rig, response);
    assert_eq!(replica.seen().pop().unwrap().unwrap().target, "/v1/");
    rig.finish();
}

#[test]
fn pages_are_told_what_they_may_whatever_the_replica_says() {
    let replica = Replica::answering(HELLO);
    let cors = Cors {
        origins: [Origin::Exact("https://page.test".to_owned())].into(),
        methods: "GET, PUT".to_owned(),
        headers: "X-A".to_owned(),
        exposed: String::new(),
        credentials: false,
        max_age: 60,
    };
    let rig = rig(&replica, Rule { cors: Some(cors), ..Rule::default() });
    let mut client = rig.connect();
    let ask = |method: &str, origin: &str, more: &str| {
        format!("{method} / HTTP/1.1\r\nHost: shop\r\nOrigin: {origin}\r\n{more}\r\n")
    };
    const ALLOW: &str = "access-control-allow-origin";
    for (origin, allowed) in [("https://page.test", Some("https://page.test")), ("https://other.test", None)]
    {
        client.send(ask("GET", origin, ""));
        let answer = client.answer();
        assert_eq!(
            (answer.status(), answer.field(ALLOW), answer.field("vary")),
            (200, allowed, Some("Origin"))
        );
        client.send(ask("OPTIONS", origin, "Access-Control-Request-Method: PUT\r\n"));
        let answer = client.answer();
        assert_eq!(
            (answer.status(), answer.field(ALLOW), answer.field("content-length")),
            (204, allowed, None)
        );
        let methods = allowed.map(|_| "GET, PUT");
        assert_eq!(answer.field("access-control-allow-methods"), methods, "{}", answer.head);
    }
    assert_eq!(replica.accepted(), 1, "no preflight reaches it");
    let sender = open(&rig);
    let request = Request::get("http://shop/").header("origin", "https://page.test");
    let response = send(&rig, &sender, request.body(empty()).unwrap());
    let values: Vec<_> = response.headers().get_all(ALLOW).iter().collect();
    assert_eq!(values, ["https://page.test"]);
    rest(&rig, response);
    let request = Request::options("http://shop/").header("origin", "https://page.test");
    let request = request.header("access-control-request-method", "PUT");
    let response = send(&rig, &sender, request.body(empty()).unwrap());
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-max-age"], "60");
    rest(&rig, response);
    drop((client, sender));
    rig.finish();
}

#[test]
fn a_header_goes_on_as_its_route_has_it() {
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let edits = |prefix: &str| Edits {
        set: pairs(&[(&format!("{prefix}-set"), "new")]),
        add: pairs(&[(&format!("{prefix}-add"), "second")]),
        remove: [format!("{prefix}-gone")].into(),
    };
    const SAID: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A-Set: old\r\nX-A-Add: first\r\nX-A-Gone: x\r\n\r\n";
    let replica = Replica::strict(|_, client| client.send(SAID));
    let (request, response, host) = (edits("x-r"), edits("x-a"), Some("inner.test".to_owned()));
    let rig = rig(&replica, Rule { request, response, host, ..Rule::default() });
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\nX-R-Set: old\r\nX-R-Add: first\r\nX-R-Gone: x\r\n\r\n");
    let answer = client.answer();
    let fields = |name: &str| -> Vec<String> {
        let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    };
    assert_eq!(fields("x-a-set"), ["new"]);
    assert_eq!(fields("x-a-add"), ["first", "second"]);
    assert!(fields("x-a-gone").is_empty());
    let seen = replica.seen().pop().unwrap().unwrap();
    assert_eq!(seen.values("host"), ["inner.test"]);
    assert_eq!(seen.values("x-forwarded-host"), ["shop"]);
    assert_eq!(seen.values("x-r-set"), ["new"]);
    assert_eq!(seen.values("x-r-add"), ["first", "second"]);
    assert!(seen.values("x-r-gone").is_empty());
    let request = Request::get("http://shop/").header("x-r-gone", "x");
    let response = send(&rig, &open(&rig), request.body(empty()).unwrap());
    assert_eq!(response.headers().get_all("x-a-set").iter().collect::<Vec<_>>(), ["new"]);
    assert!(response.headers().get("x-a-gone").is_none());
    rest(&rig, response);
    assert!(replica.seen().pop().unwrap().unwrap().values("x-r-gone").is_empty());
    drop(client);
    rig.finish();
}

#[test]
fn a_client_is_sent_elsewhere_by_its_route() {
    let mut rig = Rig::new(&[]);
    let redirect = |redirect: Redirect| Rule { redirect: Some(redirect), ..Rule::default() };
    let none = Redirect { status: 302, https: None, host: None, port: None, listener: Some(80), path: None };
    let scheme = if support::tls::EVERYWHERE { "https" } else { "http" };
    let port = if support::tls::EVERYWHERE { ":80" } else { "" };
    for (redirects, status, at) in [
        (none.clone(), 302, format!("{scheme}://shop.test{port}/a/b?c")),
        (Redirect { https: Some(true), status: 301, ..none.clone() }, 301, "https://shop.test/a/b?c".into()),
        (
            Redirect {
                host: Some("b.test".into()),
                https: Some(false),
                listener: Some(8080),
                ..none.clone()
            },
            302,
            "http://b.test/a/b?c".into(),
        ),
        (
            Redirect { port: Some(8443), https: Some(true), path: cut(2, "/new"), ..none.clone() },
            302,
            "https://shop.test:8443/new/b?c".into(),
        ),
        (
            Redirect { https: Some(true), path: Some(Rewrite::Whole("/x".into())), ..none },
            302,
            "https://shop.test/x?c".into(),
        ),
    ] {
        rig.rule(redirect(redirects));
        let mut client = rig.connect();
        client.send("GET /a/b?c HTTP/1.1\r\nHost: Shop.test:80\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("location")), (status, Some(at.as_str())));
    }
    assert_eq!(rig.waiting(), 0);
    rig.finish();
}

#[test]
fn a_routes_policy_counts_before_the_workloads() {
    let replica = Replica::hello();
    let policy = Policy { max_request_body: 3, ..Policy::local(4) };
    let rig = rig(&replica, Rule { policy: Some(Arc::new(policy)), ..Rule::default() });
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.answer().status(), 200);
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nabcd");
    client.answer().is_problem(413, "body-too-large");
    drop(client);
    rig.finish();
}

#[test]
fn for_a_backend_without_endpoints_nobody_waits_and_nobody_hears_of_it() {
    let mut rig = Rig::new(&[]);
    rig.change(|workload| workload.mode = Mode::Plain);
    // What was reported before it was known as one.
    rig.reported_waiting();
    let mut client = rig.connect();
    let answer = client.get("/");
    answer.is_problem(503, "no-endpoint");
    assert_eq!(answer.field("retry-after"), Some("1"));
    // One that is on its way is waited for.
    rig.change(|workload| workload.replicas = Replicas { desired: 1, ready: 0, starting: 1 });
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it waits", || rig.waiting() == 1);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    assert_eq!(client.answer().status(), 200);
    // And whoever waits for one that is lost is told.
    rig.change(|workload| workload.endpoints.clear());
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it waits", || rig.waiting() == 1);
    rig.change(|workload| workload.replicas = Replicas::default());
    client.answer().is_problem(503, "no-endpoint");
    assert_eq!(rig.reported_waiting(), None, "reports say nothing of it");
    drop(client);
    rig.finish();
}
