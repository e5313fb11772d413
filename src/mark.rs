//! What tells one content of a file from another without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Equal as long as nobody has written to the file, or put another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    modified: (i64, i64),
    changed: (i64, i64),
    length: u64,
    inode: u64,
    device: u64,
}

impl Mark {
    /// `None`: there is no such file.
    pub(crate) fn of(file: &Path) -> Option<Mark> {
        let found = fs::metadata(file).ok()?;
        Some(Mark {
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            length: found.len(),
            inode: found.ino(),
            device: found.dev(),
        })
    }
}
