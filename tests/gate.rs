//! Proxies in front of `kaos up` that ask its gate and carry the data themselves: from zero, warm and back no request is lost,
//! though the replica ends at once when it is told to. nginx is always there; Envoy where `envoy` is in the PATH or in
//! `KAOS_ENVOY` (it can't be had from Debian).

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::nginx::Nginx;
use support::{Kaos, Reply, eventually};

/// An application that drops whatever it does at SIGTERM. `/wait/SECONDS` takes so long.
const APPLICATION: &str = r#"
import http.server, sys, time

class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        got = self.rfile.read(length)
        if self.path.startswith("/wait/"):
            time.sleep(float(self.path[6:]))
        body = self.path.encode() + got
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(sys.argv[1])), Application).serve_forever()
"#;

fn application(knobs: &[&str]) -> (Kaos, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("application.py"), APPLICATION).unwrap();
    let flags = ["--name", "shop", "--listen-gate", "127.0.0.1:0", "--max-scale", "1"];
    let command = ["--", "python3", "application.py", "{port}"];
    let kaos = Kaos::up_in(dir, &[&flags[..], knobs, &command].concat());
    let gate = gate_of(&kaos);
    (kaos, gate)
}

fn gate_of(kaos: &Kaos) -> SocketAddr {
    kaos.json("/v1/instance")["listen_gate"].as_str().unwrap().parse().unwrap()
}

/// What is in `docs/gate.md`, for these addresses.
fn nginx(gate: SocketAddr) -> Nginx {
    let page = include_str!("../docs/gate.md");
    let snippet = page.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    Nginx::start(tempfile::tempdir().unwrap(), |address| {
        let there = snippet.replace("127.0.0.1:8081", &gate.to_string());
        there.replace("listen 80;", &format!("listen {address};")).replace("server_name", "#")
    })
}

/// A running Envoy. Killed when dropped.
struct Envoy {
    child: Child,
    address: SocketAddr,
    /// Keeps the port from all others, and takes no connection.
    _vacant: socket2::Socket,
    _dir: tempfile::TempDir,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, if it is there.
fn installed() -> Option<PathBuf> {
    let named = std::env::var_os("KAOS_ENVOY").map(PathBuf::from);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join("envoy"));
    named.or_else(|| found.find(|path| path.is_file()))
}

fn envoy(program: &PathBuf, gate: SocketAddr) -> Envoy {
    let page = include_str!("../docs/gate.md");
    let snippet = page.split("```yaml\n# envoy.yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let vacant = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Envoy's listeners share their port with who allows it.
    vacant.set_reuse_port(true).unwrap();
    vacant.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = vacant.local_addr().unwrap().as_socket().unwrap();
    let text = snippet
        .replace(
            "address: 127.0.0.1, port_value: 8081",
            &format!("address: 127.0.0.1, port_value: {}", gate.port()),
        )
        .replace(
            "address: 0.0.0.0, port_value: 80",
            &format!("address: 127.0.0.1, port_value: {}", address.port()),
        );
    let (path, log) = (dir.path().join("envoy.yaml"), File::create(dir.path().join("log")).unwrap());
    std::fs::write(&path, text).unwrap();
    let child = Command::new(program)
        .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "--config-path"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut envoy = Envoy { child, address, _vacant: vacant, _dir: dir };
    eventually("envoy listens", || {
        let ended = envoy.child.try_wait().unwrap();
        assert!(ended.is_none(), "{}", std::fs::read_to_string(envoy._dir.path().join("log")).unwrap());
        TcpStream::connect(address).ok()
    });
    envoy
}

fn get(front: SocketAddr, path: &str) -> Reply {
    support::get(front, "shop.localhost", path)
}

#[track_caller]
fn is_answered(front: SocketAddr, path: &str) {
    let reply = get(front, path);
    assert_eq!((reply.status, reply.text().as_str()), (200, path), "{:?}", reply.headers);
}

fn falls_asleep(kaos: &Kaos) {
    eventually("it falls asleep", || (kaos.workload("shop")["state"] == "zero").then_some(()));
}

/// Everything that must not be lost, through a proxy at `front`.
fn nothing_is_lost(kaos: &Kaos, front: SocketAddr) {
    for round in 0..3 {
        std::thread::scope(|scope| {
            for client in 0..16 {
                scope.spawn(move || {
                    for request in 0..10 {
                        is_answered(front, &format!("/{round}/{client}/{request}?a=b"));
                    }
                });
            }
        });
        falls_asleep(kaos);
    }
    // Longer than the idle time, and nobody else asks meanwhile.
    is_answered(front, "/wait/2");
    falls_asleep(kaos);
    at_the_edge(kaos, front);
    let asked = kaos.metric(r#"kaos_requests_total{namespace="local",workload="shop",code="200"}"#);
    assert!(asked >= 3.0 * 160.0, "{asked}");
    // A body goes its own way, after the question.
    is_told(front, "POST /body HTTP/1.1\r\nContent-Length: 5", "hello", "/bodyhello");
    // And what a client says of the way is nothing to anybody.
    let spoofed = "GET /own HTTP/1.1\r\nX-Kaos-Replica: 127.0.0.1:1\r\nX-Forwarded-Host: other\r\n\
                   X-Forwarded-Uri: /other\r\nX-Original-URL: http://other/other";
    is_told(front, spoofed, "", "/own");
}

/// Checks what is answered to a request of this head and body.
#[track_caller]
fn is_told(front: SocketAddr, head: &str, body: &str, wanted: &str) {
    let request = format!("{head}\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n{body}");
    let reply = Reply::parse(&support::raw(front, request.as_bytes())).unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, wanted), "{:?}", reply.headers);
}

