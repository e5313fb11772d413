//! The program that answers as told, for the tests and benchmarks that run `kaos` as a whole.

fn main() -> std::process::ExitCode {
    kaos_loadtest::answer::main()
}
