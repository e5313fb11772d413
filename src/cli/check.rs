//! The command line of `kaos check`.

use std::path::PathBuf;

use clap::Args;
use kaos_kubernetes::controller::Controller;

use super::Output;
use super::cluster::{Home, Kubeconfig};
use super::name::{label, subdomain};

/// What is told below the flags.
pub(crate) const AFTER: &str = "\
Reads what you may list, changes nothing, and needs no Kaos. What may not be listed or isn't installed is said.

  kaos check deployment/shop -n prod        # what speaks against it, why, and what to do; statefulset/NAME too
  kaos check --all-namespaces               # a line for each Deployment
  kustomize build . | kaos check -f -       # before it is anywhere

Exit codes: 0 nothing makes sleeping unsafe, 1 something does, 2 it couldn't be found out (wrong command line, no such
object, unreadable file, API server away), 78 wrong kubeconfig.";

/// `kaos check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Check {
    /// deployment/NAME, statefulset/NAME, NAME or NAMESPACE/NAME [default: every Deployment of the namespace, and
    /// StatefulSets that are opted in]
    #[arg(value_name = "deployment/NAME", value_parser = named)]
    pub(crate) name: Option<Named>,
    #[command(flatten)]
    pub(crate) kubeconfig: Kubeconfig,
    /// Namespace [default: that of the context; of files, default]
    #[arg(long, short = 'n', env = "KAOS_ASK_NAMESPACE", value_name = "NAMESPACE", value_parser = label)]
    pub(crate) namespace: Option<String>,
    /// Every Deployment of every namespace
    #[arg(long, short = 'A', conflicts_with_all = ["name", "files"])]
    pub(crate) all_namespaces: bool,
    /// Objects to look at in place of a cluster's: a file of YAML or JSON, or - for stdin; may be repeated
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) home: Home,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A Deployment or StatefulSet as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its namespace, if that is said.
    pub(crate) namespace: Option<String>,
    /// Which of the two it is, if that is said.
    pub(crate) controller: Option<Controller>,
    /// Its name.
    pub(crate) name: String,
}

/// What `kubectl` calls a Deployment.
const DEPLOYMENT: [&str; 5] = ["deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"];

/// What it calls a StatefulSet.
const STATEFUL_SET: [&str; 5] =
    ["statefulset", "statefulsets", "sts", "statefulset.apps", "statefulsets.apps"];

/// What it calls others that run something, or lead to it.
const OTHERS: [&str; 15] = [
    "daemonset",
    "daemonsets",
    "ds",
    "replicaset",
    "replicasets",
    "rs",
    "pod",
    "pods",
    "po",
    "job",
    "jobs",
    "cronjob",
    "service",
    "svc",
    "ingress",
];

fn named(text: &str) -> Result<Named, String> {
    let told = || "allowed is deployment/NAME, statefulset/NAME, NAME or NAMESPACE/NAME".to_owned();
    let (before, name) = text.split_once('/').map_or((None, text), |(before, name)| (Some(before), name));
    let kind = before.map(str::to_ascii_lowercase);
    if let Some(kind) = kind.as_deref().filter(|kind| OTHERS.contains(kind)) {
        return Err(format!("Kaos scales Deployments and StatefulSets, no {kind}; {}", told()));
    }
    let controller = match kind.as_deref() {
        Some(kind) if DEPLOYMENT.contains(&kind) => Some(Controller::Deployment),
        Some(kind) if STATEFUL_SET.contains(&kind) => Some(Controller::StatefulSet),
        _ => None,
    };
    let namespace = before.filter(|_| controller.is_none());
    let namespace = namespace.map(label).transpose().map_err(|_| told())?;
    Ok(Named { namespace, controller, name: subdomain(name).map_err(|_| told())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_named_as_kubectl_does_or_as_the_other_commands_do() {
        let named = |text| named(text).map(|named| (named.namespace, named.controller, named.name));
        for (text, namespace, controller) in [
            ("deployment/shop", None, Some(Controller::Deployment)),
            ("deploy/shop", None, Some(Controller::Deployment)),
            ("deployments.apps/shop", None, Some(Controller::Deployment)),
            ("sts/shop", None, Some(Controller::StatefulSet)),
            ("StatefulSet/shop", None, Some(Controller::StatefulSet)),
            ("shop", None, None),
            ("prod/shop", Some("prod".to_owned()), None),
        ] {
            assert_eq!(named(text), Ok((namespace, controller, "shop".to_owned())), "{text}");
        }
        assert!(named("daemonset/db").is_err_and(|why| why.contains("Kaos scales Deployments")));
        for wrong in ["", "deployment/", "a/b/c", "Shop", "prod/a b"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
