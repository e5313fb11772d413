//! The command line of those commands that look at workloads, of a cluster or of files: which ones.

use std::path::PathBuf;

use clap::Args;
use kaos_kubernetes::controller::Controller;
use kaos_kubernetes::safety::Selector;

use super::cluster::{Home, Kubeconfig};
use super::name::{label, subdomain};

/// Which workloads, and where they are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selection {
    /// deployment/NAME, statefulset/NAME, NAME or NAMESPACE/NAME [default: every Deployment of the namespace, and
    /// StatefulSets that are opted in]
    #[arg(value_name = "deployment/NAME", value_parser = named)]
    pub(crate) name: Option<Named>,
    #[command(flatten)]
    pub(crate) kubeconfig: Kubeconfig,
    /// Namespace [default: that of the context; of files, default]
    #[arg(long, short = 'n', env = "KAOS_ASK_NAMESPACE", value_name = "NAMESPACE", value_parser = label)]
    pub(crate) namespace: Option<String>,
    /// Those of every namespace
    #[arg(long, short = 'A', conflicts_with_all = ["name", "files"])]
    pub(crate) all_namespaces: bool,
    /// Those with these labels, as kubectl takes it: app=shop, tier!=db, env in (prod,test), canary, !canary
    #[arg(long, short = 'l', value_name = "SELECTOR", value_parser = Selector::parse, conflicts_with = "name")]
    pub(crate) selector: Option<Selector>,
    /// Objects to look at in place of a cluster's: a file of YAML or JSON, or - for stdin; may be repeated
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) home: Home,
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
