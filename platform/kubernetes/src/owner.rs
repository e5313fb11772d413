//! Who else decides on a workload's count, and what of it is left to Kaos: all, zero and one, or only to look on. Pure.

use std::sync::Arc;

use kaos_core::annotation::{Adoption, Asked};
use kaos_core::snapshot::{HandedTo, Mode};

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
    pub(crate) handed_to: Option<HandedTo>,
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
    let name = deployment.id.name();
    let owns = || scalers.iter().find_map(|scaler| scaler.owns(name));
    let owner = deployment.owner.as_deref().map(str::to_owned).or_else(owns);
    if let Some(why) = infer::bypassed(adoption, owner.as_deref(), leading) {
        notes.push(Note::of(&deployment.id, Kind::ObserveOnly, format!("it is only observed: {why}")));
        return only(Mode::Observe(why));
    }
    if let Some(target) = &adoption.scale_target {
        let text = format!("its count is that of {target}: written there, and followed here");
        notes.push(Note::of(&deployment.id, Kind::Inferred, text));
    }
    let named: Vec<String> = scalers.iter().map(Scaler::called).collect();
    let who = match named.as_slice() {
        [] => adoption.above_zero.clone(),
        named => Some(named.join(" and ")),
    };
    let zero = scalers.iter().any(|scaler| scaler.sleeps(name));
    let handed_to = who.map(|who| HandedTo { who, zero });
    if let Some(to) = &handed_to {
        notes.push(Note::of(&deployment.id, Kind::HandedOver, handed(to, scalers)));
    }
    Above { mode: Mode::Scale, handed_to }
}

fn handed(HandedTo { who, zero }: &HandedTo, scalers: &[Scaler]) -> String {
    let bounds = |scaler: &Scaler| {
        let least = if *zero { scaler.least } else { scaler.least.max(1) };
        format!("{least} to {} replicas", scaler.most)
    };
    let bounds: Vec<String> = scalers.iter().map(bounds).collect();
    let bounds = if bounds.is_empty() { String::new() } else { format!(" ({})", bounds.join(", ")) };
    let whose = match zero {
        true => "by the load that Kaos tells it; all counts are its own, and Kaos wakes it",
        false => "Kaos does 0 ↔ 1, all counts above are its own",
    };
    format!(
        "handed over to {who}: {whose}{bounds}; target, max-scale and what else sizes it have no effect meanwhile"
    )
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
    notes.push(Note::of(&deployment.id, Kind::NameTaken, text));
    Some((other.controller, other.uid.clone()))
}