/// Requests that come just when it is about to fall asleep, and while it does.
fn at_the_edge(kaos: &Kaos, front: SocketAddr) {
    let over = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let seen = over.clone();
        scope.spawn(move || {
            let mut turn = 0;
            while !seen.load(Ordering::Relaxed) {
                is_answered(front, "/edge");
                turn += 1;
                // About as long as it stays awake: the requests' time and the idle time, and what it takes to act on that.
                let gap = Duration::from_millis(2900 + 130 * (turn % 12));
                std::thread::park_timeout(gap);
            }
        });
        let mut asleep = 0;
        let mut was = false;
        eventually_within(Duration::from_secs(60), "it has been asleep between requests", || {
            let is = kaos.workload("shop")["state"] == "zero";
            asleep += u32::from(is && !was);
            was = is;
            asleep >= 3
        });
        over.store(true, Ordering::Relaxed);
    });
}

fn eventually_within(span: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + span;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {span:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

const KNOBS: [&str; 4] = ["--idle-timeout", "1s", "--gate-request-time", "2s"];

#[test]
fn behind_nginx_no_request_is_lost() {
    let (kaos, gate) = application(&KNOBS);
    let nginx = nginx(gate);
    nothing_is_lost(&kaos, nginx.address);
    assert_eq!(get(nginx.address, "/_kaos").status, 404, "only nginx itself asks");
    falls_asleep(&kaos);
    let reply = get(nginx.address, "/");
    assert_eq!((reply.status, reply.header("x-kaos-cold-start")), (200, Some("true")));
    let (kaos, gate) = never_ready();
    who_leaves_waits_no_more(&kaos, self::nginx(gate).address);
}

#[test]
fn behind_envoy_no_request_is_lost() {
    let Some(program) = installed() else {
        eprintln!("left out: there is no envoy; benches/peers.sh gets one");
        return;
    };
    let (kaos, gate) = application(&KNOBS);
    let envoy = envoy(&program, gate);
    nothing_is_lost(&kaos, envoy.address);
    let (kaos, gate) = never_ready();
    who_leaves_waits_no_more(&kaos, self::envoy(&program, gate).address);
}

/// One whose replica is never ready.
fn never_ready() -> (Kaos, SocketAddr) {
    let kaos = Kaos::up(&["--name", "shop", "--listen-gate", "127.0.0.1:0", "--", "sleep", "1000"]);
    let gate = gate_of(&kaos);
    (kaos, gate)
}

/// Whose client leaves a proxy at `front` lets go of the question.
fn who_leaves_waits_no_more(kaos: &Kaos, front: SocketAddr) {
    let waiting = |count: u32, what: &str| {
        eventually(what, || (kaos.workload("shop")["waiting"] == count).then_some(()));
    };
    let mut client = TcpStream::connect(front).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").unwrap();
    waiting(1, "it waits");
    drop(client);
    waiting(0, "it waits no more");
}

#[test]
fn behind_nginx_a_refusal_is_told_with_the_time_to_come_again() {
    let kaos = Kaos::up(&["--name", "shop", "--listen-gate", "127.0.0.1:0", "--", "/nowhere/at-all"]);
    let nginx = nginx(gate_of(&kaos));
    let reply = get(nginx.address, "/");
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}
