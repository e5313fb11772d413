//! Osiris: annotations `osiris.dm.gg/…`, or `osiris.deislabs.io/…` of its first makers, of Deployments, pods and Services.

use serde_json::{Value, json};

use super::draft::{Draft, Phase, seconds};
use crate::safety::look;
use crate::safety::subject::Subject;

const PREFIXES: [&str; 2] = ["osiris.dm.gg/", "osiris.deislabs.io/"];

/// The annotations of one object that Osiris reads.
struct Said<'a> {
    called: String,
    place: &'static str,
    all: Vec<(&'a str, &'a str, &'a str)>,
}

impl<'a> Said<'a> {
    fn of(object: &'a Value, called: String, place: &'static str, pointer: &str) -> Self {
        let read = |(name, value): (&'a str, &'a Value)| {
            let bare = PREFIXES.into_iter().find_map(|prefix| name.strip_prefix(prefix))?;
            Some((name, bare, value.as_str()?))
        };
        Said { called, place, all: look::entries(object, pointer).filter_map(read).collect() }
    }

    fn get(&self, bare: &str) -> Option<(&'a str, &'a str)> {
        self.all.iter().find(|(_, one, _)| *one == bare).map(|(name, _, value)| (*name, *value))
    }

    /// Whether one of these says yes, as Osiris reads it.
    fn is_on(&self, names: [&str; 2]) -> bool {
        let on = |(_, value): (&str, &str)| {
            ["y", "yes", "true", "on", "1"].contains(&value.to_ascii_lowercase().as_str())
        };
        names.into_iter().filter_map(|name| self.get(name)).any(on)
    }

    fn at(&self, name: &str) -> String {
        format!("{} {}{name}", self.called, self.place)
    }
}

pub(super) fn read(subject: &Subject<'_>, draft: &mut Draft) {
    let own = Said::of(subject.raw, subject.called(), "", "/metadata/annotations");
    if !own.is_on(["enableScaling", "enabled"]) {
        return;
    }
    draft.sources.push(format!("{} {}…", own.called, own.all[0].0.split('/').next().unwrap_or_default()));
    deployment(&own, subject, draft);
    let pod =
        Said::of(subject.raw, subject.called(), "spec.template ", "/spec/template/metadata/annotations");
    ignored(&pod, draft);
    let (name, namespace) = (subject.name, subject.namespace);
    if let Some((scaling, _)) = own.get("enableScaling").or(own.get("enabled")) {
        let paste = format!("kubectl annotate deployment {name} -n {namespace} {scaling}-");
        draft.step(Phase::LetGo, "Osiris takes nothing away any more", &[paste]);
    }
    draft.wake(subject);
    services(subject, draft);
    let say = format!(
        "send its hosts to {}, port 80; kaos describe {name} -n {namespace} shows when requests come",
        subject.proxy()
    );
    draft.step(Phase::Traffic, say, &[]);
    if let Some((collect, _)) = pod.get("collectMetrics").or(pod.get("enabled")) {
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {collect: null}}}}});
        let paste = format!("kubectl patch deployment {name} -n {namespace} --type=merge -p '{patch}'");
        draft.step(Phase::Remove, "its pods need no sidecar any more; this replaces them", &[paste]);
    }
}

fn deployment(own: &Said<'_>, subject: &Subject<'_>, draft: &mut Draft) {
    if let Some((name, least)) = own.get("minReplicas").filter(|(_, least)| *least != "1") {
        draft.say("activation-scale", least, &own.at(name), "it wakes with so many");
    }
    if let Some((name, interval)) = own.get("metricsCheckInterval") {
        let idle = interval.parse().map_or_else(|_| interval.to_owned(), seconds);
        draft.say("idle-timeout", idle, &own.at(name), "asleep when a whole interval had no request");
    }
    if let Some((name, _)) = own.get("metricsCollector") {
        draft.none(
            &own.at(name),
            "nothing is scraped: Kaos is in the path of requests, and counts them itself",
        );
    }
    let Some((name, list)) = own.get("dependencies") else { return };
    let mut together: Vec<&str> = Vec::new();
    for one in list.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        match one.split_once(':').map(|(kind, rest)| (kind, rest.split_once('/'))) {
            Some(("deployment", Some((of, other)))) if of == subject.namespace => together.push(other),
            Some(("deployment", _)) => {
                draft.none(&own.at(name), format!("{one}: Kaos wakes what is of one namespace together"));
            }
            _ => draft.none(&own.at(name), format!("{one}: Kaos scales Deployments")),
        }
    }
    if !together.is_empty() {
        draft.say("wake-with", together.join(","), &own.at(name), "");
    }
}

fn ignored(pod: &Said<'_>, draft: &mut Draft) {
    let Some((name, paths)) = pod.get("ignoredPaths") else { return };
    let paths: Vec<String> = paths
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .map(|path| format!("{path}=200"))
        .collect();
    if !paths.is_empty() {
        let why = "asleep they are answered by Kaos, with 200 unless you say otherwise; Osiris only doesn't count them";
        draft.say("no-wake-paths", paths.join(","), &pod.at(name), why);
    }
}

/// Services that Osiris keeps endpoints of: their selector is gone meanwhile, so they are found by what they name.
fn services(subject: &Subject<'_>, draft: &mut Draft) {
    let mut hosts: Vec<&str> = Vec::new();
    let mut from = String::new();
    for service in subject.objects.within("Service", subject.namespace) {
        let said = Said::of(service, look::called(service, subject.namespace), "", "/metadata/annotations");
        if said.get("deployment").is_none_or(|(_, deployment)| deployment != subject.name) {
            continue;
        }
        for (name, bare, value) in &said.all {
            let stem = bare.trim_end_matches(|last: char| last.is_ascii_digit()).trim_end_matches('-');
            if ["ingressHostname", "loadBalancerHostname"].contains(&stem) && !hosts.contains(value) {
                hosts.push(value);
                from = said.at(name);
            }
        }
        if let Some((name, port)) = said.get("ingressDefaultPort") {
            draft.say("port", port, &said.at(name), "");
        }
        if said.is_on(["manageEndpoints", "enabled"]) {
            let name = said.get("manageEndpoints").or(said.get("enabled")).map_or("", |(name, _)| name);
            give_back(service, name, subject, draft);
        }
    }
    if !hosts.is_empty() {
        draft.say("host", hosts.join(","), &from, "");
    }
}

/// The Service gets its own endpoints again.
fn give_back(service: &Value, managed: &str, subject: &Subject<'_>, draft: &mut Draft) {
    let (name, namespace) = (look::name(service), subject.namespace);
    let mut paste = vec![format!("kubectl annotate service {name} -n {namespace} {managed}-")];
    if look::entries(service, "/spec/selector").next().is_none() {
        let selector = subject.raw.pointer("/spec/selector/matchLabels");
        let patch = json!({"spec": {"selector": selector}});
        paste.push(format!("kubectl patch service {name} -n {namespace} --type=merge -p '{patch}'"));
    }
    let say = "the Service selects its pods again: Osiris leaves its endpoints alone, and Kaos finds its way over it";
    draft.step(Phase::Wake, say, &paste);
}
