//! Who has written `spec.replicas`, by the API server's own books (`metadata.managedFields`): those who write it again and
//! again are known by the names they write under.

mod gitops;

use kaos_core::annotation::{SCALE_TARGET, ScaleTarget};
use serde_json::Value;

use super::count::targeting;
use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;

/// What Kaos writes as.
const OURSELVES: &str = "kaos";

/// One that has written the count.
struct Writer<'a> {
    /// In lower case.
    name: String,
    raw: &'a Value,
}

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    if let Some(target) = &subject.adoption.scale_target {
        // Whoever passes that object's count on writes this one.
        return found.push(passed_on(subject, target));
    }
    let entries = look::list(subject.raw, "/metadata/managedFields");
    if entries.is_empty() {
        found.extend(unwritten(subject));
    }
    let writers = entries.iter().filter(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some());
    let writers = writers.map(|raw| Writer { name: look::text(raw, "/manager").to_ascii_lowercase(), raw });
    let mut seen: Vec<String> = vec![OURSELVES.to_owned()];
    for writer in writers {
        if !seen.contains(&writer.name) {
            found.extend(written(subject, &writer));
            seen.push(writer.name);
        }
    }
    if !entries.is_empty() && !found.iter().any(|one| matches!(one.fact, "argo-cd" | "flux")) {
        found.extend(tracked(subject));
    }
    found.extend(operator(subject));
}

impl Writer<'_> {
    fn finding(&self, subject: &Subject<'_>, verdict: Verdict, fact: &'static str) -> Finding {
        let (manager, part) = (look::text(self.raw, "/manager"), look::text(self.raw, "/subresource"));
        let part = if part.is_empty() { String::new() } else { format!(" ({part})") };
        let time = look::text(self.raw, "/time");
        let when = if time.is_empty() { String::new() } else { format!(", last at {time}") };
        Finding::new(verdict, Topic::Count, fact)
            .at(subject.called(), "metadata.managedFields f:spec.f:replicas")
            .found(format!("{manager}{part} writes it{when}"))
    }
}

/// Those that write it now and then, each with what it takes to have them leave it alone.
const NOW_AND_THEN: [(&str, &str, &str); 5] = [
    (
        "helm",
        "each upgrade of the release sets it to what the chart says",
        "leave replicas out of the chart's values, if it lets you",
    ),
    (
        "terraform",
        "each apply sets it to what the configuration says",
        "lifecycle { ignore_changes = [spec[0].replicas] }",
    ),
    (
        "hashicorp",
        "each apply sets it to what the configuration says",
        "lifecycle { ignore_changes = [spec[0].replicas] }",
    ),
    ("pulumi", "each update sets it to what the program says", "ignoreChanges: [\"spec.replicas\"]"),
    (
        "kubectl-client-side-apply",
        "each apply sets it to what the manifest says",
        "leave spec.replicas out of the manifest",
    ),
];

/// People and their tools: who sets it by hand does it once.
const BY_HAND: [&str; 8] =
    ["kubectl", "oc", "k9s", "lens", "headlamp", "dashboard", "before-first-apply", "mozilla"];

fn written(subject: &Subject<'_>, writer: &Writer<'_>) -> Option<Finding> {
    let name = writer.name.as_str();
    let unseen =
        |kind: &str| subject.objects.unseen().iter().any(|one| one.resource.starts_with(kind) && !one.absent);
    if name.starts_with("argocd") {
        return Some(gitops::argo(subject, writer.finding(subject, Verdict::Unsafe, "argo-cd")));
    }
    if name == "kustomize-controller" {
        return Some(gitops::kustomization(subject, writer.finding(subject, Verdict::Unsafe, "flux")));
    }
    if name == "helm-controller" {
        return Some(gitops::helm_release(subject, writer.finding(subject, Verdict::Unsafe, "flux")));
    }
    if name == "kube-controller-manager" {
        // It scales for HorizontalPodAutoscalers alone; those that are seen are told of by themselves.
        let told = targeting(subject, "HorizontalPodAutoscaler").next().is_some();
        return match unseen("horizontalpodautoscalers") {
            true => Some(
                writer
                    .finding(subject, Verdict::Unsafe, "hpa")
                    .why("a HorizontalPodAutoscaler scales it, or did; which one can't be looked at")
                    .fix("look with whoever may", format!("kubectl get hpa -n {}", subject.namespace)),
            ),
            false if told => None,
            false => Some(
                writer
                    .finding(subject, Verdict::Fine, "writer")
                    .why("a HorizontalPodAutoscaler did, which is gone"),
            ),
        };
    }
    if name.starts_with("keda") {
        let told =
            ["ScaledObject", "HTTPScaledObject"].iter().any(|kind| targeting(subject, kind).next().is_some());
        return (!told).then(|| {
            let finding = writer.finding(subject, Verdict::Unsafe, "keda");
            finding.why("KEDA scales it, or did; while it is the one that wrote, Kaos only observes it").fix(
                "look for its ScaledObject",
                format!("kubectl get scaledobject -n {}", subject.namespace),
            )
        });
    }
    if let Some((_, why, fix)) = NOW_AND_THEN.iter().find(|(known, ..)| name.starts_with(known)) {
        let finding = writer.finding(subject, Verdict::Fine, "writer");
        return Some(finding.why(format!("{why}; Kaos goes on from there")).fix(*fix, ""));
    }
    if BY_HAND.iter().any(|known| name.starts_with(known)) {
        return Some(
            writer
                .finding(subject, Verdict::Fine, "writer")
                .why("whoever sets it by hand does it once; Kaos goes on from there"),
        );
    }
    let manager = look::text(writer.raw, "/manager");
    Some(
        writer
            .finding(subject, Verdict::Question, "writer")
            .why(format!(
                "Does {manager} write it again and again? Then it and Kaos take turns, and Kaos backs off."
            ))
            .fix("if so, let it leave spec.replicas alone", ""),
    )
}

