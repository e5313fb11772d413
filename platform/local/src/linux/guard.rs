//! The guardian: one small process that forks every replica and outlives `kaos up` by the moment it takes to kill them.
//!
//! It is a child subreaper in a process group of its own: whatever its replicas start falls to it, and neither a
//! terminal's Ctrl-C nor a kill of `kaos up`'s group reaches it. The end of its stdin means that `kaos up` is dead. It
//! knows replicas by number and process id alone: nothing of workloads, ports or readiness.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::tree::{self, Process};
use super::wire::{Event, Exit, Order, Start, Stop, Wire};
use crate::MARK;

/// Between two looks at a tree that is being killed, at first and at last: what sleeps uninterruptibly, or belongs to
/// another user, isn't gone at once.
const KILLING: Duration = Duration::from_millis(2);
const KILLING_LONGEST: Duration = Duration::from_secs(1);

/// Between two looks at a tree that was asked to end, besides those that a child's end causes.
const LEAVING: Duration = Duration::from_millis(100);

/// Runs the guardian until `kaos up` closes its stdin or dies, then kills every descendant and returns.
///
/// The `kaos` binary calls this, and nothing else, when it is started as its [`Launcher`](crate::Launcher) says.
pub fn guard() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "kaos guardian: {error} (this process is started by kaos itself, with a socket as its stdin)"
            );
            ExitCode::FAILURE
        }
    }
}

async fn run() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let _ = std::fs::write("/proc/self/comm", super::NAME);
    let mut ended = signal(SignalKind::child())?;
    // A supervisor that stops the whole group of `kaos up` signals the guardian too: it stays until `kaos up` is done.
    // Handlers, unlike ignored signals, are not inherited through `exec`.
    let _kept = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()]
        .map(signal);
    let wire = Wire::new(rustix::stdio::stdin().try_clone_to_owned()?)?;
    let own = rustix::process::getpid();
    let mut guard = Guard { wire, own, leaders: BTreeMap::new(), strays: None };
    guard.wire.send(&Event::Hello, Vec::new())?;
    let result = guard.serve(&mut ended).await;
    drop(guard);
    kill_everything(&mut ended).await;
    result
}

