//! KEDA: HTTPScaledObjects of its HTTP add-on, and ScaledObjects that ask the add-on. Fields as in `http.keda.sh/v1alpha1`
//! and `keda.sh/v1alpha1`.

use serde_json::Value;

use super::addon::{
    MOST, claim, fallback, headers, paths, placeholder, rate, redirect, service, whole_target,
};
use super::draft::{Draft, Phase, Source, seconds, span};
use super::interceptor;
use crate::safety::count::targeting;
use crate::safety::look;
use crate::safety::subject::Subject;

pub(super) fn read(subject: &Subject<'_>, draft: &mut Draft) {
    for object in http_scaled_objects(subject) {
        http_scaled_object(&Source::of(object, subject), subject, draft);
    }
    let asking: Vec<&Value> =
        targeting(subject, "ScaledObject").filter(|object| asks_addon(object)).collect();
    for route in subject.objects.within("InterceptorRoute", subject.namespace) {
        let by_object = asking.iter().any(|object| names(object, "interceptorRoute", look::name(route)));
        if by_object || leads(subject, look::text(route, "/spec/target/service")) {
            interceptor::read(&Source::of(route, subject), subject, draft);
        }
    }
    for object in asking.into_iter().filter(|object| !is_made(object)) {
        scaled_object(&Source::of(object, subject), subject, draft);
    }
}

/// Those that target the Deployment by its name, or by its Service alone.
fn http_scaled_objects<'s>(subject: &'s Subject<'_>) -> impl Iterator<Item = &'s Value> {
    let nameless = subject.objects.within("HTTPScaledObject", subject.namespace).filter(|object| {
        let target = object.pointer("/spec/scaleTargetRef").unwrap_or(&Value::Null);
        let named = ["/name", "/deployment"].into_iter().any(|at| !look::text(target, at).is_empty());
        !named && leads(subject, look::text(target, "/service"))
    });
    targeting(subject, "HTTPScaledObject").chain(nameless)
}

/// Whether a Service leads to the Deployment's pods.
fn leads(subject: &Subject<'_>, service: &str) -> bool {
    subject.services.iter().any(|(_, read)| *read.name == *service)
}

/// Whether one of its triggers is the HTTP add-on's.
pub(super) fn asks_addon(object: &Value) -> bool {
    look::list(object, "/spec/triggers").iter().any(is_addon)
}

fn is_addon(trigger: &Value) -> bool {
    let external = look::text(trigger, "/type").starts_with("external");
    let named = ["/metadata/httpScaledObject", "/metadata/interceptorRoute"]
        .into_iter()
        .any(|at| !look::text(trigger, at).is_empty());
    external && (named || look::text(trigger, "/metadata/scalerAddress").starts_with("keda-add-ons-http"))
}

/// Whether a trigger of `object` names `name` under `member`.
fn names(object: &Value, member: &str, name: &str) -> bool {
    let at = format!("/metadata/{member}");
    look::list(object, "/spec/triggers").iter().any(|trigger| look::text(trigger, &at) == name)
}

/// Whether an HTTPScaledObject has made it: that one says the same.
pub(super) fn is_made(object: &Value) -> bool {
    let mut owners = look::list(object, "/metadata/ownerReferences").iter();
    owners.any(|owner| look::text(owner, "/kind") == "HTTPScaledObject")
}

