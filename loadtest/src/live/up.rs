//! A `kaos up` of its own: started with a configuration, asked, and ended whatever happens.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// From the start of the program to its first line.
const READY: Duration = Duration::from_secs(30);
/// From SIGTERM to the end. Its replicas get ten seconds.
const END: Duration = Duration::from_secs(30);

/// Where it is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Place {
    /// Where it takes requests.
    pub listen: SocketAddr,
    /// Where it is asked.
    pub admin: SocketAddr,
}

/// A Kaos that runs. Dropped, it is killed, and its replicas go with it as they do whenever a Kaos ends.
pub struct Up {
    child: Child,
    /// Where it is.
    pub place: Place,
}

impl Up {
    /// Starts `kaos up` with the file `kaos.toml` of `folder`, and its log and whatever it keeps there. The error says why it
    /// isn't there.
    pub async fn start(kaos: &Path, folder: &Path) -> Result<Up, String> {
        let wrong = |why: String| format!("{}: {why}; see {}", kaos.display(), folder.join("log").display());
        let failed = |error: std::io::Error| wrong(error.to_string());
        let log = File::create(folder.join("log")).map_err(failed)?;
        let mut child = Command::new(kaos)
            .args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--output", "json", "--config"])
            .arg(folder.join("kaos.toml"))
            .env("XDG_RUNTIME_DIR", folder)
            .env("XDG_STATE_HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take().ok_or_else(|| wrong("it has no output".into()))?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = tokio::time::timeout(READY, stdout.read_line(&mut line)).await;
        read.map_err(|_late| wrong(format!("said nothing within {} s", READY.as_secs())))?.map_err(failed)?;
        let place = serde_json::from_str(&line).map_err(|error| wrong(format!("said {line:?}: {error}")))?;
        Ok(Up { child, place })
    }

    /// Ends it. The error says how it ended if not as it should.
    pub async fn end(mut self) -> Result<(), String> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or("kaos up has ended before it was to")?;
        kill_process(pid, Signal::TERM).map_err(|error| format!("kaos up can't be ended: {error}"))?;
        match tokio::time::timeout(END, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(ended) => Err(format!("kaos up ended with {ended:?}")),
            Err(_late) => Err(format!("kaos up went on for {} s after SIGTERM", END.as_secs())),
        }
    }
}
