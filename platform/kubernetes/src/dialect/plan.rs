//! What a Deployment is to say: what dialects said, as far as Kaos's own parser takes it and the Deployment doesn't say
//! something else already.

use std::collections::BTreeMap;

use kaos_core::annotation::{self, Adoption, Invalid, PREFIX, Reading};
use kaos_core::policy::Policy;
use kaos_core::{WorkloadId, knob};
use serde_json::Value;

use super::MANAGER;
use super::draft::{Draft, Said};
use super::remark::{Remark, Step, Verdict};
use crate::infer;
use crate::object::Service;
use crate::safety::look;
use crate::safety::subject::Subject;

/// What one Deployment is to say, and what is to be done beside it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The Deployment.
    pub workload: WorkloadId,
    /// The identity of the object that was read; empty if it is from a file.
    pub uid: String,
    /// What was read: `HTTPScaledObject/shop`. Never empty.
    pub sources: Vec<String>,
    /// The annotations, `enabled` first, then by name.
    pub lines: Vec<Line>,
    /// What is no annotation, and why.
    pub remarks: Vec<Remark>,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Objects to create first: there is no such Deployment.
    pub make: Vec<Value>,
}

/// An annotation of Kaos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its whole name.
    pub name: String,
    /// What it is to be.
    pub value: String,
    /// What it is.
    pub before: Option<String>,
    /// Where it comes from: `HTTPScaledObject/shop spec.replicas.max`.
    pub from: String,
    /// Why it means the same, if that isn't plain.
    pub why: String,
}

impl Line {
    /// It isn't so yet.
    pub fn changes(&self) -> bool {
        self.before.as_ref() != Some(&self.value)
    }
}

/// What comes of `draft` for the Deployment `subject`.
pub(super) fn settle(draft: Draft, subject: &Subject<'_>) -> Plan {
    let Draft { mut sources, said, mut remarks, steps } = draft;
    sources.dedup();
    let mut lines = chosen(said, subject, &mut remarks);
    let usual = Policy::cluster(subject.read.replicas);
    let base = taken(&[], subject, &usual).unwrap_or_else(|wrong| {
        remarks.extend(wrong.iter().map(|wrong| Remark {
            verdict: Verdict::Refused,
            from: format!("{} {}", subject.called(), wrong.annotation),
            why: format!(
                "it says {:?}, so Kaos doesn't take the Deployment: allowed is {}",
                wrong.value, wrong.allowed
            ),
        }));
        None
    });
    let policy = base.map_or_else(|| usual.clone(), |adoption| (*adoption.policy).clone());
    drop_needless(&mut lines, &policy, &mut remarks);
    if let Some(adoption) = allowed(&mut lines, subject, &usual, &mut remarks) {
        find_way(&mut lines, &adoption, subject, &mut remarks);
    }
    remarks.sort_by_key(|remark| remark.verdict);
    let uid = look::text(subject.raw, "/metadata/uid").to_owned();
    let workload = WorkloadId::new(subject.namespace, subject.name);
    Plan { workload, uid, sources, lines, remarks, steps: ordered(steps, subject), make: Vec::new() }
}

/// Of what is said twice the first counts; what the Deployment says already stays, unless it was said by us.
fn chosen(said: Vec<Said>, subject: &Subject<'_>, remarks: &mut Vec<Remark>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let stays = |from: &str, why: String| Remark { verdict: Verdict::Stays, from: from.to_owned(), why };
    let opts_in = Said { knob: "enabled", value: "true".into(), from: String::new(), why: "opts in".into() };
    for one in std::iter::once(opts_in).chain(said) {
        let name = format!("{PREFIX}{}", one.knob);
        if let Some(first) = lines.iter().find(|line| line.name == name) {
            if first.value != one.value {
                let why = format!(
                    "{name} would be {:?}, but is {:?} by {}, which comes first",
                    one.value, first.value, first.from
                );
                remarks.push(stays(&one.from, why));
            }
            continue;
        }
        let before = subject.raw.pointer("/metadata/annotations").and_then(|all| all.get(&name)?.as_str());
        match before {
            Some(before) if before != one.value && !is_ours(subject.raw, &name) => {
                let why =
                    format!("{name} would be {:?}; it says {before:?} already, and that stays", one.value);
                remarks.push(stays(&one.from, why));
            }
            _ => lines.push(Line {
                name,
                value: one.value,
                before: before.map(str::to_owned),
                from: one.from,
                why: one.why,
            }),
        }
    }
    lines[1..].sort_by(|one, other| one.name.cmp(&other.name));
    lines
}

/// Whether an annotation was set by an earlier run, by the API server's own books.
pub(super) fn is_ours(raw: &Value, name: &str) -> bool {
    let books = look::list(raw, "/metadata/managedFields").iter();
    let mut ours = books.filter(|entry| look::text(entry, "/manager") == MANAGER);
    ours.any(|entry| {
        let fields = entry.pointer("/fieldsV1/f:metadata/f:annotations");
        fields.and_then(|fields| fields.get(format!("f:{name}"))).is_some()
    })
}

