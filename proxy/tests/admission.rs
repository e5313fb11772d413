//! Who gets a slot and when: the hard limit, the order of arrival, the bounds of the queue, and why there is no slot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kaos_core::Moment;
use kaos_core::snapshot::{Phase, Replicas, StartFailure, StartTimes};
use support::{Client, Replica, Request, Rig, until};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";

/// A replica that remembers the most requests that it had open at once, each for `span`.
fn counting(span: Duration) -> (Replica, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (open, most, all) =
        (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (peak, served) = (most.clone(), all.clone());
    let replica = Replica::new(move |mut client| {
        while let Some(request) = Request::read(&mut client) {
            request.unwrap();
            peak.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::park_timeout(span);
            open.fetch_sub(1, Ordering::SeqCst);
            served.fetch_add(1, Ordering::SeqCst);
            if !client.try_send(HELLO) {
                return;
            }
        }
    });
    (replica, most, all)
}

#[test]
fn the_hard_limit_is_never_exceeded() {
    for (limit, replicas) in [(1, 1), (3, 2)] {
        let mut rig = Rig::new(&[("container-concurrency", &limit.to_string())]);
        let played: Vec<_> = (0..replicas).map(|_| counting(Duration::from_micros(300))).collect();
        for (at, (replica, ..)) in played.iter().enumerate() {
            rig.add(&format!("r{at}"), replica.address);
        }
        let address = rig.address;
        let clients: Vec<_> = (0..200)
            .map(|at| {
                std::thread::spawn(move || {
                    for round in 0..10 {
                        let mut client = Client::connect(address);
                        client.send(GET);
                        // Some leave, and must take nothing with them.
                        if (at + round) % 7 != 0 {
                            assert_eq!(client.answer().status(), 200);
                        }
                    }
                })
            })
            .collect();
        let failed = clients.into_iter().map(std::thread::JoinHandle::join).filter(Result::is_err).count();
        assert_eq!(failed, 0);
        for (_, most, all) in &played {
            assert!(most.load(Ordering::SeqCst) <= limit, "{most:?} at once, the limit is {limit}");
            assert!(all.load(Ordering::SeqCst) > 100, "{all:?} served by one of {replicas}");
        }
        rig.finish();
    }
}

#[test]
fn those_who_wait_go_in_the_order_of_their_arrival_to_whatever_replica_appears() {
    for knob in ["container-concurrency", "target"] {
        let mut rig = Rig::new(&[(knob, "1")]);
        let mut clients: Vec<Client> = Vec::new();
        for at in 0..30 {
            let mut client = rig.connect();
            client.send(format!("GET /{at} HTTP/1.1\r\nHost: shop\r\n\r\n"));
            clients.push(client);
            until("it waits", || rig.waiting() == at + 1);
        }
        let replica = Replica::hello();
        rig.add("late", replica.address);
        for client in &mut clients {
            assert_eq!(client.answer().text(), "hello");
        }
        let order: Vec<_> = replica.seen().into_iter().map(|request| request.unwrap().target).collect();
        assert_eq!(order, (0..30).map(|at| format!("/{at}")).collect::<Vec<_>>(), "{knob}");
        drop(clients);
        rig.finish();
    }
}

/// A replica that holds every request until it is told to answer one.
fn holding() -> (Replica, Arc<AtomicUsize>, std::sync::mpsc::SyncSender<()>) {
    let (go, wait) = sync_channel::<()>(1000);
    let (wait, open) = (Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
    let count = open.clone();
    let replica = Replica::new(move |mut client| {
        while client.next_request().is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            if wait.lock().unwrap().recv().is_err() {
                return;
            }
            count.fetch_sub(1, Ordering::SeqCst);
            client.send(HELLO);
        }
    });
    (replica, open, go)
}

fn ask(rig: &Rig, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| rig.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    clients
}

#[test]
fn a_backlog_is_released_to_a_new_replica_by_its_target_and_the_rest_as_it_answers() {
    let mut rig = Rig::new(&[("target", "4")]);
    let mut clients = ask(&rig, 10);
    until("they wait", || rig.waiting() == 10);
    rig.change(|shop| shop.replicas = Replicas { desired: 2, ready: 1, starting: 1 });
    let (replica, open, go) = holding();
    rig.add("a", replica.address);
    until("its target is there", || open.load(Ordering::SeqCst) == 4);
    assert_eq!((rig.waiting(), rig.in_flight()), (6, 4));
    let (second, others, go_others) = holding();
    rig.add("b", second.address);
    until("the next goes to the next", || others.load(Ordering::SeqCst) == 4);
    assert_eq!((rig.waiting(), rig.in_flight(), open.load(Ordering::SeqCst)), (2, 8, 4));
    for _ in 0..10 {
        go.send(()).unwrap();
        go_others.send(()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "hello");
    }
    drop(clients);
    rig.finish();
}

#[test]
fn the_least_loaded_replica_is_picked() {
    let mut rig = Rig::new(&[]);
    let played: Vec<_> = (0..3).map(|_| holding()).collect();
    for (at, (replica, ..)) in played.iter().enumerate() {
        rig.add(&format!("r{at}"), replica.address);
    }
    let mut clients = Vec::new();
    for round in 1..=12 {
        clients.extend(ask(&rig, 1));
        until("it is dispatched", || {
            played.iter().map(|(_, open, _)| open.load(Ordering::SeqCst)).sum::<usize>() == round
        });
        let loads: Vec<_> = played.iter().map(|(_, open, _)| open.load(Ordering::SeqCst)).collect();
        assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
    }
    for (_, _, go) in &played {
        (0..4).for_each(|_| go.send(()).unwrap());
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "hello"));
    drop(clients);
    rig.finish();
}

