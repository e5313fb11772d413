//! Replicas, and what they started, never outlive `kaos up`, however that ends.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::stage::{FIXTURE, lives, processes_with, until};
use crate::stops::stubborn;

/// A `kaos up` in a process, and process group, of its own, with one stubborn replica that is ready.
struct Host {
    process: Child,
    says: BufReader<ChildStdout>,
    replica: u32,
    mark: String,
}

impl Host {
    /// `family` tells the tests' marks apart.
    fn start(family: u32) -> Host {
        let mark = format!("{family}{}", std::process::id());
        let mut process = Command::new(FIXTURE)
            .args(["host", "sh", "-c", &stubborn(&mark)])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut host =
            Host { says: BufReader::new(process.stdout.take().unwrap()), process, replica: 0, mark };
        assert_eq!(host.line(), host.process.id());
        host.replica = host.line();
        host
    }

    fn line(&mut self) -> u32 {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// The parent of the replica.
    fn guardian(&self) -> u32 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.replica)).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The tree of the replica besides itself. The host shows the mark too.
    fn tree(&self) -> Vec<u32> {
        let mut found = processes_with(&self.mark);
        found.retain(|pid| *pid != self.process.id());
        found
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn nothing_is_left(mut host: Host, kill: impl Fn(&Host)) {
    until("the tree is there", || host.tree().len() == 3).await;
    let guardian = host.guardian();
    assert_ne!(guardian, host.process.id());
    kill(&host);
    host.process.wait().unwrap();
    until("tree, replica and guardian have ended", || {
        host.tree().is_empty() && !lives(host.replica) && !lives(guardian)
    })
    .await;
}

#[tokio::test]
async fn nothing_is_left_when_kaos_is_killed() {
    nothing_is_left(Host::start(91), |host| kill_process(host.pid(), Signal::KILL).unwrap()).await;
}

#[tokio::test]
async fn nothing_is_left_when_its_whole_group_is_killed() {
    nothing_is_left(Host::start(92), |host| kill_process_group(host.pid(), Signal::KILL).unwrap()).await;
}

#[tokio::test]
async fn nothing_is_left_when_everybody_is_asked_to_end_first() {
    let asked = |host: &Host| {
        // As a service supervisor does: SIGTERM to every process of the service, then SIGKILL to the first.
        let guardian = Pid::from_raw(host.guardian().cast_signed()).unwrap();
        kill_process(guardian, Signal::TERM).unwrap();
        kill_process(guardian, Signal::INT).unwrap();
        kill_process(guardian, Signal::HUP).unwrap();
        assert!(lives(host.guardian()));
        kill_process(host.pid(), Signal::KILL).unwrap();
    };
    nothing_is_left(Host::start(93), asked).await;
}

#[tokio::test]
async fn when_the_guardian_is_killed_its_replicas_end_and_are_started_again_under_a_new_one() {
    let mut host = Host::start(94);
    until("the tree is there", || host.tree().len() == 3).await;
    let (first, tree, guardian) = (host.replica, host.tree(), host.guardian());
    kill_process(Pid::from_raw(guardian.cast_signed()).unwrap(), Signal::KILL).unwrap();
    host.replica = host.line();
    assert_ne!(host.replica, first);
    until("the first tree has ended", || !tree.iter().any(|pid| lives(*pid)) && !lives(first)).await;
    assert_ne!(host.guardian(), guardian);
    nothing_is_left(host, |host| kill_process(host.pid(), Signal::KILL).unwrap()).await;
}
