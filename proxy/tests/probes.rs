//! Replicas that a proxy finds ready before the platform says so: what it tries, when, and what it does with the answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kaos_core::snapshot::{Check, Phase, Probe, StartTimes};
use support::{Client, Replica, Rig, Vacant, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn check(port: u16, probe: Probe) -> Check {
    Check { port, timeout: Duration::from_secs(1), probe }
}

fn http(path: &str) -> Probe {
    Probe::Http { path: path.into(), tls: false, headers: Vec::new() }
}

/// A workload whose one replica is starting at `address` and has to pass `checks`.
fn starting(address: SocketAddr, checks: Vec<Check>) -> Rig {
    let mut rig = Rig::new(&[]);
    rig.change(|shop| shop.checks = checks.into());
    rig.list("a", address, Phase::Starting, StartTimes::default());
    rig
}

fn waiting(rig: &Rig) -> Client {
    let mut client = rig.connect();
    client.send(GET);
    until("it waits", || rig.waiting() == 1);
    client
}

/// A phase of a cold start, in milliseconds.
fn phase(answer: &support::Answer, name: &str) -> f64 {
    let timing = answer.field("server-timing").unwrap();
    let of = timing.split(", ").find_map(|phase| phase.strip_prefix(&format!("{name};dur="))).unwrap();
    of.parse().unwrap()
}

#[test]
fn a_request_goes_over_the_connection_that_found_its_replica_ready() {
    let vacant = Vacant::new();
    let address = vacant.address;
    let mut rig = starting(address, vec![check(address.port(), Probe::Tcp)]);
    let mut client = waiting(&rig);
    let replica = Replica::at(address, |mut client| {
        while client.next_request().is_some() {
            client.send(HELLO);
        }
    })
    .unwrap();
    let answer = client.answer();
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.field("x-kaos-cold-start"), Some("true"));
    let phases: f64 = ["decide", "start", "ready"].iter().map(|name| phase(&answer, name)).sum();
    assert!(phase(&answer, "ready") > 0.0 && phases <= phase(&answer, "cold") + 0.2, "{}", answer.head);
    assert_eq!(replica.accepted(), 1, "the connection that was tried is the one that is used");
    // The platform's word comes later, and changes nothing.
    rig.change(|shop| shop.endpoints[0].phase = Phase::Ready);
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(replica.accepted(), 1);
    drop(client);
    rig.finish();
}

#[test]
fn nothing_is_tried_while_nobody_waits() {
    let replica = Replica::hello();
    let rig = starting(replica.address, vec![check(replica.address.port(), Probe::Tcp)]);
    let mut idle = rig.connect();
    assert!(idle.is_silent_for(Duration::from_millis(200)));
    assert_eq!(replica.accepted(), 0);
    assert_eq!(idle.get("/").text(), "hello");
    drop(idle);
    rig.finish();
}

#[test]
fn who_leaves_ends_the_tries() {
    let replica = Replica::answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    let rig = starting(replica.address, vec![check(replica.address.port(), http("/ready"))]);
    let client = waiting(&rig);
    until("it is tried", || replica.accepted() > 2);
    drop(client);
    until("nobody waits", || rig.waiting() == 0);
    let mut idle = rig.connect();
    assert!(idle.is_silent_for(Duration::from_millis(100)), "the last try ends");
    let tried = replica.accepted();
    assert!(idle.is_silent_for(Duration::from_millis(300)));
    assert_eq!(replica.accepted(), tried);
    drop(idle);
    rig.finish();
}

#[test]
fn a_get_is_sent_as_the_pod_says_and_its_connection_serves_the_first_request() {
    let ready = Arc::new(AtomicBool::new(false));
    let (is_ready, tries) = (ready.clone(), Arc::new(AtomicUsize::new(0)));
    let tried = tries.clone();
    let replica = Replica::strict(move |request, client| {
        if request.target == "/healthz?deep=1" {
            assert_eq!(request.values("x-probe"), ["yes"]);
            assert_eq!(request.values("host"), ["probe.test"]);
            tried.fetch_add(1, Ordering::SeqCst);
            let status = if is_ready.load(Ordering::SeqCst) { "302 Found" } else { "503 Wait" };
            client.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok"));
        } else {
            client.send(HELLO);
        }
    });
    let probe = Probe::Http {
        path: "/healthz?deep=1".into(),
        tls: false,
        headers: vec![("X-Probe".into(), "yes".into()), ("Host".into(), "probe.test".into())],
    };
    let rig = starting(replica.address, vec![check(replica.address.port(), probe)]);
    let mut client = waiting(&rig);
    until("it was tried more than once", || tries.load(Ordering::SeqCst) > 2);
    assert_eq!(rig.waiting(), 1, "503 isn't ready");
    ready.store(true, Ordering::SeqCst);
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(replica.accepted(), tries.load(Ordering::SeqCst), "the last try's connection was kept");
    drop(client);
    rig.finish();
}

#[test]
fn all_checks_must_pass() {
    let sidecar = Vacant::new();
    let replica = Replica::hello();
    let checks =
        vec![check(replica.address.port(), http("/ready")), check(sidecar.address.port(), Probe::Tcp)];
    let rig = starting(replica.address, checks);
    let mut client = waiting(&rig);
    until("the first is tried", || replica.accepted() > 2);
    assert!(client.is_silent_for(Duration::from_millis(100)));
    let _sidecar = TcpListener::bind(sidecar.address).unwrap();
    assert_eq!(client.answer().text(), "hello");
    drop(client);
    rig.finish();
}

