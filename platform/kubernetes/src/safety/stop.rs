//! Whether a replica that is stopped gets the time to finish what it has begun. Kaos stops those that hold nothing; rollouts and
//! nodes that go stop others.

use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;

/// What Kubernetes gives where nothing is said, in seconds.
const USUAL: u64 = 30;
/// Less than this is worth a question where nobody says how long a request takes.
const SHORT: u64 = 10;

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let said = look::whole(subject.pod(), "/terminationGracePeriodSeconds")
        .and_then(|grace| u64::try_from(grace).ok());
    let grace = said.unwrap_or(USUAL);
    let finding = |verdict, fact| {
        Finding::new(verdict, Topic::Stop, fact)
            .at(subject.called(), "spec.template.spec.terminationGracePeriodSeconds")
            .found(match said {
                Some(_) => grace.to_string(),
                None => format!("{grace}, for nothing is said"),
            })
    };
    let more = |seconds: u64| {
        let path = "/spec/template/spec/terminationGracePeriodSeconds";
        subject.patch(&json!({"op": "add", "path": path, "value": seconds}))
    };
    match longest(subject) {
        Some((seconds, place)) if seconds > grace => found.push(
            finding(Verdict::Unsafe, "grace-short")
                .why(format!("a request may take {seconds} s ({place}): a replica that a rollout or a node stops is killed before"))
                .fix("as long as a request may take", more(seconds + SHORT)),
        ),
        None if grace < SHORT => found.push(
            finding(Verdict::Question, "grace-short")
                .why(format!("Does a request ever take longer than {grace} s? A replica that a rollout or a node stops is killed before."))
                .fix("if so", more(USUAL)),
        ),
        _ => {}
    }
}

/// The longest that a request is said to be allowed, in seconds, and where that is said.
fn longest(subject: &Subject<'_>) -> Option<(u64, String)> {
    let total = subject.adoption.policy.request_timeout.as_secs();
    let own = (!subject.annotation("kaos.dev/request-timeout").is_empty() && total > 0)
        .then(|| (total, "kaos.dev/request-timeout".to_owned()));
    let services: Vec<&str> = subject.services.iter().map(|(_, read)| &*read.name).collect();
    let leads = |route: &&Value, pattern: &str| {
        look::all(route, pattern).iter().any(|(_, backend)| services.contains(&look::text(backend, "/name")))
    };
    let ingresses = subject.objects.within("Ingress", subject.namespace);
    let ingresses = ingresses.filter(|route| leads(route, "spec/rules/*/http/paths/*/backend/service"));
    let nginx = ingresses.filter_map(|route| {
        let name = "nginx.ingress.kubernetes.io/proxy-read-timeout";
        let seconds = look::annotation(route, name).trim_end_matches('s').parse().ok()?;
        Some((seconds, format!("{name} of Ingress/{}", look::name(route))))
    });
    let routes = subject.objects.within("HTTPRoute", subject.namespace);
    let routes = routes.filter(|route| leads(route, "spec/rules/*/backendRefs/*"));
    let gateway = routes.flat_map(|route| {
        look::all(route, "spec/rules/*/timeouts/request").into_iter().filter_map(|(at, text)| {
            let seconds = kaos_core::duration::parse(text.as_str()?).ok()?.as_secs();
            Some((seconds, format!("{} of HTTPRoute/{}", look::field(&at), look::name(route))))
        })
    });
    own.into_iter().chain(nginx).chain(gateway).max_by_key(|(seconds, _)| *seconds)
}
