//! `kaos adopt`: what other scalers have been told of Deployments, as annotations of Kaos. Changes nothing but these annotations,
//! and them only with `--apply`.

mod page;
mod patch;

use kaos_core::WorkloadId;
use kaos_kubernetes::dialect::{self, Applied, Plan, Told};
use kaos_kubernetes::safety::{Scope, Survey};

use crate::ask::print::{json, print};
use crate::cli::adopt::{Adopt, Form};
use crate::failure::Failure;
use crate::objects::Selected;

/// Runs the command.
pub(crate) fn adopt(args: &Adopt) -> Result<(), Failure> {
    crate::ask::run(run(args))
}

async fn run(args: &Adopt) -> Result<(), Failure> {
    let selection = &args.selection;
    let selected =
        Selected::read(selection, async |client, scope| dialect::gather(client, scope).await).await?;
    let system = &selection.home.system_namespace;
    let told = dialect::read(&selected.objects, system, meant(args, &selected));
    if let (Scope::One(..), true) = (&selected.scope, told.plans.is_empty()) {
        // One that doesn't exist may be made of a Service of Knative.
        selected.workloads(&Survey::new(&selected.objects, system), selection)?;
    }
    let applied = match &selected.cluster {
        Some(cluster) if args.apply => apply(&cluster.client(), &told).await,
        _ => Vec::new(),
    };
    let unseen = selected.objects.unseen();
    match args.form {
        Form::Json => json(&page::shown(&told, &applied, unseen))?,
        Form::Text => print(&page::told(&told, &applied, unseen, &selected.scope))?,
        Form::Yaml => print(&patch::written(&told))?,
    }
    match applied.iter().any(|applied| matches!(applied, Applied::Refused(_))) {
        true => Err(Failure::No),
        false => Ok(()),
    }
}

/// Which Deployments are meant: by where they are, and by their labels.
fn meant<'a>(args: &'a Adopt, selected: &'a Selected) -> impl Fn(&WorkloadId) -> bool + 'a {
    let survey = Survey::new(&selected.objects, &args.selection.home.system_namespace);
    move |workload| {
        let labelled =
            args.selection.selector.as_ref().is_none_or(|selector| survey.labelled(workload, selector));
        selected.is_meant(workload) && labelled
    }
}

/// Sets what each plan says, one after the other. What came of each.
async fn apply(client: &kaos_kubernetes::Client, told: &Told) -> Vec<Applied> {
    let mut applied = Vec::with_capacity(told.plans.len());
    for plan in &told.plans {
        applied.push(match exists(plan) {
            true => dialect::apply(client, plan).await,
            false => Applied::Refused("there is no such Deployment: create it first, as below".into()),
        });
    }
    applied
}

fn exists(plan: &Plan) -> bool {
    plan.make.is_empty()
}
