//! Programs by which others try what they have written, and those by which people install: of one command each, built once.

use std::path::Path;
use std::process::Command;

use crate::binaries::Binaries;
use crate::failure::Failure;

/// h2spec: cases of RFC 7540 and RFC 7541 for a server. Takes `--host`, `--port`, `--tls` and more. Blocks while it is built.
pub fn h2spec() -> Result<Command, Failure> {
    command("h2spec")
}

/// The path of gorilla/websocket's server for Autobahn's suite, which echoes and takes `-addr`. Blocks while it is built.
pub fn websocket_echo() -> Result<String, Failure> {
    let command = command("websocket-echo")?;
    Ok(Path::new(command.get_program()).display().to_string())
}

/// Helm. Blocks while it is built.
pub fn helm() -> Result<Command, Failure> {
    command("helm")
}

/// kustomize, as `kubectl` has it in itself. Blocks while it is built.
pub fn kustomize() -> Result<Command, Failure> {
    command("kustomize")
}

fn command(name: &str) -> Result<Command, Failure> {
    Binaries::find(&[name])?.command(name)
}
