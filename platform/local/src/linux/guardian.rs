//! `kaos up`'s side of the guardian: starting it, speaking with it, and cleaning up after it if it is killed.
//!
//! Knows no replica but by its number.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{WaitId, WaitIdOptions};
use tokio::process::{Child, Command};

use super::tree::{self, Process};
use super::wire::{self, Event, Order, Wire};
use crate::Launcher;

/// Every guardian that this process has started and not reaped: the only children of it that are no orphans.
static GUARDIANS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Longest wait for orphans to die. A process in uninterruptible sleep dies when that ends, whatever we do.
const ORPHANS: Duration = Duration::from_secs(5);

/// Between two looks at processes that are being killed.
const KILLING: Duration = Duration::from_millis(1);

/// Makes orphans of this process's descendants fall to it rather than to init.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// A guardian that runs. Dropping it closes its stdin, upon which it kills all its replicas and ends.
pub(crate) struct Guardian {
    wire: Wire,
    child: Child,
    /// When it was launched.
    pub(crate) launched: Instant,
}

impl Guardian {
    /// Starts one. Its first event is [`Event::Hello`].
    pub(crate) fn launch(launcher: &Launcher) -> io::Result<Guardian> {
        let (ours, theirs) = wire::pair()?;
        let wire = Wire::new(ours)?;
        let mut command = Command::new(&launcher.program);
        command.args(&launcher.arguments).arg0(super::NAME).process_group(0);
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let mut guardians = GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        guardians.extend(child.id());
        Ok(Guardian { wire, child, launched: Instant::now() })
    }

    /// Gives an order, without waiting. Too long an order is an error.
    pub(crate) fn order(&mut self, order: &Order, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        self.wire.send(order, descriptors)
    }

    /// What it tells next; `None` once it is dead or no longer makes sense. May be dropped at any time.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        match self.wire.receive::<Event>().await {
            Ok(event) => event.map(|(event, _)| event),
            Err(error) => {
                tracing::warn!(%error, "the guardian of the replicas can't be understood");
                None
            }
        }
    }

    /// Ends it at once, its replicas with it.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.start_kill();
    }

    /// Closes its stdin and waits until it has killed its replicas and ended, at most `patience`; then kills it and
    /// whatever it left behind. Returns whether nothing is left.
    pub(crate) async fn end(self, patience: Duration) -> bool {
        let Guardian { wire, mut child, .. } = self;
        let pid = child.id();
        drop(wire);
        let ended = tokio::time::timeout(patience, child.wait()).await;
        let bereft = if matches!(ended, Ok(Ok(status)) if status.success()) {
            true
        } else {
            // Already dead, or stuck. The end of a killed process is late only while it sleeps uninterruptibly.
            let _ = child.start_kill();
            let _ = tokio::time::timeout(ORPHANS, child.wait()).await;
            kill_orphans().await
        };
        if let Some(pid) = pid {
            GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
        }
        bereft
    }
}

/// Kills whatever has fallen to this process, with all below, until nothing is left. Returns whether that is so.
async fn kill_orphans() -> bool {
    let deadline = Instant::now() + ORPHANS;
    loop {
        let orphans = orphans();
        if orphans.is_empty() {
            return true;
        }
        for orphan in orphans {
            tree::descendants(orphan.pid).iter().for_each(Process::kill);
            orphan.kill();
            let _ = rustix::process::waitid(
                WaitId::Pid(orphan.pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(KILLING).await;
    }
}

fn orphans() -> Vec<Process> {
    let guardians = GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut children = tree::children(rustix::process::getpid());
    children.retain(|child| !guardians.contains(&child.pid.as_raw_nonzero().get().unsigned_abs()));
    children
}