/// What Kaos makes of the Deployment with `lines`.
fn taken(lines: &[Line], subject: &Subject<'_>, usual: &Policy) -> Result<Option<Adoption>, Vec<Invalid>> {
    let mut all: BTreeMap<&str, &str> = look::entries(subject.raw, "/metadata/annotations")
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .collect();
    all.insert("kaos.dev/enabled", "true");
    all.extend(lines.iter().map(|line| (line.name.as_str(), line.value.as_str())));
    match annotation::read(all, usual) {
        Reading::Adopted(adoption) => Ok(Some(adoption)),
        Reading::Left => Ok(None),
        Reading::Invalid(wrong) => Err(wrong),
    }
}

/// Takes away what the Deployment does without it. A bound stays: which one is usual depends on the count.
fn drop_needless(lines: &mut Vec<Line>, policy: &Policy, remarks: &mut Vec<Remark>) {
    lines.retain(|line| {
        let name = line.name.strip_prefix(PREFIX).unwrap_or(&line.name);
        let Some(knob) = knob::find(name).filter(|_| line.before.is_none() && name != "max-scale") else {
            return true;
        };
        let mut with = policy.clone();
        let needless =
            (knob.set)(&mut with, &line.value).is_ok() && (knob.show)(&with) == (knob.show)(policy);
        if needless {
            let why = format!("{name} is {} anyway", (knob.show)(policy));
            remarks.push(Remark { verdict: Verdict::Same, from: line.from.clone(), why });
        }
        !needless
    });
}

/// Takes away what Kaos's parser doesn't allow. What it makes of the rest.
fn allowed(
    lines: &mut Vec<Line>,
    subject: &Subject<'_>,
    usual: &Policy,
    remarks: &mut Vec<Remark>,
) -> Option<Adoption> {
    loop {
        let wrong = match taken(lines, subject, usual) {
            Ok(adoption) => return adoption,
            Err(wrong) => wrong,
        };
        let before = lines.len();
        lines.retain(|line| {
            let Some(wrong) = wrong.iter().find(|wrong| wrong.annotation == line.name && line.changes())
            else {
                return true;
            };
            let why =
                format!("{} = {:?} isn't allowed: allowed is {}", line.name, wrong.value, wrong.allowed);
            remarks.push(Remark { verdict: Verdict::Refused, from: line.from.clone(), why });
            false
        });
        // What is wrong stood there before.
        if lines.len() == before {
            return None;
        }
    }
}

/// Takes away a Service and a port that Kaos finds by itself, and those that don't lead to the pods.
fn find_way(lines: &mut Vec<Line>, adoption: &Adoption, subject: &Subject<'_>, remarks: &mut Vec<Remark>) {
    let leading: Vec<&Service> = subject.services.iter().map(|(_, read)| *read).collect();
    let way = |adoption: &Adoption| infer::way(adoption, subject.name, &subject.read.template, &leading);
    let is_way =
        |line: &Line| line.changes() && (line.name == "kaos.dev/service" || line.name == "kaos.dev/port");
    let silent = subject.adoption.clone();
    let (said, inferred) = (way(adoption), way(&silent));
    let mut away = |verdict: Verdict, why: &str| {
        lines.retain(|line| {
            if is_way(line) {
                let why = format!("{} = {:?}: {why}", line.name, line.value);
                remarks.push(Remark { verdict, from: line.from.clone(), why });
            }
            !is_way(line)
        });
    };
    match (said, inferred) {
        (Ok(said), Ok(inferred))
            if (&said.service, said.port.port) == (&inferred.service, inferred.port.port) =>
        {
            away(Verdict::Same, "Kaos finds it by itself");
        }
        (Ok(_), _) => {}
        (Err(why), Ok(_)) => away(Verdict::Refused, &why),
        (Err(why), Err(_)) => {
            let from = subject.called();
            let why = format!("as it is Kaos can't take it: {why}");
            remarks.push(Remark { verdict: Verdict::Note, from, why });
        }
    }
}

/// The annotations first, and a look at all that is left last.
fn ordered(mut steps: Vec<(super::draft::Phase, Step)>, subject: &Subject<'_>) -> Vec<Step> {
    steps.sort_by_key(|(phase, _)| *phase);
    let named = format!("deployment/{} -n {}", subject.name, subject.namespace);
    let first = Step {
        say: "set the annotations: Kaos takes nothing away before a request has come through it".into(),
        paste: format!("kaos adopt {named} --apply"),
    };
    let last =
        Step { say: "see what else speaks against a sleep".into(), paste: format!("kaos check {named}") };
    std::iter::once(first).chain(steps.into_iter().map(|(_, step)| step)).chain([last]).collect()
}
