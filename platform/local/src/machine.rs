//! This machine, as the supervisor uses it: the guardian, ports, pipes, and the tasks that read and probe.
//!
//! Knows nothing of what is wanted; turns "start one of these" into a replica.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::snapshot::StartTimes;
use kaos_core::{EndpointUid, Moment, Policy, WorkloadId};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

use crate::Launcher;
use crate::function::{Form, Function};
use crate::linux::{Event, Guardian, Order, Start, Stop};
use crate::logs::Logs;
use crate::output::Output;
use crate::ports::Ports;
use crate::probe::Probe;
use crate::replica::{Replica, Stage, Task};

/// Notes that may wait for the supervisor; whoever has one more waits.
const NOTES: usize = 256;

/// A guardian that dies sooner than this after its launch isn't replaced at once.
const GUARDIAN_PAUSE: Duration = Duration::from_secs(1);

/// Letters and digits that can't be misread and make no words.
const TAG: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What a task tells the supervisor about the replica with this number.
#[derive(Debug)]
pub(crate) enum Note {
    /// It is ready.
    Ready(u64),
    /// It didn't become ready in time, for this reason.
    Late(u64, String),
    /// Its output has ended.
    Silent(u64),
}

/// Why a replica could not be started.
pub(crate) struct Unstarted {
    /// A stable word.
    pub(crate) because: &'static str,
    /// A sentence for people.
    pub(crate) detail: String,
    /// Whether trying again is pointless until something is mended.
    pub(crate) lasting: bool,
}

/// What it takes to start and stop replicas here.
pub(crate) struct Machine {
    launcher: Launcher,
    guardian: Option<Guardian>,
    relaunch_at: Instant,
    ports: Ports,
    /// Function and port of each replica that isn't gone.
    replicas: HashMap<u64, (WorkloadId, u16)>,
    last: u64,
    /// In every uid: tells this run from others.
    tag: String,
    notes: mpsc::Sender<Note>,
    /// Zero of the moments.
    pub(crate) origin: Instant,
    /// Where output goes.
    pub(crate) logs: Logs,
}

impl Machine {
    /// Takes charge, with a guardian that has said hello.
    pub(crate) fn new(
        launcher: Launcher,
        guardian: Guardian,
        origin: Instant,
    ) -> (Machine, mpsc::Receiver<Note>) {
        let (notes, noted) = mpsc::channel(NOTES);
        let mut random = RandomState::new().hash_one(std::process::id()) as usize;
        let tag = (0..5).map(|_| {
            let letter = TAG.get(random % TAG.len()).copied().map_or('x', char::from);
            random /= TAG.len();
            letter
        });
        let machine = Machine {
            launcher,
            guardian: Some(guardian),
            relaunch_at: origin,
            ports: Ports::of_this_machine(),
            replicas: HashMap::new(),
            last: 0,
            tag: tag.collect(),
            notes,
            origin,
            logs: Logs::new(),
        };
        (machine, noted)
    }

    /// This moment.
    pub(crate) fn now(&self) -> Moment {
        Moment::at(self.origin, Instant::now())
    }

    /// The function of the replica numbered `serial`.
    pub(crate) fn function_of(&self, serial: u64) -> Option<WorkloadId> {
        self.replicas.get(&serial).map(|(workload, _)| workload.clone())
    }

    /// Forgets a replica that is gone: its port may be given away again.
    pub(crate) fn forget(&mut self, serial: u64) {
        self.replicas.remove(&serial);
    }

