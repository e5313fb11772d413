//! What only Linux has: the guardian process, process trees out of `/proc`, sockets out of `/proc/net`.
//!
//! The rest of the crate speaks to it in [`Order`]s and [`Event`]s, ports and process ids, and knows no signal number.

mod guard;
mod guardian;
pub(crate) mod sockets;
mod timer;
mod tree;
mod wire;

pub use guard::guard;
pub(crate) use guardian::{Guardian, become_subreaper};
pub(crate) use timer::Timer;
pub(crate) use wire::{Event, Exit, Order, Start, Stop};

/// How ps, top and pkill know the guardian. It doesn't say kaos: who kills everything by that name would kill the one
/// process that cleans up after the others.
const NAME: &str = "guardian";
