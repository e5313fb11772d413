//! Cores: pinning this process to one, who goes first on it, and how busy each was.

use std::process::{Command, Stdio};

use rustix::thread::{CpuSet, gettid, sched_setaffinity};

/// Pins this thread, and what it starts from here on, to one core.
pub(crate) fn pin(core: usize) -> Result<(), String> {
    if core >= CpuSet::MAX_CPU {
        return Err(format!("core {core}: expected a number below {}", CpuSet::MAX_CPU));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("can't run on core {core}: {error}"))
}

/// A command line that runs pinned to one core.
pub(crate) fn pinned(core: usize, command: &[&str]) -> Vec<String> {
    let core = core.to_string();
    ["taskset", "-c", &core].iter().chain(command).map(|word| (*word).to_owned()).collect()
}

/// While it lives, this thread and all of some processes go before everybody else on their cores. A latency that one of a
/// hundred requests has is a matter of ten milliseconds in a second, and whatever else a machine does takes more.
pub(crate) struct Urgent {
    processes: Vec<u32>,
}

impl Urgent {
    /// Where that isn't allowed, nothing changes.
    pub(crate) fn new(processes: Vec<u32>) -> Urgent {
        let urgent = Urgent { processes };
        urgent.schedule(&["--rr", "--pid", "1"]);
        urgent
    }

    /// Whether it is allowed at all.
    pub(crate) fn is_allowed() -> bool {
        let _tried = Urgent::new(Vec::new());
        std::fs::read_to_string("/proc/thread-self/stat").is_ok_and(|stat| is_real_time(&stat))
    }

    fn schedule(&self, how: &[&str]) {
        let thread = gettid().as_raw_nonzero().to_string();
        let processes = self.processes.iter().map(|id| vec!["--all-tasks".to_owned(), id.to_string()]);
        for mut whom in std::iter::once(vec![thread]).chain(processes) {
            let id = whom.pop();
            let mut command = Command::new("chrt");
            command.args(whom).args(how).args(id);
            // A process may have ended, and rights may be missing.
            let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        self.schedule(&["--other", "--pid", "0"]);
    }
}

/// proc(5): field 41 is the policy, the 39th after the name in parentheses; 2 is SCHED_RR.
fn is_real_time(stat: &str) -> bool {
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    fields.and_then(|mut fields| fields.nth(38)) == Some("2")
}

/// Ticks that a core has been busy and has been there at all, since boot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ticks {
    busy: u64,
    all: u64,
}

impl Ticks {
    /// Of one core, from `/proc/stat`; zeros if there is no such core.
    pub(crate) fn now(core: usize) -> Ticks {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let name = format!("cpu{core} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).map_or(Ticks::default(), Ticks::parse)
    }

    fn parse(line: &str) -> Ticks {
        // user nice system idle iowait irq softirq steal; guest times are in user and nice already.
        let fields: Vec<u64> =
            line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        let all: u64 = fields.iter().sum();
        let idle: u64 = fields.iter().skip(3).take(2).sum();
        Ticks { busy: all - idle, all }
    }

    /// The share of the time since `before` that the core was busy, 0 to 1.
    pub(crate) fn busy_since(self, before: Ticks) -> f64 {
        (self.busy - before.busy) as f64 / (self.all - before.all).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_are_not_busy() {
        let before = Ticks::parse("100 0 50 800 50 0 0 0 0 0");
        let after = Ticks::parse("150 0 75 810 55 5 5 0 9 9");
        assert_eq!((before.busy, before.all), (150, 1000));
        assert!((after.busy_since(before) - 0.85).abs() < 1e-9);
    }

    #[test]
    fn who_is_urgent_is_so_only_while_it_lives() {
        let stat = || std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let allowed = Urgent::is_allowed();
        assert!(!is_real_time(&stat()));
        let urgent = Urgent::new(vec![std::process::id()]);
        assert_eq!(is_real_time(&stat()), allowed);
        drop(urgent);
        assert!(!is_real_time(&stat()));
    }

    #[test]
    fn a_pinned_command_runs_there() {
        let words = pinned(0, &["grep", "Cpus_allowed_list", "/proc/self/status"]);
        let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().split_whitespace().last(), Some("0"));
    }
}
