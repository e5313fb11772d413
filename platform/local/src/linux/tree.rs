//! Process trees, read from `/proc`, and killing without hitting a stranger.
//!
//! Knows no replica: it is asked about processes and answers what is there at this moment. Whoever must be sure asks
//! again until nothing is left.

use std::fs;
use std::io::Read;
use std::sync::OnceLock;

use rustix::process::{Pid, PidfdFlags, Signal};

/// Longest environment that is searched for a mark, in bytes: Linux allows a quarter of the stack limit, 2 MiB by
/// default.
const LONGEST_ENVIRONMENT: u64 = 2 * 1024 * 1024;

/// One process at the moment it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    /// Its id.
    pub(super) pid: Pid,
    /// When it began, in ticks since boot: with the id it names one process for ever.
    pub(super) began: u64,
    /// Its process group.
    pub(super) group: i32,
    /// Its parent.
    parent: i32,
    /// Whether it has ended and waits to be reaped.
    pub(super) ended: bool,
}

impl Process {
    /// The process `pid`, if it is there.
    pub(super) fn look(pid: Pid) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        Process::parse(pid, &stat)
    }

    /// Reads a line of `/proc/PID/stat`: the name in brackets may hold brackets and spaces (proc(5)).
    fn parse(pid: Pid, stat: &str) -> Option<Process> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Process {
            pid,
            ended: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            began: fields.get(19)?.parse().ok()?,
        })
    }

    /// Sends SIGKILL to this process, and to no other that has got its id since.
    pub(super) fn kill(&self) {
        let handle = rustix::process::pidfd_open(self.pid, PidfdFlags::empty());
        if Process::look(self.pid).is_none_or(|other| other.began != self.began) {
            return;
        }
        // It may have ended in between, or be another user's: the caller looks again.
        let _ = match handle {
            Ok(handle) => rustix::process::pidfd_send_signal(&handle, Signal::KILL),
            // Before Linux 5.3, and in sandboxes that don't know the call.
            Err(_) => rustix::process::kill_process(self.pid, Signal::KILL),
        };
    }

    /// Whether its environment, as it was at its `exec`, says `name=value`.
    pub(super) fn is_marked(&self, name: &str, value: &str) -> bool {
        let Ok(file) = fs::File::open(format!("/proc/{}/environ", self.pid.as_raw_nonzero())) else {
            return false;
        };
        let mut environment = Vec::new();
        if file.take(LONGEST_ENVIRONMENT).read_to_end(&mut environment).is_err() {
            return false;
        }
        let mark = |entry: &[u8]| {
            entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
                == Some(value.as_bytes())
        };
        environment.split(|byte| *byte == 0).any(mark)
    }
}

/// The children of the process `of`, those that have ended too.
pub(super) fn children(of: Pid) -> Vec<Process> {
    child_ids(of).into_iter().filter_map(Process::look).collect()
}

/// The ids of the children of the process `of`: cheaper than to look at each.
pub(super) fn child_ids(of: Pid) -> Vec<Pid> {
    if lists_children() { listed_children(of) } else { scanned_children(of) }
}

/// Everything below the process `of`, nearest first, without itself.
pub(super) fn descendants(of: Pid) -> Vec<Process> {
    let mut found = children(of);
    let mut at = 0;
    while let Some(process) = found.get(at) {
        let below = children(process.pid);
        // A process that ended and whose id came back during the walk must not make it run in a circle.
        let new: Vec<Process> = below.into_iter().filter(|child| !found.contains(child)).collect();
        found.extend(new);
        at += 1;
    }
    found
}

/// Whether the kernel keeps lists of children (`CONFIG_PROC_CHILDREN`); without, every process is looked at.
fn lists_children() -> bool {
    static LISTS: OnceLock<bool> = OnceLock::new();
    *LISTS.get_or_init(|| {
        let own = std::process::id();
        fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or(false)
    })
}

/// Each thread has its own list: of the children that it forked or that fell to it.
fn listed_children(of: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", of.as_raw_nonzero())) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(list.split_ascii_whitespace().filter_map(parse_pid));
    }
    found
}

fn scanned_children(of: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| parse_pid(entry.file_name().to_str()?));
    let parent = of.as_raw_nonzero().get();
    let processes = pids.filter_map(Process::look).filter(|process| process.parent == parent);
    processes.map(|process| process.pid).collect()
}

fn parse_pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok().filter(|pid| *pid > 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Pid {
        rustix::process::getpid()
    }

    #[test]
    fn a_name_with_brackets_and_spaces_is_read_past() {
        let stat = "7 (a) R (b) S 5 6 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let process = Process::parse(own(), stat).unwrap();
        assert_eq!((process.parent, process.group, process.began, process.ended), (5, 6, 4711, false));
        assert!(Process::parse(own(), "7 (a) Z 5 6 6 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4711").unwrap().ended);
        for broken in ["", "7", "7 (a)", "7 (a) S", "7 (a) S x 6"] {
            assert_eq!(Process::parse(own(), broken), None, "{broken:?}");
        }
    }

    #[test]
    fn both_ways_find_the_same_children_and_a_mark() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("KAOS_TREE_TEST", "yes")
            .spawn()
            .expect("sleep is everywhere");
        let pid = Pid::from_child(&child);
        let found = |pids: Vec<Pid>| {
            let own = pids.into_iter().filter(|found| *found == pid);
            own.filter_map(Process::look).collect::<Vec<_>>()
        };
        let (listed, scanned) = (found(listed_children(own())), found(scanned_children(own())));
        assert_eq!(listed.len(), 1);
        assert_eq!(listed, scanned);
        assert!(descendants(own()).contains(&listed[0]));
        // The parent of a vfork goes on when the child has a new image, a moment before its environment is in place.
        let begun = std::time::Instant::now();
        while !listed[0].is_marked("KAOS_TREE_TEST", "yes") {
            assert!(begun.elapsed() < std::time::Duration::from_secs(30), "its mark isn't found");
            std::thread::yield_now();
        }
        assert!(!listed[0].is_marked("KAOS_TREE_TEST", "ye"));
        let stranger = Process { began: listed[0].began + 1, ..listed[0] };
        stranger.kill();
        assert_eq!(child.try_wait().unwrap(), None);
        listed[0].kill();
        assert!(!child.wait().unwrap().success());
        assert_eq!(Process::look(pid), None);
    }
}
