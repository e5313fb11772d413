//! The load generator: see `kaos_loadtest`.

fn main() {}
