use std::time::Instant;

use kaos_core::snapshot::{Hold, Replicas, StartTimes};
use kaos_core::{EndpointUid, HoldId, WorkloadId};

use super::*;

fn workload() -> Workload {
    Workload {
        hosts: vec![HostPattern::parse("shop.localhost").unwrap()],
        path: "/cart".into(),
        endpoints: vec![Endpoint {
            uid: EndpointUid::new("shop-1"),
            address: "127.0.0.1:4000".parse().unwrap(),
            phase: Phase::Ready,
            start: StartTimes { ready: Some(Moment::ZERO), ..StartTimes::default() },
        }],
        replicas: Replicas { desired: 1, ready: 1, starting: 0 },
        version: 3,
        ..Workload::new(WorkloadId::new("local", "shop"), Policy::local(4))
    }
}

fn failure(known: bool) -> StartFailure {
    StartFailure { because: "exited".into(), detail: "x".into(), attempts: 2, known, retry_at: Moment::ZERO }
}

#[test]
fn every_promised_member_is_there() {
    let clock = Clock::new(Instant::now());
    let load = Load { in_flight: 3, waiting: 1, last_activity: Some(Moment::ZERO) };
    let shown = shown(&workload(), load, None, "127.0.0.1:8080".parse().ok(), &clock);
    for name in "namespace name hosts path state replicas in_flight waiting policy last_request_at last_wake endpoints"
        .split(' ')
    {
        assert!(shown.get(name).is_some(), "{name}");
    }
    assert_eq!(shown["url"], "http://shop.localhost:8080/cart");
    assert_eq!(shown["replicas"], json!({ "desired": 1, "ready": 1, "starting": 0 }));
    assert_eq!(shown["policy"]["max-scale"], 4);
    assert_eq!(shown["policy"]["idle-timeout"], "learned");
    assert_eq!(shown["policy"]["target"], "default");
    assert_eq!(shown["endpoints"][0]["phase"], "ready");
    assert!(shown["endpoints"][0]["ready_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn one_word_says_what_it_does() {
    let all = Some(Hold { id: HoldId::new("h"), by: "test".into(), targets: Targets::All });
    let some =
        Some(Hold { id: HoldId::new("h"), by: "test".into(), targets: Targets::Endpoints(Vec::new()) });
    for (desired, ready, hold, failure, waiting, word) in [
        (0, 0, None, None, 0, "zero"),
        (0, 0, None, None, 1, "waking"),
        (1, 0, None, None, 0, "waking"),
        (1, 0, None, Some(failure(false)), 1, "waking"),
        (1, 0, None, Some(failure(true)), 1, "failed"),
        (2, 1, None, Some(failure(true)), 1, "serving"),
        (1, 1, all, None, 0, "holding"),
        (2, 2, some, None, 0, "serving"),
    ] {
        let replicas = Replicas { desired, ready, starting: 0 };
        let workload = Workload { replicas, hold, failure, ..workload() };
        assert_eq!(state(&workload, waiting), word);
    }
}

#[test]
fn what_every_host_reaches_is_found_at_the_address() {
    let mut open = workload();
    open.hosts.push(HostPattern::Any);
    for (listen, found) in [
        ("127.0.0.1:80", "http://127.0.0.1:80/cart"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/cart"),
        ("[::1]:8080", "http://[::1]:8080/cart"),
    ] {
        assert_eq!(url(&open.hosts, &open.path, listen.parse().ok()), found);
    }
}

#[test]
fn without_an_address_it_is_found_by_name() {
    let mut named = workload();
    assert_eq!(url(&named.hosts, &named.path, None), "http://shop.localhost/cart");
    named.hosts = vec![HostPattern::Any];
    assert_eq!(url(&named.hosts, &named.path, None), "");
}

#[test]
fn moments_in_an_observation_become_timestamps() {
    let clock = Clock::new(Instant::now());
    let mut observed = json!({ "running": 3, "last_activity": 5, "rest_until": 0, "heard": { "from": 7 } });
    let observed = observed.as_object_mut().unwrap();
    stamp(observed, &clock);
    assert_eq!(observed["running"], 3);
    assert!(observed["last_activity"].as_str().unwrap().ends_with('Z'));
    assert!(observed["heard"]["from"].as_str().unwrap().ends_with('Z'));
    assert!(!observed.contains_key("rest_until"));
}

#[test]
fn what_was_learned_is_told_where_it_decides() {
    let (journal, clock) = (kaos_autoscaler::Journal::default(), Clock::new(Instant::now()));
    let settings = kaos_autoscaler::line::Settings {
        id: "a".into(),
        max_starting: 1,
        earn_sleep: false,
        gather: std::time::Duration::ZERO,
    };
    let journal = std::sync::Arc::new(journal);
    let mut line = kaos_autoscaler::Line::new(settings, journal.clone());
    let mut workload = workload();
    let workloads = std::sync::Arc::from([std::sync::Arc::new(workload.clone())]);
    line.saw(&kaos_core::Snapshot { version: 1, workloads, ..Default::default() }, Moment::ZERO);
    let book = journal.book(&workload.id).unwrap();
    let told =
        |workload: &Workload| shown(workload, Load::default(), Some(&book), None, &clock)["learned"].clone();
    workload.policy = std::sync::Arc::new(workload.policy.with([("idle-timeout", "1m")]).unwrap());
    assert_eq!(told(&workload), Value::Null, "it has no say");
    workload.policy = std::sync::Arc::new(workload.policy.with([("idle-timeout", "learned")]).unwrap());
    assert_eq!((&told(&workload)["gaps"], &told(&workload)["forgotten_at"]), (&json!(0), &Value::Null));
    assert_eq!(told(&workload)["sentences"][0], "nothing is known of its calls yet");
    assert!(line.forget(&workload.id, Moment::ZERO));
    assert!(told(&workload)["forgotten_at"].as_str().unwrap().ends_with('Z'));
}
