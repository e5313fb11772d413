//! gRPC through `kaos up`, by a client and a server that nobody here wrote: grpc-go's interoperability tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kaos_testbed::Interop;
use serde_json::Value;

/// Longest time for one case.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cases that need neither TLS nor accounts, in the order of their description.
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
];

/// A running `kaos up`. Killed when dropped.
struct Kaos {
    child: Child,
    port: u16,
    admin: String,
}

impl Kaos {
    fn up(folder: &std::path::Path, server: &str) -> Kaos {
        let mut child = Command::new(kaos_testbed::kaos().unwrap())
            .args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--output", "json"])
            .args(["--name", "grpc", "--protocol", "h2c", "--idle-timeout", "1s", "--window", "6s"])
            .args(["--", server, "--port={port}"])
            .env("HOME", folder)
            .env("XDG_RUNTIME_DIR", folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        // What the server says comes here too, and nobody should wait to write it.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let of = |name: &str| said[name].as_str().unwrap().to_owned();
        let port = of("listen").rsplit(':').next().unwrap().parse().unwrap();
        Kaos { child, port, admin: of("admin") }
    }

    /// The value of one series of `/metrics` about the workload; zero if it isn't there.
    fn metric(&self, name: &str) -> f64 {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let series = format!("{name}{{namespace=\"local\",workload=\"grpc\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&series)).map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Drop for Kaos {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn passes(interop: &Interop, kaos: &Kaos, case: &str) -> Result<(), String> {
    let mut client = interop
        .client()
        .unwrap()
        .args(["--server_host=127.0.0.1", &format!("--server_port={}", kaos.port)])
        .arg(format!("--test_case={case}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match client.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                client.kill().unwrap();
                break client.wait().unwrap();
            }
            None => std::thread::park_timeout(Duration::from_millis(10)),
        }
    };
    let said = std::io::read_to_string(client.stderr.take().unwrap()).unwrap();
    if status.success() { Ok(()) } else { Err(format!("{case}: {status}\n{said}")) }
}

/// The first case finds no replica; later ones find one, or none again.
#[test]
fn every_case_passes_through_kaos() {
    let interop = Interop::find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kaos = Kaos::up(folder.path(), &interop.server().unwrap());
    let failed: Vec<String> = CASES.iter().filter_map(|case| passes(&interop, &kaos, case).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(kaos.metric("kaos_cold_requests_total") >= 1.0);
    let deadline = Instant::now() + PATIENCE;
    while kaos.metric("kaos_requests_in_flight") > 0.0 {
        assert!(Instant::now() < deadline, "requests are in flight that nobody waits for");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
