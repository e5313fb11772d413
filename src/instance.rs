//! Where the Kaos that runs is found: one file per process in the user's runtime folder.
//!
//! The file is locked by the process for as long as it lives, so a file that can be locked is left over from a process
//! that is gone, whatever its number is used for by then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, rfc3339};

/// One Kaos that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// Where requests are taken, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where requests are taken over TLS, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listen_tls: Option<SocketAddr>,
    /// Where other proxies ask whether a request may go, if they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listen_gate: Option<SocketAddr>,
    /// Where it is asked.
    pub(crate) admin: SocketAddr,
    /// Where this user gives it orders, if it takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<PathBuf>,
    /// Its process.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: String,
    /// What it was built from.
    pub(crate) revision: String,
    /// When it began, as RFC 3339.
    pub(crate) started_at: String,
}

impl Instance {
    /// This process, that takes no orders, is asked at `admin`, and takes requests at `listen`: without TLS, over it, and those
    /// of other proxies that only ask.
    pub(crate) fn new(listen: [Option<SocketAddr>; 3], admin: SocketAddr, clock: &Clock) -> Self {
        let [listen, listen_tls, listen_gate] = listen;
        Instance {
            listen,
            listen_tls,
            listen_gate,
            admin,
            control: None,
            pid: std::process::id(),
            version: VERSION.into(),
            revision: REVISION.into(),
            started_at: rfc3339(clock.began()),
        }
    }
}

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What this program was built from, if the builder said so.
pub(crate) const REVISION: &str = match option_env!("KAOS_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The file of this process; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    path: PathBuf,
    _locked: File,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // A file that stays is found to be left over.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(socket_of(&self.path));
    }
}

/// Writes the file of this process. The error names the folder and what is wrong with it.
pub(crate) fn register(instance: &Instance) -> Result<Registered, String> {
    let dir = folder();
    let told = |error: io::Error| format!("{}: {error}", dir.display());
    own(&dir).map_err(told)?;
    let (path, draft) =
        (dir.join(format!("{}.json", instance.pid)), dir.join(format!("{}.draft", instance.pid)));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(told)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| told(error.into()))?;
    let text = serde_json::to_string(instance).map_err(|error| told(error.into()))?;
    file.write_all(text.as_bytes()).map_err(told)?;
    fs::rename(&draft, &path).map_err(told)?;
    Ok(Registered { path, _locked: file })
}

/// Where the Kaos of process `pid` is given orders, if there is a folder that only this user can use.
pub(crate) fn control(pid: u32) -> Option<PathBuf> {
    let dir = folder();
    own(&dir).ok().map(|()| socket_of(&dir.join(format!("{pid}.json"))))
}

fn socket_of(file: &Path) -> PathBuf {
    file.with_extension("sock")
}

/// Every Kaos of this user that runs on this machine, by process number. Left-over files are removed.
pub(crate) fn running() -> Vec<Instance> {
    let dir = folder();
    if own(&dir).is_err() {
        return Vec::new();
    }
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
    let files =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
    let mut instances: Vec<Instance> = files.filter_map(|path| alive(&path)).collect();
    instances.sort_by_key(|instance| instance.pid);
    instances
}

fn alive(path: &Path) -> Option<Instance> {
    const LONGEST: u64 = 16 * 1024;
    let file = File::open(path).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        let _ = fs::remove_file(path);
        let _ = fs::remove_file(socket_of(path));
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// `$XDG_RUNTIME_DIR/kaos`, else a folder of this user under the temporary one.
fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_absolute()) {
        Some(dir) => Path::new(&dir).join("kaos"),
        None => std::env::temp_dir().join(format!("kaos-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Makes sure that `dir` is a folder that only this user can use.
fn own(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("must be a folder of this user that nobody else can use (mode 0700)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_can_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::DirBuilder::new().mode(0o755).create(&open).unwrap();
        assert!(own(&open).is_err());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(own(&link).is_err());
        let new = dir.path().join("new");
        own(&new).unwrap();
        own(&new).unwrap();
    }

    #[test]
    fn a_file_that_nobody_holds_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("7.json");
        let address = "127.0.0.1:1".parse().unwrap();
        let instance = Instance {
            listen: Some(address),
            listen_tls: None,
            listen_gate: None,
            admin: address,
            control: None,
            pid: 7,
            version: VERSION.into(),
            revision: REVISION.into(),
            started_at: String::new(),
        };
        fs::write(&path, serde_json::to_string(&instance).unwrap()).unwrap();
        let held = File::open(&path).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(alive(&path), Some(instance));
        drop(held);
        assert_eq!(alive(&path), None);
        assert!(!path.exists());
    }
}
