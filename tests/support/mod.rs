//! What the tests of the whole command share: a `kaos up` on free ports that never outlives its test, HTTP as bytes, and
//! waiting for a condition with a deadline.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

pub mod certificate;
pub mod nginx;
pub mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything that should take moments.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A `kaos` command in an environment of its own: nothing of the user's reaches it, and it finds only the Kaos whose
/// runtime folder is `runtime`.
pub fn kaos(runtime: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaos"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("KAOS_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("KUBECONFIG").env_remove("XDG_STATE_HOME").env("HOME", runtime);
    command.env("XDG_RUNTIME_DIR", runtime).current_dir(runtime).stdin(Stdio::null());
    command
}

/// The program that answers as it is told.
pub fn answer() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_kaos")).with_file_name("examples").join("answer");
    assert!(program.exists(), "{} isn't there: cargo build --example answer", program.display());
    program.to_str().unwrap().to_owned()
}

/// A running `kaos up`. Killed when dropped.
pub struct Kaos {
    /// Its process.
    pub child: Child,
    /// Where requests go.
    pub listen: SocketAddr,
    /// Where it is asked.
    pub admin: SocketAddr,
    /// Its runtime folder and working directory.
    pub dir: tempfile::TempDir,
}

impl Kaos {
    /// Runs `kaos up` with `arguments` on free ports.
    pub fn up(arguments: &[&str]) -> Kaos {
        Kaos::up_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// Runs `answer` with `flags` as the function `shop`, with `knobs`.
    pub fn shop(knobs: &[&str], flags: &[&str]) -> Kaos {
        let answer = answer();
        Kaos::up(&[&["--name", "shop"], knobs, &["--", &answer], flags].concat())
    }

    /// Runs `kaos up` in `dir`, which may hold a `kaos.toml`.
    pub fn up_in(dir: tempfile::TempDir, arguments: &[&str]) -> Kaos {
        Kaos::up_under(dir, &[], arguments)
    }

    /// The same with more in its environment.
    pub fn up_under(dir: tempfile::TempDir, environment: &[(&str, &Path)], arguments: &[&str]) -> Kaos {
        let stderr = std::fs::File::create(dir.path().join("stderr")).unwrap();
        let mut child = kaos(dir.path())
            .args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--output", "json"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (first, line) = sync_channel(1);
        let mut kept = std::fs::File::create(dir.path().join("stdout")).unwrap();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = first.send(line);
            let _ = std::io::copy(&mut stdout, &mut kept);
        });
        let line = line.recv_timeout(PATIENCE).unwrap_or_default();
        let stderr = || std::fs::read_to_string(dir.path().join("stderr")).unwrap_or_default();
        let Ok(said) = serde_json::from_str::<Value>(&line) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("kaos up didn't say where it listens: {line:?}\n{}", stderr());
        };
        let address = |name: &str| said[name].as_str().unwrap().parse().unwrap();
        Kaos { listen: address("listen"), admin: address("admin"), child, dir }
    }

    /// The answer to GET `path` of the only function.
    pub fn get(&self, path: &str) -> Reply {
        get(self.listen, "shop.localhost", path)
    }

    /// The answer of the admin port as text.
    pub fn ask(&self, path: &str) -> Reply {
        get(self.admin, &self.admin.to_string(), path)
    }

    /// The answer of the admin port as JSON.
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.ask(path).text()).unwrap()
    }

    /// The workload `name` as the admin port shows it.
    pub fn workload(&self, name: &str) -> Value {
        self.json(&format!("/v1/workloads/local/{name}"))
    }

    /// The value of one series of `/metrics`; zero if it isn't there.
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.ask("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Another `kaos` command that finds this one by the runtime folder.
    pub fn command(&self, arguments: &[&str]) -> Output {
        kaos(self.dir.path()).args(arguments).output().unwrap()
    }

    /// What was written to stderr so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    /// What was written to stdout so far, after the first line.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stdout")).unwrap()
    }

    /// Sends a signal, by its name for kill(1).
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for its end. The exit code; `None` if a signal ended it.
    pub fn ended(&mut self) -> Option<i32> {
        eventually("kaos ends", || self.child.try_wait().unwrap()).code()
    }

    /// Every process below it.
    pub fn descendants(&self) -> Vec<u32> {
        descendants(self.child.id())
    }
}

impl Drop for Kaos {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- stderr of kaos up\n{}---", self.stderr());
        }
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// Waits until `condition` gives a value.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a condition that has a deadline")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Whether a process is there and not merely unreaped.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// State and parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn descendants(root: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Reads a whole answer as it came.
    pub fn parse(bytes: &[u8]) -> Option<Reply> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let field = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        let mut reply =
            Reply { status, headers: lines.filter_map(field).collect(), body: bytes[end + 4..].to_vec() };
        if reply.header("transfer-encoding").is_some() {
            reply.body = unchunked(&reply.body)?;
        }
        Some(reply)
    }
}

/// `None` if the last chunk is missing.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

/// GET `path` on a connection of its own.
pub fn get(address: SocketAddr, host: &str, path: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let bytes = raw(address, request.as_bytes());
    Reply::parse(&bytes).unwrap_or_else(|| panic!("{path}: no answer: {:?}", String::from_utf8_lossy(&bytes)))
}

/// Sends bytes and reads until the other side closes.
pub fn raw(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    ask(&mut TcpStream::connect(address).unwrap(), request)
}

/// The same on a connection that is there.
pub fn ask(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    // A reset after the answer is an end too.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// A folder with this `kaos.toml`.
pub fn folder(configuration: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(file(&dir), configuration).unwrap();
    dir
}

/// The `kaos.toml` of a folder.
pub fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("kaos.toml")
}

/// What a command wrote.
pub fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
