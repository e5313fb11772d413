//! Fields that are for one hop end there, both ways; what the proxy says of the client can't be said by the client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use support::{Replica, Rig};

#[test]
fn fields_of_the_clients_hop_dont_reach_the_replica() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send(
        "GET / HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive, X-Private , x-more,,\r\nConnection: x-third\r\nX-Private: a\r\n\
         X-More: b\r\nX-Third: c\r\nX-Public: d\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n\
         Proxy-Authenticate: x\r\nTE: gzip\r\nTrailer: X\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
    );
    assert_eq!(client.answer().status(), 200);
    let seen = replica.saw_one();
    let mut names: Vec<_> = seen.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "forwarded",
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-public",
            "x-request-id"
        ]
    );
    drop(client);
    rig.finish();
}

#[test]
fn a_connection_field_cant_take_away_what_the_proxy_acts_on() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: shop\r\nConnection: host, x-forwarded-for, forwarded, x-request-id, content-length, x-forwarded-host, te\r\n\
         Content-Length: 5\r\nTE: trailers\r\n\r\nhello",
    );
    assert_eq!(client.answer().status(), 200);
    let seen = replica.saw_one();
    assert_eq!(seen.body, b"hello");
    for name in ["host", "x-forwarded-for", "forwarded", "x-request-id", "content-length", "x-forwarded-host"]
    {
        assert_eq!(seen.values(name).len(), 1, "{name}");
    }
    assert_eq!((seen.values("te"), seen.values("connection")), (vec!["trailers"], vec!["TE"]));
    drop(client);
    rig.finish();
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Forwarded-Anything",
        "X-Forwarded-Client-Cert",
        "Forwarded",
        "X-Real-IP",
        "x-forwarded-for",
        "X_Forwarded_For",
        "X_Forwarded-Host",
        "X-Forwarded_Proto",
        "X_Real_IP",
        "Content_Length",
        "Transfer_Encoding",
        "X_Request_Id",
        "HTTP2_Settings",
        "X-Kaos-Cold-Start",
    ] {
        client.send(format!("GET / HTTP/1.1\r\nHost: shop\r\n{name}: spoofed\r\n\r\n"));
        assert_eq!(client.answer().status(), 200);
        let seen = replica.saw_one();
        assert!(!seen.fields.iter().any(|(_, value)| value.contains("spoofed")), "{name}: {:?}", seen.fields);
        assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(seen.values("x-forwarded-host"), ["shop"]);
        assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
        assert_eq!(seen.values("forwarded"), ["for=127.0.0.1;host=\"shop\";proto=http"]);
    }
    drop(client);
    rig.finish();
}

#[test]
fn a_sane_request_id_is_kept_and_any_other_replaced() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    let long = "x".repeat(129);
    for (id, kept) in [
        ("abc-123", true),
        ("a.b_c~d+e/f=g:h@i", true),
        ("", false),
        ("a b", false),
        ("a\"b", false),
        ("a,b", false),
        (&long, false),
    ] {
        client.send(format!("GET / HTTP/1.1\r\nHost: shop\r\nX-Request-Id: {id}\r\n\r\n"));
        let answer = client.answer();
        let seen = replica.saw_one();
        assert_eq!(seen.values("x-request-id"), [answer.field("x-request-id").unwrap()]);
        assert_eq!(answer.field("x-request-id") == Some(id), kept, "{id}");
    }
    drop(client);
    rig.finish();
}

#[test]
fn fields_of_the_replicas_hop_dont_reach_the_client() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::strict(|_, client| {
        client.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, x-private\r\nX-Private: a\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\nTE: x\r\nTrailer: X\r\nUpgrade: h2c\r\nX-Request-Id: theirs\r\n\
             X-Kaos-Cold-Start: true\r\nServer-Timing: app;dur=1\r\nX-Public: b\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nok",
        );
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    for _ in 0..2 {
        let answer = client.get("/");
        let mut names: Vec<_> = answer
            .head
            .lines()
            .skip(1)
            .map(|line| line.split(':').next().unwrap().to_ascii_lowercase())
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["content-length", "server-timing", "set-cookie", "set-cookie", "x-public", "x-request-id"]
        );
        assert_ne!(answer.field("x-request-id"), Some("theirs"));
    }
    assert_eq!(replica.accepted(), 1);
    drop(client);
    rig.finish();
}

#[test]
fn trailers_go_both_ways_where_they_are_wanted_and_may_stand() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::strict(|_, client| {
        client.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\nContent-Length: 9\r\n\
             Host: evil\r\nTransfer-Encoding: x\r\nSet-Cookie: a=b\r\nX-Forwarded-For: evil\r\n\r\n",
        );
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    let body = "2\r\nhi\r\n0\r\nX-Check: 7\r\nHost: evil\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nAuthorization: x\r\nX_Forwarded_For: evil\r\n\r\n";
    for (te, wanted) in [
        ("TE: trailers\r\n", true),
        ("TE: gzip, trailers;q=0.5\r\n", false),
        ("TE: gzip\r\n", false),
        ("", false),
    ] {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n{te}\r\n{body}"
        ));
        let answer = client.answer();
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.trailers, if wanted { "X-Sum: 42\r\n" } else { "" }, "{te}");
        assert_eq!(answer.field("trailer").is_some(), wanted, "{te}");
        let seen = replica.saw_one();
        assert_eq!(seen.trailers, [("X-Check".into(), "7".into())]);
        assert_eq!(seen.values("te"), if wanted { vec!["trailers"] } else { vec![] });
    }
    drop(client);
    rig.finish();
}
