//! The program that answers as told: see `kaos_loadtest::answer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kaos_loadtest::answer::main()
}
