//! The gate: another proxy asks before it sends a request on by itself. What it is told, what is counted, and what isn't done
//! while its request may be under way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Request;
use kaos_core::report::HoldState;
use kaos_core::snapshot::{Check, Hold, Phase, Probe, Replicas, StartFailure, StartTimes, Targets};
use kaos_core::{EndpointUid, HoldId, Moment, ProxyId, Reading};
use support::http2::{empty, open_gate, rest, send};
use support::{Answer, Client, Replica, Rig, until};

const LONG: (&str, &str) = ("gate-request-time", "1h");
const ASK: &str = "/_kaos/gate/host/cart?x=1";
const HOUR: Duration = Duration::from_secs(3600);

/// Checks that the request may go, to `replica`.
#[track_caller]
fn may_go(answer: &Answer, replica: &Replica) {
    assert_eq!((answer.status(), answer.text().as_str()), (200, ""), "{}", answer.head);
    assert_eq!(answer.field("x-kaos-replica"), Some(replica.address.to_string().as_str()));
    assert_eq!(
        (answer.field("content-length"), answer.field("cache-control")),
        (Some("0"), Some("no-store"))
    );
    assert!(answer.field("x-request-id").is_some_and(|id| !id.is_empty()));
}

fn hold(id: &str, targets: Targets) -> Option<Hold> {
    Some(Hold { id: HoldId::new(id), by: "test".into(), targets })
}

fn state(reading: &Reading) -> Option<HoldState> {
    reading.hold.as_ref().map(|answer| answer.state)
}

/// A question that waits.
fn asking(rig: &Rig) -> Client {
    let mut client = rig.connect_to_gate();
    client.send(format!("GET {ASK} HTTP/1.1\r\nHost: shop\r\n\r\n"));
    client
}

#[test]
fn a_request_that_may_go_is_counted_and_presumed_to_be_under_way() {
    let mut rig = Rig::asked(&[LONG], None);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect_to_gate();
    for target in [ASK, "/_kaos/gate/workload/local/shop"] {
        may_go(&client.get(target), &replica);
    }
    client.send(
        "GET /_kaos/gate/forwarded HTTP/1.1\r\nHost: kaos\r\nX-Forwarded-Host: shop\r\nX-Request-Id: abc\r\n\r\n",
    );
    let answer = client.answer();
    may_go(&answer, &replica);
    assert_eq!((answer.field("x-request-id"), answer.field("x-kaos-cold-start")), (Some("abc"), None));
    client.send(
        "GET /_kaos/gate/original-url HTTP/1.1\r\nHost: kaos\r\nX-Original-URL: http://shop/\r\n\
         Connection: close\r\n\r\n",
    );
    may_go(&client.answer(), &replica);
    assert!(client.is_ended());
    assert_eq!(replica.accepted(), 0, "the data doesn't come this way");
    until("they are counted", || rig.counted(200) == 4);
    let running = rig.shop().counts.running;
    assert_eq!((running.started, running.open()), (4, 0));
    assert!(running.integral(0) >= 4 * 500_000, "each half a second and the time that it took");
    let reading = rig.reported(|reading| reading.presumed);
    assert!(reading.last_activity.is_some());
    rig.finish();
}

#[test]
fn nothing_is_presumed_for_longer_than_the_knob_says() {
    let mut rig = Rig::asked(&[("gate-request-time", "0s")], None);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    may_go(&rig.connect_to_gate().get(ASK), &replica);
    let reading = rig.reported(|reading| reading.running.started == 1);
    assert!(!reading.presumed && reading.last_activity.is_some());
    rig.hold(hold("one", Targets::All));
    rig.reported(|reading| state(reading) == Some(HoldState::Confirmed));
    rig.finish();
}

#[test]
fn at_zero_it_waits_wakes_and_hears_of_the_start() {
    let mut rig = Rig::asked(&[], None);
    let mut client = asking(&rig);
    until("it waits and wakes", || rig.reported_waiting() == Some(1));
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let answer = client.answer();
    may_go(&answer, &replica);
    assert_eq!(answer.field("x-kaos-cold-start"), Some("true"));
    assert!(answer.field("server-timing").unwrap().starts_with("cold;dur="));
    assert_eq!(rig.shop().counts.cold_requests, 1);

    rig.remove("a");
    let client = asking(&rig);
    until("it waits", || rig.waiting() == 1);
    drop(client);
    until("who leaves waits no more", || rig.waiting() == 0);
    rig.finish();
}

