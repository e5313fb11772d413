//! The way to zero as the proxy walks it: while held nothing is dispatched, what is confirmed is true, and nobody is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use kaos_core::report::{HoldAnswer, HoldState};
use kaos_core::snapshot::{Hold, Phase, Targets};
use kaos_core::{EndpointUid, HoldId};
use support::{Client, Replica, Rig, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";

fn hold(id: &str, targets: Targets) -> Option<Hold> {
    Some(Hold { id: HoldId::new(id), by: "test".into(), targets })
}

/// The next answer to a hold that the proxy reports of what was last published, and that `wanted` likes.
#[track_caller]
fn reported(rig: &mut Rig, wanted: impl Fn(&Option<HoldAnswer>) -> bool) -> Option<HoldAnswer> {
    rig.reported(|reading| wanted(&reading.hold)).hold
}

fn state(answer: &Option<HoldAnswer>) -> Option<(&str, HoldState)> {
    answer.as_ref().map(|answer| (answer.id.as_str(), answer.state))
}

/// A replica that answers a request when it is told to.
fn held_back() -> (Replica, std::sync::mpsc::SyncSender<()>) {
    let (go, wait) = sync_channel::<()>(100);
    let wait = Mutex::new(wait);
    let replica = Replica::strict(move |_, client| {
        if wait.lock().unwrap().recv().is_ok() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    (replica, go)
}

fn ask(rig: &Rig, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| rig.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    clients
}

#[test]
fn while_held_nothing_is_dispatched_and_afterwards_all_is() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    assert_eq!(rig.connect().get("/").status(), 200);
    until("it is over", || rig.in_flight() == 0);
    rig.hold(hold("one", Targets::All));
    let answer = reported(&mut rig, |answer| state(answer) == Some(("one", HoldState::Confirmed)));
    assert_eq!(answer.unwrap().empty, [EndpointUid::new("a")]);
    let mut clients = ask(&rig, 20);
    until("they wait", || rig.waiting() == 20);
    assert!(clients[0].is_silent_for(Duration::from_millis(150)));
    assert_eq!((replica.seen().len(), rig.in_flight()), (1, 0));
    rig.hold(None);
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "hello"));
    reported(&mut rig, Option::is_none);
    drop(clients);
    rig.finish();
}

#[test]
fn a_hold_is_confirmed_when_the_last_request_has_ended() {
    let mut rig = Rig::new(&[]);
    let (replica, go) = held_back();
    rig.add("a", replica.address);
    let mut clients = ask(&rig, 2);
    until("they are there", || replica.accepted() == 2);
    rig.hold(hold("one", Targets::All));
    let answer = reported(&mut rig, |answer| state(answer).is_some());
    assert_eq!(state(&answer), Some(("one", HoldState::Draining)));
    assert!(answer.unwrap().empty.is_empty());
    (0..2).for_each(|_| go.send(()).unwrap());
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "hello"));
    reported(&mut rig, |answer| state(answer) == Some(("one", HoldState::Confirmed)));
    rig.hold(None);
    go.send(()).unwrap();
    assert_eq!(clients[0].get("/").text(), "hello");
    drop(clients);
    rig.finish();
}

#[test]
fn a_hold_of_one_replica_leaves_the_others() {
    let mut rig = Rig::new(&[]);
    let (one, other) = (Replica::hello(), Replica::hello());
    rig.add("one", one.address);
    rig.add("other", other.address);
    rig.hold(hold("x", Targets::Endpoints(vec![EndpointUid::new("one")])));
    let answer = reported(&mut rig, |answer| state(answer) == Some(("x", HoldState::Confirmed)));
    assert_eq!(answer.unwrap().empty, [EndpointUid::new("one")]);
    let mut client = rig.connect();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "hello");
    }
    assert_eq!((one.accepted(), other.seen().len()), (0, 10));
    drop(client);
    rig.finish();
}

#[test]
fn a_replica_that_was_unready_for_a_moment_isnt_empty() {
    let mut rig = Rig::new(&[]);
    let (replica, go) = held_back();
    rig.add("a", replica.address);
    let mut clients = ask(&rig, 1);
    until("it is there", || replica.accepted() == 1);
    rig.change(|shop| shop.endpoints[0].phase = Phase::Starting);
    rig.change(|shop| shop.endpoints[0].phase = Phase::Ready);
    rig.hold(hold("one", Targets::All));
    let answer = reported(&mut rig, |answer| state(answer).is_some());
    assert_eq!(state(&answer), Some(("one", HoldState::Draining)));
    rig.change(|shop| shop.endpoints[0].phase = Phase::Starting);
    let answer = reported(&mut rig, |answer| state(answer).is_some());
    assert_eq!(state(&answer), Some(("one", HoldState::Draining)), "ready or not, it holds a request");
    go.send(()).unwrap();
    assert_eq!(clients[0].answer().text(), "hello");
    reported(&mut rig, |answer| state(answer) == Some(("one", HoldState::Confirmed)));
    rig.hold(None);
    drop(clients);
    rig.finish();
}

#[test]
fn hundreds_of_holds_under_load_lose_nobody() {
    let mut rig = Rig::new(&[("container-concurrency", "2")]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let address = rig.address;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let done = done.clone();
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut served = 0;
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    assert_eq!(client.get("/").text(), "hello");
                    served += 1;
                }
                served
            })
        })
        .collect();
    for round in 0..300 {
        rig.hold(hold(&round.to_string(), Targets::All));
        rig.hold(None);
        while rig.reports.try_recv().is_ok() {}
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let served: Vec<usize> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(served.iter().all(|served| *served > 0), "{served:?}");
    rig.finish();
}
