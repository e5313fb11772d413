//! The values of the Helm chart are what the commands take.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory;
use serde_json::Value;

use crate::cli::Cli;

/// Variables that nobody may set in the chart. The ports are those of the manifests, TLS has its values `tls` and `tlsSecrets`, files would
/// need a volume, a pod asks the API server by its own account, and the proxies are found by their Service.
const FIXED: [&str; 10] = [
    "KAOS_LISTEN",
    "KAOS_ADMIN",
    "KAOS_LISTEN_TLS",
    "KAOS_TLS_SECRET",
    "KAOS_TLS_CERT",
    "KAOS_TLS_KEY",
    "KAOS_TLS_DIR",
    "KAOS_KUBECONFIG",
    "KAOS_CONTEXT",
    "KAOS_PEERS",
];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/chart").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn schema() -> Value {
    serde_json::from_str(&read("values.schema.json")).unwrap()
}

/// The variables of a command, and their defaults.
fn variables(command: &str) -> Vec<(String, Option<String>)> {
    let cli = Cli::command();
    let arguments = cli.find_subcommand(command).unwrap().get_arguments();
    let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
    arguments
        .filter_map(|argument| {
            let default = argument.get_default_values().first().map(|default| text(default));
            Some((text(argument.get_env()?), default))
        })
        .collect()
}

#[test]
fn every_setting_of_the_commands_can_be_set_once() {
    for part in ["proxy", "autoscaler"] {
        let free = schema()["properties"][part]["properties"]["env"]["properties"].take();
        let free: BTreeSet<String> = free.as_object().unwrap().keys().cloned().collect();
        let template = read(&format!("templates/{part}.yaml"));
        let by_value = |name: &str| template.contains(&format!("- name: {name}\n"));
        let open: BTreeSet<String> = variables(part)
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !by_value(name) && !FIXED.contains(&name.as_str()))
            .collect();
        assert_eq!(free, open, "{part}.env: examples/chart/values.rs lists what no other value sets");
    }
}

/// A value is left out of what is installed where it is the command's own default.
#[test]
fn defaults_are_those_of_the_commands() {
    for (value, variable) in
        [("domain", "KAOS_DOMAIN"), ("clusterDomain", "KAOS_CLUSTER_DOMAIN"), ("logLevel", "KAOS_LOG_LEVEL")]
    {
        let (_, default) = variables("proxy").into_iter().find(|(name, _)| name == variable).unwrap();
        assert_eq!(schema()["properties"][value]["default"], default.unwrap(), "{value}");
    }
}

#[test]
fn every_flag_of_install_is_a_value() {
    let (cli, values) = (Cli::command(), read("values.yaml"));
    let install = cli.find_subcommand("install").unwrap();
    for flag in install.get_arguments().filter_map(clap::Arg::get_long) {
        // The namespace is the release's.
        let told = flag == "namespace" || values.contains(&format!("`kaos install --{flag}`"));
        assert!(told, "--{flag}");
    }
}
