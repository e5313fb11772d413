//! Cores that have no time to fall asleep. A core of a virtual machine that has nothing to do is given away, and takes longer to
//! come back than a request takes: a latency is then one of the host's, and who needs less of its core has more of it. What is
//! done about it elsewhere is to forbid the processor its idle states; a guest can't, so something of the lowest priority runs.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use rustix::thread::gettid;

use crate::core::pin;

/// While it lives, cores are never idle: what runs there yields to whatever else wants to.
pub(crate) struct Awake {
    threads: Vec<Spinner>,
    over: Arc<AtomicBool>,
}

struct Spinner {
    core: usize,
    id: String,
    thread: JoinHandle<()>,
}

impl Awake {
    /// Of no core, nobody.
    ///
    /// # Errors
    ///
    /// A core can't be run on, or the lowest priority isn't to be had.
    pub(crate) fn keep(cores: &[usize]) -> Result<Awake, String> {
        let mut awake = Awake { threads: Vec::new(), over: Arc::default() };
        for &core in cores {
            awake.threads.push(Spinner::start(core, awake.over.clone())?);
        }
        Ok(awake)
    }

    /// Seconds of `core` that this has taken so far.
    pub(crate) fn seconds(&self, core: usize) -> f64 {
        self.threads.iter().filter(|spinner| spinner.core == core).map(Spinner::seconds).sum()
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for spinner in self.threads.drain(..) {
            let _ = spinner.thread.join();
        }
    }
}

impl Spinner {
    fn start(core: usize, over: Arc<AtomicBool>) -> Result<Spinner, String> {
        let (tell, told) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let id = gettid().as_raw_nonzero().to_string();
            let ready = pin(core).and_then(|()| yield_to_all(&id));
            let works = ready.is_ok();
            let _ = tell.send(ready.map(|()| id));
            let mut count = 0_u64;
            // No hint that this spins: on a virtual machine that gives the core away.
            while works && !over.load(Ordering::Relaxed) {
                count = black_box(count.wrapping_add(1));
            }
        });
        let id = told.recv().map_err(|_| format!("core {core}: nothing can be kept running there"))??;
        Ok(Spinner { core, id, thread })
    }

    /// Of processor time, so far: the first field of `schedstat`, in nanoseconds.
    fn seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/self/task/{}/schedstat", self.id));
        let spent = text.ok().and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        spent.unwrap_or(0) as f64 / 1e9
    }
}

/// Makes a thread one that runs when nobody else wants to.
fn yield_to_all(thread: &str) -> Result<(), String> {
    let mut command = Command::new("chrt");
    command.args(["--idle", "--pid", "0", thread]).stdin(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("chrt: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("chrt: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_awake_runs_until_it_is_let_go() {
        let awake = Awake::keep(&[0]).unwrap();
        while awake.seconds(0) == 0.0 {
            std::thread::yield_now();
        }
        assert!(awake.seconds(1) == 0.0, "nothing was asked for there");
        let task = format!("/proc/self/task/{}", awake.threads[0].id);
        // sched(7): SCHED_IDLE is 5.
        let stat = std::fs::read_to_string(format!("{task}/stat")).unwrap();
        let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        assert_eq!(fields.nth(38), Some("5"));
        drop(awake);
        assert!(!std::path::Path::new(&task).exists());
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let why = Awake::keep(&[rustix::thread::CpuSet::MAX_CPU]).err().unwrap();
        assert!(why.contains("core"), "{why}");
    }
}
