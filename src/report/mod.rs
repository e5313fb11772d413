//! A proxy's reports on their way to autoscalers: lines of JSON over one long GET, version 1.
//!
//! First comes everything, then each change. A line is at most [`LINE`] bytes; a report that is longer goes over several
//! lines, all but the last with `"more":true`, and counts once it is whole: half of a report of everything would say that
//! the other half is gone. Unknown members are ignored, an unknown version is not read at all. Knows no sockets.

mod heard;
mod hub;
#[cfg(test)]
#[cfg(feature = "kubernetes")]
mod mixed_test;
mod picture;
#[cfg(any(test, feature = "kubernetes"))]
mod read;
mod write;

pub(crate) use heard::{Heard, Load};
pub(crate) use hub::{Hub, READERS};
#[cfg(feature = "kubernetes")]
pub(crate) use read::{Reader, Unreadable};

/// Longest line, its end included.
pub(crate) const LINE: usize = 1024 * 1024;
