//! What a played pod runs: the program that answers as told.

fn main() -> std::process::ExitCode {
    kaos_loadtest::answer::main()
}
