//! Autoscalers that target the same object. A HorizontalPodAutoscaler is handed the count above zero; with who decides on zero
//! too, Kaos would take turns in writing `spec.replicas`.

use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;
use crate::controller::Controller;
use crate::scaler;

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let knative = subject.read.owner.as_deref().filter(|owner| owner.starts_with("Knative"));
    found.extend(knative.map(|owner| {
        Finding::new(Verdict::Unsafe, Topic::Count, "knative")
            .at(subject.called(), "metadata.ownerReferences")
            .found(owner)
            .why("Knative already scales it, to zero too; Kaos only observes it")
            .fix("leave it to Knative", "")
    }));
    found.extend(targeting(subject, "ScaledObject").map(|object| scaled_object(subject, object)));
    let labelled = look::label(subject.raw, "scaledobject.keda.sh/name");
    let seen = |name: &str| subject.objects.get("ScaledObject", subject.namespace, name).is_some();
    if !labelled.is_empty() && !seen(labelled) {
        found.push(unseen_scaled_object(subject, subject.called(), "metadata.labels", labelled));
    }
    found.extend(targeting(subject, "HTTPScaledObject").map(|object| http_scaled_object(subject, object)));
    for hpa in targeting(subject, "HorizontalPodAutoscaler") {
        match owner(hpa, "ScaledObject") {
            None => found.push(autoscaler(subject, hpa)),
            // Its ScaledObject says more, where it is seen.
            Some(name) if !seen(name) && name != labelled => {
                let object = look::called(hpa, subject.namespace);
                found.push(unseen_scaled_object(subject, object, "metadata.ownerReferences", name));
            }
            Some(_) => {}
        }
    }
}

/// Those of a kind whose target it is, or what has its count. KEDA's mean a Deployment where they name no kind.
pub(crate) fn targeting<'s>(
    subject: &'s Subject<'_>,
    kind: &str,
) -> impl Iterator<Item = &'s Value> + use<'s> {
    let all = subject.objects.within(kind, subject.namespace);
    let (of, called) = match &subject.adoption.scale_target {
        Some(target) => (target.kind.as_str(), target.name.as_str()),
        None => (subject.controller.kind(), subject.name),
    };
    all.filter(move |object| {
        let target = object.pointer("/spec/scaleTargetRef").unwrap_or(&Value::Null);
        let kind = look::text(target, "/kind");
        let named = [look::text(target, "/name"), look::text(target, "/deployment")].contains(&called);
        let kind = if kind.is_empty() { Controller::Deployment.kind() } else { kind };
        named && kind == of
    })
}

/// The name of the owner of this kind, if it has one.
fn owner<'o>(object: &'o Value, kind: &str) -> Option<&'o str> {
    let owners = look::list(object, "/metadata/ownerReferences").iter();
    owners.filter(|owner| look::text(owner, "/kind") == kind).map(|owner| look::text(owner, "/name")).next()
}

/// Bounds as annotations of Kaos: at least so many where it runs, and at most.
fn bounds(subject: &Subject<'_>, least: Option<i64>, most: Option<i64>) -> Vec<String> {
    let least = least.filter(|least| *least > 1).map(|least| format!("kaos.dev/activation-scale={least}"));
    let most = most.filter(|most| *most > 0).map(|most| format!("kaos.dev/max-scale={most}"));
    let all: Vec<String> = least.into_iter().chain(most).collect();
    if all.is_empty() { Vec::new() } else { vec![subject.annotate(&all.join(" "))] }
}

fn delete(subject: &Subject<'_>, kind: &str, object: &Value) -> String {
    format!("kubectl delete {kind} {} -n {}", look::name(object), subject.namespace)
}