#[test]
fn before_the_last_is_over_not_all_replicas_go() {
    let mut rig = Rig::asked(&[LONG], None);
    let (one, other) = (Replica::hello(), Replica::hello());
    rig.add("one", one.address);
    rig.add("other", other.address);
    let mut client = rig.connect_to_gate();
    (0..4).for_each(|_| assert_eq!(client.get(ASK).status(), 200));
    rig.hold(hold("some", Targets::Endpoints(vec![EndpointUid::new("one")])));
    rig.reported(|reading| state(reading) == Some(HoldState::Confirmed));
    may_go(&client.get(ASK), &other);
    rig.hold(hold("all", Targets::All));
    let reading = rig.reported(|reading| state(reading).is_some());
    assert_eq!(state(&reading), Some(HoldState::Draining));
    assert!(reading.hold.unwrap().empty.is_empty());
    let mut client = asking(&rig);
    until("while held it waits", || rig.waiting() == 1);
    rig.hold(None);
    assert_eq!(client.answer().status(), 200);
    rig.finish();
}

#[test]
fn what_is_presumed_outlives_the_replica_that_was_named() {
    let mut rig = Rig::asked(&[LONG], None);
    let (one, other) = (Replica::hello(), Replica::hello());
    rig.add("one", one.address);
    may_go(&rig.connect_to_gate().get(ASK), &one);
    // A Service may have led it to another.
    rig.add("other", other.address);
    rig.remove("one");
    rig.hold(hold("all", Targets::All));
    let reading = rig.reported(|reading| state(reading).is_some());
    assert_eq!((state(&reading), reading.presumed), (Some(HoldState::Draining), true));
    rig.finish();
}

#[test]
fn others_get_time_to_hear_of_a_replica() {
    let settle = Duration::from_millis(300);
    let mut rig = Rig::asked(&[], Some(settle));
    let mut client = asking(&rig);
    until("it waits", || rig.waiting() == 1);
    let (replica, began) = (Replica::hello(), Instant::now());
    rig.add("a", replica.address);
    may_go(&client.answer(), &replica);
    assert!(began.elapsed() >= settle);
    may_go(&client.get(ASK), &replica);
    rig.finish();
}

#[test]
fn they_hear_of_it_when_the_platform_calls_it_ready() {
    let mut rig = Rig::asked(&[], Some(Duration::ZERO));
    let replica = Replica::hello();
    let probe = Check { port: replica.address.port(), timeout: HOUR, probe: Probe::Tcp };
    rig.change(|workload| {
        workload.checks = [probe].into();
        workload.replicas = Replicas { desired: 1, ready: 0, starting: 1 };
    });
    let mut client = asking(&rig);
    until("it waits", || rig.waiting() == 1);
    rig.list("a", replica.address, Phase::Starting, StartTimes::default());
    assert_eq!(rig.connect().get("/").text(), "hello", "Kaos itself goes by its own probe");
    assert!(client.is_silent_for(Duration::from_millis(100)));
    rig.change(|workload| workload.endpoints[0].phase = Phase::Ready);
    may_go(&client.answer(), &replica);

    rig.change(|workload| workload.endpoints[0].phase = Phase::Starting);
    let mut late = asking(&rig);
    assert!(late.is_silent_for(Duration::from_millis(100)));
    // One that goes while its answer is held is none: another is waited for, and asked for.
    rig.remove("a");
    until("it waits again", || rig.waiting() == 1);
    let next = Replica::hello();
    rig.add("b", next.address);
    may_go(&late.answer(), &next);
    rig.finish();
}

#[test]
fn what_was_ready_before_kaos_came_is_known_to_all() {
    let mut rig = Rig::asked(&[], Some(HOUR));
    rig.withdraw();
    let replica = Replica::hello();
    rig.add("a", replica.address);
    may_go(&rig.connect_to_gate().get(ASK), &replica);
    rig.finish();
}

#[test]
fn it_waits_no_longer_than_a_request_would() {
    let mut rig = Rig::asked(&[("queue-timeout", "200ms"), ("queue-limit", "1")], Some(HOUR));
    let mut first = asking(&rig);
    until("it waits", || rig.waiting() == 1);
    let full = rig.connect_to_gate().get(ASK);
    full.is_problem(503, "queue-full");
    assert!(full.field("retry-after").is_some());
    first.answer().is_problem(504, "queue-timeout");
    rig.add("a", Replica::hello().address);
    first.get(ASK).is_problem(504, "queue-timeout");
    let at = rig.now() + HOUR;
    rig.remove("a");
    rig.fail(Some(StartFailure {
        because: "exited".into(),
        detail: "status 3".into(),
        attempts: 1,
        known: true,
        retry_at: at,
    }));
    let failed = first.get(ASK);
    failed.is_problem(503, "start-failed");
    assert!(failed.field("retry-after").unwrap().parse::<u64>().unwrap() > 3000);
    rig.finish();
}