fn http_scaled_object(source: &Source<'_>, subject: &Subject<'_>, draft: &mut Draft) {
    draft.sources.push(source.called.clone());
    let name = look::name(source.object);
    let hosts = [source.texts("/spec/hosts"), source.text("/spec/host").into_iter().collect()].concat();
    claim(&hosts, &source.at("/spec/hosts"), draft);
    paths(&source.texts("/spec/pathPrefixes"), &source.at("/spec/pathPrefixes"), draft);
    if source.has("/spec/headers") {
        headers(&source.at("/spec/headers"), draft);
    }
    service(source, "/spec/scaleTargetRef", draft);
    let skips =
        look::annotation(source.object, "httpscaledobject.keda.sh/skip-scaledobject-creation") == "true";
    // Else a ScaledObject of the user's own says how, and these are in nobody's mind.
    if !skips {
        let least = "/spec/replicas/min";
        min(source, least, source.whole(least), draft);
        max(source, "/spec/replicas/max", draft);
        cooldown(source, "/spec/scaledownPeriod", draft);
        initial_cooldown(source, draft);
    }
    metric(source, draft);
    for (pointer, knob) in [
        ("/spec/timeouts/conditionWait", "queue-timeout"),
        ("/spec/timeouts/responseHeader", "response-start-timeout"),
    ] {
        if let Some(timeout) = source.text(pointer).map(span).filter(|timeout| timeout != "0s") {
            draft.say(knob, timeout, &source.at(pointer), "");
        }
    }
    if source.has("/spec/coldStartTimeoutFailoverRef") {
        fallback(&source.at("/spec/coldStartTimeoutFailoverRef"), draft);
    }
    if source.has("/spec/placeholderConfig") {
        placeholder(&source.at("/spec/placeholderConfig"), draft);
    }
    let (namespace, mut objects) = (subject.namespace, format!("httpscaledobject/{name}"));
    if !skips {
        objects.push_str(&format!(" scaledobject/{name}"));
    }
    pause(&objects, subject, draft);
    draft.wake(subject);
    redirect(&hosts, subject, draft);
    let mut remove = vec![format!("kubectl delete httpscaledobject {name} -n {namespace}")];
    if !skips {
        remove.insert(0, keep_count(name, namespace));
    }
    draft.step(Phase::Remove, "once requests come through Kaos, take KEDA's objects away", &remove);
}

fn scaled_object(source: &Source<'_>, subject: &Subject<'_>, draft: &mut Draft) {
    draft.sources.push(source.called.clone());
    let (name, namespace) = (look::name(source.object), subject.namespace);
    let idle = source.whole("/spec/idleReplicaCount");
    match (idle, source.whole("/spec/minReplicaCount")) {
        (Some(0), Some(least)) if least > 1 => {
            let why = "the least above zero, for it may sleep: idleReplicaCount is 0";
            draft.say("activation-scale", least, &source.at("/spec/minReplicaCount"), why);
        }
        (Some(0), _) => {}
        (Some(idle), _) => {
            let from = source.at("/spec/idleReplicaCount");
            draft.say("min-scale", idle, &from, "");
        }
        (None, least) => min(source, "/spec/minReplicaCount", least, draft),
    }
    max(source, "/spec/maxReplicaCount", draft);
    cooldown(source, "/spec/cooldownPeriod", draft);
    initial_cooldown(source, draft);
    behaviour(source, draft);
    for (nth, trigger) in look::list(source.object, "/spec/triggers").iter().enumerate() {
        let (kind, from) = (look::text(trigger, "/type"), source.at(&format!("/spec/triggers/{nth}")));
        if !is_addon(trigger) {
            draft.none(&from, format!("{kind}: Kaos scales by requests alone, and wakes for nothing else"));
        }
    }
    for pointer in ["/spec/fallback", "/spec/advanced/scalingModifiers"] {
        if source.has(pointer) {
            draft.none(
                &source.at(pointer),
                "Kaos counts requests itself, and what it doesn't know takes nothing away",
            );
        }
    }
    let paused = ["autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"];
    for paused in paused.into_iter().filter(|name| !look::annotation(source.object, name).is_empty()) {
        let from = format!("{} metadata.annotations[{paused}]", source.called);
        draft.note(&from, "KEDA is paused; Kaos scales it, unless kaos.dev/mode=observe has it only look on");
    }
    pause(&format!("scaledobject/{name}"), subject, draft);
    draft.wake(subject);
    let mut remove = vec![format!("kubectl delete scaledobject {name} -n {namespace}")];
    if source.object.pointer("/spec/advanced/restoreToOriginalReplicaCount") == Some(&Value::Bool(true)) {
        remove.insert(0, keep_count(name, namespace));
    }
    draft.step(Phase::Remove, "once requests come through Kaos, take KEDA's objects away", &remove);
}

