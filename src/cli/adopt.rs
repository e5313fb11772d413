//! The command line of `kaos adopt`.

use clap::{Args, ValueEnum};

use super::selection::Selection;

/// What is told below the flags.
pub(crate) const AFTER: &str = "\
Reads HTTPScaledObjects, InterceptorRoutes and ScaledObjects of KEDA, Services and annotations of Knative, labels of OpenFaaS
and Sablier, and annotations of Osiris. Says what has no equal and why, and how the other lets go. Without --apply it changes
nothing, and only reads what you may list.

  kaos adopt -n prod                           # what Kaos's annotations would be, and why
  kaos adopt deployment/shop -n prod --apply   # sets them: by server-side apply, as kaos-adopt; nothing else is touched
  kaos adopt -n prod -o yaml > adopt.yaml      # as patches, for kustomize or kubectl apply --server-side
  kustomize build . | kaos adopt -f -          # before it is anywhere

Exit codes: 0 done, 1 something wasn't set, 2 it couldn't be found out (wrong command line, no such Deployment, unreadable
file, API server away), 78 wrong kubeconfig.";

/// `kaos adopt`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Adopt {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Set the annotations in the cluster
    #[arg(long, conflicts_with = "files")]
    pub(crate) apply: bool,
    /// Form of what goes to stdout
    #[arg(short = 'o', long = "output", env = "KAOS_OUTPUT", value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub(crate) form: Form,
}

/// Form of an answer.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Patches to keep.
    Yaml,
}
