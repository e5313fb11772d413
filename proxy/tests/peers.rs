//! Two proxies that share a hard limit: each request is counted once, and no replica gets more than it may.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kaos_core::ProxyId;
use kaos_proxy::Limits;
use support::{Client, Replica, Request, Rig, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Proxies by these names that know each other, over a workload with this hard limit.
fn proxies(names: [&str; 2], limit: &str) -> [Rig; 2] {
    let knobs = [("container-concurrency", limit), ("no-wake-paths", "/healthz=204")];
    let rigs =
        names.map(|name| Rig::with(&knobs, |config| config.id = ProxyId::new(name), Limits::default()));
    let all = [0, 1].map(|at| (ProxyId::new(names[at]), rigs[at].address));
    for rig in &rigs {
        rig.peers.send_replace(all.clone().into());
    }
    rigs
}

/// Adds the same replica to both, and waits until what the set's last change moved has settled.
fn add(rigs: &mut [Rig; 2], uid: &str, address: SocketAddr) {
    rigs.iter_mut().for_each(|rig| rig.add(uid, address));
}

/// The one that has the only slot of the only replica, and the other: (owner, other).
fn owner(rigs: &[Rig; 2]) -> (usize, usize) {
    let mut owner = None;
    until("one of them counts a request", || {
        assert_eq!(rigs[0].connect().get("/").status(), 200);
        let served = |at: usize| rigs[at].shop().counts.running.finished > 0;
        owner = [0, 1].into_iter().find(|at| served(*at));
        owner.is_some()
    });
    let owner = owner.unwrap();
    (owner, 1 - owner)
}

/// A connection from an address of loopback that is no proxy's.
fn stranger(to: SocketAddr) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.9:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Client::of(socket.into())
}

fn end(rigs: [Rig; 2]) {
    // Connections between them are theirs: both must have let go before either is looked at.
    for rig in &rigs {
        rig.peers.send_replace([].into());
    }
    Rig::finish_all(rigs);
}

#[test]
fn who_has_no_slot_passes_its_requests_on_once_and_they_are_counted_once() {
    let mut rigs = proxies(["a", "b"], "1");
    let replica = Replica::strict(|request, client| {
        assert_eq!(request.values("x-kaos-hop"), [""; 0]);
        client.send(HELLO);
    });
    add(&mut rigs, "one", replica.address);
    let (owner, other) = owner(&rigs);
    replica.seen();
    let before = [0, 1].map(|at| rigs[at].counted(200));
    let mut client = stranger(rigs[other].address);
    client.send("POST /up HTTP/1.1\r\nHost: shop\r\nX-Request-Id: abc\r\nContent-Length: 5\r\n\r\n12345");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.field("x-request-id")), ("hello", Some("abc")));
    let seen = replica.saw_one();
    assert_eq!((seen.target.as_str(), &seen.body[..]), ("/up", &b"12345"[..]));
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.9"]);
    assert_eq!(seen.values("x-forwarded-host"), ["shop"]);
    assert_eq!(seen.values("forwarded"), ["for=127.0.0.9;host=\"shop\";proto=http"]);
    assert_eq!(seen.values("x-request-id"), ["abc"]);
    until("the owner counts it", || rigs[owner].counted(200) == before[owner] + 1);
    assert_eq!(rigs[other].counted(200), before[other], "and nobody else");
    assert_eq!(rigs[other].shop().counts.running.finished, 0);
    drop(client);
    end(rigs);
}

#[test]
fn what_wakes_nothing_is_nobodys_use_here_or_where_it_is_passed_on_to() {
    let mut rigs = proxies(["a", "b"], "1");
    for rig in &rigs {
        assert_eq!(rig.connect().get("/healthz").status(), 204);
    }
    let replica = Replica::hello();
    add(&mut rigs, "one", replica.address);
    let (owner, other) = owner(&rigs);
    until("nothing is in flight", || rigs.iter().all(|rig| rig.in_flight() == 0));
    let used = |at: usize| {
        let counts = rigs[at].shop().counts;
        (counts.last_activity, counts.running)
    };
    let (before, counted) = ([0, 1].map(used), rigs[owner].counted(200));
    let mut client = stranger(rigs[other].address);
    assert_eq!(client.get("/healthz").text(), "hello");
    until("the owner counts it", || rigs[owner].counted(200) == counted + 1);
    assert_eq!([0, 1].map(used), before);
    drop(client);
    end(rigs);
}

