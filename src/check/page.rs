//! What was found, for people and for programs.

use std::fmt::Write;

use kaos_core::WorkloadId;
use kaos_kubernetes::safety::{Finding, Scope, Unseen, Verdict};
use serde_json::{Value, json};

use crate::ask::print::{counted, row, table};

/// Most facts of one workload in a table.
const TOLD: usize = 3;

/// One Deployment and what was found.
pub(super) struct Checked {
    pub(super) workload: WorkloadId,
    /// The worst first.
    pub(super) findings: Vec<Finding>,
}

impl Checked {
    /// The worst, questions aside.
    pub(super) fn verdict(&self) -> Verdict {
        let all = self.findings.iter().map(|finding| finding.verdict);
        all.filter(|verdict| *verdict != Verdict::Question).min().unwrap_or(Verdict::Fine)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

/// As JSON.
pub(super) fn shown(checked: &[Checked], unseen: &[Unseen]) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "verdict": finding.verdict.word(), "topic": finding.topic.word(), "fact": finding.fact,
            "object": finding.object, "field": finding.field, "found": finding.found, "why": finding.why,
            "fix": finding.fix.as_ref().map(|fix| json!({ "say": fix.say, "paste": fix.paste })),
        })
    };
    let workload = |one: &Checked| {
        json!({
            "namespace": one.workload.namespace(), "name": one.workload.name(), "verdict": one.verdict().word(),
            "findings": one.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    };
    let missing = |unseen: &Unseen| json!({ "resource": unseen.resource, "why": unseen.why, "installed": !unseen.absent });
    json!({
        "workloads": checked.iter().map(workload).collect::<Vec<_>>(),
        "not_looked_at": unseen.iter().map(missing).collect::<Vec<_>>(),
    })
}

/// For people: one Deployment with everything, several with a line each.
pub(super) fn told(checked: &[Checked], scope: &Scope, unseen: &[Unseen], written: bool) -> String {
    let mut out = match checked {
        [] => "no Deployment is there\n".to_owned(),
        [only] => whole(only),
        several => lines(several, scope),
    };
    // Writing to a String can't fail.
    let _ = writeln!(out);
    if written {
        let _ = writeln!(out, "Only what is in the files was looked at.");
    }
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in unseen {
        let name = one.resource.split('.').next().unwrap_or_default();
        match by_reason.iter_mut().find(|(why, _)| *why == one.why) {
            Some((_, names)) => names.push(name),
            None => by_reason.push((&one.why, vec![name])),
        }
    }
    for (why, names) in by_reason {
        let _ = writeln!(out, "not looked at: {} ({why})", names.join(", "));
    }
    format!("{}\n", out.trim_end())
}

/// What comes of it, in one sentence.
fn summary(one: &Checked) -> String {
    let (bad, slow, questions) =
        (one.count(Verdict::Unsafe), one.count(Verdict::Slow), one.count(Verdict::Question));
    let mut said = match bad {
        0 => "nothing seen makes sleeping unsafe".to_owned(),
        1 => "1 thing makes sleeping unsafe".to_owned(),
        several => format!("{several} things make sleeping unsafe"),
    };
    match slow {
        0 => {}
        1 => said.push_str(", 1 makes waking slow"),
        several => said.push_str(&format!(", {several} make waking slow")),
    }
    if questions > 0 {
        said.push_str(&format!("; {} only you can answer", counted(questions as u64, "question")));
    }
    format!("{}: {said}", one.workload)
}

/// So far the words of verdicts reach.
const MARGIN: usize = 10;

fn whole(one: &Checked) -> String {
    let mut out = format!("{}\n\n", summary(one));
    for finding in &one.findings {
        let mut lines = match finding.verdict {
            Verdict::Question => asked(finding),
            Verdict::Fine => vec![fine(finding)],
            Verdict::Unsafe | Verdict::Slow => {
                let mut lines = vec![fact(finding)];
                lines.extend(Some(finding.why.clone()).filter(|why| !why.is_empty()));
                lines
            }
        };
        if finding.verdict != Verdict::Fine {
            lines.extend(mended(finding));
        }
        for (at, line) in lines.iter().enumerate() {
            let word = if at == 0 { finding.verdict.word() } else { "" };
            let _ = writeln!(out, "{word:MARGIN$}{line}");
        }
    }
    out
}

/// Where and what: `Service/shop spec.type: LoadBalancer`.
fn fact(finding: &Finding) -> String {
    let place = [finding.object.as_str(), &finding.field].into_iter().filter(|part| !part.is_empty());
    let place = place.collect::<Vec<_>>().join(" ");
    match (place.is_empty(), finding.found.is_empty()) {
        (true, _) => finding.found.clone(),
        (false, true) => place,
        (false, false) => format!("{place}: {}", finding.found),
    }
}

fn asked(finding: &Finding) -> Vec<String> {
    let seen = Some(fact(finding)).filter(|fact| !fact.is_empty()).map(|fact| format!("seen: {fact}"));
    std::iter::once(finding.why.clone()).chain(seen).collect()
}

fn fine(finding: &Finding) -> String {
    if finding.object.is_empty() {
        return format!("{}: {}", finding.topic.word(), finding.found);
    }
    let why = if finding.why.is_empty() { String::new() } else { format!(": {}", finding.why) };
    let fix = finding.fix.as_ref().map(|fix| format!(" ({})", fix.say)).unwrap_or_default();
    format!("{}{why}{fix}", fact(finding))
}

fn mended(finding: &Finding) -> Vec<String> {
    let Some(fix) = &finding.fix else { return Vec::new() };
    let colon = if fix.paste.is_empty() { "" } else { ":" };
    let say = match finding.verdict {
        Verdict::Question => format!("{}{colon}", fix.say),
        _ => format!("fix: {}{colon}", fix.say),
    };
    std::iter::once(say).chain(fix.paste.lines().map(|line| format!("  {line}"))).collect()
}

/// A line for each, those that must not sleep first.
fn lines(checked: &[Checked], scope: &Scope) -> String {
    let mut rows = vec![row(["NAME", "SLEEP", "UNSAFE", "SLOW", "QUESTIONS", "BECAUSE"])];
    let mut sorted: Vec<&Checked> = checked.iter().collect();
    sorted.sort_by_key(|one| one.verdict());
    rows.extend(sorted.into_iter().map(|one| {
        let verdict = one.verdict();
        let counts =
            [Verdict::Unsafe, Verdict::Slow, Verdict::Question].map(|verdict| one.count(verdict).to_string());
        let name = match scope {
            Scope::Everywhere => one.workload.to_string(),
            Scope::Namespace(_) | Scope::One(..) => one.workload.name().to_owned(),
        };
        row([&name, verdict.word(), &counts[0], &counts[1], &counts[2], &because(one, verdict)])
    }));
    let place = if matches!(scope, Scope::Everywhere) { "NAMESPACE/NAME" } else { "deployment/NAME" };
    format!("{}\nWhy, and what to do about it: the same command with {place}\n", table(&rows))
}

/// The places of the worst that was found.
fn because(one: &Checked, verdict: Verdict) -> String {
    let all = one.findings.iter().filter(|finding| finding.verdict == verdict && verdict != Verdict::Fine);
    let mut places: Vec<&str> = Vec::new();
    for finding in all {
        let own = ["Deployment/", "StatefulSet/"].iter().any(|kind| finding.object.starts_with(kind));
        let place = if own { finding.fact } else { &finding.object };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let more = places.len().saturating_sub(TOLD);
    places.truncate(TOLD);
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    format!("{}{more}", places.join(", "))
}