fn autoscaler(subject: &Subject<'_>, hpa: &Value) -> Finding {
    let (least, most) = (look::whole(hpa, "/spec/minReplicas"), look::whole(hpa, "/spec/maxReplicas"));
    let bounds = format!("{} to {} replicas", least.unwrap_or(1), most.unwrap_or(1));
    let finding = |verdict, field| {
        Finding::new(verdict, Topic::Count, "hpa")
            .at(look::called(hpa, subject.namespace), field)
            .found(bounds.clone())
    };
    let knows =
        look::list(hpa, "/spec/metrics").iter().filter_map(scaler::load_of).any(|of| of == subject.name);
    if least == Some(0) && knows {
        return finding(Verdict::Fine, "spec.metrics").why(
            "it goes to zero itself, by the load that Kaos tells it; Kaos wakes it, and the knobs that size it have no effect",
        );
    }
    if least == Some(0) {
        let one = json!({"spec": {"minReplicas": 1}});
        let paste = format!("kubectl patch hpa {} -n {} -p '{one}'", look::name(hpa), subject.namespace);
        return finding(Verdict::Unsafe, "spec.minReplicas")
            .why("it goes to zero itself, whatever is in flight; Kaos only observes it")
            .fix(
                format!(
                    "let it decide from one up, and Kaos between zero and one; or give it the metric {} of this workload",
                    scaler::LOAD
                ),
                paste,
            );
    }
    finding(Verdict::Fine, "spec.scaleTargetRef")
        .why("it decides from one up; Kaos does 0 ↔ 1, and the knobs that size it have no effect")
}

/// What KEDA asks that comes as requests, or from what replicas do: the rest is work that nobody sends to Kaos.
const BY_REQUESTS: [&str; 5] = ["external", "external-push", "prometheus", "cpu", "memory"];

fn scaled_object(subject: &Subject<'_>, object: &Value) -> Finding {
    let triggers: Vec<&str> =
        look::list(object, "/spec/triggers").iter().map(|one| look::text(one, "/type")).collect();
    let others: Vec<&str> = triggers.iter().copied().filter(|kind| !BY_REQUESTS.contains(kind)).collect();
    let finding = Finding::new(Verdict::Unsafe, Topic::Count, "keda")
        .at(look::called(object, subject.namespace), "spec.scaleTargetRef")
        .found(format!("triggers: {}", triggers.join(", ")));
    if look::annotation(object, "autoscaling.keda.sh/paused") == "true" {
        return Finding {
            verdict: Verdict::Fine,
            ..finding.why("it is paused: KEDA leaves the count alone")
        };
    }
    if !others.is_empty() {
        let leave = format!("kubectl annotate {} kaos.dev/enabled-", subject.args());
        let adopted = !subject.annotation("kaos.dev/enabled").is_empty();
        return finding
            .why(format!(
                "KEDA scales it by {}: work that comes by no request, for which Kaos wouldn't wake it",
                others.join(", ")
            ))
            .fix("leave it to KEDA", if adopted { leave } else { String::new() });
    }
    let (least, most) =
        (look::whole(object, "/spec/minReplicaCount"), look::whole(object, "/spec/maxReplicaCount"));
    let mut paste = vec![delete(subject, "scaledobject", object)];
    paste.extend(bounds(subject, least, most));
    finding
        .why("KEDA decides on the same count, also between zero and one; Kaos only observes it")
        .fix("let Kaos decide, within the same bounds", paste.join("\n"))
}

fn unseen_scaled_object(subject: &Subject<'_>, object: String, field: &str, name: &str) -> Finding {
    Finding::new(Verdict::Unsafe, Topic::Count, "keda")
        .at(object, field)
        .found(format!("ScaledObject/{name}"))
        .why("KEDA decides on the same count; Kaos only observes it")
        .fix("let one of them decide", format!("kubectl delete scaledobject {name} -n {}", subject.namespace))
}

fn http_scaled_object(subject: &Subject<'_>, object: &Value) -> Finding {
    let hosts = look::list(object, "/spec/hosts").iter().filter_map(Value::as_str);
    let hosts: Vec<&str> =
        hosts.chain([look::text(object, "/spec/host")]).filter(|host| !host.is_empty()).collect();
    let (least, most) =
        (look::whole(object, "/spec/replicas/min"), look::whole(object, "/spec/replicas/max"));
    let mut paste = vec![delete(subject, "httpscaledobject", object)];
    paste.extend(bounds(subject, least, most));
    if !hosts.is_empty() {
        paste.push(subject.annotate(&format!("kaos.dev/host={}", hosts.join(","))));
    }
    Finding::new(Verdict::Unsafe, Topic::Count, "keda")
        .at(look::called(object, subject.namespace), "spec.scaleTargetRef")
        .found(if hosts.is_empty() { "every host".to_owned() } else { hosts.join(", ") })
        .why("KEDA's HTTP add-on decides on the same count, and its requests go past Kaos; Kaos only observes it")
        .fix(format!("let Kaos do the same, and send its hosts to {}", subject.proxy()), paste.join("\n"))
}
