//! Paths that wake nothing: the proxy's to answer where no replica is ready, a replica's where one is, and never a sign that
//! anybody uses the workload.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use http::Request;
use kaos_core::report::{EndpointLoad, HoldState};
use kaos_core::snapshot::{Hold, Replicas, StartFailure, Targets};
use kaos_core::{EndpointUid, HoldId, Moment, Reading, Sums};
use support::http2::{empty, get, open, rest, send};
use support::{Answer, Replica, Rig, until};

const PATHS: (&str, &str) = ("no-wake-paths", "/healthz=200,/metrics=404,/gone=204,/late=503,/odd=299");
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const CHECK: &str = "GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n";

/// Checks that it is the proxy's own answer for such a path.
#[track_caller]
fn is_own(answer: &Answer, status: u16) {
    assert_eq!((answer.status(), answer.text().as_str()), (status, ""), "{}", answer.head);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("content-length"), (status != 204).then_some("0"), "{}", answer.head);
    assert!(answer.field("x-request-id").is_some_and(|id| !id.is_empty()));
    assert_eq!((answer.field("content-type"), answer.field("retry-after")), (None, None));
}

/// What is counted as somebody's use.
fn used(rig: &Rig) -> (Option<Moment>, Sums) {
    let counts = rig.shop().counts;
    (counts.last_activity, counts.running)
}

/// What is reported of a picture that is published for the purpose.
fn reported(rig: &mut Rig) -> Reading {
    rig.change(|_| {});
    let version = rig.version();
    let mut found = None;
    until("it is reported", || {
        while let Ok(report) = rig.reports.try_recv() {
            let readings = report.workloads.into_iter().filter(|(id, _)| id.name() == "shop");
            found =
                readings.map(|(_, reading)| reading).find(|reading| reading.seen == version).or(found.take());
        }
        found.is_some()
    });
    found.unwrap()
}

fn hold(id: &str) -> Option<Hold> {
    Some(Hold { id: HoldId::new(id), by: "test".into(), targets: Targets::All })
}

/// A replica that answers a request when it is told to.
fn held_back() -> (Replica, SyncSender<()>) {
    let (go, wait) = sync_channel::<()>(100);
    let wait = Mutex::new(wait);
    let replica = Replica::strict(move |_, client| {
        if wait.lock().unwrap().recv().is_ok() {
            client.send(HELLO);
        }
    });
    (replica, go)
}

#[test]
fn at_zero_they_are_answered_at_once_and_wake_nothing() {
    let mut rig = Rig::new(&[PATHS]);
    let mut client = rig.connect();
    for (target, status) in [
        ("/healthz", 200),
        ("/healthz?verbose", 200),
        ("/a/../healthz", 200),
        ("http://shop/metrics", 404),
        ("/gone", 204),
        ("/late", 503),
        ("/odd", 299),
    ] {
        is_own(&client.get(target), status);
    }
    client.send("GET /healthz HTTP/1.1\r\nHost: shop\r\nX-Request-Id: abc\r\n\r\n");
    assert_eq!(client.answer().field("x-request-id"), Some("abc"));
    client.send("HEAD /metrics HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 404 Not Found\r\n"));
    client.send("POST /healthz HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.answer();
    is_own(&answer, 200);
    assert_eq!(answer.field("connection"), Some("close"), "nobody has read the body");
    assert!(client.is_ended());

    assert_eq!(used(&rig), (None, Sums::default()));
    let shop = rig.shop();
    assert_eq!((shop.waiting, shop.counts.queue_waits.count(), shop.counts.cold_requests), (0, 0, 0));
    until("they are counted as requests", || (rig.counted(200), rig.counted(404)) == (5, 2));
    assert_eq!(rig.shop().counts.rejected, [("no-wake", 10)]);
    let reading = reported(&mut rig);
    assert_eq!((reading.waiting, reading.last_activity), (Sums::default(), None));
    rig.finish();
}

#[test]
fn only_the_very_path_counts() {
    let rig = Rig::new(&[PATHS]);
    let mut clients = Vec::new();
    for target in ["/healthz/", "/Healthz", "/healthz/live", "/health", "/", "/?/healthz", "//healthz"] {
        let mut client = rig.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        clients.push(client);
        until("it waits", || rig.waiting() == clients.len() as u32);
    }
    drop(clients);
    rig.finish();
}

#[test]
fn while_it_wakes_or_cant_they_are_answered_too() {
    let mut rig = Rig::new(&[PATHS]);
    let mut waiting = rig.connect();
    waiting.send(GET);
    until("it waits", || rig.waiting() == 1);
    let before = used(&rig);
    rig.change(|shop| shop.replicas = Replicas { desired: 1, ready: 0, starting: 1 });
    let mut client = rig.connect();
    is_own(&client.get("/healthz"), 200);
    assert_eq!((rig.waiting(), used(&rig)), (1, before));
    rig.fail(Some(StartFailure {
        because: "exited".into(),
        detail: "exit status 3".into(),
        attempts: 1,
        known: true,
        retry_at: Moment::from_secs(3600),
    }));
    rig.change(|shop| shop.replicas = Replicas::default());
    waiting.answer().is_problem(503, "start-failed");
    is_own(&client.get("/healthz"), 200);
    rig.change(|shop| {
        let policy = shop.policy.with([("no-wake-paths", "/healthz=503")]).unwrap();
        shop.policy = std::sync::Arc::new(policy);
    });
    is_own(&client.get("/healthz"), 503);
    client.get("/metrics").is_problem(503, "start-failed");
    drop((client, waiting));
    rig.finish();
}

