//! A tar whose bytes depend on its contents alone.

use std::fmt::Write;
use std::io;

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// A tar that is being written, in memory.
pub(crate) struct Archive {
    tar: Builder<Vec<u8>>,
}

impl Default for Archive {
    fn default() -> Self {
        Archive { tar: Builder::new(Vec::new()) }
    }
}

impl Archive {
    /// Adds a file that belongs to root.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.add(EntryType::Regular, path, mode, content)
    }

    /// Adds a folder.
    pub(crate) fn folder(&mut self, path: &str) -> io::Result<()> {
        self.add(EntryType::Directory, path, 0o755, &[])
    }

    fn add(&mut self, kind: EntryType, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        // The beginning of 1970: who reads it needs no time, and the same content has the same bytes.
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, content)
    }

    /// The whole.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()
    }
}

/// How OCI names content: `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(content: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(content) {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
