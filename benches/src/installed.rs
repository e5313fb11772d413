//! The programs that are installed here, and what they say of themselves.

use std::path::PathBuf;
use std::process::Command;

use crate::Peer;

/// The program `name`, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only root's PATH looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder: PathBuf| folder.join(name)).find(|path| path.is_file())
}

/// What a proxy says of its version: the first line.
pub(crate) fn version(peer: Peer, program: &str) -> String {
    let argument = if peer == Peer::Kaos { "version" } else { "-v" };
    let Ok(output) = Command::new(program).arg(argument).output() else { return "unknown version".into() };
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).lines().next().unwrap_or("unknown version").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find("no-such-program-at-all"), None);
    }
}
