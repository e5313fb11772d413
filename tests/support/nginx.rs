//! An nginx in front of what a test runs.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::eventually;

/// A running nginx. Killed when dropped.
pub struct Nginx {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Nginx {
    /// One whose `http` is what `http` makes of the address where it is to listen, with its files in `dir`.
    pub fn start(dir: tempfile::TempDir, http: impl Fn(SocketAddr) -> String) -> Nginx {
        let at = |name: &str| dir.path().join(name);
        // A port that is free may be another's a moment later: nginx can't be told to take any.
        for _ in 0..16 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            fs::write(at("nginx.conf"), whole(dir.path(), &http(address))).unwrap();
            let mut child = nginx(dir.path());
            let has_begun = eventually("nginx listens, or ends", || {
                let ended = child.try_wait().unwrap().is_some();
                // Written once its ports are bound.
                let pid = fs::read_to_string(at("nginx.pid")).unwrap_or_default();
                (ended || pid.trim() == child.id().to_string()).then_some(!ended)
            });
            if has_begun {
                return Nginx { child, address, dir };
            }
            let said = fs::read_to_string(at("nginx.log")).unwrap();
            assert!(said.contains("Address already in use"), "{said}");
        }
        panic!("no port stays free");
    }

    /// What it has written of errors.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("nginx.log")).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it.
        super::signal(self.child.id(), "TERM");
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- nginx\n{}---", self.log());
        }
    }
}

fn whole(dir: &Path, http: &str) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {dir}/nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 512; }}\nhttp {{\n  access_log off;\n{temporary}{http}}}\n"
    )
}

fn nginx(dir: &Path) -> Child {
    // Debian has it where only root looks.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let log = File::create(dir.join("nginx.log")).unwrap();
    Command::new("env")
        .arg("nginx")
        .env("PATH", path)
        .args(["-e", "stderr", "-c"])
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
