//! What only Linux has: the guardian process, process trees out of `/proc`, sockets out of `/proc/net`.
//!
//! The rest of the crate speaks to it in [`Order`]s and [`Event`]s, ports and process ids, and knows no signal number.

mod guard;
mod guardian;
pub(crate) mod sockets;
mod tree;
mod wire;

pub use guard::guard;
pub(crate) use guardian::{Guardian, become_subreaper};
pub(crate) use wire::{Event, Exit, Order, Start, Stop};
