//! What is run: one function as configured, and how the guardian is started. Validated by whoever read it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use kaos_core::host::HostPattern;
use kaos_core::{Policy, WorkloadId};

/// One function of this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name. Two functions never share one.
    pub id: WorkloadId,
    /// Hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// Path prefix it answers for.
    pub path: String,
    /// Program and arguments; `{port}` in an argument is replaced by the replica's port.
    pub command: Vec<String>,
    /// Working directory; `None` for that of `kaos up`.
    pub dir: Option<PathBuf>,
    /// Set on top of the environment of `kaos up`. `PORT`, `HOST` and `KAOS_REPLICA` are set over these.
    pub env: Vec<(String, String)>,
    /// Its knobs.
    pub policy: Arc<Policy>,
}

impl Function {
    /// What makes its processes: replicas of another form are replaced.
    pub(crate) fn form(&self) -> Form {
        Form { command: self.command.clone(), dir: self.dir.clone(), env: self.env.clone() }
    }
}

/// What a replica was started as.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    command: Vec<String>,
    /// Working directory.
    pub(crate) dir: Option<PathBuf>,
    env: Vec<(String, String)>,
}

impl Form {
    /// Program and arguments for a replica on `port`.
    pub(crate) fn command(&self, port: u16) -> Vec<String> {
        self.command.iter().map(|part| part.replace("{port}", &port.to_string())).collect()
    }

    /// The environment that a replica on `port` is given.
    pub(crate) fn env(&self, port: u16) -> Vec<(String, String)> {
        let own = [("PORT", port.to_string()), ("HOST", "127.0.0.1".to_owned())];
        self.env.iter().cloned().chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
    }
}

/// How to start the guardian: a program that does nothing but call [`guard`](crate::guard).
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program; `/proc/self/exe` for the program that runs, even if its file was replaced.
    pub program: PathBuf,
    /// Arguments that make it call [`guard`](crate::guard).
    pub arguments: Vec<OsString>,
}

impl Launcher {
    /// The program that runs, started with `argument`.
    pub fn own(argument: &str) -> Launcher {
        Launcher { program: "/proc/self/exe".into(), arguments: vec![argument.into()] }
    }
}
