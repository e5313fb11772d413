//! Where a request goes: its host, its target, its method, and how large its head may be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use kaos_core::host::HostPattern;
use support::{Replica, Rig};

fn rig() -> (Rig, Replica) {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    (rig, replica)
}

#[test]
fn a_host_is_found_whatever_its_case_port_and_last_dot() {
    let (mut rig, replica) = rig();
    rig.change(|shop| {
        shop.hosts = ["app.test", "[::1]", "xn--bcher-kva.example"]
            .map(|host| HostPattern::parse(host).unwrap())
            .into();
    });
    let mut client = rig.connect();
    for (host, status) in [
        ("app.test", 200),
        ("APP.Test", 200),
        ("APP.Test:80", 200),
        ("app.test:8080", 200),
        ("app.test.", 200),
        ("App.Test.:80", 200),
        ("[::1]", 200),
        ("[::1]:8080", 200),
        ("xn--bcher-kva.example", 200),
        ("XN--bcher-KVA.example", 200),
        ("app.tes", 404),
        ("xapp.test", 404),
        ("a.app.test", 404),
        ("[::2]", 404),
        ("127.0.0.1", 404),
        ("xn--bcher.example", 404),
    ] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status(), status, "{host}");
        if status == 200 {
            assert_eq!(replica.saw_one().values("host"), [host]);
        } else {
            answer.is_problem(404, "no-route");
        }
    }
    drop(client);
    rig.finish();
}

#[test]
fn a_target_with_a_host_wins_over_the_field() {
    let (mut rig, replica) = rig();
    rig.change(|shop| shop.hosts = vec![HostPattern::parse("app.test").unwrap()]);
    for (target, field, host, path) in [
        ("http://app.test/x?y=z", "other.test", "app.test", "/x?y=z"),
        ("http://app.test/x", "app.test", "app.test", "/x"),
        ("HTTP://APP.test:80/x", "app.test", "APP.test:80", "/x"),
        ("http://app.test", "app.test", "app.test", "/"),
        ("http://app.test?q", "app.test", "app.test", "/?q"),
        ("/http://other.test/", "app.test", "app.test", "/http://other.test/"),
    ] {
        let mut client = rig.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {field}\r\n\r\n"));
        assert_eq!(client.answer().status(), 200, "{target}");
        let seen = replica.saw_one();
        assert_eq!((seen.values("host"), seen.target.as_str()), (vec![host], path), "{target}");
    }
    for (target, status) in [
        ("http://other.test/", 404),
        ("http:///", 400),
        ("http://", 400),
        ("http://u@app.test/", 400),
        ("http://app.test:x/", 400),
        ("http://app.test, a/", 400),
        ("ftp://app.test/", 400),
        ("app.test:80", 400),
        ("foo", 400),
        ("*", 400),
        ("?x", 400),
        ("//", 200),
    ] {
        let mut client = rig.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: app.test\r\n\r\n"));
        assert_eq!(client.answer().status(), status, "{target}");
    }
    assert_eq!(replica.seen().len(), 1);
    rig.finish();
}

#[test]
fn a_target_is_passed_on_as_it_came_or_not_at_all() {
    let (rig, replica) = rig();
    let mut client = rig.connect();
    for target in [
        "/a%20b",
        "/a/../b",
        "//evil",
        "/\\evil",
        "/{}",
        "/%2e%2e/",
        "/?%zz",
        "/a?b?c",
        "/;a=b",
        "/%0d%0aX:y",
        "/\"<>^`|",
    ] {
        assert_eq!(client.get(target).status(), 200, "{target}");
        assert_eq!(replica.saw_one().target, target);
    }
    for target in ["/a%00b", "/%zz", "/%2", "/%", "/a#b"] {
        let mut client = rig.connect();
        client.get(target).is_problem(400, "bad-request");
        assert!(client.is_ended());
    }
    assert_eq!(replica.seen(), []);
    drop(client);
    rig.finish();
}

#[test]
fn routes_are_found_by_what_a_path_means() {
    let (mut rig, replica) = rig();
    rig.change(|shop| shop.path = "/shop".into());
    let mut client = rig.connect();
    for (target, status) in [
        ("/shop", 200),
        ("/shop/a", 200),
        ("/x/../shop/a", 200),
        ("/%2e%2e/shop", 200),
        ("/shop?/..", 200),
        ("/", 404),
        ("/shopping", 404),
        ("/shop/../admin", 404),
        ("/shop/%2e%2e/admin", 404),
        ("/shop/..%2fadmin", 404),
        ("/Shop", 404),
    ] {
        assert_eq!(client.get(target).status(), status, "{target}");
    }
    assert_eq!(replica.seen().len(), 5);
    drop(client);
    rig.finish();
}

