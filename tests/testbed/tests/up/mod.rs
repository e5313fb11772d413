//! A running `kaos up`, for suites that others have written.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest time for one thing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `kaos up` on ports of its own. Killed when dropped.
pub struct Kaos {
    child: Child,
    pub listen: SocketAddr,
    admin: String,
    /// Its home.
    _folder: tempfile::TempDir,
}

impl Kaos {
    /// Runs `command` as the function `name`, with `flags`.
    pub fn up(name: &str, flags: &[&str], command: &[&str]) -> Kaos {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(kaos_testbed::kaos().unwrap())
            .args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--output", "json"])
            .args(["--name", name])
            .args(flags)
            .arg("--")
            .args(command)
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        // What the function says comes here too, and nobody should wait to write it.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let of = |name: &str| said[name].as_str().unwrap().to_owned();
        Kaos { child, listen: of("listen").parse().unwrap(), admin: of("admin"), _folder: folder }
    }

    /// The body of what the admin port answers to GET `path`.
    fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The address of the first replica of the function `name`, once it is ready.
    pub fn replica(&self, name: &str) -> SocketAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown: Value =
                serde_json::from_str(&self.ask(&format!("/v1/workloads/local/{name}"))).unwrap();
            if shown["endpoints"][0]["phase"] == "ready" {
                return shown["endpoints"][0]["address"].as_str().unwrap().parse().unwrap();
            }
            assert!(Instant::now() < deadline, "no replica is ready: {shown}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Where it takes TLS.
    pub fn listen_tls(&self) -> SocketAddr {
        let instance: Value = serde_json::from_str(&self.ask("/v1/instance")).unwrap();
        instance["listen_tls"].as_str().unwrap().parse().unwrap()
    }

    /// The sum of the series of `/metrics` that begin so.
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.ask("/metrics");
        let values = page.lines().filter(|line| line.starts_with(series));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until no request is in flight: whatever a suite did, nothing is held for it.
    #[track_caller]
    pub fn lets_go(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.metric("kaos_requests_in_flight{") > 0.0 {
            assert!(Instant::now() < deadline, "requests are in flight that nobody waits for");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Kaos {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end. What it wrote, and whether it succeeded; what doesn't end in time is killed.
pub fn run(command: &mut Command, patience: Duration) -> (bool, String) {
    let mut output = tempfile::tempfile().unwrap();
    let both = || Stdio::from(output.try_clone().unwrap());
    let mut child = command.stdin(Stdio::null()).stdout(both()).stderr(both()).spawn().unwrap();
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => std::thread::park_timeout(Duration::from_millis(10)),
        }
    };
    let mut said = format!("{status}\n");
    std::io::Seek::rewind(&mut output).unwrap();
    output.read_to_string(&mut said).unwrap();
    (status.success(), said)
}
