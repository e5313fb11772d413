//! Starts that go wrong: a program that never listens, and one that leaves an orphan behind.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};

use super::flags::Flags;

/// Starts this program again, in the role that `role` names.
fn again(flags: &Flags, role: &str, stdout: Stdio) -> std::io::Result<Child> {
    let life = format!("{}us", flags.orphan_life.as_micros());
    Command::new("/proc/self/exe")
        .args([role, "--orphan-life", &life])
        .stdin(Stdio::null())
        .stdout(stdout)
        .spawn()
}

/// Leaves a process behind that is no child of ours, is in a session of its own and ignores SIGTERM. Returns its id.
pub(super) fn spawn_orphan(flags: &Flags) -> std::io::Result<u32> {
    let mut parent = again(flags, "--orphan-parent", Stdio::piped())?;
    let mut line = String::new();
    if let Some(stdout) = parent.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    parent.wait()?;
    line.trim()
        .parse()
        .map_err(|_| std::io::Error::other(format!("its parent said {line:?} instead of its id")))
}

/// The middle process: begins a session, starts the orphan, prints its id and ends, which makes it an orphan.
pub(super) fn fork_again(flags: &Flags) -> ExitCode {
    let orphan = rustix::process::setsid()
        .map_err(std::io::Error::from)
        .and_then(|_| again(flags, "--orphan", Stdio::null()));
    match orphan {
        Ok(orphan) => {
            println!("{}", orphan.id());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("answer: can't leave an orphan: {error}");
            ExitCode::FAILURE
        }
    }
}
