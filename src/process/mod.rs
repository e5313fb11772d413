//! What every long-running command shares: signals, logs on stderr, ports, memory, and parts that must not end early.

#[cfg(feature = "kubernetes")]
pub(crate) mod daemon;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod part;
pub(crate) mod ports;
pub(crate) mod signals;
pub(crate) mod terminal;