#[test]
fn only_proxies_are_believed() {
    let mut rigs = proxies(["a", "b"], "1");
    let replica = Replica::hello();
    add(&mut rigs, "one", replica.address);
    let (owner, other) = owner(&rigs);
    replica.seen();
    let request = "GET / HTTP/1.1\r\nHost: shop\r\nX-Kaos-Hop: 1000\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    for at in [owner, other] {
        let mut client = stranger(rigs[at].address);
        client.send(request);
        assert_eq!(client.answer().text(), "hello");
        assert_eq!(
            replica.saw_one().values("x-forwarded-for"),
            ["127.0.0.9"],
            "a stranger's word is nothing"
        );
    }
    // The proxies are at 127.0.0.1.
    let mut proxy = rigs[owner].connect();
    proxy.send(request);
    assert_eq!(proxy.answer().text(), "hello");
    assert_eq!(replica.saw_one().values("x-forwarded-for"), ["6.6.6.6"]);
    // What was passed on is never passed on again.
    let mut proxy = rigs[other].connect();
    proxy.send(request);
    let answer = proxy.answer();
    answer.is_problem(503, "no-endpoint");
    assert_eq!(answer.field("x-kaos-hop"), Some("moved"));
    assert!(replica.seen().is_empty());
    drop(proxy);
    end(rigs);
}

/// A replica that remembers the most requests that it had open at once.
fn counting(most: &Arc<AtomicUsize>) -> Replica {
    let (open, most) = (AtomicUsize::new(0), most.clone());
    Replica::new(move |mut client| {
        while let Some(request) = Request::read(&mut client) {
            request.unwrap();
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::park_timeout(Duration::from_millis(1));
            open.fetch_sub(1, Ordering::SeqCst);
            if !client.try_send(HELLO) {
                return;
            }
        }
    })
}

#[test]
fn together_they_keep_the_limit() {
    for limit in [1, 3] {
        let mut rigs = proxies(["a", "b"], &limit.to_string());
        let most = Arc::default();
        let replicas = [(); 2].map(|()| counting(&most));
        // They begin to wait before there is anything.
        let mut waiting: Vec<_> = (0..10).map(|at| rigs[at % 2].connect()).collect();
        waiting.iter_mut().for_each(|client| client.send(GET));
        until("they wait", || rigs.iter().map(Rig::waiting).sum::<u32>() == 10);
        add(&mut rigs, "one", replicas[0].address);
        waiting.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "hello"));
        let addresses = [rigs[0].address, rigs[1].address];
        let crowd: Vec<_> = (0..16)
            .map(|at| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(addresses[at % 2]);
                    (0..40).for_each(|_| assert_eq!(client.get("/").text(), "hello"));
                })
            })
            .collect();
        assert!(crowd.into_iter().all(|client| client.join().is_ok()));
        let most = most.load(Ordering::SeqCst);
        assert!((1..=limit).contains(&most), "{most} at once, the limit is {limit}");
        drop(waiting);
        end(rigs);
    }
}

#[test]
fn what_a_proxy_leaves_behind_is_taken_over() {
    let mut rigs = proxies(["a", "b"], "1");
    let replica = Replica::hello();
    add(&mut rigs, "one", replica.address);
    let (owner, other) = owner(&rigs);
    let mut client = rigs[other].connect();
    assert_eq!(client.get("/").text(), "hello");
    let left = [(ProxyId::new(["a", "b"][other]), rigs[other].address)];
    rigs[other].peers.send_replace(left.clone().into());
    rigs[owner].peers.send_replace(left.into());
    assert_eq!(client.get("/").text(), "hello");
    until("it is counted by who is left", || {
        assert_eq!(client.get("/").text(), "hello");
        rigs[other].shop().counts.running.finished > 0
    });
    // Who isn't in the set has nothing, and passes on too.
    let before = rigs[owner].shop().counts.running.finished;
    assert_eq!(rigs[owner].connect().get("/").text(), "hello");
    assert_eq!(rigs[owner].shop().counts.running.finished, before);
    drop(client);
    end(rigs);
}

#[test]
fn a_request_finds_the_slot_that_has_moved_while_it_waited() {
    let mut rigs = proxies(["a", "b"], "1");
    // It answers nothing until it has been told to, so that the slot is taken.
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(10);
    let wait = std::sync::Mutex::new(wait);
    let replica = Replica::strict(move |request, client| {
        if request.target == "/slow" {
            let _ = wait.lock().unwrap().recv();
        }
        client.send(HELLO);
    });
    add(&mut rigs, "one", replica.address);
    let (owner, other) = owner(&rigs);
    let mut first = rigs[other].connect();
    first.send("GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it is under way", || rigs[owner].in_flight() == 1);
    let mut second = rigs[other].connect();
    second.send(GET);
    until("it waits at the owner", || rigs[owner].waiting() == 1);
    assert_eq!(rigs[other].waiting(), 0);
    // The owner is owner no more: who waited there comes back, and is served where the slot is now.
    let left = [(ProxyId::new(["a", "b"][other]), rigs[other].address)];
    rigs.iter().for_each(|rig| drop(rig.peers.send_replace(left.clone().into())));
    assert_eq!(second.answer().text(), "hello");
    go.send(()).unwrap();
    assert_eq!(first.answer().text(), "hello");
    drop((first, second));
    end(rigs);
}

