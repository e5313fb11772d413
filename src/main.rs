//! The `kaos` command.

fn main() {}
