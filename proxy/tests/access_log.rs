//! What the access log is told of each request, however it ends, over either version of HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::BodyExt;
use kaos_core::ProxyId;
use kaos_proxy::{Access, AccessLog, Config, Entry, Limits};
use support::http2::{empty, full, open, rest, send};
use support::{Client, Replica, Rig, until};

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<Entry>>);

impl AccessLog for Log {
    fn take(&self, entries: Vec<Entry>) {
        self.0.lock().unwrap().extend(entries);
    }

    fn dropped(&self) -> u64 {
        3
    }
}

impl Log {
    /// The one entry since the last time, once it is there.
    #[track_caller]
    fn one(&self) -> Entry {
        until("it is told", || !self.0.lock().unwrap().is_empty());
        let mut entries = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }
}

/// A proxy whose log is told of `share` of its requests.
fn logged(share: f64, knobs: &[(&str, &str)]) -> (Rig, Arc<Log>) {
    let log = Arc::new(Log::default());
    let access = Access { log: log.clone(), share };
    let trusted = vec!["127.0.0.8".parse().unwrap()];
    (Rig::telling(knobs, |_| {}, Limits { trusted, ..Limits::default() }, Some(access)), log)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn a_request_is_told_of_when_it_has_ended() {
    let (mut rig, log) = logged(1.0, &[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect_from(8);
    client.send(format!(
        "POST /a/../b?secret=1 HTTP/1.1\r\nHost: shop:80\r\nUser-Agent: curl\r\nReferer: http://x/\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Request-Id: mine\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    ));
    assert_eq!(client.answer().text(), "hello");
    let entry = log.one();
    assert_eq!(entry.client, IpAddr::from([127, 0, 0, 8]));
    assert_eq!([entry.method(), entry.host(), entry.path()].map(text), ["POST", "shop:80", "/a/../b"]);
    assert_eq!(
        [entry.user_agent(), entry.referer(), entry.forwarded_for()].map(text),
        ["curl", "http://x/", "1.2.3.4"]
    );
    assert_eq!((entry.protocol, entry.status, entry.received, entry.sent), (Some("HTTP/1.1"), 200, 7, 5));
    assert_eq!((entry.request_id.as_str(), entry.trace_id.unwrap().as_str()), ("mine", TRACE));
    assert_eq!(entry.workload.unwrap().to_string(), "local/shop");
    let target = entry.replica.unwrap();
    assert_eq!((target.uid.as_str(), target.address), ("a", replica.address));
    assert_eq!((entry.refusal, entry.cut, entry.cold), (None, false, false));
    assert!(entry.queue_wait.is_zero() && !entry.duration.is_zero());
    // A stranger says of nobody else, and a second request has its own entry.
    let mut stranger = rig.connect();
    stranger.send("HEAD / HTTP/1.0\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: keep-alive\r\ntraceparent: 00-0-0-00\r\n\r\n");
    stranger.head();
    let entry = log.one();
    assert_eq!([entry.method(), entry.host(), entry.forwarded_for()].map(text), ["HEAD", "", ""]);
    assert_eq!((entry.protocol, entry.sent, entry.trace_id), (Some("HTTP/1.0"), 0, None));
    drop((client, stranger));
    rig.finish();
}

#[test]
fn over_http_2_it_is_the_same() {
    let (mut rig, log) = logged(1.0, &[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let sender = open(&rig);
    let request = Request::post("http://shop/b?secret=1")
        .header("user-agent", "h2")
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .body(full("abcdefg"))
        .unwrap();
    let response = send(&rig, &sender, request);
    assert_eq!(&rest(&rig, response).0[..], b"hello");
    let entry = log.one();
    assert_eq!(
        [entry.method(), entry.host(), entry.path(), entry.user_agent()].map(text),
        ["POST", "shop", "/b", "h2"]
    );
    assert_eq!((entry.protocol, entry.status, entry.received, entry.sent), (Some("HTTP/2.0"), 200, 7, 5));
    assert_eq!((entry.trace_id.unwrap().as_str(), entry.cut), (TRACE, false));
    let response = send(&rig, &sender, Request::get("http://shop../").body(empty()).unwrap());
    assert_eq!(response.status(), 400);
    let entry = log.one();
    assert_eq!((entry.status, entry.refusal, entry.cut), (400, Some("bad-request"), false));
    drop(sender);
    rig.finish();
}

#[test]
fn a_wait_and_its_end_are_told() {
    let (mut rig, log) = logged(0.0, &[("queue-timeout", "50ms")]);
    rig.connect().get("/slow").is_problem(504, "queue-timeout");
    let entry = log.one();
    assert_eq!((entry.status, entry.refusal), (504, Some("queue-timeout")));
    assert!(!entry.queue_wait.is_zero() && entry.queue_wait <= entry.duration && entry.replica.is_none());
    rig.withdraw();
    rig.connect().get("/nowhere").is_problem(404, "no-route");
    let entry = log.one();
    assert_eq!(
        (entry.refusal, entry.workload.is_none(), text(entry.path())),
        (Some("no-route"), true, "/nowhere")
    );
    rig.finish();
}

#[test]
fn who_leaves_and_what_is_cut_is_told() {
    let (mut rig, log) = logged(0.0, &[]);
    let mut client = rig.connect();
    client.send("GET /leaves HTTP/1.1\r\nHost: shop\r\n\r\n");
    until("it waits", || rig.waiting() == 1);
    drop(client);
    let entry = log.one();
    assert_eq!((entry.status, entry.cut, text(entry.path())), (499, false, "/leaves"));
    let replica = Replica::new(|mut client: Client| {
        let asked = client.next_request();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
        // One is cut here, the other by its client.
        while asked.as_ref().is_some_and(|head| head.contains("/left")) && client.fill() > 0 {}
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("GET /cut HTTP/1.1\r\nHost: shop\r\n\r\n");
    client.read_until(b"part");
    assert!(client.is_ended());
    let entry = log.one();
    assert_eq!((entry.status, entry.cut, entry.sent, entry.refusal), (200, true, 4, None));
    let sender = open(&rig);
    let mut response = send(&rig, &sender, support::http2::get("/left"));
    let part = rig.runtime.block_on(response.body_mut().frame()).unwrap().unwrap();
    assert_eq!(part.data_ref().map(|data| &data[..]), Some(&b"part"[..]));
    drop(response);
    let entry = log.one();
    assert_eq!((entry.status, entry.cut, entry.sent), (200, true, 4));
    drop((client, sender));
    rig.finish();
}

#[test]
fn what_couldnt_be_read_is_told_without_a_head() {
    let (rig, log) = logged(0.0, &[]);
    let mut client = rig.connect();
    client.send("NONSENSE\r\n\r\n");
    let answer = client.answer();
    answer.is_problem(400, "bad-request");
    let entry = log.one();
    assert_eq!((entry.protocol, entry.method(), entry.status), (None, &b""[..], 400));
    assert_eq!((entry.sent, entry.cut), (answer.body.len() as u64, false));
    assert_eq!(Some(entry.request_id.as_str()), answer.field("x-request-id"));
    rig.finish();
}

#[test]
fn a_tunnel_is_told_of_at_its_end() {
    let (mut rig, log) = logged(1.0, &[]);
    let replica = Replica::new(|mut client: Client| {
        client.next_request();
        client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        let heard = client.read_exact(4);
        client.send([&heard[..], b"!"].concat());
        client.finish_sending();
        while client.fill() > 0 {}
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    client.head();
    client.send("ping");
    assert_eq!(client.read_to_end(), b"ping!");
    client.finish_sending();
    let entry = log.one();
    assert_eq!((entry.status, entry.received, entry.sent, entry.cut), (101, 4, 5, false));
    rig.finish();
}

#[test]
fn errors_are_told_of_though_nothing_else_is() {
    let (mut rig, log) = logged(0.0, &[("no-wake-paths", "/healthz=404")]);
    assert_eq!(rig.connect().get("/healthz").status(), 404);
    let replica = Replica::strict(|request, client| {
        let status = if request.target == "/bad" { "500 Bad" } else { "404 Not Found" };
        client.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
    });
    rig.add("a", replica.address);
    let mut client = rig.connect();
    for target in ["/good", "/bad", "/good"] {
        client.get(target);
    }
    assert_eq!((log.one().status, rig.totals().access_log_dropped), (500, 3));
    drop(client);
    rig.finish();
    assert_eq!(log.0.lock().unwrap().len(), 0);
}

#[test]
fn what_has_ended_is_told_before_the_proxy_has() {
    let (mut rig, log) = logged(1.0, &[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    (0..100).for_each(|_| assert_eq!(client.get("/").status(), 200));
    rig.runtime.block_on(rig.proxy.as_ref().unwrap().flush());
    assert_eq!(log.0.lock().unwrap().len(), 100);
    client.get("/");
    drop(client);
    rig.finish();
    assert_eq!(log.0.lock().unwrap().len(), 101);
}

/// A request that goes on to another proxy is told of where its client is known, and there alone.
#[test]
fn a_request_that_is_passed_on_is_told_of_once() {
    let logs = [(); 2].map(|()| Arc::new(Log::default()));
    let mut rigs = [0, 1].map(|at: usize| {
        let access = Access { log: logs[at].clone(), share: 1.0 };
        let change = |config: &mut Config| config.id = ProxyId::new(&at.to_string());
        Rig::telling(&[("container-concurrency", "1")], change, Limits::default(), Some(access))
    });
    let all = [0, 1].map(|at: usize| (ProxyId::new(&at.to_string()), rigs[at].address));
    let replica = Replica::hello();
    for rig in &mut rigs {
        rig.peers.send_replace(all.clone().into());
        rig.add("a", replica.address);
    }
    until("one passes on what it is asked, and both tell of their own clients", || {
        let told = [0, 1].map(|at: usize| {
            assert_eq!(rigs[at].connect().get(&format!("/{at}")).text(), "hello");
            for rig in &rigs {
                rig.runtime.block_on(rig.proxy.as_ref().unwrap().flush());
            }
            logs.each_ref().map(|log| std::mem::take(&mut *log.0.lock().unwrap()))
        });
        let lengths = told.each_ref().map(|told| told.each_ref().map(Vec::len));
        let targets = told.iter().flatten().flatten().filter_map(|entry| entry.replica.as_ref());
        lengths == [[1, 0], [0, 1]] && targets.filter(|to| to.uid.as_str().starts_with("proxy:")).count() == 1
    });
    for rig in &rigs {
        rig.peers.send_replace(BTreeMap::new());
    }
    Rig::finish_all(rigs);
}
