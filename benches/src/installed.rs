//! The programs that are installed here, and what they say of themselves.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// The line in which it says its version.
    pub(crate) version: String,
    /// The number in it.
    pub(crate) number: String,
}

/// The programs `name`: the one in the PATH and the one in `folder`, if they aren't of one version.
pub(crate) fn find_all(name: &str, ask: &str, folder: &Path) -> Vec<Program> {
    let mut found: Vec<Program> = Vec::new();
    for path in [find(name), Some(folder.join(name)).filter(|path| path.is_file())].into_iter().flatten() {
        let program = look(path, ask);
        if found.iter().all(|other| other.number != program.number) {
            found.push(program);
        }
    }
    found
}

/// The program `name` of the PATH, if it is there.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only root's PATH looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder: PathBuf| folder.join(name)).find(|path| path.is_file())
}

/// Asks a program for its version.
pub(crate) fn look(path: PathBuf, ask: &str) -> Program {
    let said = Command::new(&path).arg(ask).output().map(|output| [output.stdout, output.stderr].concat());
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    let line = said.lines().find(|line| number(line).is_some()).unwrap_or("unknown version");
    // Some begin with their own path.
    let line = line.trim().trim_start_matches(&*path.to_string_lossy()).trim_start();
    let (version, number) = (line.to_owned(), number(line).unwrap_or_default().to_owned());
    Program { path, version, number }
}

/// The first number with dots in it.
fn number(line: &str) -> Option<&str> {
    let words = line.split(|character: char| !(character.is_ascii_digit() || character == '.'));
    let mut words = words.map(|word| word.trim_matches('.'));
    words.find(|word| word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find("no-such-program-at-all"), None);
    }

    #[test]
    fn versions_are_numbers_with_dots() {
        for (line, wanted) in [
            ("nginx version: nginx/1.30.6", Some("1.30.6")),
            ("HAProxy version 3.2.26-1 2026/10/14 - https://haproxy.org/", Some("3.2.26")),
            ("v2.11.7 h1:yj0Y4fY", Some("2.11.7")),
            ("  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL", Some("1.40.0")),
            ("kaos 0.1.0", Some("0.1.0")),
            ("2.6.2", Some("2.6.2")),
            ("no version at all.", None),
        ] {
            assert_eq!(number(line), wanted, "{line}");
        }
    }
}
