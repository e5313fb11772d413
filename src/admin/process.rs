//! What the kernel says of this process, for the metrics that every Prometheus client exports.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Figures of this process. What can't be read is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// User and system time, in seconds.
    pub(crate) cpu_seconds: Option<f64>,
    /// Memory that is resident, in bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// Address space, in bytes.
    pub(crate) virtual_bytes: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
    /// Open file descriptors.
    pub(crate) open_fds: Option<u64>,
    /// The soft limit of open file descriptors.
    pub(crate) max_fds: Option<u64>,
}

/// Reads them.
pub(crate) fn process() -> Process {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat_fields(&stat);
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    let ticks = clock_ticks_per_second().max(1) as f64;
    Process {
        cpu_seconds: field(11).zip(field(12)).map(|(user, system)| (user + system) as f64 / ticks),
        threads: field(17),
        virtual_bytes: field(20),
        resident_bytes: field(21).map(|pages| pages * page_size() as u64),
        // The directory that is read is one of them.
        open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as u64),
        max_fds: getrlimit(Resource::Nofile).current,
    }
}

/// The fields after the command's name, which may hold spaces and parentheses: field 3 of proc(5) comes first.
fn stat_fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        let process = process();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap());
        assert!(process.open_fds.unwrap() >= 3 && process.max_fds.unwrap() >= process.open_fds.unwrap());
        assert!(process.threads.unwrap() >= 1 && process.cpu_seconds.unwrap() >= 0.0);
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_moves_nothing() {
        let fields = stat_fields("7 (a) b) S 1 7");
        assert_eq!(fields, ["S", "1", "7"]);
    }
}
