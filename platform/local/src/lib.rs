//! The platform seam over child processes on loopback: `kaos up`.
//!
//! Snapshots out, `scale` and `hold` in, as for every platform. A replica is a child process with a port of its own; it
//! is forked by a guardian process, so that it never outlives `kaos up`, however that ends. Nothing here knows what
//! asks for replicas or what sends them requests.

mod fleet;
mod function;
mod linux;
mod local;
mod logs;
mod machine;
mod output;
mod plan;
mod ports;
mod probe;
mod publish;
mod replica;
mod shelf;
mod streak;
mod supervise;

pub use function::{Function, Launcher};
pub use linux::guard;
pub use local::{Busy, Local};
pub use logs::{Feed, Item, Line, Logs, Stream};
pub use shelf::StateFile;

/// The variable that marks every process of a replica with the replica's uid.
pub(crate) const MARK: &str = "KAOS_REPLICA";
