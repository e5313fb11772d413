//! What was found, for people and for programs.

use std::fmt::Write;

use kaos_kubernetes::dialect::{Applied, Left, Line, Plan, Remark, Told, Verdict};
use kaos_kubernetes::safety::{Scope, Unseen};
use serde_json::{Value, json};

use crate::ask::print::counted;

/// As JSON. `applied`: what came of each, in the same order; empty if nothing was to be set.
pub(super) fn shown(told: &Told, applied: &[Applied], unseen: &[Unseen]) -> Value {
    let line = |line: &Line| json!({"name": line.name, "value": line.value, "before": line.before, "from": line.from, "why": line.why});
    let remark =
        |remark: &Remark| json!({"verdict": remark.verdict.word(), "from": remark.from, "why": remark.why});
    let workload = |(nth, plan): (usize, &Plan)| {
        json!({
            "namespace": plan.workload.namespace(), "name": plan.workload.name(), "sources": plan.sources,
            "annotations": plan.lines.iter().map(line).collect::<Vec<_>>(),
            "remarks": plan.remarks.iter().map(remark).collect::<Vec<_>>(),
            "steps": plan.steps.iter().map(|step| json!({"say": step.say, "paste": step.paste})).collect::<Vec<_>>(),
            "make": plan.make,
            "applied": applied.get(nth).map(|applied| match applied {
                Applied::Set => json!({"result": "set"}),
                Applied::Unchanged => json!({"result": "unchanged"}),
                Applied::Refused(why) => json!({"result": "refused", "why": why}),
            }),
        })
    };
    let left = |left: &Left| json!({"namespace": left.namespace, "object": left.object, "why": left.why});
    let missing = |unseen: &&Unseen| !unseen.absent;
    json!({
        "workloads": told.plans.iter().enumerate().map(workload).collect::<Vec<_>>(),
        "left": told.left.iter().map(left).collect::<Vec<_>>(),
        "not_looked_at": unseen.iter().filter(missing)
            .map(|unseen| json!({"resource": unseen.resource, "why": unseen.why})).collect::<Vec<_>>(),
    })
}

/// For people.
pub(super) fn told(told: &Told, applied: &[Applied], unseen: &[Unseen], scope: &Scope) -> String {
    let mut out = String::new();
    if told.plans.is_empty() {
        out.push_str("nothing that could be adopted is there\n\n");
    }
    for (nth, plan) in told.plans.iter().enumerate() {
        out.push_str(&whole(plan, applied.get(nth)));
        out.push('\n');
    }
    // Writing to a String can't fail.
    if !told.left.is_empty() {
        let _ = writeln!(out, "not adopted:");
        for left in &told.left {
            let place = if matches!(scope, Scope::Everywhere) {
                format!("{}/", left.namespace)
            } else {
                String::new()
            };
            let _ = writeln!(out, "  {place}{}: {}", left.object, left.why);
        }
        out.push('\n');
    }
    for one in unseen.iter().filter(|one| !one.absent) {
        let _ = writeln!(out, "not looked at: {} ({})", one.resource, one.why);
    }
    if !told.plans.is_empty() && applied.is_empty() {
        let _ = writeln!(
            out,
            "Nothing was changed: --apply sets the annotations, -o yaml prints them as patches."
        );
    }
    format!("{}\n", out.trim_end())
}

fn whole(plan: &Plan, applied: Option<&Applied>) -> String {
    let mut out = format!("{}, by {}\n", plan.workload, plan.sources.join(", "));
    if !plan.make.is_empty() {
        let _ = writeln!(out, "There is no such Deployment yet: -o yaml prints one.");
    }
    if let Some(applied) = applied {
        let count = plan.lines.iter().filter(|line| line.changes()).count() as u64;
        let _ = match applied {
            Applied::Set => writeln!(out, "{} set.", counted(count, "annotation")),
            Applied::Unchanged => writeln!(out, "All is set already."),
            Applied::Refused(why) => writeln!(out, "NOT SET: {why}"),
        };
    }
    out.push('\n');
    let pairs: Vec<(String, &Line)> =
        plan.lines.iter().map(|line| (format!("{}: {}", line.name, quoted(&line.value)), line)).collect();
    let width = pairs.iter().map(|(pair, _)| pair.chars().count()).max().unwrap_or(0);
    for (pair, line) in &pairs {
        let sign = match (&line.before, line.changes()) {
            (None, _) => '+',
            (Some(before), true) => {
                let _ = writeln!(out, "-   {}: {}", line.name, quoted(before));
                '+'
            }
            (Some(_), false) => ' ',
        };
        let because = [line.from.as_str(), &line.why].into_iter().filter(|part| !part.is_empty());
        let text = format!("{sign}   {pair:width$}   {}", because.collect::<Vec<_>>().join(": "));
        let _ = writeln!(out, "{}", text.trim_end());
    }
    for (verdict, title) in [
        (Verdict::NoEqual, "Has no equal:"),
        (Verdict::Refused, "Isn't allowed:"),
        (Verdict::Stays, "Stays as it is:"),
        (Verdict::Note, "To know:"),
        (Verdict::Same, "Kaos does so anyway:"),
    ] {
        let mut all = plan.remarks.iter().filter(|remark| remark.verdict == verdict).peekable();
        if all.peek().is_some() {
            let _ = writeln!(out, "\n{title}");
        }
        for remark in all {
            let _ = writeln!(out, "    {}\n        {}", remark.from, remark.why);
        }
    }
    let _ = writeln!(out, "\nIn this order, so that at no time none or two decide on the count:");
    for (nth, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(out, "{:>3}. {}", nth + 1, step.say);
        for line in step.paste.lines() {
            let _ = writeln!(out, "         {line}");
        }
    }
    out
}

/// As YAML and JSON write it: what is a text there stays one.
pub(super) fn quoted(value: &str) -> String {
    Value::from(value).to_string()
}