#[test]
fn an_upgrade_is_passed_on_too() {
    let mut rigs = proxies(["a", "b"], "1");
    let replica = Replica::strict(|request, client| {
        if request.values("upgrade").is_empty() {
            return client.send(HELLO);
        }
        client.send("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        let said = client.read_exact(4);
        client.send(said);
    });
    add(&mut rigs, "one", replica.address);
    let (owner, other) = owner(&rigs);
    let mut client = rigs[other].connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.answer().status(), 101);
    assert_eq!((rigs[owner].in_flight(), rigs[other].in_flight()), (1, 0));
    client.send("ping");
    assert_eq!(client.read_exact(4), b"ping");
    drop(client);
    end(rigs);
}

#[test]
fn a_cold_start_is_told_once_wherever_the_request_has_waited() {
    let mut rigs = proxies(["a", "b"], "1");
    let mut clients = [0, 1].map(|at| {
        let mut client = rigs[at].connect();
        client.send(GET);
        client
    });
    until("they wait", || rigs.iter().all(|rig| rig.waiting() == 1));
    let replica = Replica::hello();
    add(&mut rigs, "one", replica.address);
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!(answer.text(), "hello");
        for field in ["x-kaos-cold-start", "server-timing"] {
            let lines = answer.head.lines().filter(|line| line.to_lowercase().starts_with(field)).count();
            assert_eq!(lines, 1, "{}", answer.head);
        }
    }
    until("both are counted", || rigs.iter().map(|rig| rig.shop().counts.cold_requests).sum::<u64>() == 2);
    assert!(rigs.iter().any(|rig| rig.shop().counts.cold_requests == 2), "by the owner");
    drop(clients);
    end(rigs);
}

#[test]
fn an_http2_stream_is_passed_on_as_any_request() {
    let mut rigs = proxies(["a", "b"], "1");
    let replica = Replica::hello();
    add(&mut rigs, "one", replica.address);
    let (owner, other) = owner(&rigs);
    let before = rigs[owner].shop().counts.running.finished;
    let sender = support::http2::open(&rigs[other]);
    let response = support::http2::send(&rigs[other], &sender, support::http2::get("/"));
    assert!(response.headers().get("x-kaos-hop").is_none());
    assert_eq!(&support::http2::rest(&rigs[other], response).0[..], b"hello");
    until("the owner counts it", || rigs[owner].shop().counts.running.finished == before + 1);
    drop(sender);
    end(rigs);
}

#[test]
fn while_the_set_changes_no_request_fails_and_the_limit_holds() {
    let limit = 4;
    let mut rigs = proxies(["a", "b"], &limit.to_string());
    let most = Arc::default();
    let replica = counting(&most);
    add(&mut rigs, "one", replica.address);
    let addresses = [rigs[0].address, rigs[1].address];
    let all = [0, 1].map(|at| (ProxyId::new(["a", "b"][at]), addresses[at]));
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let served: [Arc<AtomicUsize>; 2] = Default::default();
    let crowd: Vec<_> = (0..12)
        .map(|at| {
            let (done, served) = (done.clone(), served[at % 2].clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(addresses[at % 2]);
                while !done.load(Ordering::SeqCst) {
                    let answer = client.get("/");
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    // One hears of a change a moment after the other.
    for set in [&all[..1], &all[..], &all[1..], &all[..]] {
        for rig in &rigs {
            rig.peers.send_replace(set.iter().cloned().collect());
            std::thread::park_timeout(Duration::from_millis(200));
        }
        let before = [0, 1].map(|at| served[at].load(Ordering::SeqCst));
        until("both go on serving", || (0..2).all(|at| served[at].load(Ordering::SeqCst) > before[at] + 20));
    }
    done.store(true, Ordering::SeqCst);
    assert!(crowd.into_iter().all(|client| client.join().is_ok()));
    let most = most.load(Ordering::SeqCst);
    assert!((1..=limit).contains(&most), "{most} at once, the limit is {limit}");
    end(rigs);
}