/// Without its books: what labels tell, and that a manifest has a count.
fn unwritten(subject: &Subject<'_>) -> Option<Finding> {
    let count = look::whole(subject.raw, "/spec/replicas")?;
    let finding = |verdict, fact| {
        Finding::new(verdict, Topic::Count, fact)
            .at(subject.called(), "spec.replicas")
            .found(count.to_string())
    };
    if gitops::application(subject).is_some() {
        return Some(gitops::argo(subject, finding(Verdict::Unsafe, "argo-cd")));
    }
    if !look::label(subject.raw, "kustomize.toolkit.fluxcd.io/name").is_empty() {
        return Some(gitops::kustomization(subject, finding(Verdict::Unsafe, "flux")));
    }
    if !look::label(subject.raw, "helm.toolkit.fluxcd.io/name").is_empty() {
        return Some(gitops::helm_release(subject, finding(Verdict::Unsafe, "flux")));
    }
    Some(
        finding(Verdict::Question, "manifest")
            .why("Is this manifest applied again and again (Argo CD, Flux, a pipeline)? Each time it is awake with so many.")
            .fix("if so, leave spec.replicas out of it", ""),
    )
}

/// Applied by Argo CD or Flux, which don't own the count at the moment: whoever changes a count takes it from them, until they
/// apply it again.
fn tracked(subject: &Subject<'_>) -> Option<Finding> {
    let finding = |fact| {
        Finding::new(Verdict::Question, Topic::Count, fact)
            .at(subject.called(), "metadata")
            .found("it is applied from Git; the count isn't at the moment")
    };
    let found = if gitops::application(subject).is_some() {
        gitops::argo(subject, finding("argo-cd"))
    } else if !look::label(subject.raw, "kustomize.toolkit.fluxcd.io/name").is_empty() {
        gitops::kustomization(subject, finding("flux"))
    } else {
        return None;
    };
    const ASKS: &str = "Does its manifest in Git have spec.replicas? Then each sync puts the count back.";
    Some(if found.verdict == Verdict::Fine { found } else { found.why(ASKS) })
}

/// Its count is another object's.
fn passed_on(subject: &Subject<'_>, target: &ScaleTarget) -> Finding {
    Finding::new(Verdict::Question, Topic::Count, "scale-target")
        .at(subject.called(), format!("metadata.annotations[{SCALE_TARGET}]"))
        .found(target.to_string())
        .why(format!(
            "Does the controller of {} pass every count on within a second, zero too? Who else sets it there isn't looked at.",
            target.kind
        ))
        .fix("else take the annotation away", format!("kubectl annotate {} {SCALE_TARGET}-", subject.args()))
}

/// Some other object's controller made it, and may put back what it made.
fn operator(subject: &Subject<'_>) -> Option<Finding> {
    if subject.read.owner.as_deref().is_some_and(|owner| owner.starts_with("Knative")) {
        return None;
    }
    let owners = look::list(subject.raw, "/metadata/ownerReferences").iter();
    let owner =
        owners.into_iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    let (kind, name) = (look::text(owner, "/kind"), look::text(owner, "/name"));
    Some(
        Finding::new(Verdict::Question, Topic::Count, "operator")
            .at(subject.called(), "metadata.ownerReferences")
            .found(format!("{kind}/{name}"))
            .why(format!("Does the controller of {kind} set the count? Then it and Kaos take turns."))
            .fix(
                "if so, and if it has a scale, have Kaos set it there",
                subject
                    .annotate(&format!("{SCALE_TARGET}={}/{kind}/{name}", look::text(owner, "/apiVersion"))),
            ),
    )
}
