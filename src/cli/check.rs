//! The command line of `kaos check`.

use clap::Args;

use super::Output;
use super::selection::Selection;

/// What is told below the flags.
pub(crate) const AFTER: &str = "\
Reads what you may list, changes nothing, and needs no Kaos. What may not be listed or isn't installed is said.

  kaos check deployment/shop -n prod        # what speaks against it, why, and what to do
  kaos check --all-namespaces               # a line for each Deployment
  kustomize build . | kaos check -f -       # before it is anywhere

Exit codes: 0 nothing makes sleeping unsafe, 1 something does, 2 it couldn't be found out (wrong command line, no such
Deployment, unreadable file, API server away), 78 wrong kubeconfig.";

/// `kaos check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) output: Output,
}
