//! Programs that never outlive the test that started them, however it ends.
//!
//! Each runs under a guard: a small shell in a process group of its own that waits on a pipe only the test holds. When the
//! test drops it, panics or is killed, the pipe ends, and the guard kills the program by its id. A parent-death signal would
//! be bound to the thread that started the program, and tests' threads end before others are done with a control plane.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Failure, Trying};

/// Runs `$1…`, output to `$LOG`; says its process id; kills it when stdin ends; ends as it ends.
const RUN: &str = r#"
exec 3<&0
"$@" </dev/null >>"$LOG" 2>&1 3<&- & program=$!
( read -r _ <&3; kill -KILL "$program" ) >/dev/null & watch=$!
exec 3<&-
echo "$program"
exec >&-
wait "$program"; code=$?
kill -KILL "$watch" 2>/dev/null
exit "$code"
"#;

/// How much of a log an error quotes, in bytes.
const QUOTED: u64 = 2000;

/// A running program. Killed when dropped.
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    pid: u32,
    guard: Child,
    // Its end is the guard's word to kill.
    leash: Option<ChildStdin>,
}

impl Process {
    /// Runs `command` (its program, arguments, environment and folder); what it writes goes to the file `log`.
    pub(crate) fn start(name: &str, command: &Command, log: &Path) -> Result<Process, Failure> {
        let mut guard = shell(RUN);
        guard.arg(command.get_program()).args(command.get_args()).env("LOG", log).stdout(Stdio::piped());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guard.env(name, value),
                None => guard.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            guard.current_dir(folder);
        }
        let mut guard = guard.spawn().trying(format_args!("sh, to run {name}"))?;
        let leash = guard.stdin.take();
        let mut said = String::new();
        if let Some(stdout) = guard.stdout.take() {
            BufReader::new(stdout).read_line(&mut said).trying(format_args!("the guard of {name}"))?;
        }
        let pid = said
            .trim()
            .parse()
            .trying(format_args!("the guard of {name} said {said:?}, not a process id"))?;
        Ok(Process { name: name.to_owned(), log: log.to_owned(), pid, guard, leash })
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it did: the code of a shell, so 128 + n after signal n.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.guard.try_wait().ok().flatten()
    }

    /// A failure that says how it ended and what it wrote last, if it has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.ended() {
            None => Ok(()),
            Some(status) => {
                Err(Failure::new(format!("{} ended ({status}). It wrote:\n{}", self.name, self.last_words())))
            }
        }
    }

    /// The end of what it wrote.
    pub(crate) fn last_words(&self) -> String {
        tail(&self.log)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // Fails only if it has ended, and then there is nobody to tell.
            let _ = kill_process(pid, signal);
        }
    }

    /// Its resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.guard.wait();
    }
}

/// Something on the machine that is taken back when this is dropped or the test dies.
pub(crate) struct Undo {
    guard: Child,
    leash: Option<ChildStdin>,
}

impl Undo {
    /// Runs the shell line `make` with `arguments` as `$1…`, and `undo` when dropped or when the test dies. The failure is
    /// what `make` wrote to stderr.
    pub(crate) fn start(make: &str, undo: &str, arguments: &[&str]) -> Result<Undo, Failure> {
        let script = format!("{{ {make}\n}} 2>&1 >/dev/null || exit 1\necho\nexec >&-\nread -r _\n{undo}");
        let mut guard = shell(&script).args(arguments).stdout(Stdio::piped()).spawn().trying("sh")?;
        let leash = guard.stdin.take();
        let mut said = String::new();
        if let Some(stdout) = guard.stdout.take() {
            BufReader::new(stdout).read_line(&mut said).trying("the guard")?;
        }
        if said == "\n" {
            return Ok(Undo { guard, leash });
        }
        let _ = guard.wait();
        Err(Failure::new(said.trim()))
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.guard.wait();
    }
}

/// A folder below the system's folder for such, removed in the end: also if the test is killed.
pub(crate) fn folder() -> Result<(PathBuf, Undo), Failure> {
    let path =
        tempfile::Builder::new().prefix("kaos-testbed-").tempdir().trying("a temporary folder")?.keep();
    // Whoever writes there is killed at the same moment, not before: a few tries.
    let remove = r#"for _ in 1 2 3 4 5 6 7 8 9; do rm -rf "$1" 2>/dev/null && break; sleep 0.2; done"#;
    let undo = Undo::start(":", remove, &[&path.to_string_lossy()])?;
    Ok((path, undo))
}

/// The end of a log.
pub(crate) fn tail(log: &Path) -> String {
    let read = || {
        let mut log = File::open(log)?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(QUOTED)))?;
        let mut bytes = Vec::new();
        log.take(QUOTED).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// How often a condition is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// A shell in a process group of its own (the terminal's Ctrl-C reaches the test, and through it the guard).
fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "guard"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    shell
}
