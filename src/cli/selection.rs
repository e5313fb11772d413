//! The command line of those commands that look at Deployments, of a cluster or of files: which ones.

use std::path::PathBuf;

use clap::Args;
use kaos_kubernetes::safety::Selector;

use super::cluster::{Home, Kubeconfig};
use super::name::{label, subdomain};

/// Which Deployments, and where they are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selection {
    /// deployment/NAME, NAME or NAMESPACE/NAME [default: every Deployment of the namespace]
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
    /// Those with these labels, as kubectl takes it: app=shop, tier!=db, env in (prod,test), canary, !canary
    #[arg(long, short = 'l', value_name = "SELECTOR", value_parser = Selector::parse, conflicts_with = "name")]
    pub(crate) selector: Option<Selector>,
    /// Objects to look at in place of a cluster's: a file of YAML or JSON, or - for stdin; may be repeated
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) home: Home,
}

/// A Deployment as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its namespace, if that is said.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
}

/// What `kubectl` calls a Deployment.
const DEPLOYMENT: [&str; 5] = ["deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"];

/// What it calls others that run something, or lead to it.
const OTHERS: [&str; 18] = [
    "statefulset",
    "statefulsets",
    "sts",
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
    let told = || "allowed is deployment/NAME, NAME or NAMESPACE/NAME".to_owned();
    let (before, name) = text.split_once('/').map_or((None, text), |(before, name)| (Some(before), name));
    let kind = before.map(str::to_ascii_lowercase);
    if let Some(kind) = kind.as_deref().filter(|kind| OTHERS.contains(kind)) {
        return Err(format!("Kaos scales Deployments, no {kind}; {}", told()));
    }
    let namespace = before.filter(|_| !kind.is_some_and(|kind| DEPLOYMENT.contains(&kind.as_str())));
    let namespace = namespace.map(label).transpose().map_err(|_| told())?;
    Ok(Named { namespace, name: subdomain(name).map_err(|_| told())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_named_as_kubectl_does_or_as_the_other_commands_do() {
        let named = |text| named(text).map(|named| (named.namespace, named.name));
        for (text, namespace) in [
            ("deployment/shop", None),
            ("deploy/shop", None),
            ("deployments.apps/shop", None),
            ("shop", None),
            ("prod/shop", Some("prod".to_owned())),
        ] {
            assert_eq!(named(text), Ok((namespace, "shop".to_owned())), "{text}");
        }
        assert!(named("statefulset/db").is_err_and(|why| why.contains("Kaos scales Deployments")));
        for wrong in ["", "deployment/", "a/b/c", "Shop", "prod/a b"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
