//! The program `answer`, each path and each flag once, over real sockets of loopback.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running `answer`; killed when dropped.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(flags: &[&str]) -> Program {
        let mut child = command(flags).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("answer: listening on ").expect(&line).parse().unwrap();
        Program { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request and reads to the end of the connection.
    fn ask(&self, request: &str) -> std::io::Result<String> {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_answer"));
    command.env_remove("PORT").env_remove("HOST").env_remove("ANSWER_START_DELAY");
    command.args(["--listen", "127.0.0.1:0"]).args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn wait(child: &mut Child) -> ExitStatus {
    let mut ended = None;
    until("the program ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let (head, _) = answer.split_once("\r\n\r\n").expect(answer);
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).unwrap_or_else(|| panic!("no {name} in {head}")).1
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect(answer).1
}

fn number(answer: &str, name: &str) -> u64 {
    header(answer, name).parse().unwrap()
}

#[test]
fn every_answer_is_stamped() {
    let program = Program::start(&["--start-delay", "30ms"]);
    let answer = program.get("/");
    assert_eq!(number(&answer, "X-Answer-Pid"), u64::from(program.child.id()));
    let (started, listening) =
        (number(&answer, "X-Answer-Started-Micros"), number(&answer, "X-Answer-Listening-Micros"));
    assert!(listening >= started + 30_000, "{started} {listening}");
    assert_eq!((number(&answer, "X-Answer-In-Flight"), number(&answer, "X-Answer-Max-In-Flight")), (1, 1));
}

#[test]
fn paths_answer_as_told() {
    let program = Program::start(&[]);
    for (path, status, text) in [
        ("/", 200, "ok\n"),
        ("/delay/10ms", 200, "ok\n"),
        ("/?size=5&status=201&delay=1ms", 201, "xxxxx"),
        ("/bytes/3", 200, "xxx"),
        ("/status/503", 503, "ok\n"),
        ("/healthz", 200, "ok\n"),
        ("/chunked/2/3?every=5ms", 200, "3\r\nxxx\r\n3\r\nxxx\r\n0\r\n\r\n"),
        ("/sse?count=2&every=5ms", 200, "F\r\nid: 0\ndata: 0\n\n\r\nF\r\nid: 1\ndata: 1\n\n\r\n0\r\n\r\n"),
        ("/close-after?max=4ms", 200, "ok\n"),
        ("/nowhere", 404, "no path /nowhere here: `answer --help` lists them\n"),
    ] {
        let answer = program.get(path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert_eq!(body(&answer), text, "{path}");
    }
    assert_eq!(body(&program.get("/bytes/1048576")).len(), 1_048_576);
    let head =
        program.ask("GET /headers?a=b HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(body(&head), "GET /headers?a=b HTTP/1.1\nhost: a\nx-one: 1\nconnection: close\n");
    let trailers = "GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n";
    assert!(program.ask(trailers).unwrap().ends_with("0\r\nx-answer-trailer: at the end\r\n\r\n"));
}

#[test]
fn a_body_is_echoed_while_it_is_sent() {
    let program = Program::start(&[]);
    let mut stream = program.connect();
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        .unwrap();
    let mut seen = Vec::new();
    let mut read_until = |stream: &mut TcpStream, end: &str| {
        while !String::from_utf8_lossy(&seen).ends_with(end) {
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).unwrap();
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&bytes[..read]);
        }
    };
    read_until(&mut stream, "3\r\none\r\n");
    stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").unwrap();
    read_until(&mut stream, "3\r\ntwo\r\n0\r\n\r\n");
}

#[test]
fn an_early_answer_does_not_wait_for_the_body() {
    let program = Program::start(&[]);
    let mut stream = program.connect();
    stream.write_all(b"POST /early/413 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(header(&answer, "connection"), "close");
}

#[test]
fn a_connection_closes_after_its_answer_without_saying_so() {
    let program = Program::start(&[]);
    // Keep-alive is asked for: the end of the connection is the program's doing.
    let answer = program.ask("GET /close-after?max=1ms HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && !answer.to_lowercase().contains("connection:"),
        "{answer}"
    );
}

#[test]
fn aborts_are_resets() {
    let program = Program::start(&[]);
    for (path, begun) in [("/abort", ""), ("/abort?after=1000", "HTTP/1.1 200 OK")] {
        let mut stream = program.connect();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut seen = Vec::new();
        let error = stream.read_to_end(&mut seen).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{path}");
        let seen = String::from_utf8(seen).unwrap();
        assert!(seen.starts_with(begun) && !seen.ends_with("0\r\n\r\n"), "{path}: {seen}");
        assert_eq!(seen.matches('x').count() >= 1000, !begun.is_empty(), "{path}");
    }
}

#[test]
fn a_crash_breaks_its_answer_off() {
    let mut program = Program::start(&[]);
    let mut stream = program.connect();
    stream.write_all(b"GET /crash HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    let _ = stream.read_to_end(&mut seen);
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.starts_with("HTTP/1.1 200 ") && !seen.ends_with("0\r\n\r\n"), "{seen}");
    assert_eq!(program.wait().code(), Some(7));
}

#[test]
fn a_websocket_echoes_and_counts_as_open() {
    let program = Program::start(&[]);
    let mut stream = program.connect();
    let handshake = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(header(&head, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    // RFC 6455 §5.7: a masked "Hello"; a masked ping; a masked close.
    stream.write_all(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]).unwrap();
    stream.write_all(&[0x89, 0x81, 1, 2, 3, 4, b'p' ^ 1]).unwrap();
    let mut frames = [0; 10];
    reader.read_exact(&mut frames).unwrap();
    assert_eq!(&frames, b"\x81\x05Hello\x8a\x01p");
    assert_eq!(number(&program.get("/"), "X-Answer-In-Flight"), 2);
    stream.write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [0x88, 0]);
    until("the WebSocket is no longer open", || number(&program.get("/"), "X-Answer-In-Flight") == 1);
}

#[test]
fn the_hard_limit_ends_the_program() {
    let mut program = Program::start(&["--hard-limit", "2"]);
    let mut open: Vec<TcpStream> = Vec::new();
    for count in 1..=2 {
        let mut stream = program.connect();
        stream.write_all(b"GET /chunked/1000/1?every=1s HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 100]).unwrap() > 0, "{count}");
        open.push(stream);
    }
    // Not counted, so within the limit.
    assert_eq!(number(&program.get("/healthz"), "X-Answer-In-Flight"), 2);
    let mut third = program.connect();
    third.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(program.wait().code(), Some(9));
}

#[test]
fn sigterm_finishes_what_is_open() {
    let mut program = Program::start(&[]);
    let mut idle = program.connect();
    let mut busy = program.connect();
    busy.write_all(b"GET /chunked/20/10?every=20ms HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(busy.read(&mut [0; 10]).unwrap() > 0);
    program.signal(rustix::process::Signal::TERM);
    let mut rest = String::new();
    busy.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(idle.read(&mut [0; 10]).unwrap(), 0);
    assert_eq!(program.wait().code(), Some(0));
}

#[test]
fn sigterm_can_be_ignored() {
    let program = Program::start(&["--ignore-term"]);
    program.signal(rustix::process::Signal::TERM);
    // The signal was delivered once no thread has it pending any more.
    until("the signal is taken", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
        status.lines().any(|line| line == "ShdPnd:\t0000000000000000")
    });
    assert!(program.get("/").starts_with("HTTP/1.1 200 "));
}

#[test]
fn starts_go_wrong_as_told() {
    let output = command(&["--exit", "3"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("exit with 3"));
    assert_eq!(command(&["--start-delay", "5"]).stderr(Stdio::null()).status().unwrap().code(), Some(2));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut clash = Command::new(env!("CARGO_BIN_EXE_answer"));
    assert_eq!(clash.args(["--listen", &address]).stderr(Stdio::null()).status().unwrap().code(), Some(1));
    let elsewhere = Program::start(&["--listen-elsewhere"]);
    assert!(elsewhere.get("/").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_program_that_is_never_ready_still_ends_on_sigterm() {
    let mut child = command(&["--never-ready"]).spawn().unwrap();
    let pid = child.id();
    // Its handler is there before anything else: from then on the signal is its own doing, not the kernel's.
    until("it handles SIGTERM", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
        u64::from_str_radix(caught, 16).unwrap() & (1 << 14) != 0
    });
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn the_environment_says_where_to_listen() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_answer"));
    command.env("PORT", free.port().to_string()).env("HOST", "127.0.0.1").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let program = Program { child, address: free };
    assert_eq!(line.trim(), format!("answer: listening on {free}"));
    assert!(program.get("/").starts_with("HTTP/1.1 200 "));
}

/// The state of the process and the session that it is in, from `/proc`: `getsid` panics where the session's leader
/// lives outside of this process's namespace, as in a container that was entered; there the session reads 0.
fn state_and_session(process: &str) -> (String, String) {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[0].to_string(), fields[3].to_string())
}

#[test]
fn an_orphan_stays_behind() {
    let mut program = Program::start(&["--spawn-orphan", "--orphan-life", "60s"]);
    let orphan = number(&program.get("/"), "X-Answer-Orphan-Pid");
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    let (state, session) = state_and_session(&orphan.to_string());
    assert_ne!(state, "Z");
    assert_ne!(session, state_and_session("self").1);
    let pid = rustix::process::Pid::from_raw(i32::try_from(orphan).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn many_connections_are_served_at_once() {
    kaos_loadtest::descriptors::raise_limit();
    let program = Program::start(&[]);
    let mut open = Vec::new();
    for _ in 0..2000 {
        let mut stream = program.connect();
        stream.write_all(b"GET /delay/1s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        open.push(stream);
    }
    for mut stream in open {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(body(&answer), "ok\n");
    }
}
