//! Who else decides on a workload's count, and what of it is left to Kaos: all, zero and one, or only to look on. Pure.

use std::sync::Arc;

use kaos_core::annotation::{Adoption, Asked};
use kaos_core::snapshot::Mode;

use crate::build::note;
use crate::controller::Controller;
use crate::infer;
use crate::note::{Kind, Note};
use crate::object::{Deployment, Service};
use crate::scaler::Scaler;

/// What is Kaos's to do.
#[derive(Debug)]
pub(crate) struct Above {
    pub(crate) mode: Mode,
    /// Who decides above zero, if that isn't Kaos.
    pub(crate) handed_to: Option<String>,
}

/// Settles whose count it is. Whatever isn't Kaos's alone is told.
pub(crate) fn settle(
    deployment: &Deployment,
    adoption: Option<&Adoption>,
    scalers: &[Scaler],
    leading: &[&Service],
    notes: &mut Vec<Note>,
) -> Above {
    let only = |mode| Above { mode, handed_to: None };
    let Some(adoption) = adoption else { return only(Mode::Off) };
    match &adoption.mode {
        Asked::Off => return only(Mode::Off),
        Asked::Observe(why) => return only(Mode::Observe(why.clone())),
        Asked::Scale => {}
    }
    let owns = || scalers.iter().find_map(Scaler::owns);
    let owner = deployment.owner.as_deref().map(str::to_owned).or_else(owns);
    if let Some(why) = infer::bypassed(adoption, owner.as_deref(), leading) {
        notes.push(note(deployment, Kind::ObserveOnly, format!("it is only observed: {why}")));
        return only(Mode::Observe(why));
    }
    if let Some(target) = &adoption.scale_target {
        let text = format!("its count is that of {target}: written there, and followed here");
        notes.push(note(deployment, Kind::Inferred, text));
    }
    let named: Vec<String> = scalers.iter().map(Scaler::called).collect();
    let handed_to = match named.as_slice() {
        [] => adoption.above_zero.clone(),
        named => Some(named.join(" and ")),
    };
    if let Some(who) = &handed_to {
        let bounds: Vec<String> =
            scalers.iter().map(|one| format!("{} to {} replicas", one.least.max(1), one.most)).collect();
        let bounds = if bounds.is_empty() { String::new() } else { format!(" ({})", bounds.join(", ")) };
        let text = format!(
            "handed over to {who}: Kaos does 0 ↔ 1, all counts above are its own{bounds}; target, max-scale and what \
             else sizes it have no effect meanwhile"
        );
        notes.push(note(deployment, Kind::HandedOver, text));
    }
    Above { mode: Mode::Scale, handed_to }
}

/// The object of the other kind that asks for the name of `deployment`, which has it: it is told.
pub(crate) fn namesake(
    deployment: &Deployment,
    other: Option<&Deployment>,
    notes: &mut Vec<Note>,
) -> Option<(Controller, Arc<str>)> {
    let other = other.filter(|other| other.opts_in())?;
    let (has, asks) = (deployment.controller.kind(), other.controller.kind());
    let older = if deployment.opts_in() { ", which is older" } else { "" };
    let text = format!(
        "{asks} {id} isn't adopted: under this name Kaos has {has} {id}{older}; give one of them another name",
        id = deployment.id
    );
    notes.push(note(deployment, Kind::NameTaken, text));
    Some((other.controller, other.uid.clone()))
}