    /// What the guardian tells next; `None` when it is dead. Waits for ever while there is none.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        match &mut self.guardian {
            Some(guardian) => guardian.event().await,
            None => std::future::pending().await,
        }
    }

    /// Whether replicas can be started.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guardian.is_some()
    }

    /// When a new guardian is to be launched, if there is none.
    pub(crate) fn relaunch_at(&self) -> Option<Instant> {
        self.guardian.is_none().then_some(self.relaunch_at)
    }

    /// Launches a guardian, or puts it off.
    pub(crate) fn relaunch(&mut self) {
        match Guardian::launch(&self.launcher) {
            Ok(guardian) => self.guardian = Some(guardian),
            Err(error) => {
                tracing::warn!(%error, "the guardian of the replicas can't be started; tried again in a second");
                self.relaunch_at = Instant::now() + GUARDIAN_PAUSE;
            }
        }
    }

    /// Ends the guardian, and with it every process of every replica. `patience`: until it is killed itself.
    pub(crate) async fn clear(&mut self, patience: Duration) {
        let Some(guardian) = self.guardian.take() else { return };
        self.relaunch_at = guardian.launched + GUARDIAN_PAUSE;
        if !guardian.end(patience).await {
            tracing::warn!("a process of a replica can't be killed: it sleeps uninterruptibly");
        }
        self.replicas.clear();
    }

    /// Kills a guardian that doesn't answer; its end is then told as any other.
    pub(crate) fn kill_guardian(&mut self) {
        if let Some(guardian) = &mut self.guardian {
            guardian.kill();
        }
    }

    /// Starts a replica of `function` as `form`, for a decision at `decided`.
    pub(crate) fn start(
        &mut self,
        function: &Function,
        form: &Arc<Form>,
        decided: Moment,
    ) -> Result<Replica, Unstarted> {
        let serial = self.last + 1;
        let taken = |port| self.replicas.values().any(|(_, taken)| *taken == port);
        let port = self.ports.free(taken).ok_or_else(|| Unstarted {
            because: "no-port",
            detail: "no port is free on this machine outside the range of outgoing connections".to_owned(),
            lasting: false,
        })?;
        let uid = EndpointUid::new(&format!("{}-{}-{serial}", function.id.name(), self.tag));
        let order = Order::Start(Start {
            replica: serial,
            uid: uid.as_str().to_owned(),
            command: form.command(port),
            dir: form.dir.as_ref().map(|dir| dir.as_os_str().as_bytes().to_vec()),
            env: form.env(port),
        });
        let (stdout, stderr) = self.order_with_pipes(&order).map_err(|error| unstarted(&error))?;
        self.last = serial;
        self.replicas.insert(serial, (function.id.clone(), port));
        let output = Output {
            workload: function.id.clone(),
            replica: uid.clone(),
            origin: self.origin,
            logs: self.logs.clone(),
            tail: Arc::default(),
        };
        let tail = Arc::clone(&output.tail);
        let notes = self.notes.clone();
        let reader = tokio::spawn(async move {
            output.read(stdout, stderr).await;
            // The supervisor is gone: so is the replica.
            let _ = notes.send(Note::Silent(serial)).await;
        });
        Ok(Replica {
            serial,
            uid,
            form: Arc::clone(form),
            port,
            pid: None,
            stage: Stage::Spawning { since: Instant::now() },
            start: StartTimes { decided: Some(decided), started: None, ready: None },
            begun: self.now(),
            tail,
            silent: false,
            gone: false,
            reader: Task::from(reader),
            probe: None,
        })
    }

    fn order_with_pipes(&mut self, order: &Order) -> io::Result<(Receiver, Receiver)> {
        let guardian = self.guardian.as_mut().ok_or_else(|| io::Error::other("the guardian is gone"))?;
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        let stdout = Receiver::from_owned_fd(stdout.into())?;
        let stderr = Receiver::from_owned_fd(stderr.into())?;
        guardian.order(order, vec![OwnedFd::from(their_stdout), OwnedFd::from(their_stderr)])?;
        Ok((stdout, stderr))
    }

    /// Waits in a task of its own until the replica, whose process is `pid`, is ready.
    pub(crate) fn probe(&self, replica: &Replica, pid: u32, policy: &Policy) -> Task {
        let probe = Probe {
            port: replica.port,
            pid,
            readiness: policy.readiness.clone(),
            timeout: policy.start_timeout,
            tail: Arc::clone(&replica.tail),
        };
        let (serial, notes) = (replica.serial, self.notes.clone());
        Task::from(tokio::spawn(async move {
            let note = match probe.wait().await {
                Ok(()) => Note::Ready(serial),
                Err(reason) => Note::Late(serial, reason),
            };
            // The supervisor is gone: so is the replica.
            let _ = notes.send(note).await;
        }))
    }

    /// Stops the replica numbered `serial`.
    pub(crate) fn stop(&mut self, serial: u64, how: Stop) {
        if let Some(guardian) = &mut self.guardian
            && let Err(error) = guardian.order(&Order::Stop { replica: serial, how }, Vec::new())
        {
            tracing::warn!(%error, "the guardian of the replicas can't be told to stop one");
        }
    }
}

fn unstarted(error: &io::Error) -> Unstarted {
    let too_long = error.kind() == io::ErrorKind::ArgumentListTooLong;
    Unstarted {
        because: if too_long { "too-long" } else { "no-resources" },
        detail: format!("the replica could not be started: {error}"),
        lasting: too_long,
    }
}
