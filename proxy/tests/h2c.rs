//! Replicas that speak HTTP/2: what reaches them, and what comes back, from clients of either version.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Frame;
use support::h2c::{Http2, Seen, remembering};
use support::http2::{Fed, empty, full, get, is_problem, open, rest, send};
use support::{Replica, Rig, until};
use tokio::sync::mpsc;

#[test]
fn what_reaches_the_replica_is_the_same_from_either_client() {
    let seen = Seen::default();
    let replica = remembering(&seen);
    let rig = replica.rig(&[]);
    let mut client = rig.connect();
    client.send(
        "POST /a?b=c HTTP/1.1\r\nHost: shop:80\r\nCookie: a=b\r\nTE: trailers\r\nConnection: TE, x-private, close\r\n\
         X-Private: 1\r\nX-Public: yes\r\nX-Forwarded-For: spoofed\r\nTransfer_Encoding: x\r\nKeep-Alive: 5\r\n\
         Proxy-Authorization: secret\r\nX-Request-Id: abc\r\nContent-Length: 2\r\n\r\nhi",
    );
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.field("x-request-id"), Some("abc"));
    let sender = open(&rig);
    let request = Request::post("http://shop:80/a?b=c")
        .header("cookie", "a=b")
        .header("te", "trailers")
        .header("x-public", "yes")
        .header("x-forwarded-for", "spoofed")
        .header("proxy-authorization", "secret")
        .header("x-request-id", "abc")
        .header("content-length", "2")
        .body(full("hi"))
        .unwrap();
    assert_eq!(&rest(&rig, send(&rig, &sender, request)).0[..], b"hello");
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!((request.method().as_str(), request.version()), ("POST", Version::HTTP_2));
        assert_eq!(request.uri().to_string(), "http://shop:80/a?b=c");
        let mut fields: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "content-length: 2",
                "cookie: a=b",
                "forwarded: for=127.0.0.1;host=\"shop:80\";proto=http",
                "te: trailers",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: shop:80",
                "x-forwarded-proto: http",
                "x-public: yes",
                "x-request-id: abc",
            ]
        );
    }
    drop((client, sender));
    rig.finish();
}

#[test]
fn large_bodies_arrive_whole_both_ways_on_few_connections() {
    let replica = Http2::echo();
    let rig = replica.rig(&[]);
    let sender = open(&rig);
    let mut client = rig.connect();
    for length in [0, 1, 65_535, 100_000, 5_000_003] {
        let content: Vec<u8> = (0..length).map(|at: usize| (at / 7 * 31) as u8).collect();
        for said in [true, false] {
            let body = full(content.clone());
            let mut request = Request::put("http://shop/");
            // Without a length it has none to say.
            let body = if said { body } else { body.map_frame(|frame| frame).boxed() };
            if said {
                request = request.header("content-length", length);
            }
            let response = send(&rig, &sender, request.body(body).unwrap());
            assert!(rest(&rig, response).0 == content, "{length} {said}");
            let mut sending = support::Client::of(client.stream.try_clone().unwrap());
            let content = content.clone();
            let upload = std::thread::spawn(move || match said {
                true => {
                    sending.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
                    sending.send(&content);
                }
                false => {
                    sending.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                    for chunk in content.chunks(70_000) {
                        sending.send(format!("{:x}\r\n", chunk.len()));
                        sending.send([chunk, b"\r\n"].concat());
                    }
                    sending.send("0\r\n\r\n");
                }
            });
            let answer = client.answer();
            upload.join().unwrap();
            assert_eq!(answer.body.len(), length, "{said}");
            // The head may have come before the request's end: then the connection closes after it.
            if answer.field("connection").is_some() {
                client = rig.connect();
            }
        }
    }
    assert!(replica.accepted() < 10, "{} connections for 20 requests", replica.accepted());
    drop((client, sender));
    rig.finish();
}

#[test]
fn answers_without_content_leave_the_clients_connection_usable() {
    let replica = Http2::new(|mut stream| async move {
        stream.read().await;
        let status = stream.head.uri.path().trim_start_matches('/').parse().unwrap_or(200);
        let mut response = Response::builder().status(status);
        if stream.head.uri.query() == Some("length") {
            response = response.header("content-length", "7");
        }
        stream.respond.send_response(response.body(()).unwrap(), true).unwrap();
    });
    let rig = replica.rig(&[]);
    let sender = open(&rig);
    let mut client = rig.connect();
    for (method, target, length) in [
        ("GET", "/204", None),
        ("GET", "/304?length", Some("7")),
        ("GET", "/200", Some("0")),
        ("GET", "/404", Some("0")),
        ("HEAD", "/200?length", Some("7")),
        ("HEAD", "/200", None),
    ] {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        let head = client.head();
        let answer = support::Answer { head, ..Default::default() };
        assert_eq!(answer.field("content-length"), length, "{method} {target}: {}", answer.head);
        assert_eq!(answer.field("transfer-encoding"), None, "{method} {target}");
        assert_eq!(answer.field("connection"), None, "{method} {target}");
        let request = Request::builder().method(method).uri(format!("http://shop{target}"));
        let response = send(&rig, &sender, request.body(empty()).unwrap());
        assert_eq!(response.status().as_u16(), answer.status());
        assert!(rest(&rig, response).0.is_empty());
    }
    assert!(client.is_silent_for(std::time::Duration::from_millis(20)));
    drop((client, sender));
    rig.finish();
}

