//! What the objects of KEDA's HTTP add-on, old and new, say alike.

use super::draft::{Draft, Phase, Source, span};
use crate::safety::subject::Subject;

/// KEDA's own bound where nothing is said; it is more than Kaos's, so it is said.
pub(super) const MOST: i64 = 100;
/// Where KEDA's add-on takes requests, as its chart calls it.
const INTERCEPTOR: &str = "keda-add-ons-http-interceptor-proxy";

pub(super) fn service(source: &Source<'_>, at: &str, draft: &mut Draft) {
    let (service, name, number) = (format!("{at}/service"), format!("{at}/portName"), format!("{at}/port"));
    if let Some(text) = source.text(&service) {
        draft.say("service", text, &source.at(&service), "");
    }
    match (source.text(&name), source.whole(&number)) {
        (Some(port), _) => draft.say("port", port, &source.at(&name), ""),
        (None, Some(port)) if port > 0 => draft.say("port", port, &source.at(&number), ""),
        (None, _) => {}
    }
}

pub(super) fn fallback(from: &str, draft: &mut Draft) {
    draft.none(from, "a request that waits longer than queue-timeout is answered 504, and goes nowhere else");
}

pub(super) fn placeholder(from: &str, draft: &mut Draft) {
    draft.none(from, "requests wait for the replica, and get its own answer");
}

pub(super) fn redirect(hosts: &[&str], subject: &Subject<'_>, draft: &mut Draft) {
    let hosts = if hosts.is_empty() { "its hosts".to_owned() } else { hosts.join(", ") };
    let say = format!(
        "send {hosts} to {}, port 80, where it goes to {INTERCEPTOR} now; kaos describe {} -n {} shows when requests come",
        subject.proxy(),
        subject.name,
        subject.namespace
    );
    draft.step(Phase::Traffic, say, &[]);
}

pub(super) fn headers(from: &str, draft: &mut Draft) {
    draft.none(from, "Kaos goes by host and path: it takes requests without these headers too");
}

pub(super) fn claim(hosts: &[&str], from: &str, draft: &mut Draft) {
    const EVERY: &str = "an annotation claims no host that it doesn't name: what no other route is for goes to an Ingress's \
        default backend";
    let named: Vec<&str> = hosts.iter().copied().filter(|host| *host != "*").collect();
    if named.len() < hosts.len() || hosts.is_empty() {
        draft.none(from, EVERY);
    }
    if !named.is_empty() {
        draft.say("host", named.join(","), from, "");
    }
}

pub(super) fn paths(prefixes: &[&str], from: &str, draft: &mut Draft) {
    match prefixes {
        [] => {}
        ["/"] => draft.same(from, "it has every path anyway"),
        [one] => draft.say("path", one, from, ""),
        several if several.contains(&"/") => draft.same(from, "/ is every path"),
        several => draft.none(
            from,
            format!(
                "{} prefixes, of which an annotation has one: left out, so it takes every path of its hosts; an Ingress of \
                 the class kaos has as many as you like",
                several.len()
            ),
        ),
    }
}

/// A target that is aimed at as it is: Kaos steers to a share of it unless told otherwise.
pub(super) fn whole_target(target: &str, from: &str, draft: &mut Draft) {
    draft.say("target", target, from, "");
    draft.say(
        "target-utilization-percentage",
        "100",
        from,
        "KEDA aims at the whole target, Kaos at 70 % of it",
    );
}

/// A target of requests a second, over a window.
pub(super) fn rate(source: &Source<'_>, at: &str, draft: &mut Draft) {
    let target = format!("{at}/targetValue");
    draft.say("metric", "rps", &source.at(at), "");
    whole_target(&source.whole(&target).unwrap_or(MOST).to_string(), &source.at(&target), draft);
    let (window, granularity) = (format!("{at}/window"), format!("{at}/granularity"));
    if let Some(text) = source.text(&window) {
        draft.say("window", span(text), &source.at(&window), "");
    }
    if source.text(&granularity).is_some_and(|text| span(text) != "1s") {
        draft.none(&source.at(&granularity), "Kaos's sums are exact: nothing is sampled");
    }
}
