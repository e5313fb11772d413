//! A child process: started, ended whatever happens, and asked for the CPU and the memory that it used.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// From SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(10);

/// A child process, ended when dropped.
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `words` with its output in `folder/NAME.log`.
    pub(crate) fn start(name: &str, words: &[String], folder: &Path) -> Result<Process, String> {
        let wrong = |error: std::io::Error| format!("can't start {name} ({}): {error}", words.join(" "));
        let log = File::create(folder.join(format!("{name}.log"))).map_err(wrong)?;
        let (program, rest) = words.split_first().ok_or("nothing to start")?;
        let child = Command::new(program)
            .args(rest)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(wrong)?)
            .stderr(log)
            .spawn()
            .map_err(wrong)?;
        Ok(Process { child, name: name.to_owned() })
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of its output, if it has ended.
    pub(crate) fn ended(&mut self, folder: &Path) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let log = std::fs::read_to_string(folder.join(format!("{}.log", self.name))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).rev().take(6).collect();
        let last: Vec<&str> = lines.into_iter().rev().collect();
        Some(format!("{} ended with {status}: {}", self.name, last.join(" | ")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time, in ticks of the kernel's accounting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cpu {
    /// In the program.
    pub(crate) user: u64,
    /// In the kernel on its behalf.
    pub(crate) system: u64,
}

impl Cpu {
    /// What a process and its threads have used, and its children (workers) if `workers`.
    pub(crate) fn used(pid: u32, workers: bool) -> Cpu {
        let mut sum = stat(pid).unwrap_or_default();
        if workers {
            for child in children(pid) {
                sum = sum.plus(Cpu::used(child, true));
            }
        }
        sum
    }

    /// Both together.
    pub(crate) fn plus(self, more: Cpu) -> Cpu {
        Cpu { user: self.user + more.user, system: self.system + more.system }
    }

    /// Seconds since `before`: user, system.
    pub(crate) fn seconds_since(self, before: Cpu) -> (f64, f64) {
        let second = rustix::param::clock_ticks_per_second() as f64;
        let span = |after: u64, before: u64| after.saturating_sub(before) as f64 / second;
        (span(self.user, before.user), span(self.system, before.system))
    }
}

/// The bytes of memory that are a process's own, shared pages by its share; and its children's (workers) if `workers`.
pub(crate) fn memory(pid: u32, workers: bool) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let own = kilobytes(&text, "Pss:");
    let workers = if workers { children(pid) } else { Vec::new() };
    own + workers.into_iter().map(|child| memory(child, true)).sum::<u64>()
}

/// The most bytes of memory that a process has had at once, its children's added (workers) if `workers`.
pub(crate) fn most_memory(pid: u32, workers: bool) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = kilobytes(&text, "VmHWM:");
    let workers = if workers { children(pid) } else { Vec::new() };
    own + workers.into_iter().map(|child| most_memory(child, true)).sum::<u64>()
}

/// The bytes of the line `name` in a file of `/proc` that has kB in it; 0 without one.
fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}

/// The processes that any thread of `pid` has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    texts
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|id| id.parse().ok())
        .collect()
}

fn stat(pid: u32) -> Option<Cpu> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc(5): the name in parentheses may hold anything; `utime` and `stime` are fields 14 and 15 of all, 12 and 13 after it.
fn parse(text: &str) -> Option<Cpu> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some(Cpu { user: fields.next()?.parse().ok()?, system: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_skipped() {
        let text = "7 (a) (b c) S 1 7 7 0 -1 4194304 103 0 0 0 12 34 5 6 20 0 1 0 9";
        assert_eq!(parse(text), Some(Cpu { user: 12, system: 34 }));
        assert_eq!(parse("nothing"), None);
    }

    #[test]
    fn memory_that_was_written_to_is_counted() {
        let before = memory(std::process::id(), false);
        let held = vec![1_u8; 64 << 20];
        let after = memory(std::process::id(), true);
        assert!(before > 0 && after > before + (held.len() as u64 / 2), "{before} {after}");
    }

    #[test]
    fn this_process_uses_cpu() {
        let mut spun = 0_u64;
        let begun = Instant::now();
        while Cpu::used(std::process::id(), false) == Cpu::default() {
            spun = spun.wrapping_add(1);
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no CPU was accounted in a minute of work ({spun})"
            );
        }
    }

    #[test]
    fn a_process_ends_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sleep".to_owned(), "1000".to_owned()];
        let process = Process::start("sleeper", &words, folder.path()).unwrap();
        let stat = format!("/proc/{}/stat", process.id());
        assert!(Path::new(&stat).exists());
        drop(process);
        assert!(!Path::new(&stat).exists());
    }
}