#[test]
fn one_more_than_may_wait_is_told_so_at_once_and_the_others_stay() {
    let mut rig = Rig::new(&[("queue-limit", "3")]);
    let mut clients = ask(&rig, 3);
    until("they wait", || rig.waiting() == 3);
    for request in [GET, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"] {
        let mut client = rig.connect();
        client.send(request);
        let answer = client.answer();
        answer.is_problem(503, "queue-full");
        assert_eq!(answer.field("retry-after"), Some("1"));
    }
    assert_eq!(rig.waiting(), 3);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "hello"));
    drop(clients);
    rig.finish();
}

#[test]
fn a_refused_client_may_ask_again_on_its_connection() {
    let mut rig = Rig::new(&[("queue-limit", "0")]);
    let mut client = rig.connect();
    client.get("/").is_problem(503, "queue-full");
    client.send("HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 503 "));
    let replica = Replica::hello();
    rig.add("a", replica.address);
    until("it is answered", || client.get("/").status() == 200);
    drop(client);
    rig.finish();
}

#[test]
fn who_waits_too_long_is_told_so() {
    let rig = Rig::new(&[("queue-timeout", "150ms")]);
    let mut client = rig.connect();
    let answer = client.get("/");
    answer.is_problem(504, "queue-timeout");
    assert!(answer.field("retry-after").is_some());
    client.get("/").is_problem(504, "queue-timeout");
    drop(client);
    rig.finish();
}

#[test]
fn who_can_t_be_served_in_time_is_told_when_to_come_back_and_the_workload_is_woken() {
    let mut rig = Rig::new(&[("queue-timeout", "1s")]);
    let replica = Replica::hello();
    let now = rig.now();
    let start = StartTimes { decided: Some(now), started: Some(now), ready: Some(now + SLOW_START) };
    rig.list("slow", replica.address, Phase::Ready, start);
    rig.remove("slow");
    until("what was is reported", || rig.reported_waiting().is_some());
    let mut client = rig.connect();
    let answer = client.get("/");
    answer.is_problem(503, "no-endpoint");
    assert_eq!(answer.field("retry-after"), Some("2"));
    assert_eq!(rig.waiting(), 0);
    until("a report says that somebody waits", || rig.reported_waiting() == Some(1));
    until("and another that nobody does", || rig.reported_waiting() == Some(0));
    // With most of the start behind it a request may wait.
    let begun = rig.now();
    let start = StartTimes { decided: Some(begun), ..StartTimes::default() };
    rig.list("next", replica.address, Phase::Starting, start);
    until("the rest is short enough", || rig.now().since(begun) > SLOW_START - Duration::from_millis(900));
    client.send(GET);
    until("it waits", || rig.waiting() == 1);
    drop(client);
    rig.finish();
}

const SLOW_START: Duration = Duration::from_millis(1500);

