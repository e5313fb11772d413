//! The command `testbed` as a process that can be killed, and what it left behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kaos_testbed::eventually;
use serde_json::Value;

/// A running `testbed`. Killed when dropped.
pub struct Testbed {
    process: Child,
    said: Value,
}

impl Testbed {
    /// Runs it until it says how to reach it.
    pub fn start(arguments: &[&str]) -> Testbed {
        let mut process = Command::new(env!("CARGO_BIN_EXE_testbed"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Testbed { process, said: serde_json::from_str(&line).unwrap() }
    }

    /// A file in its folder.
    pub fn kubeconfig(&self) -> PathBuf {
        self.said["kubeconfig"].as_str().unwrap().into()
    }

    /// The names of all processes below it.
    pub fn programs(&self) -> Vec<String> {
        let name = |pid: &u64| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        descendants(self.process.id()).iter().filter_map(name).map(|name| name.trim().to_owned()).collect()
    }

    /// Kills it, and waits until every process that was below it has ended: the guards, too.
    pub async fn kill(&mut self) {
        let left = descendants(self.process.id());
        for process in self.said["processes"].as_array().unwrap() {
            assert!(left.contains(&process["pid"].as_u64().unwrap()), "{process} in {left:?}");
        }
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        eventually("all processes have ended", async || left.iter().all(|pid| !is_alive(*pid)).then_some(()))
            .await;
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `ip` shows.
pub fn shown(arguments: &[&str]) -> String {
    let shown = Command::new("ip").args(arguments).output().unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

/// The folders of the control groups with this name.
pub fn groups(name: &str) -> Vec<PathBuf> {
    let roots = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|root| root.unwrap().path());
    let all = roots.chain([Path::new("/sys/fs/cgroup").to_owned()]).map(|root| root.join(name));
    all.filter(|group| group.exists()).collect()
}

/// Every process below this one.
fn descendants(pid: u32) -> Vec<u64> {
    let children = |pid: u64| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        lists
            .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u64>>())
            .collect::<Vec<_>>()
    };
    let mut all = children(pid.into());
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        all.extend(children(pid));
        next += 1;
    }
    all
}

fn is_alive(pid: u64) -> bool {
    // A zombie has ended; nobody has asked how.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}
