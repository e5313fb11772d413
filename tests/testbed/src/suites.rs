//! Programs by which others try what they have written, and those by which people install: of one command each, built once.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::binaries::{Binaries, go_files};
use crate::failure::{Failure, Trying};

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

/// Gateway API's conformance suite, which takes its own flags and asks the cluster of `KUBECONFIG`; with a `HOST` in its environment
/// it is the backend that the suite expects. Blocks while it is built.
pub fn gateway_conformance() -> Result<Command, Failure> {
    command("gateway-conformance")
}

/// The custom resources of Gateway API's standard channel, as YAML.
pub fn gateway_resources() -> Result<Vec<String>, Failure> {
    // Of the module that the suite is built from, once that is there.
    gateway_conformance()?;
    let files = go_files("gateway", "sigs.k8s.io/gateway-api", "config/crd/standard")?;
    let names = |kind: &str| format!("gateway.networking.k8s.io_{kind}.yaml");
    let wanted = files.into_iter().filter(|file| {
        let vap = names("vap_safeupgrades");
        file.extension().is_some_and(|end| end == "yaml") && !file.ends_with(vap)
    });
    wanted.map(|file| fs::read_to_string(&file).trying(file.display())).collect()
}

fn command(name: &str) -> Result<Command, Failure> {
    Binaries::find(&[name])?.command(name)
}