#[test]
fn the_platforms_word_opens_a_replica_too() {
    for probe in [http("/ready"), Probe::Http { path: "/".into(), tls: true, headers: Vec::new() }] {
        let replica = Replica::strict(|request, client| {
            let status = if request.target == "/ready" { 500 } else { 200 };
            client.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nhello"));
        });
        let tls = matches!(probe, Probe::Http { tls: true, .. });
        let mut rig = starting(replica.address, vec![check(replica.address.port(), probe)]);
        let mut client = waiting(&rig);
        assert!(client.is_silent_for(Duration::from_millis(100)));
        assert_eq!(replica.accepted() == 0, tls, "over TLS nothing is tried");
        rig.change(|shop| shop.endpoints[0].phase = Phase::Ready);
        assert_eq!(client.answer().text(), "hello");
        drop(client);
        rig.finish();
    }
}

#[test]
fn a_replica_that_goes_away_gets_nothing_whatever_it_answers() {
    let replica = Replica::hello();
    let mut rig = starting(replica.address, vec![check(replica.address.port(), Probe::Tcp)]);
    rig.change(|shop| shop.endpoints[0].phase = Phase::Terminating);
    let mut client = waiting(&rig);
    assert!(client.is_silent_for(Duration::from_millis(200)));
    assert_eq!(replica.accepted(), 0);
    // One that was found ready, too.
    rig.change(|shop| shop.endpoints[0].phase = Phase::Starting);
    assert_eq!(client.answer().text(), "hello");
    rig.change(|shop| shop.endpoints[0].phase = Phase::Terminating);
    client.send(GET);
    until("it waits", || rig.waiting() == 1);
    assert!(client.is_silent_for(Duration::from_millis(200)));
    drop(client);
    rig.finish();
}

#[test]
fn one_that_was_ready_and_refuses_is_let_be_for_another() {
    let vacant = Vacant::new();
    let address = vacant.address;
    let mut rig = starting(address, vec![check(address.port(), Probe::Tcp)]);
    let mut client = waiting(&rig);
    // It accepts the try, and nothing after it.
    let listener = TcpListener::bind(address).unwrap();
    drop(listener.accept().unwrap());
    drop(listener);
    assert!(client.is_silent_for(Duration::from_millis(200)));
    let other = Replica::hello();
    rig.list("b", other.address, Phase::Ready, StartTimes::default());
    assert_eq!(client.answer().text(), "hello");
    drop(client);
    rig.finish();
}

/// A gRPC server that answers health checks with `status`.
fn grpc(rig: &Rig, status: &Arc<AtomicU8>, asked: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let (status, asked) = (status.clone(), asked.clone());
    rig.runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let (status, asked) = (status.clone(), asked.clone());
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (status, asked) = (status.clone(), asked.clone());
                async move {
                    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                    assert_eq!(request.headers()["content-type"], "application/grpc");
                    let question = request.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(question[..], *b"\0\0\0\0\x06\x0a\x04shop");
                    asked.fetch_add(1, Ordering::SeqCst);
                    let answer = [0, 0, 0, 0, 2, 8, status.load(Ordering::SeqCst)];
                    let trailers = http::HeaderMap::from_iter([(
                        http::HeaderName::from_static("grpc-status"),
                        http::HeaderValue::from_static("0"),
                    )]);
                    let frames = [Frame::data(Bytes::copy_from_slice(&answer)), Frame::trailers(trailers)];
                    Ok::<_, std::convert::Infallible>(http::Response::new(Frames(frames.into())))
                }
            });
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

/// A body of given frames.
struct Frames(std::collections::VecDeque<Frame<Bytes>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[test]
fn a_grpc_server_is_ready_when_it_says_that_it_serves() {
    let replica = Replica::hello();
    let mut rig = Rig::new(&[]);
    let (status, asked) = (Arc::new(AtomicU8::new(2)), Arc::new(AtomicUsize::new(0)));
    let health = grpc(&rig, &status, &asked);
    rig.change(|shop| {
        shop.checks = [check(health.port(), Probe::Grpc { service: "shop".into() })].into();
    });
    rig.list("a", replica.address, Phase::Starting, StartTimes::default());
    let mut client = waiting(&rig);
    until("it was asked more than once", || asked.load(Ordering::SeqCst) > 2);
    assert_eq!(rig.waiting(), 1, "2 is NOT_SERVING");
    status.store(1, Ordering::SeqCst);
    assert_eq!(client.answer().text(), "hello");
    drop(client);
    rig.finish();
}

#[test]
fn many_that_hang_dont_keep_others_from_being_tried() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    let port = replica.address.port();
    rig.change(|shop| {
        shop.checks = [Check { port, timeout: Duration::from_millis(50), probe: http("/ready") }].into();
    });
    // All the same port, on addresses of their own: those that hang accept and say nothing.
    let hanging: Vec<_> = (2..=101)
        .filter_map(|host| TcpListener::bind(SocketAddr::from(([127, 0, 1, host], port))).ok())
        .collect();
    assert_eq!(hanging.len(), 100);
    for (at, listener) in hanging.iter().enumerate() {
        rig.list(&format!("h{at}"), listener.local_addr().unwrap(), Phase::Starting, StartTimes::default());
    }
    let mut client = waiting(&rig);
    rig.list("z", replica.address, Phase::Starting, StartTimes::default());
    assert_eq!(client.answer().text(), "hello");
    drop((client, hanging));
    rig.finish();
}
