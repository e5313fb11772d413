//! What the machine must have and allow: said by the name of the capability or the package that is missing.

use std::env;
use std::path::{Path, PathBuf};

use rustix::thread::{CapabilitySet, capabilities};

use crate::failure::{Failure, Trying};

/// Adding routes and bridges.
pub(crate) const NET_ADMIN: (&str, CapabilitySet) = ("CAP_NET_ADMIN", CapabilitySet::NET_ADMIN);

/// Mounting, and namespaces of one's own.
pub(crate) const SYS_ADMIN: (&str, CapabilitySet) = ("CAP_SYS_ADMIN", CapabilitySet::SYS_ADMIN);

/// Fails with the names of those capabilities that this process hasn't. `why` they are needed.
pub(crate) fn allows(wanted: &[(&str, CapabilitySet)], why: &str) -> Result<(), Failure> {
    let effective = capabilities(None).trying("the capabilities of this process")?.effective;
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(_, capability)| !effective.contains(*capability))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(" and ");
    Err(Failure::new(format!("{why} needs {missing}: run as root (in a container: with --cap-add)")))
}

/// Fails with the Debian packages of those `programs` (each with its package) that aren't there.
pub(crate) fn has(programs: &[(&str, &str)]) -> Result<(), Failure> {
    let mut missing: Vec<&str> =
        programs.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(" ");
    Err(Failure::new(format!(
        "this machine lacks: {missing} (apt-get install --no-install-recommends {missing})"
    )))
}

/// Where a program is: by its path, or by its name in `PATH` and where Debian keeps root's.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    // Joining an absolute path gives that path.
    folders.map(|folder| folder.join(Path::new(program))).find(|path| path.is_file())
}
