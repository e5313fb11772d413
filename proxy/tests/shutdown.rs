//! A proxy that goes away: clients move to another one without ever seeing a request fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Client, Replica, Rig, http2, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// Long enough for everything that has to happen within it.
const DELAY: Duration = Duration::from_secs(3);
const DRAIN: Duration = Duration::from_secs(20);

/// Does `meanwhile` while the proxy retires. Returns whether all clients had gone.
fn retire(rig: &Rig, delay: Duration, drain: Duration, meanwhile: impl FnOnce()) -> bool {
    let (proxy, runtime) = (rig.proxy.as_ref().unwrap(), rig.runtime.handle());
    std::thread::scope(|scope| {
        let retiring = scope.spawn(|| runtime.block_on(proxy.retire(delay, drain)));
        until("it isn't ready any more", || !proxy.is_ready());
        meanwhile();
        retiring.join().unwrap()
    })
}

/// A replica that answers a request for `/slow` when it is told to.
fn slow() -> (Replica, std::sync::mpsc::SyncSender<()>) {
    let (go, wait) = sync_channel::<()>(100);
    let wait = Arc::new(Mutex::new(wait));
    let replica = Replica::strict(move |request, client| {
        if request.target == "/slow" {
            let _ = wait.lock().unwrap().recv();
        }
        client.send(HELLO);
    });
    (replica, go)
}

#[test]
fn during_the_delay_everything_is_served_and_asked_to_go_elsewhere() {
    let mut rig = Rig::new(&[]);
    let (replica, go) = slow();
    rig.add("a", replica.address);
    assert!(rig.proxy.as_ref().unwrap().is_ready());
    let [mut known, mut idle, mut busy] = [(); 3].map(|()| rig.connect());
    for client in [&mut known, &mut idle] {
        let answer = client.get("/");
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("hello", None));
    }
    busy.send("GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it is under way", || rig.in_flight() == 1);
    let gone = retire(&rig, DELAY, DRAIN, || {
        assert!(
            idle.is_silent_for(Duration::from_millis(200)),
            "an idle connection stays until it is answered"
        );
        let answer = known.get("/");
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("hello", Some("close")));
        assert!(known.is_ended());
        // Who has not heard of it yet connects, and is served.
        let mut new = rig.connect();
        let answer = new.get("/");
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("hello", Some("close")));
        assert!(new.is_ended());
        assert!(idle.is_ended() && !idle.was_reset, "at the end of the delay what is idle is closed");
        until("nobody is accepted any more", || std::net::TcpStream::connect(rig.address).is_err());
        // What is under way goes on to its end.
        assert_eq!(rig.in_flight(), 1);
        go.send(()).unwrap();
        let answer = busy.answer();
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("hello", Some("close")));
    });
    assert!(gone);
    rig.finish();
}

#[test]
fn no_request_of_a_crowd_on_kept_connections_fails() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let address = rig.address;
    let served = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let crowd: Vec<_> = (0..20)
        .map(|at| {
            let served = served.clone();
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                loop {
                    let answer = client.get("/");
                    assert_eq!(answer.text(), "hello");
                    served.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    if answer.field("connection") == Some("close") {
                        return assert!(client.is_ended() && !client.was_reset);
                    }
                    std::thread::park_timeout(Duration::from_millis(at));
                }
            })
        })
        .collect();
    until("all are served", || served.load(std::sync::atomic::Ordering::SeqCst) > 200);
    let mut outcomes = Vec::new();
    assert!(retire(&rig, DELAY, DRAIN, || outcomes.extend(crowd.into_iter().map(|one| one.join().is_ok()))));
    assert!(outcomes.iter().all(|fine| *fine));
    rig.finish();
}

#[test]
fn http2_clients_are_told_to_go_and_what_they_have_open_is_served() {
    let mut rig = Rig::new(&[]);
    let (replica, go) = slow();
    rig.add("a", replica.address);
    let sender = http2::open(&rig);
    let mut slow = sender.clone();
    let under_way = rig.runtime.spawn(async move { slow.send_request(http2::get("/slow")).await });
    until("it is under way", || rig.in_flight() == 1);
    let gone = retire(&rig, DELAY, DRAIN, || {
        let mut known = sender.clone();
        until("it was told to go", || {
            let refused = rig.runtime.block_on(async { known.send_request(http2::get("/")).await });
            refused.is_err_and(|error| error.is_canceled() || error.is_closed())
        });
        let new = http2::open(&rig);
        assert_eq!(&http2::rest(&rig, http2::send(&rig, &new, http2::get("/"))).0[..], b"hello");
        go.send(()).unwrap();
        let response = rig.runtime.block_on(under_way).unwrap().unwrap();
        assert_eq!(&http2::rest(&rig, response).0[..], b"hello");
    });
    assert!(gone);
    rig.finish();
}

#[test]
fn who_waits_at_the_end_of_the_drain_is_told_that_the_proxy_goes() {
    let rig = Rig::new(&[]);
    let mut client = rig.connect();
    client.send(GET);
    until("it waits", || rig.waiting() == 1);
    let gone = retire(&rig, Duration::ZERO, Duration::from_millis(200), || {
        let answer = client.answer();
        answer.is_problem(503, "draining");
        assert_eq!(answer.field("connection"), Some("close"));
        drop(client);
    });
    assert!(gone);
    rig.finish();
}

#[test]
fn what_doesnt_end_doesnt_hold_it_up() {
    let mut rig = Rig::new(&[]);
    let (replica, _go) = slow();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it is under way", || rig.in_flight() == 1);
    assert!(!retire(&rig, Duration::ZERO, Duration::from_millis(200), || {}));
    drop(client);
    rig.finish();
}
