//! Argo CD and Flux: what has them leave `spec.replicas` alone, as a snippet for the object that tells them what to apply.

use serde_json::Value;

use super::super::finding::{Finding, Verdict};
use super::super::look;
use super::super::subject::Subject;

const AGAIN: &str =
    "each sync puts its count back: asleep it is woken by nobody's request, and Kaos backs off";

/// The name of the Application that tracks it, by its annotation, else by its label.
pub(super) fn application<'a>(subject: &Subject<'a>) -> Option<&'a str> {
    let id = subject.annotation("argocd.argoproj.io/tracking-id");
    let name = id.split(':').next().filter(|name| !name.is_empty());
    name.or_else(|| {
        Some(look::label(subject.raw, "argocd.argoproj.io/instance")).filter(|name| !name.is_empty())
    })
}

/// Argo CD has it. Fine if its Application says that the count is to be left alone.
pub(super) fn argo(subject: &Subject<'_>, finding: Finding) -> Finding {
    let label = look::label(subject.raw, "app.kubernetes.io/instance");
    let name = application(subject).or_else(|| Some(label).filter(|name| !name.is_empty()));
    // One in another namespace than Argo CD's own is tracked as NAMESPACE_NAME.
    let named = name.map_or("", |name| name.rsplit_once('_').map_or(name, |(_, name)| name));
    let application =
        subject.objects.every("Application").find(|one| look::name(one) == named && !named.is_empty());
    let (ignored, respected) =
        application.map_or((false, false), |one| (ignores(one, subject), respects(one)));
    if ignored && respected {
        return Finding {
            verdict: Verdict::Fine,
            ..finding.why("its Application leaves spec.replicas alone")
        };
    }
    let mut snippet = "spec:\n".to_owned();
    if !ignored {
        snippet.push_str(&format!(
            "  ignoreDifferences:\n    - group: apps\n      kind: {}\n      name: {}\n      namespace: {}\n      \
             jsonPointers: [/spec/replicas]\n",
            subject.controller.kind(),
            subject.name,
            subject.namespace
        ));
    }
    snippet.push_str("  syncPolicy:\n    syncOptions: [RespectIgnoreDifferences=true]");
    let to = match named {
        "" => "add to its Application".to_owned(),
        name => format!("add to the Application {name}"),
    };
    finding.why(AGAIN).fix(to, snippet)
}

/// Whether an Application ignores differences in its count.
fn ignores(application: &Value, subject: &Subject<'_>) -> bool {
    look::list(application, "/spec/ignoreDifferences").iter().any(|rule| {
        let is = |member: &str, wanted: &str, any: &[&str]| {
            let said = look::text(rule, member);
            said == wanted || any.contains(&said)
        };
        let has = |member: &str, wanted: &str| look::list(rule, member).iter().any(|one| one == wanted);
        is("/kind", subject.controller.kind(), &["*"])
            && is("/group", "apps", &["*"])
            && is("/name", subject.name, &["", "*"])
            && is("/namespace", subject.namespace, &["", "*"])
            && (has("/jsonPointers", "/spec/replicas") || has("/jqPathExpressions", ".spec.replicas"))
    })
}

fn respects(application: &Value) -> bool {
    look::list(application, "/spec/syncPolicy/syncOptions")
        .iter()
        .any(|option| option == "RespectIgnoreDifferences=true")
}

/// Flux's Kustomization has it.
pub(super) fn kustomization(subject: &Subject<'_>, finding: Finding) -> Finding {
    let name = look::label(subject.raw, "kustomize.toolkit.fluxcd.io/name");
    let to = match name {
        "" => "leave spec.replicas out of the manifest in Git, or add to its Kustomization".to_owned(),
        name => format!(
            "leave spec.replicas out of the manifest in Git, or add to the Kustomization {}/{name}",
            look::label(subject.raw, "kustomize.toolkit.fluxcd.io/namespace")
        ),
    };
    let snippet = format!(
        "spec:\n  patches:\n    - target: {{group: apps, kind: {}, name: {}, namespace: {}}}\n      \
         patch: |\n        - op: remove\n          path: /spec/replicas",
        subject.controller.kind(),
        subject.name,
        subject.namespace
    );
    finding.why(AGAIN).fix(to, snippet)
}

/// Flux's HelmRelease has it. It writes at upgrades, and again and again only where drift is corrected.
pub(super) fn helm_release(subject: &Subject<'_>, finding: Finding) -> Finding {
    let name = look::label(subject.raw, "helm.toolkit.fluxcd.io/name");
    let namespace = look::label(subject.raw, "helm.toolkit.fluxcd.io/namespace");
    let snippet = format!(
        "spec:\n  driftDetection:\n    ignore:\n      - paths: [/spec/replicas]\n        \
         target: {{kind: {}, name: {}, namespace: {}}}",
        subject.controller.kind(),
        subject.name,
        subject.namespace
    );
    let to = match name {
        "" => "add to its HelmRelease".to_owned(),
        name => format!("add to the HelmRelease {namespace}/{name}"),
    };
    let Some(release) = subject.objects.get("HelmRelease", namespace, name) else {
        let asks = "Does its HelmRelease correct drift (spec.driftDetection.mode: enabled)? Then it puts the count back, again and again.";
        return Finding {
            verdict: Verdict::Question,
            ..finding.why(asks).fix(format!("if so, {to}"), snippet)
        };
    };
    let corrects = look::text(release, "/spec/driftDetection/mode") == "enabled";
    let ignored = look::list(release, "/spec/driftDetection/ignore").iter().any(|rule| {
        let is = |member: &str, wanted: &str| [wanted, ""].contains(&look::text(rule, member));
        let paths = look::list(rule, "/paths").iter().any(|path| path == "/spec/replicas");
        paths
            && is("/target/kind", subject.controller.kind())
            && is("/target/name", subject.name)
            && is("/target/namespace", subject.namespace)
    });
    if corrects && !ignored {
        return finding.why(AGAIN).fix(to, snippet);
    }
    let why = "only an upgrade of the release sets it to what the chart says; Kaos goes on from there";
    Finding { verdict: Verdict::Fine, ..finding.why(why) }
}
