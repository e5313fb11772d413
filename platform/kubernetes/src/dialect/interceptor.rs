//! InterceptorRoutes of KEDA's HTTP add-on: where requests go. Fields as in `http.keda.sh/v1beta1`.

use serde_json::Value;

use super::addon;
use super::draft::{Draft, Phase, Source, span};
use crate::safety::look;
use crate::safety::subject::Subject;

pub(super) fn read(source: &Source<'_>, subject: &Subject<'_>, draft: &mut Draft) {
    draft.sources.push(source.called.clone());
    let hosts = rules(source, draft);
    addon::service(source, "/spec/target", draft);
    metric(source, draft);
    timeouts(source, draft);
    for (at, said) in [
        ("/spec/coldStart/fallback", addon::fallback as fn(&str, &mut Draft)),
        ("/spec/coldStart/placeholder", addon::placeholder),
    ] {
        if source.has(at) {
            said(&source.at(at), draft);
        }
    }
    static_routes(source, draft);
    addon::redirect(&hosts, subject, draft);
    let name = look::name(source.object);
    let remove = format!("kubectl delete interceptorroute {name} -n {}", subject.namespace);
    draft.step(Phase::Remove, "once requests come through Kaos, take KEDA's objects away", &[remove]);
}

/// The hosts of all rules: each is a way in.
fn rules<'a>(source: &Source<'a>, draft: &mut Draft) -> Vec<&'a str> {
    let rules = look::list(source.object, "/spec/rules");
    let mut hosts: Vec<&str> = Vec::new();
    let mut prefixes: Vec<&str> = Vec::new();
    let from = source.at("/spec/rules");
    for (nth, rule) in rules.iter().enumerate() {
        hosts.extend(look::list(rule, "/hosts").iter().filter_map(Value::as_str));
        let paths: Vec<&str> =
            look::list(rule, "/paths").iter().map(|one| look::text(one, "/value")).collect();
        prefixes.extend(if paths.is_empty() { vec!["/"] } else { paths });
        if !look::list(rule, "/headers").is_empty() {
            addon::headers(&format!("{from}[{nth}].headers"), draft);
        }
    }
    let every = rules.iter().any(|rule| look::list(rule, "/hosts").is_empty());
    hosts.sort_unstable();
    hosts.dedup();
    prefixes.sort_unstable();
    prefixes.dedup();
    let claimed = if every && !hosts.is_empty() { [&hosts[..], &["*"]].concat() } else { hosts.clone() };
    addon::claim(&claimed, &from, draft);
    // A rule without a path beside those with one takes every path of its hosts alone.
    let prefixes =
        if rules.len() == 1 { prefixes } else { prefixes.into_iter().filter(|one| *one != "/").collect() };
    if prefixes != ["/"] {
        addon::paths(&prefixes, &from, draft);
    }
    hosts
}

fn metric(source: &Source<'_>, draft: &mut Draft) {
    const CONCURRENCY: &str = "/spec/scalingMetric/concurrency";
    const RATE: &str = "/spec/scalingMetric/requestRate";
    let target = format!("{CONCURRENCY}/targetValue");
    match source.whole(&target) {
        Some(value) => {
            addon::whole_target(&value.to_string(), &source.at(&target), draft);
            if source.has(RATE) {
                let why = "the larger of both counts: Kaos has one metric, and this is concurrency here";
                draft.none(&source.at(RATE), why);
            }
        }
        None if source.has(RATE) => addon::rate(source, RATE, draft),
        None => {}
    }
}

fn timeouts(source: &Source<'_>, draft: &mut Draft) {
    for (at, knob, why) in [
        ("/spec/timeouts/readiness", "queue-timeout", ""),
        (
            "/spec/timeouts/request",
            "request-timeout",
            "from its dispatch on: the wait for a replica is queue-timeout's",
        ),
        ("/spec/timeouts/responseHeader", "response-start-timeout", ""),
    ] {
        let Some(timeout) = source.text(at).map(span) else { continue };
        if timeout == "0s" && knob != "request-timeout" {
            draft.none(
                &source.at(at),
                format!("every wait of Kaos has an end: kaos.dev/{knob}=24h is the longest"),
            );
        } else {
            draft.say(knob, timeout, &source.at(at), why);
        }
    }
}

/// Paths that are answered while nothing is ready, and count as no load.
fn static_routes(source: &Source<'_>, draft: &mut Draft) {
    let mut paths: Vec<String> = Vec::new();
    for (nth, route) in look::list(source.object, "/spec/staticRoutes").iter().enumerate() {
        let from = source.at(&format!("/spec/staticRoutes/{nth}"));
        match static_route(route) {
            Ok(mut found) => {
                paths.append(&mut found);
                if route.pointer("/response/body").or(route.pointer("/response/bodyFromConfigMap")).is_some()
                {
                    draft.none(&format!("{from}.response"), "Kaos answers with the status and no body");
                }
            }
            Err(why) => draft.none(&from, why),
        }
    }
    if !paths.is_empty() {
        let why = "these paths exactly: KEDA takes what is below them too";
        draft.say("no-wake-paths", paths.join(","), &source.at("/spec/staticRoutes"), why);
    }
}

/// Its paths with their status, or why it has no equal.
fn static_route(route: &Value) -> Result<Vec<String>, String> {
    let status = look::whole(route, "/response/statusCode").filter(|status| *status != 0).unwrap_or(200);
    if look::text(route, "/responseMode") == "Always" {
        return Err(
            "answers in place of replicas that are ready: kaos.dev/no-wake-paths passes requests on then"
                .into(),
        );
    }
    let rules = look::list(route, "/rules");
    let bound =
        |rule: &Value| !look::list(rule, "/hosts").is_empty() || !look::list(rule, "/headers").is_empty();
    if rules.iter().any(bound) {
        return Err("kaos.dev/no-wake-paths goes by paths alone, for every host and any header".into());
    }
    let paths = rules.iter().flat_map(|rule| look::list(rule, "/paths"));
    let paths: Vec<String> = paths.map(|path| format!("{}={status}", look::text(path, "/value"))).collect();
    if paths.is_empty() { Err("has no path: kaos.dev/no-wake-paths goes by paths".into()) } else { Ok(paths) }
}