#[test]
fn connect_and_trace_are_not_passed_on() {
    let (rig, replica) = rig();
    for request in [
        "CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
        "CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello",
        "CONNECT / HTTP/1.1\r\nHost: shop\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: shop\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: shop\r\nMax-Forwards: 0\r\n\r\n",
    ] {
        let mut client = rig.connect();
        client.send(request);
        let answer = client.answer();
        answer.is_problem(405, "method-not-allowed");
        assert_eq!((answer.field("connection"), client.is_ended()), (Some("close"), true), "{request:?}");
        assert!(answer.field("allow").is_some());
    }
    assert_eq!(replica.accepted(), 0);
    let mut client = rig.connect();
    for (line, method, target) in [
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*"),
        ("PROPFIND /x HTTP/1.1", "PROPFIND", "/x"),
        ("get / HTTP/1.1", "get", "/"),
    ] {
        client.send(format!("{line}\r\nHost: shop\r\n\r\n"));
        assert_eq!(client.answer().status(), 200);
        let seen = replica.saw_one();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), (method, target));
    }
    drop(client);
    rig.finish();
}

#[test]
fn a_head_has_a_largest_size() {
    let (rig, replica) = rig();
    let fields = |count: usize| (0..count).map(|at| format!("X-{at}: y\r\n")).collect::<String>();
    let long = |length: usize| "x".repeat(length);
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: shop\r\n{}\r\n", fields(99)), 200),
        (format!("GET / HTTP/1.1\r\nHost: shop\r\n{}\r\n", fields(100)), 431),
        (format!("GET / HTTP/1.1\r\nHost: shop\r\nX: {}\r\n\r\n", long(31 * 1024)), 200),
        (format!("GET / HTTP/1.1\r\nHost: shop\r\nX: {}\r\n\r\n", long(33 * 1024)), 431),
        (format!("GET / HTTP/1.1\r\nHost: shop\r\nX: {}", long(33 * 1024)), 431),
        (format!("GET / HTTP/1.1\r\nHost: shop\r\n{}: y\r\n\r\n", long(33 * 1024)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: shop\r\n\r\n", long(16 * 1024 - 1)), 200),
        (format!("GET /{} HTTP/1.1\r\nHost: shop\r\n\r\n", long(16 * 1024)), 414),
        (format!("GET /{}", long(40 * 1024)), 414),
        (format!("{} / HTTP/1.1\r\nHost: shop\r\n\r\n", "M".repeat(40 * 1024)), 414),
        ("\r\n".repeat(40 * 1024), 431),
    ] {
        let mut client = rig.connect();
        // The rest of what is refused may be refused too.
        client.try_send(&request);
        let answer = client.answer();
        assert_eq!(answer.status(), status, "{request:.60?}");
        if status != 200 {
            assert_eq!((answer.field("connection"), client.is_ended()), (Some("close"), true));
        }
    }
    assert_eq!(replica.seen().len(), 3);
    rig.finish();
}

#[test]
fn a_head_that_comes_byte_by_byte_is_refused_at_the_same_size() {
    let (rig, replica) = rig();
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\nX: ");
    let begun = std::time::Instant::now();
    for _ in 0..33 * 1024 {
        if !client.try_send("x") {
            break;
        }
    }
    eprintln!("33 KiB byte by byte took {:?}", begun.elapsed());
    client.answer().is_problem(431, "header-too-large");
    assert!(client.is_ended());
    assert_eq!(replica.accepted(), 0);
    rig.finish();
}

#[test]
fn a_hundred_thousand_hosts_leave_no_trace() {
    let mut rig = Rig::new(&[]);
    rig.withdraw();
    let traces = |rig: &Rig| {
        let totals = rig.totals();
        (totals.workloads.len(), totals.strays.codes.len(), totals.strays.rejected.len())
    };
    let mut client = rig.connect();
    client.get("/").is_problem(404, "no-route");
    let before = traces(&rig);
    for batch in 0..1000 {
        let requests: String =
            (0..100).map(|at| format!("GET /{at} HTTP/1.1\r\nHost: h{batch}-{at}.test\r\n\r\n")).collect();
        client.send(requests);
        for _ in 0..100 {
            assert_eq!(client.answer().status(), 404);
        }
        assert_eq!(traces(&rig), before);
    }
    assert_eq!(rig.counted(404), 100_001);
    drop(client);
    rig.finish();
}
