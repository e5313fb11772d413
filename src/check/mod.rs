//! `kaos check`: what makes a sleep of a workload unsafe or slow, from a cluster or from files. It changes nothing, and knows
//! no running Kaos.

mod files;
mod page;

use kaos_core::WorkloadId;
use kaos_kubernetes::controller::Controller;
use kaos_kubernetes::safety::{Objects, Scope, Survey, Verdict, gather};

use crate::ask::Cluster;
use crate::ask::print::{json, print};
use crate::cli::Form;
use crate::cli::check::Check;
use crate::failure::Failure;
use page::Checked;

/// The namespace of objects in files that name none.
const DEFAULT: &str = "default";

/// Runs the command.
pub(crate) fn check(args: &Check) -> Result<(), Failure> {
    let (objects, scope) = match args.files.is_empty() {
        true => crate::ask::run(fetched(args))?,
        false => written(args)?,
    };
    let survey = Survey::new(&objects, &args.home.system_namespace);
    let examine = |(controller, workload): (Controller, WorkloadId)| {
        Some(Checked { findings: survey.examine(controller, &workload)?, workload })
    };
    let checked: Vec<Checked> = match &scope {
        Scope::One(namespace, said, name) => {
            let kinds = [Controller::Deployment, Controller::StatefulSet].into_iter();
            let kinds = kinds.filter(|kind| said.is_none_or(|said| said == *kind));
            kinds.filter_map(|kind| examine((kind, WorkloadId::new(namespace, name)))).take(1).collect()
        }
        Scope::Namespace(namespace) => {
            let within = |(_, workload): &(_, WorkloadId)| workload.namespace() == namespace;
            survey.workloads().into_iter().filter(within).filter_map(examine).collect()
        }
        Scope::Everywhere => survey.workloads().into_iter().filter_map(examine).collect(),
    };
    if let (Scope::One(namespace, said, name), true) = (&scope, checked.is_empty()) {
        let kind = said.map_or("Deployment or StatefulSet", Controller::kind);
        return Err(Failure::Unanswered(format!("there is no {kind} {namespace}/{name}")));
    }
    match args.output.form {
        Form::Json => json(&page::shown(&checked, objects.unseen()))?,
        Form::Text => print(&page::told(&checked, &scope, objects.unseen(), !args.files.is_empty()))?,
    }
    match checked.iter().any(|one| one.verdict() == Verdict::Unsafe) {
        true => Err(Failure::No),
        false => Ok(()),
    }
}

/// What the API server shows, and what is meant of it.
async fn fetched(args: &Check) -> Result<(Objects, Scope), Failure> {
    let cluster = Cluster::connect(&args.kubeconfig).await?;
    let scope = match args.all_namespaces {
        true => Scope::Everywhere,
        false => of_namespace(args, cluster.namespace()),
    };
    let objects = gather(&cluster.client(), &scope).await;
    Ok((objects.map_err(|why| Failure::Unanswered(why.to_string()))?, scope))
}

/// What stands in files, and what is meant of it: all of it, unless a namespace or a name is said.
fn written(args: &Check) -> Result<(Objects, Scope), Failure> {
    let scope = match args.name.is_none() && args.namespace.is_none() {
        true => Scope::Everywhere,
        false => of_namespace(args, DEFAULT),
    };
    let namespace = args.namespace.as_deref().unwrap_or(DEFAULT);
    Ok((files::read(&args.files, namespace)?, scope))
}

fn of_namespace(args: &Check, usual: &str) -> Scope {
    let named = args.name.as_ref();
    let namespace = named.and_then(|named| named.namespace.as_ref()).or(args.namespace.as_ref());
    let namespace = namespace.map_or(usual, String::as_str).to_owned();
    match named {
        Some(named) => Scope::One(namespace, named.controller, named.name.clone()),
        None => Scope::Namespace(namespace),
    }
}
