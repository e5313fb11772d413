//! One replica's life: spawning, starting, ready, draining, stopping, ended. What happens to it is decided elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::snapshot::{Phase, StartTimes};
use kaos_core::{Endpoint, EndpointUid, Moment};
use tokio::task::{AbortHandle, JoinHandle};

use crate::function::Form;
use crate::linux::Exit;
use crate::output::Tail;
use crate::plan::Seat;

/// Longest wait for the rest of the output, and for the rest of the tree, of a replica that has ended by itself, before
/// the reason is told without them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The same once nothing of the tree is left: only a process outside of it can still hold the pipes.
const ECHO: Duration = Duration::from_millis(100);

/// A guardian that hasn't started a program after this is stuck.
pub(crate) const WEDGED: Duration = Duration::from_secs(30);

/// Between two looks whether a replica that may finish what it has still has something.
const DRAINING: Duration = Duration::from_millis(10);

/// One replica.
pub(crate) struct Replica {
    /// Its number: grows with each start, over all functions.
    pub(crate) serial: u64,
    /// Its identity.
    pub(crate) uid: EndpointUid,
    /// What it was started as.
    pub(crate) form: Arc<Form>,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Its first process, once it runs.
    pub(crate) pid: Option<u32>,
    /// Where it is in its life.
    pub(crate) stage: Stage,
    /// The steps of its start.
    pub(crate) start: StartTimes,
    /// When the guardian was told to start it.
    pub(crate) begun: Moment,
    /// The end of its output.
    pub(crate) tail: Arc<Tail>,
    /// Its output was read to the end.
    pub(crate) silent: bool,
    /// Nothing of its process tree is left.
    pub(crate) gone: bool,
    /// Reads its output.
    #[expect(dead_code, reason = "held so that the reader ends with the replica")]
    pub(crate) reader: Task,
    /// Waits for it to become ready.
    pub(crate) probe: Option<Task>,
}

/// Where a replica is in its life. Only ever goes down this list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// The guardian was told to start it.
    Spawning {
        /// When.
        since: Instant,
    },
    /// It runs.
    Starting,
    /// It may be sent requests.
    Ready {
        /// Since when.
        since: Instant,
    },
    /// It is to stop, and wasn't told yet.
    Draining {
        /// Whether a snapshot has said so.
        announced: bool,
        /// It may finish what it has until then; `None`: it has nothing.
        until: Option<Instant>,
    },
    /// It was told to stop.
    Stopping {
        /// When its whole tree is killed; `None` once that was ordered.
        kill_at: Option<Instant>,
    },
    /// Its first process has ended.
    Ended {
        /// What that means, until it was told.
        ending: Option<Ending>,
        /// When it is told, and the replica forgotten, though output or tree haven't ended.
        until: Instant,
    },
}

/// A process that has ended without being asked to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// Before it was ready.
    Unready(Exit),
    /// After it was ready for this long.
    Ready(Exit, Duration),
}

impl Replica {
    /// What the snapshot says of it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            uid: self.uid.clone(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            phase: self.phase(),
            start: self.start,
        }
    }

    /// Where it is in its life, for the snapshot.
    pub(crate) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Spawning { .. } | Stage::Starting => Phase::Starting,
            Stage::Ready { .. } => Phase::Ready,
            Stage::Draining { .. } | Stage::Stopping { .. } | Stage::Ended { .. } => Phase::Terminating,
        }
    }

    /// Its place in the plan, if it isn't going away.
    pub(crate) fn seat(&self, form: &Arc<Form>, victims: &[EndpointUid]) -> Option<Seat> {
        let phase = self.phase();
        (phase != Phase::Terminating).then(|| Seat {
            serial: self.serial,
            current: Arc::ptr_eq(&self.form, form),
            ready: phase == Phase::Ready,
            victim: victims.contains(&self.uid),
        })
    }

    /// Lets it go: announced first, told then. With `patience` it may finish what it has.
    pub(crate) fn drain(&mut self, patience: Option<Duration>) {
        self.probe = None;
        self.stage =
            Stage::Draining { announced: false, until: patience.map(|patience| Instant::now() + patience) };
    }

    /// Its first process has ended.
    pub(crate) fn exited(&mut self, exit: Exit) {
        self.probe = None;
        let ending = match self.stage {
            Stage::Spawning { .. } | Stage::Starting => Some(Ending::Unready(exit)),
            Stage::Ready { since } => Some(Ending::Ready(exit, since.elapsed())),
            Stage::Draining { .. } | Stage::Stopping { .. } | Stage::Ended { .. } => None,
        };
        // One that was told to stop still gets killed in time, if something of it lingers.
        if ending.is_some() || !matches!(self.stage, Stage::Stopping { .. }) {
            self.stage = Stage::Ended { ending, until: Instant::now() + LAST_WORDS };
        }
    }

    /// Nothing of its tree is left.
    pub(crate) fn left(&mut self) {
        self.gone = true;
        let echo = Instant::now() + ECHO;
        self.stage = match self.stage {
            Stage::Ended { ending, until } => Stage::Ended { ending, until: until.min(echo) },
            _ => Stage::Ended { ending: None, until: echo },
        };
    }

    /// What its end means, once that can be told: with its last words, or without them when they are late.
    pub(crate) fn verdict(&mut self, now: Instant) -> Option<Ending> {
        match &mut self.stage {
            Stage::Ended { ending, until } if (self.gone && self.silent) || now >= *until => ending.take(),
            _ => None,
        }
    }

    /// Whether nothing of it is left to wait for.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Ended { ending: None, until } => self.gone && (self.silent || now >= until),
            _ => false,
        }
    }

    /// When something must happen to it, if nothing else does before.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        match self.stage {
            Stage::Spawning { since } => Some(since + WEDGED),
            Stage::Draining { announced: true, until: Some(_) } => Some(Instant::now() + DRAINING),
            Stage::Stopping { kill_at } => kill_at,
            Stage::Ended { ending, until } => (ending.is_some() || self.gone).then_some(until),
            Stage::Starting | Stage::Ready { .. } | Stage::Draining { .. } => None,
        }
    }
}

/// A task that ends with its owner.
pub(crate) struct Task(AbortHandle);

impl From<JoinHandle<()>> for Task {
    fn from(task: JoinHandle<()>) -> Task {
        Task(task.abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a process ended, for people.
pub(crate) fn describe(exit: Exit) -> String {
    let number = match exit {
        Exit::Status(0) => return "exited with status 0 (a command must stay in the foreground)".to_owned(),
        Exit::Status(status @ 126..=127) => {
            return format!("exited with status {status} (a shell's way to say that it can't run a command)");
        }
        Exit::Status(status) => return format!("exited with status {status}"),
        Exit::Signal(number) => number,
    };
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL: out of memory, or somebody's hand",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return format!("was killed by signal {number}"),
    };
    format!("was killed by signal {number} ({name})")
}