#[test]
fn trailers_pass_both_ways_as_each_client_takes_them() {
    let replica = Http2::echo();
    let rig = replica.rig(&[]);
    for (te, wanted) in [("TE: trailers\r\n", "grpc-status: 0\r\n"), ("", "")] {
        let mut client = rig.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: shop\r\n{te}Trailer: Grpc-Status\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nGrpc-Status: 0\r\nHost: evil\r\n\r\n"
        ));
        let answer = client.answer();
        assert_eq!((answer.text().as_str(), answer.trailers.as_str()), ("hi", wanted));
    }
    let sender = open(&rig);
    let (feed, fed) = mpsc::channel(4);
    feed.try_send(Frame::data(Bytes::from_static(b"hi"))).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("content-type", "text/evil".parse().unwrap());
    feed.try_send(Frame::trailers(trailers)).unwrap();
    drop(feed);
    let request = Request::post("http://shop/").body(Fed(fed).boxed()).unwrap();
    let (content, trailers) = rest(&rig, send(&rig, &sender, request));
    assert_eq!(&content[..], b"hi");
    assert_eq!((trailers.len(), &trailers["grpc-status"]), (1, &"0".parse().unwrap()));
    drop(sender);
    rig.finish();
}

#[test]
fn many_requests_share_a_connection_and_talk_both_ways_at_once() {
    let replica = Http2::echo();
    let rig = replica.rig(&[]);
    let sender = open(&rig);
    let mut conversations = Vec::new();
    for _ in 0..50 {
        let (feed, fed) = mpsc::channel(4);
        let response = send(&rig, &sender, Request::post("http://shop/").body(Fed(fed).boxed()).unwrap());
        assert_eq!(response.status(), StatusCode::OK, "the head comes before there is any content");
        conversations.push((feed, response.into_body()));
    }
    until("all are in flight", || rig.in_flight() == 50);
    for round in 0..3 {
        for (at, (feed, body)) in conversations.iter_mut().enumerate() {
            let said = format!("{round} of {at}");
            rig.runtime.block_on(async {
                feed.send(Frame::data(said.clone().into())).await.unwrap();
                let heard = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert_eq!(heard, said);
            });
        }
    }
    assert_eq!(replica.accepted(), 1);
    assert_eq!(rig.totals().upstream_active, 1, "a connection counts once");
    drop(conversations);
    // The same with a client of HTTP/1.
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 OK"));
    for round in ["a", "bc", "def"] {
        client.send(format!("{:x}\r\n{round}\r\n", round.len()));
        assert_eq!(client.chunk().unwrap(), round.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    drop((client, sender));
    rig.finish();
}

#[test]
fn what_doesnt_speak_http_2_is_said_to() {
    let http1 = Replica::new(|mut client| {
        if client.fill() > 0 {
            client.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let silent = Replica::new(|mut client| {
        client.fill();
    });
    for (replica, why) in [
        (&http1, "the replica doesn't speak HTTP/2 without TLS (protocol h2c)"),
        (&silent, "the replica ended the connection before it answered"),
    ] {
        let mut rig = Rig::new(&[("protocol", "h2c")]);
        rig.add("a", replica.address);
        let answer = rig.connect().get("/");
        answer.is_problem(502, "upstream-protocol");
        assert!(answer.text().contains(why), "{}", answer.text());
        rig.finish();
    }
}

#[test]
fn nothing_is_upgraded_and_nothing_woken_for_it() {
    let rig = Rig::new(&[("protocol", "h2c")]);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let answer = client.answer();
    answer.is_problem(400, "bad-request");
    assert!(answer.text().contains("protocol is h2c"), "{}", answer.text());
    assert!(client.is_ended());
    rig.finish();
}

#[test]
fn idle_connections_end() {
    let replica = Http2::echo();
    let rig = replica.rig(&[]);
    assert_eq!(rig.connect().get("/").status(), 200);
    assert_eq!(replica.open(), 1);
    until("the connection is counted as idle", || rig.totals().upstream_idle == 1);
    until("it ended", || replica.open() == 0);
    assert_eq!(rig.totals().upstream_idle, 0);
    // And the next request makes another.
    let sender = open(&rig);
    let response = send(&rig, &sender, get("/"));
    assert_eq!(response.status(), 200);
    drop((response, sender));
    rig.finish();
}

#[test]
fn a_workload_can_change_what_it_speaks() {
    let (one, two) = (Http2::echo(), Replica::hello());
    let mut rig = one.rig(&[]);
    assert_eq!(rig.connect().get("/").status(), 200);
    rig.remove("a");
    let policy = kaos_core::Policy::local(4);
    rig.change(|shop| shop.policy = std::sync::Arc::new(policy));
    rig.add("b", two.address);
    assert_eq!(rig.connect().get("/").text(), "hello");
    let sender = open(&rig);
    assert_eq!(rest(&rig, send(&rig, &sender, get("/"))).0, "hello");
    until("the old one's connection ended", || one.open() == 0);
    drop(sender);
    let withdrawn = open(&rig);
    rig.withdraw();
    is_problem(&rig, send(&rig, &withdrawn, get("/")), 404, "no-route");
    drop(withdrawn);
    rig.finish();
}
