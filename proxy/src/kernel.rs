//! What the kernel is asked to hold for us, and when it can't.

use std::io;

use rustix::io::Errno;

/// Connections that wait to be accepted, per worker.
pub(crate) const BACKLOG: i32 = 4096;

/// Whether the kernel refused for want of descriptors or memory.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS))
}
