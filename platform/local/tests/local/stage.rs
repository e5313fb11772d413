//! Sets the scene: functions of the fixture's kinds, and waiting for a condition with a deadline.

use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::Phase;
use kaos_core::{EndpointUid, Policy, Snapshot, Workload, WorkloadId};
use kaos_local::{Function, Launcher, Local};

pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_kaos-local-fixture");

/// Longest wait for a condition: long, for machines that are busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn id(name: &str) -> WorkloadId {
    WorkloadId::new("local", name)
}

pub(crate) fn function(name: &str, command: &[&str]) -> Function {
    Function {
        id: id(name),
        hosts: Vec::new(),
        path: "/".to_owned(),
        command: command.iter().map(|&part| part.to_owned()).collect(),
        dir: None,
        env: Vec::new(),
        policy: Arc::new(Policy { max_scale: 10, ..Policy::local(2) }),
    }
}

/// A function whose command is a shell script.
pub(crate) fn script(name: &str, text: &str) -> Function {
    function(name, &["sh", "-c", text])
}

pub(crate) fn serving(name: &str) -> Function {
    function(name, &[FIXTURE, "serve"])
}

pub(crate) fn with_knobs(mut function: Function, knobs: &[(&str, &str)]) -> Function {
    function.policy = Arc::new(function.policy.with(knobs.iter().copied()).unwrap());
    function
}

pub(crate) fn launcher() -> Launcher {
    Launcher { program: FIXTURE.into(), arguments: vec!["guard".into()] }
}

/// A platform under test, and what it last said.
pub(crate) struct Stage {
    pub(crate) local: Local,
    snapshots: tokio::sync::watch::Receiver<Arc<Snapshot>>,
}

impl Stage {
    pub(crate) async fn new(functions: Vec<Function>) -> Stage {
        let local = Local::start(launcher(), functions, Instant::now()).await.unwrap();
        let snapshots = local.snapshots();
        Stage { local, snapshots }
    }

    pub(crate) fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    pub(crate) fn workload(&self, name: &str) -> Arc<Workload> {
        Arc::clone(self.now().workload(&id(name)).unwrap())
    }

    pub(crate) async fn scale(&self, name: &str, from: u32, to: u32) -> Result<u64, Refusal> {
        self.scale_without(name, from, to, &[]).await
    }

    pub(crate) async fn scale_without(
        &self,
        name: &str,
        from: u32,
        to: u32,
        victims: &[&EndpointUid],
    ) -> Result<u64, Refusal> {
        let victims = victims.iter().map(|&uid| uid.clone()).collect();
        self.local.scale(&id(name), Scale { to, victims, expected: Expected::Replicas(from) }).await
    }

    /// Waits for a snapshot in which the function is as `test` says, and returns it.
    pub(crate) async fn until(&self, name: &str, test: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        let mut snapshots = self.snapshots.clone();
        let fits = |snapshot: &Arc<Snapshot>| snapshot.workload(&id(name)).is_some_and(|found| test(found));
        let Ok(found) = tokio::time::timeout(DEADLINE, snapshots.wait_for(fits)).await else {
            panic!("not within {DEADLINE:?}; last seen: {:#?}", self.now().workload(&id(name)));
        };
        Arc::clone(found.unwrap().workload(&id(name)).unwrap())
    }

    pub(crate) async fn until_ready(&self, name: &str, count: u32) -> Arc<Workload> {
        self.until(name, |found| found.replicas.ready == count).await
    }

    pub(crate) async fn until_gone(&self, name: &str) -> Arc<Workload> {
        self.until(name, |found| found.endpoints.is_empty()).await
    }

    /// One replica, ready: where it answers.
    pub(crate) async fn started(&self, name: &str) -> SocketAddr {
        self.scale(name, 0, 1).await.unwrap();
        self.until_ready(name, 1).await.endpoints[0].address
    }

    pub(crate) async fn pid(&self, uid: &EndpointUid) -> u32 {
        self.local.pids().await[uid]
    }
}

pub(crate) fn uids(workload: &Workload, phase: Phase) -> Vec<EndpointUid> {
    let there = workload.endpoints.iter().filter(|endpoint| endpoint.phase == phase);
    there.map(|endpoint| endpoint.uid.clone()).collect()
}

/// Polls until `test` gives something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, test: impl Fn() -> F) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = test().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn until(what: &str, test: impl Fn() -> bool) {
    eventually(what, || async { test().then_some(()) }).await;
}

/// The body of the answer to a GET.
pub(crate) fn get(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Whether the process is there and hasn't ended.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
}

/// Processes whose command line holds `text`, which is to be found nowhere else.
pub(crate) fn processes_with(text: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != std::process::id() && String::from_utf8_lossy(&line).contains(text)
    })
    .collect()
}
