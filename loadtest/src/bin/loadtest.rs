//! The load generator: see `kaos_loadtest::command`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kaos_loadtest::command::main()
}
