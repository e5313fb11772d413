//! OpenFaaS: labels `com.openfaas.scale.…` of a function's Deployment, as its documentation describes them.

use serde_json::Value;

use super::draft::{Draft, Phase, span};
use crate::safety::look;
use crate::safety::subject::Subject;

const PREFIX: &str = "com.openfaas.scale.";
/// OpenFaaS's own bound where nothing is said; it is more than Kaos's, so it is said.
const MOST: &str = "20";

pub(super) fn read(subject: &Subject<'_>, draft: &mut Draft) {
    let labels = Labels(subject.raw);
    if !labels.are_there() {
        return;
    }
    let at = |name: &str| format!("{} {PREFIX}{name}", subject.called());
    draft.sources.push(format!("{} {PREFIX}…", subject.called()));
    replicas(&labels, &at, draft);
    metric(&labels, &at, draft);
    if labels.get("factor").is_some() {
        draft.none(&at("factor"), "Kaos scales by load to what it needs, not by steps");
    }
    draft.none(
        &subject.called(),
        format!(
            "the gateway's path /function/{0}: Kaos goes by host; where nothing else is said, {0}.{1}.DOMAIN",
            subject.name, subject.namespace
        ),
    );
    draft.note(
        &subject.called(),
        "OpenFaaS makes it anew at each deploy, without these annotations: a Deployment of your own keeps them",
    );
    let (name, namespace) = (subject.name, subject.namespace);
    let say = format!(
        "have its callers ask {} with its host, in place of the gateway; kaos describe {name} -n {namespace} shows when requests come",
        subject.proxy()
    );
    draft.step(Phase::Traffic, say, &[]);
    let say = "once a Deployment of your own, without OpenFaaS's labels, has taken its place and requests come there through \
        Kaos, take the function away; until then OpenFaaS may change its count too";
    let paste = format!("faas-cli remove {name}");
    draft.step(Phase::Remove, say, &[paste]);
}

fn replicas(labels: &Labels<'_>, at: &impl Fn(&str) -> String, draft: &mut Draft) {
    let least = labels.get("min").unwrap_or("1");
    if labels.get("zero").is_some_and(|zero| zero == "true") {
        if least != "1" {
            draft.say("activation-scale", least, &at("min"), "the least above zero, for it may sleep");
        }
        match labels.get("zero-duration") {
            Some(idle) => draft.say("idle-timeout", span(idle), &at("zero-duration"), ""),
            None => draft.note(
                &at("zero-duration"),
                "isn't said: OpenFaaS waits 15m, Kaos learns how long is worth it; kaos.dev/idle-timeout=15m keeps it",
            ),
        }
    } else {
        let from = if labels.get("min").is_some() { at("min") } else { at("zero") };
        draft.say(
            "min-scale",
            least,
            &from,
            "so it never sleeps, as it is: com.openfaas.scale.zero isn't true",
        );
    }
    match labels.get("max") {
        Some(most) => draft.say("max-scale", most, &at("max"), ""),
        None => draft.say("max-scale", MOST, &at("max"), "isn't said: OpenFaaS's own bound; Kaos's is 10"),
    }
}

fn metric(labels: &Labels<'_>, at: &impl Fn(&str) -> String, draft: &mut Draft) {
    let (kind, target) = (labels.get("type"), labels.get("target"));
    let metric = match kind {
        None | Some("rps") => "rps",
        Some("capacity") => "concurrency",
        Some(other) => {
            let why = format!(
                "{other}: Kaos scales by requests, those in flight (capacity) or those of a second (rps)"
            );
            return draft.none(&at("type"), why);
        }
    };
    if kind.is_none() && target.is_none() {
        return draft
            .note(&at("target"), "isn't said: OpenFaaS aims at 50 requests a second, Kaos at 100 in flight");
    }
    draft.say("metric", metric, &at("type"), "");
    draft.say("target", target.unwrap_or("50"), &at("target"), "");
    // Percent, as exact as a label can say it.
    let share = labels.get("target-proportion").unwrap_or("0.9");
    let percent = share
        .parse::<f64>()
        .map_or_else(|_| share.to_owned(), |share| ((share * 1e8).round() / 1e6).to_string());
    draft.say("target-utilization-percentage", percent, &at("target-proportion"), "");
}

/// Its labels; those of its pods say the same.
struct Labels<'a>(&'a Value);

impl<'a> Labels<'a> {
    fn maps(&self) -> [&'static str; 2] {
        ["/metadata/labels", "/spec/template/metadata/labels"]
    }

    fn are_there(&self) -> bool {
        self.maps()
            .into_iter()
            .flat_map(|at| look::entries(self.0, at))
            .any(|(name, _)| name.starts_with(PREFIX))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let name = format!("{PREFIX}{name}");
        self.maps().into_iter().find_map(|at| self.0.pointer(at)?.get(&name)?.as_str())
    }
}