/// Until no child is left at all: every descendant of a dead child falls to this process, the subreaper.
async fn kill_everything(ended: &mut Signals) {
    let own = rustix::process::getpid();
    let begun = Instant::now();
    loop {
        for process in tree::descendants(own) {
            process.kill();
        }
        loop {
            match rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let _ = tokio::time::timeout(pause_while_killing(begun), ended.recv()).await;
    }
}

/// A tenth of the time since the killing began, within its bounds.
fn pause_while_killing(begun: Instant) -> Duration {
    (begun.elapsed() / 10).clamp(KILLING, KILLING_LONGEST)
}

/// The replicas that were started and are not gone.
struct Guard {
    wire: Wire,
    own: Pid,
    leaders: BTreeMap<u64, Leader>,
    /// No replica is left, but since then something that one of them started.
    strays: Option<Instant>,
}

/// One replica's first process, and leader of its process group. It is reaped last of its tree, so that neither its id
/// nor that of its group can become a stranger's.
struct Leader {
    pid: Pid,
    uid: String,
    stage: Stage,
    /// It has ended, and waits to be reaped.
    ended: bool,
    /// What was below it when it was asked to stop: recognised later, even without a mark.
    noted: Vec<Process>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody asked it to stop: if it ends, the rest of its tree is killed.
    Running,
    /// It was asked to stop: if it ends, the rest of its tree may finish.
    Leaving,
    /// Its whole tree is being killed.
    Killed {
        /// When that began.
        since: Instant,
    },
}

impl Leader {
    fn is_killed(&self) -> bool {
        matches!(self.stage, Stage::Killed { .. })
    }

    fn kill(&mut self) {
        if !self.is_killed() {
            self.stage = Stage::Killed { since: Instant::now() };
        }
    }
}

impl Guard {
    async fn serve(&mut self, ended: &mut Signals) -> io::Result<()> {
        loop {
            let pause = self.pause();
            tokio::select! {
                biased;
                order = self.wire.receive::<Order>() => match order? {
                    Some((Order::Start(start), output)) => self.start(start, output)?,
                    Some((Order::Stop { replica, how }, _)) => self.stop(replica, how),
                    None => return Ok(()),
                },
                _ = ended.recv() => self.reap()?,
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => self.reap()?,
            }
        }
    }

    /// How long to wait for a child's end before looking by ourselves: a grandchild's end isn't told.
    fn pause(&self) -> Option<Duration> {
        if let Some(since) = self.strays {
            return Some(pause_while_killing(since));
        }
        let pause = |leader: &Leader| match leader.stage {
            Stage::Killed { since } => Some(pause_while_killing(since)),
            Stage::Leaving if leader.ended => Some(LEAVING),
            Stage::Running | Stage::Leaving => None,
        };
        self.leaders.values().filter_map(pause).min()
    }

    fn start(&mut self, start: Start, output: Vec<OwnedFd>) -> io::Result<()> {
        let replica = start.replica;
        let event = match spawn(&start, output) {
            Ok(pid) => {
                let leader =
                    Leader { pid, uid: start.uid, stage: Stage::Running, ended: false, noted: Vec::new() };
                self.leaders.insert(replica, leader);
                Event::Started { replica, pid: pid.as_raw_nonzero().get() }
            }
            Err(error) => {
                let (because, detail, lasting) = explain(&start, &error);
                Event::Refused { replica, because: because.to_owned(), detail, lasting }
            }
        };
        self.wire.send(&event, Vec::new())
    }

    fn stop(&mut self, replica: u64, how: Stop) {
        let Some(leader) = self.leaders.get_mut(&replica) else { return };
        match how {
            Stop::Ask if leader.stage == Stage::Running => {
                leader.stage = Stage::Leaving;
                leader.noted = tree::descendants(leader.pid);
                // Whoever has ended already can't be told to.
                let _ = rustix::process::kill_process_group(leader.pid, Signal::TERM);
            }
            Stop::Ask => {}
            Stop::Kill => {
                leader.kill();
                self.kill(replica);
            }
        }
    }

    /// Looks which leaders have ended and what is left below those that have; reaps what nobody else does.
    fn reap(&mut self) -> io::Result<()> {
        for process in self.adopted().iter().filter(|process| process.ended) {
            let _ = rustix::process::waitid(
                WaitId::Pid(process.pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
        let replicas: Vec<u64> = self.leaders.keys().copied().collect();
        for replica in replicas {
            self.look(replica)?;
        }
        // With no replica left nothing here belongs to one that lives: what hid from the looks above ends too.
        let strays = if self.leaders.is_empty() { tree::descendants(self.own) } else { Vec::new() };
        strays.iter().for_each(Process::kill);
        self.strays = (!strays.is_empty()).then(|| self.strays.unwrap_or_else(Instant::now));
        Ok(())
    }

    /// The children of this process that it didn't start.
    fn adopted(&self) -> Vec<Process> {
        let leaders: HashSet<Pid> = self.leaders.values().map(|leader| leader.pid).collect();
        let ids = tree::child_ids(self.own).into_iter().filter(|pid| !leaders.contains(pid));
        ids.filter_map(Process::look).collect()
    }

    fn look(&mut self, replica: u64) -> io::Result<()> {
        let Some(leader) = self.leaders.get_mut(&replica) else { return Ok(()) };
        if !leader.ended {
            // Left unreaped until its tree is gone.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match rustix::process::waitid(WaitId::Pid(leader.pid), options)? {
                Some(status) => {
                    leader.ended = true;
                    if leader.stage == Stage::Running {
                        leader.kill();
                    }
                    self.wire.send(&Event::Exited { replica, exit: exit_of(&status) }, Vec::new())?;
                }
                None if leader.is_killed() => {}
                None => return Ok(()),
            }
        }
        self.kill(replica);
        self.bury(replica)
    }

    /// Kills what is left of a replica's tree, if it is to be killed.
    fn kill(&self, replica: u64) {
        let Some(leader) = self.leaders.get(&replica).filter(|leader| leader.is_killed()) else { return };
        // The group first: the kernel does that in one step, and no fork slips through.
        let _ = rustix::process::kill_process_group(leader.pid, Signal::KILL);
        self.rest(leader).iter().for_each(Process::kill);
    }

    /// Reaps the leader once it is all that is left.
    fn bury(&mut self, replica: u64) -> io::Result<()> {
        let Some(leader) = self.leaders.get(&replica).filter(|leader| leader.ended) else { return Ok(()) };
        if !self.rest(leader).is_empty() {
            return Ok(());
        }
        rustix::process::waitid(WaitId::Pid(leader.pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
        self.leaders.remove(&replica);
        self.wire.send(&Event::Gone { replica }, Vec::new())
    }

    /// What lives of a replica's tree besides its leader: what is below it, and of what has fallen to this process
    /// whatever is in its group, bears its mark or was noted, with all below.
    fn rest(&self, leader: &Leader) -> Vec<Process> {
        let mut rest = tree::descendants(leader.pid);
        for process in self.adopted() {
            let below = tree::descendants(process.pid);
            if self.owns(leader, &process) {
                rest.push(process);
                rest.extend(below);
            } else {
                rest.extend(below.into_iter().filter(|process| self.owns(leader, process)));
            }
        }
        rest.retain(|process| !process.ended);
        rest
    }

    fn owns(&self, leader: &Leader, process: &Process) -> bool {
        let noted = |noted: &Process| noted.pid == process.pid && noted.began == process.began;
        process.group == leader.pid.as_raw_nonzero().get()
            || leader.noted.iter().any(noted)
            || process.is_marked(MARK, &leader.uid)
    }
}

fn exit_of(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Status(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

/// Runs the program in a process group of its own, its stdin empty, its output in the two pipes.
fn spawn(start: &Start, output: Vec<OwnedFd>) -> io::Result<Pid> {
    let (Some((program, arguments)), Ok([stdout, stderr])) =
        (start.command.split_first(), <[OwnedFd; 2]>::try_from(output))
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(start.env.iter().map(|(name, value)| (name, value))).env(MARK, &start.uid);
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
    if let Some(dir) = &start.dir {
        command.current_dir(OsStr::from_bytes(dir));
    }
    command.spawn().map(|child| Pid::from_child(&child))
}

/// A stable word, a sentence, and whether trying again is pointless until something is mended.
fn explain(start: &Start, error: &io::Error) -> (&'static str, String, bool) {
    let program = start.command.first().map_or("", String::as_str);
    let dir = start.dir.as_deref().map(|dir| PathBuf::from(OsStr::from_bytes(dir)));
    if let Some(dir) = dir.as_deref().filter(|dir| !dir.is_dir()) {
        let detail =
            format!("the folder {} can't be entered: is it there, and is it a folder?", dir.display());
        return ("no-folder", detail, true);
    }
    let place = dir.unwrap_or_default().join(program);
    match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') && place.exists() => {
            let detail = format!("{program}: it is there, but what its first line says runs it is not");
            ("not-found", detail, true)
        }
        io::ErrorKind::NotFound if program.contains('/') => {
            ("not-found", format!("command not found: {program} (there is no such file)"), true)
        }
        io::ErrorKind::NotFound => {
            ("not-found", format!("command not found: {program} (it is in no folder of PATH)"), true)
        }
        io::ErrorKind::PermissionDenied => ("not-executable", denied(program, &place), true),
        io::ErrorKind::ArgumentListTooLong => {
            ("too-long", format!("{program}: command and environment are too long ({error})"), true)
        }
        io::ErrorKind::InvalidInput => {
            let detail =
                format!("{program:?}: a command must not be empty, and no part of it may hold a NUL byte");
            ("not-found", detail, true)
        }
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            let detail = format!("{program} is no program that this machine can run ({error})");
            ("not-executable", detail, true)
        }
        _ => ("no-resources", format!("{program} could not be started: {error}"), false),
    }
}

fn denied(program: &str, place: &Path) -> String {
    if place.is_dir() {
        return format!("permission denied: {program} is a folder");
    }
    format!("permission denied: {program} can't be executed by this user (chmod +x?)")
}