/// What the HorizontalPodAutoscaler that KEDA makes is told.
fn behaviour(source: &Source<'_>, draft: &mut Draft) {
    const AT: &str = "/spec/advanced/horizontalPodAutoscalerConfig/behavior";
    let down = format!("{AT}/scaleDown/stabilizationWindowSeconds");
    if let Some(window) = source.whole(&down) {
        let why = "the maximum of what was wanted over this span, as an HPA has it";
        draft.say("scale-down-delay", seconds(window), &source.at(&down), why);
    }
    for rest in ["scaleDown/policies", "scaleDown/selectPolicy", "scaleUp"] {
        let at = format!("{AT}/{rest}");
        if source.has(&at) {
            let why =
                "an HPA's rates: Kaos's are kaos.dev/max-scale-up-rate and -down-rate, factors per decision";
            draft.none(&source.at(&at), why);
        }
    }
}

fn metric(source: &Source<'_>, draft: &mut Draft) {
    const RATE: &str = "/spec/scalingMetric/requestRate";
    if source.has(RATE) {
        return rate(source, RATE, draft);
    }
    for pointer in ["/spec/scalingMetric/concurrency/targetValue", "/spec/targetPendingRequests"] {
        if let Some(target) = source.whole(pointer) {
            return whole_target(&target.to_string(), &source.at(pointer), draft);
        }
    }
}

fn min(source: &Source<'_>, at: &str, least: Option<i64>, draft: &mut Draft) {
    let why = if least.is_some_and(|least| least > 0) { "so it never sleeps, as it is" } else { "" };
    if let Some(least) = least {
        draft.say("min-scale", least, &source.at(at), why);
    }
}

fn max(source: &Source<'_>, at: &str, draft: &mut Draft) {
    match source.whole(at) {
        Some(most) => draft.say("max-scale", most, &source.at(at), ""),
        None => draft.say("max-scale", MOST, &source.at(at), "isn't said: KEDA's own bound; Kaos's is 10"),
    }
}

fn cooldown(source: &Source<'_>, at: &str, draft: &mut Draft) {
    match source.whole(at) {
        Some(period) => draft.say("idle-timeout", seconds(period), &source.at(at), ""),
        None => draft.note(
            &source.at(at),
            "isn't said: KEDA waits 300 s, Kaos learns how long is worth it; kaos.dev/idle-timeout=5m keeps it",
        ),
    }
}

fn initial_cooldown(source: &Source<'_>, draft: &mut Draft) {
    if source.whole("/spec/initialCooldownPeriod").is_some_and(|period| period > 0) {
        let why =
            "nothing sleeps before a first request has reached it through Kaos, however long that takes";
        draft.none(&source.at("/spec/initialCooldownPeriod"), why);
    }
}

/// KEDA leaves the count alone; its add-on goes on sending requests.
fn pause(objects: &str, subject: &Subject<'_>, draft: &mut Draft) {
    let paste = format!(
        "kubectl annotate {objects} -n {} autoscaling.keda.sh/paused=true --overwrite",
        subject.namespace
    );
    draft.step(Phase::LetGo, "KEDA leaves the count as it is; requests go on as they do", &[paste]);
}

/// Without this KEDA puts back the count it found once, as it goes.
fn keep_count(name: &str, namespace: &str) -> String {
    let patch = r#"{"spec":{"advanced":{"restoreToOriginalReplicaCount":false}}}"#;
    format!("kubectl patch scaledobject {name} -n {namespace} --type=merge -p '{patch}'")
}
