//! What happens to Kaos meanwhile: a replica is killed, the certificate or the configuration is replaced.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use super::client::Places;
use crate::certificate::Certificate;
use crate::configure::function;
use crate::peer::Stage;
use crate::process::children;

/// Looks from one trouble to the next, at most.
const CALM: u32 = 6;

/// What was done so far.
pub(super) struct Trouble<'a> {
    pub(super) killed: u64,
    pub(super) certificates: u64,
    pub(super) configurations: u64,
    calm: u32,
    config: PathBuf,
    head: String,
    replica: &'a [String],
    grpc_replica: &'a [String],
    certificate: &'a Certificate,
}

impl<'a> Trouble<'a> {
    /// None yet; the configuration is written.
    pub(super) fn new(stage: Stage<'a>, places: Places, admin: SocketAddr) -> Result<Trouble<'a>, String> {
        let trouble = Trouble {
            killed: 0,
            certificates: 0,
            configurations: 0,
            calm: CALM,
            config: stage.folder.join("soak.toml"),
            head: format!("listen = \"{}\"\nadmin = \"{admin}\"\n", places.plain),
            replica: &stage.upstream.replica,
            grpc_replica: &stage.upstream.grpc_replica,
            certificate: stage.certificate,
        };
        trouble.configure()?;
        Ok(trouble)
    }

    /// Where the configuration is.
    pub(super) fn config(&self) -> String {
        self.config.display().to_string()
    }

    /// Makes some now and then.
    pub(super) fn make(&mut self, kaos: u32) -> Result<(), String> {
        self.calm -= 1;
        if self.calm > 0 {
            return Ok(());
        }
        self.calm = fastrand::u32(1..=CALM);
        match fastrand::u8(..3) {
            0 => self.kill(kaos),
            1 => {
                self.certificate.replace()?;
                self.certificates += 1;
            }
            _ => {
                self.configurations += 1;
                self.configure()?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, kaos: u32) {
        let replica = fastrand::choice(children(kaos)).and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // One that has ended since needs no killing.
        self.killed += u64::from(replica.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok()));
    }

    /// One function more or less, and one whose knobs change.
    fn configure(&self) -> Result<(), String> {
        let odd = self.configurations % 2 == 1;
        let knobs = format!("min-scale = 2\nmax-scale = {}\n", if odd { 3 } else { 4 });
        let mut text = self.head.clone();
        text.push_str(&function("bench", self.replica, &knobs));
        text.push_str(&function(
            "grpc",
            self.grpc_replica,
            "min-scale = 2\nmax-scale = 3\nprotocol = \"h2c\"\n",
        ));
        text.push_str(&function("cold", self.replica, "idle-timeout = \"1s\"\nwindow = \"6s\"\n"));
        if odd {
            text.push_str(&function("passing", self.replica, ""));
        }
        let new = self.config.with_extension("new");
        let wrong = |error: std::io::Error| format!("{}: {error}", self.config.display());
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.config)).map_err(wrong)
    }
}