#[test]
fn a_ready_replica_answers_them_and_stays_idle() {
    let mut rig = Rig::new(&[PATHS]);
    let replica = Replica::strict(|request, client| match request.target.as_str() {
        "/metrics" => {
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for _ in 0..3 {
                std::thread::park_timeout(Duration::from_millis(20));
                client.send("5\r\nhello\r\n");
            }
            client.send("0\r\n\r\n");
        }
        _ => client.send(HELLO),
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    assert_eq!(client.get("/").text(), "hello");
    until("it is over", || rig.in_flight() == 0);
    let before = used(&rig);
    assert_eq!(before.1.started, 1);
    for _ in 0..20 {
        assert_eq!(client.get("/healthz").text(), "hello");
    }
    assert_eq!(client.get("/metrics").text(), "hellohellohello");
    client.send("POST /healthz HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.answer().text(), "hello");
    until("they are counted as requests", || rig.counted(200) == 23);
    assert_eq!(replica.seen().len(), 23);
    assert_eq!(used(&rig), before, "nobody has used it");
    assert_eq!(reported(&mut rig).last_activity, before.0.map(Moment::micros));
    assert_eq!(client.get("/").text(), "hello");
    until("that was use", || used(&rig).1.finished == 2 && used(&rig).0 > before.0);
    drop(client);
    rig.finish();
}

#[test]
fn one_that_is_under_way_is_finished_before_a_hold_is_confirmed() {
    let mut rig = Rig::new(&[PATHS]);
    let (replica, go) = held_back();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send(CHECK);
    until("it is there", || replica.seen().len() == 1);
    assert_eq!((rig.in_flight(), rig.totals().upstream_active), (0, 1), "it is no load");
    let one = EndpointLoad { uid: EndpointUid::new("a"), in_flight: 1 };
    assert_eq!(reported(&mut rig).endpoints, [one]);
    rig.hold(hold("one"));
    let state = |reading: Reading| reading.hold.map(|answer| answer.state);
    assert_eq!(state(reported(&mut rig)), Some(HoldState::Draining));
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "hello");
    until("it is confirmed", || state(reported(&mut rig)) == Some(HoldState::Confirmed));
    drop(client);
    rig.finish();
}

#[test]
fn a_hold_goes_on() {
    let mut rig = Rig::new(&[PATHS]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    assert_eq!(client.get("/healthz").text(), "hello");
    until("it is over", || rig.totals().upstream_active == 0);
    rig.hold(hold("one"));
    replica.seen();
    for _ in 0..5 {
        is_own(&client.get("/healthz"), 200);
        is_own(&client.get("/metrics"), 404);
    }
    let reading = reported(&mut rig);
    assert_eq!(reading.hold.unwrap().state, HoldState::Confirmed);
    assert_eq!((reading.waiting, reading.last_activity), (Sums::default(), None));
    assert_eq!(replica.seen().len(), 0);
    rig.hold(None);
    assert_eq!(client.get("/healthz").text(), "hello");
    drop(client);
    rig.finish();
}

#[test]
fn where_all_slots_are_taken_they_wait_unheard_until_there_is_one_or_no_replica() {
    let mut rig = Rig::new(&[PATHS, ("container-concurrency", "1")]);
    let (replica, go) = held_back();
    rig.add("a", replica.address);
    let mut busy = rig.connect();
    let mut client = rig.connect();
    for way in ["a slot", "a hold", "no replica"] {
        busy.send(GET);
        until("it is there", || rig.in_flight() == 1);
        client.send(CHECK);
        until("it waits", || rig.waiting() == 1);
        assert_eq!(reported(&mut rig).waiting.open(), 0, "{way}");
        match way {
            "a slot" => (0..2).for_each(|_| go.send(()).unwrap()),
            "a hold" => rig.hold(hold("one")),
            _ => rig.remove("a"),
        }
        match way {
            "a slot" => assert_eq!(client.answer().text(), "hello"),
            _ => {
                is_own(&client.answer(), 200);
                go.send(()).unwrap();
            }
        }
        assert_eq!(busy.answer().text(), "hello", "{way}");
        until("it is over", || rig.in_flight() == 0);
        rig.hold(None);
    }
    drop((busy, client));
    rig.finish();
}

#[test]
fn over_http_2_it_is_the_same() {
    let mut rig = Rig::new(&[PATHS]);
    let sender = open(&rig);
    for (target, status) in [("/healthz?a", 200), ("/metrics", 404), ("/gone", 204), ("/odd", 299)] {
        let response = send(&rig, &sender, get(target));
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(response.headers().contains_key("x-request-id"));
        assert!(!response.headers().contains_key("content-type"));
        assert!(rest(&rig, response).0.is_empty());
    }
    let head = Request::head("http://shop/healthz").body(empty()).unwrap();
    assert_eq!(send(&rig, &sender, head).status(), 200);
    assert_eq!((used(&rig), rig.waiting()), ((None, Sums::default()), 0));
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let response = send(&rig, &sender, get("/healthz"));
    assert_eq!(&rest(&rig, response).0[..], b"hello");
    until("it is counted", || rig.counted(200) == 3);
    assert_eq!(used(&rig), (None, Sums::default()));
    drop(sender);
    rig.finish();
}