#[test]
fn no_more_are_held_than_may_wait() {
    let mut rig = Rig::asked(&[("queue-limit", "1")], Some(HOUR));
    let first = asking(&rig);
    until("it waits", || rig.waiting() == 1);
    rig.add("a", Replica::hello().address);
    until("it is held", || rig.in_flight() == 1);
    rig.connect_to_gate().get(ASK).is_problem(503, "queue-full");
    drop(first);
    until("who leaves is held no more", || rig.in_flight() == 0);
    let next = asking(&rig);
    until("there is room for another", || rig.in_flight() == 1);
    drop(next);
    rig.finish();
}

#[test]
fn paths_that_wake_nothing_dont_go_to_one_that_sleeps() {
    let mut rig = Rig::asked(&[("no-wake-paths", "/healthz=200,/metrics=404")], None);
    let mut client = rig.connect_to_gate();
    assert_eq!(client.get("/_kaos/gate/host/healthz").status(), 503, "a go would lead nowhere");
    assert_eq!(client.get("/_kaos/gate/workload/local/shop/metrics").status(), 404);
    assert_eq!(rig.shop().counts.last_activity, None);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    may_go(&client.get("/_kaos/gate/host/healthz"), &replica);
    let counts = rig.shop().counts;
    assert_eq!((counts.last_activity, counts.running.started), (None, 0));
    assert!(!rig.reported(|_| true).presumed);
    rig.finish();
}

#[test]
fn a_limit_of_one_replica_isnt_kept_with_what_isnt_seen() {
    let mut rig = Rig::asked(&[("container-concurrency", "1")], None);
    let at = rig.address;
    rig.peers.send_replace(BTreeMap::from(["test", "other"].map(|name| (ProxyId::new(name), at))));
    for uid in ["a", "b", "c", "d"] {
        let replica = Replica::hello();
        rig.add(uid, replica.address);
        let mut client = rig.connect_to_gate();
        (0..3).for_each(|_| may_go(&client.get(ASK), &replica));
        rig.remove(uid);
    }
    rig.finish();
}

#[test]
fn what_isnt_asked_for_properly_is_told_how_to() {
    let mut rig = Rig::asked(&[], None);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    for target in ["/", "/cart", "/_kaos/gate/workload/shop", "/_kaos/gate/forwarded"] {
        let answer = rig.connect_to_gate().get(target);
        answer.is_problem(400, "bad-request");
        assert!(answer.text().contains("/_kaos/gate/"), "{}", answer.text());
    }
    rig.connect_to_gate().get("/_kaos/gate/workload/local/other").is_problem(404, "no-route");
    let mut client = rig.connect_to_gate();
    client.send(format!(
        "POST {ASK} HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    ));
    let answer = client.answer();
    may_go(&answer, &replica);
    assert_eq!(answer.field("connection"), Some("close"), "nobody has read the body");
    assert!(client.is_ended());
    // No application's path is taken from it.
    let answer = rig.connect().get(ASK);
    assert_eq!((answer.text().as_str(), replica.saw_one().target.as_str()), ("hello", ASK));
    rig.finish();
}

#[test]
fn what_speaks_grpc_is_told_by_the_status_too() {
    let mut rig = Rig::asked(&[("queue-limit", "0")], None);
    let mut client = rig.connect_to_gate();
    client.send(format!("GET {ASK} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc\r\n\r\n"));
    client.answer().is_problem(503, "queue-full");
    let sender = open_gate(&rig);
    let question = || {
        let grpc = Request::post(format!("http://shop{ASK}")).header("content-type", "application/grpc");
        grpc.body(empty()).unwrap()
    };
    let refused = send(&rig, &sender, question());
    assert_eq!((refused.status(), refused.headers().get("grpc-status")), (503.try_into().unwrap(), None));
    assert!(!rest(&rig, refused).0.is_empty());
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let go = send(&rig, &sender, question());
    assert_eq!(go.status(), 200);
    assert_eq!(go.headers()["x-kaos-replica"], replica.address.to_string().as_str());
    assert_eq!(rig.shop().counts.last_activity.map(|at| at > Moment::ZERO), Some(true));
    rig.finish();
}
