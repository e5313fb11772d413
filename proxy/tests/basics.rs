//! A request's plain way: there, answered, counted.

mod support;

use support::{Replica, Rig, until};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, x-private\r\nX-Private: no\r\nX-Public: yes\r\n\r\nhello";
const KEPT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_request_is_answered_and_both_connections_are_used_again() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::answering(KEPT);
    rig.add("a", replica.address);
    let mut client = rig.connect();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.field("x-request-id").unwrap().len(), 32);
    }
    assert_eq!(replica.accepted(), 1);
    until("three are counted", || rig.counted(200) == 3);
    assert!(rig.holds_sockets());
    drop(client);
    rig.finish();
}

#[test]
fn a_request_waits_for_a_replica_and_says_so() {
    let mut rig = Rig::new(&[]);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it waits", || rig.waiting() == 1);
    let report = rig.reports.blocking_recv().unwrap();
    assert_eq!(report.version, 1);
    let replica = Replica::answering(KEPT);
    rig.add("a", replica.address);
    let answer = client.answer();
    assert_eq!(answer.field("x-kaos-cold-start"), Some("true"));
    assert!(answer.field("server-timing").unwrap().starts_with("cold;dur="), "{}", answer.head);
    assert_eq!(client.get("/").field("x-kaos-cold-start"), None);
    drop(client);
    rig.finish();
}

#[test]
fn fields_of_one_hop_end_there() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::answering(HELLO);
    rig.add("a", replica.address);
    let answer = rig.connect().get("/");
    assert_eq!(answer.field("x-public"), Some("yes"));
    assert_eq!((answer.field("x-private"), answer.field("connection")), (None, None));
    rig.finish();
}

#[test]
fn http2_in_clear_is_answered_too() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::answering(KEPT);
    rig.add("a", replica.address);
    let address = rig.address;
    let (status, body) = rig.runtime.block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request =
            http::Request::get("http://shop/").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        (status, http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes())
    });
    assert_eq!((status.as_u16(), &body[..]), (200, &b"hello"[..]));
    rig.finish();
}
