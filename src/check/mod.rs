//! `kaos check`: what makes a sleep of a Deployment unsafe or slow, from a cluster or from files. It changes nothing, and knows
//! no running Kaos.

mod page;

use kaos_kubernetes::safety::{Survey, Verdict, gather};

use crate::ask::print::{json, print};
use crate::cli::Form;
use crate::cli::check::Check;
use crate::failure::Failure;
use crate::objects::Selected;
use page::Checked;

/// Runs the command.
pub(crate) fn check(args: &Check) -> Result<(), Failure> {
    let selected =
        crate::ask::run(Selected::read(&args.selection, async |client, scope| gather(client, scope).await))?;
    let objects = &selected.objects;
    let survey = Survey::new(objects, &args.selection.home.system_namespace);
    let meant = selected.workloads(&survey, &args.selection)?.into_iter();
    let checked =
        meant.filter_map(|workload| Some(Checked { findings: survey.examine(&workload)?, workload }));
    let checked: Vec<Checked> = checked.collect();
    match args.output.form {
        Form::Json => json(&page::shown(&checked, objects.unseen()))?,
        Form::Text => print(&page::told(&checked, &selected.scope, objects.unseen(), selected.is_written()))?,
    }
    match checked.iter().any(|one| one.verdict() == Verdict::Unsafe) {
        true => Err(Failure::No),
        false => Ok(()),
    }
}