#[test]
fn a_replica_that_doesnt_begin_to_answer_in_time_is_a_504() {
    for knob in ["response-start-timeout", "request-timeout"] {
        let mut rig = Rig::new(&[(knob, "200ms"), ("container-concurrency", "1")]);
        let (replica, _open, _go) = holding();
        rig.add("a", replica.address);
        let mut client = rig.connect();
        client.get("/").is_problem(504, "response-timeout");
        assert_eq!(rig.counted(504), 1);
        drop(client);
        rig.finish();
    }
}

#[test]
fn the_time_to_answer_counts_from_the_end_of_the_upload() {
    let mut rig = Rig::new(&[("response-start-timeout", "2s")]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\n");
    for _ in 0..10 {
        assert!(client.is_silent_for(Duration::from_millis(300)));
        client.send("x");
    }
    assert_eq!(client.answer().status(), 200);
    drop(client);
    rig.finish();
}

#[test]
fn a_start_that_is_known_to_fail_is_told_to_all_who_wait() {
    let mut rig = Rig::new(&[]);
    let mut clients = ask(&rig, 5);
    until("they wait", || rig.waiting() == 5);
    let failure = |known| StartFailure {
        because: "exited".into(),
        detail: "exit status 3: no such module".into(),
        attempts: 1,
        known,
        retry_at: Moment::from_secs(3600),
    };
    rig.fail(Some(failure(false)));
    assert!(clients[0].is_silent_for(Duration::from_millis(100)), "a quiet retry comes first");
    rig.fail(Some(failure(true)));
    for client in &mut clients {
        let answer = client.answer();
        answer.is_problem(503, "start-failed");
        assert!(answer.text().contains("exit status 3: no such module"), "{}", answer.text());
        assert!(answer.field("retry-after").unwrap().parse::<u64>().unwrap() > 3000);
    }
    clients[0].get("/").is_problem(503, "start-failed");
    rig.fail(None);
    clients[0].send(GET);
    until("it may wait again", || rig.waiting() == 1);
    drop(clients);
    rig.finish();
}

#[test]
fn those_who_wait_for_a_workload_that_goes_away_are_told_so() {
    let mut rig = Rig::new(&[]);
    let mut clients = ask(&rig, 5);
    until("they wait", || rig.waiting() == 5);
    rig.withdraw();
    clients.iter_mut().for_each(|client| client.answer().is_problem(404, "no-route"));
    clients[0].get("/").is_problem(404, "no-route");
    rig.show();
    let replica = Replica::hello();
    rig.add("a", replica.address);
    assert_eq!(clients[0].get("/").text(), "hello");
    drop(clients);
    rig.finish();
}

#[test]
fn a_replica_that_is_going_away_finishes_what_it_has_and_gets_nothing_new() {
    let mut rig = Rig::new(&[]);
    let (old, open, go) = holding();
    rig.add("old", old.address);
    let mut first = ask(&rig, 1);
    until("it is there", || open.load(Ordering::SeqCst) == 1);
    rig.change(|shop| shop.endpoints[0].phase = Phase::Terminating);
    let mut second = ask(&rig, 1);
    until("it waits", || rig.waiting() == 1);
    let replica = Replica::hello();
    rig.add("new", replica.address);
    assert_eq!(second[0].answer().text(), "hello");
    go.send(()).unwrap();
    assert_eq!(first[0].answer().text(), "hello");
    assert_eq!((old.accepted(), replica.seen().len()), (1, 1));
    drop((first, second));
    rig.finish();
}

#[test]
fn a_replica_that_is_unready_for_a_moment_keeps_its_count() {
    let mut rig = Rig::new(&[("container-concurrency", "1")]);
    let (replica, open, go) = holding();
    rig.add("a", replica.address);
    let mut clients = ask(&rig, 1);
    until("it is there", || open.load(Ordering::SeqCst) == 1);
    rig.change(|shop| shop.endpoints[0].phase = Phase::Starting);
    clients.extend(ask(&rig, 1));
    until("the second waits", || rig.waiting() == 1);
    rig.change(|shop| shop.endpoints[0].phase = Phase::Ready);
    assert!(clients[1].is_silent_for(Duration::from_millis(200)));
    assert_eq!((open.load(Ordering::SeqCst), rig.waiting()), (1, 1), "the limit is 1, ready again or not");
    go.send(()).unwrap();
    go.send(()).unwrap();
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "hello"));
    drop(clients);
    rig.finish();
}
