//! The handle on replicas of this machine: what the autoscaler, the proxy and the command see of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::platform::{Platform, Refusal, Scale};
use kaos_core::snapshot::Hold;
use kaos_core::{EndpointUid, Moment, Snapshot, WorkloadId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::function::{Function, Launcher};
use crate::linux::{Event, Guardian, become_subreaper};
use crate::logs::Logs;
use crate::machine::Machine;
use crate::publish::Publisher;
use crate::supervise::{Request, Supervisor};

/// Requests that may wait for the supervisor; whoever has one more waits.
const REQUESTS: usize = 256;

/// From the guardian's launch to its hello.
const HELLO: Duration = Duration::from_secs(10);

/// Says whether a replica has requests.
pub type Busy = Arc<dyn Fn(&EndpointUid) -> bool + Send + Sync>;

/// Functions of this machine as child processes on loopback. Cheap to clone; dropping the last one kills every replica.
///
/// # How starts fail
///
/// While fewer replicas run than are wanted, missing ones are started, one that has ended too. What goes wrong is in
/// [`Workload::failure`](kaos_core::Workload), per workload, never per request:
///
/// - A command that isn't there or can't be run is known to fail at once, and so is a start that isn't ready within
///   `start-timeout`. An exit before that is retried quietly after 100 ms and 200 ms, and known from the third on. So is
///   the third end in a row within 10 s after a replica was ready. A replica that can't bind its port gets up to five
///   others without any of this.
/// - From a known failure on no start is tried before `retry_at`: after 1 s, 2 s, 4 s, … 60 s. If then no replica is
///   ready or starting, the desired count goes back to 0, which counts as a write (the version grows); until `retry_at`
///   [`scale`](Platform::scale) from 0 is refused with the reason.
/// - At `retry_at` the failure stays to be seen but is no longer `known`: whoever comes is a new try. One more failure
///   makes it known again at once, with twice the pause. A replica that becomes ready takes the failure away.
///
/// # Versions
///
/// A workload's version grows with each `scale` and `hold`, and with the platform's own change of the desired count.
#[derive(Clone)]
pub struct Local {
    requests: mpsc::Sender<Request>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    logs: Logs,
    origin: Instant,
}

impl Local {
    /// Starts a guardian as `launcher` says and takes charge of `functions`, all at zero. `origin` is zero of every
    /// [`Moment`]. To be called within a tokio runtime.
    ///
    /// The calling process becomes a child subreaper and must start no other child processes: if the guardian is killed,
    /// every child of this process but its guardians is an orphan of a replica, and is killed.
    pub async fn start(launcher: Launcher, functions: Vec<Function>, origin: Instant) -> io::Result<Local> {
        become_subreaper()?;
        let mut guardian =
            Guardian::launch(&launcher).map_err(|error| misfit(&launcher, &error.to_string()))?;
        match tokio::time::timeout(HELLO, guardian.event()).await {
            Ok(Some(Event::Hello)) => {}
            Ok(_) => return Err(misfit(&launcher, "it ended, or said something else than hello")),
            Err(_) => return Err(misfit(&launcher, "it said nothing for ten seconds")),
        }
        let (machine, notes) = Machine::new(launcher, guardian, origin);
        let (requests, requested) = mpsc::channel(REQUESTS);
        let (publisher, logs) = (Publisher::new(), machine.logs.clone());
        let snapshots = publisher.subscribe();
        let supervisor = Supervisor::new(machine, notes, requested, publisher, functions);
        tokio::spawn(supervisor.run());
        Ok(Local { requests, snapshots, logs, origin })
    }

    /// The latest snapshot, and each that follows.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// What replicas write.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Takes these functions for those there were. New ones appear at zero; of removed ones the replicas are stopped,
    /// then they vanish. Replicas of a changed command, folder or environment are replaced, one that is ready only when
    /// a new one is; other changes leave them running. Returns when it is so decided.
    pub async fn reload(&self, functions: Vec<Function>) {
        let _ = self.ask(|reply| Request::Reload(functions, reply)).await;
    }

    /// From here on a replica that a reload takes away is stopped when `busy` says that it has no requests, or after
    /// `limit`. Without, it is stopped as soon as a snapshot says so. `busy` must not block.
    pub async fn drain(&self, limit: Duration, busy: Busy) {
        // The supervisor is gone: nothing is left to drain.
        let _ = self.requests.send(Request::Drain(busy, limit)).await;
    }

    /// Each replica's first process, by the uid of its endpoint.
    pub async fn pids(&self) -> BTreeMap<EndpointUid, u32> {
        self.ask(Request::Pids).await.unwrap_or_default()
    }

    /// Stops every replica: SIGTERM, and SIGKILL after its `stop-timeout`. Returns when none is left and the guardian has
    /// ended. Nothing is started any more.
    pub async fn shutdown(&self) {
        let _ = self.ask(Request::Shutdown).await;
    }

    /// Kills every replica at once, also while [`Local::shutdown`] waits. Returns as that does.
    pub async fn kill(&self) {
        let _ = self.ask(Request::Kill).await;
    }

    /// `None` if the supervisor has ended.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Platform for Local {
    async fn scale(&self, workload: &WorkloadId, scale: Scale) -> Result<u64, Refusal> {
        let at = Moment::at(self.origin, Instant::now());
        let result = self.ask(|reply| Request::Scale(workload.clone(), scale, at, reply)).await;
        result.unwrap_or_else(|| Err(closed()))
    }

    async fn hold(&self, workload: &WorkloadId, hold: Option<Hold>) -> Result<u64, Refusal> {
        let result = self.ask(|reply| Request::Hold(workload.clone(), hold, reply)).await;
        result.unwrap_or_else(|| Err(closed()))
    }
}

fn closed() -> Refusal {
    Refusal::Failed("kaos has shut down its replicas".to_owned())
}

fn misfit(launcher: &Launcher, why: &str) -> io::Error {
    let program = launcher.program.display();
    io::Error::other(format!("the guardian of the replicas can't be started ({program}): {why}"))
}
