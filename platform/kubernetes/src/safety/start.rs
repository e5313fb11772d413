//! What makes each wake slower than it has to be: probes that only the cluster can run, images that are asked for each time,
//! work before the program starts.

use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;
use crate::check;
use crate::infer;

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    readiness(subject, found);
    for (at, container) in subject.containers() {
        found.extend(image(subject, &at, container));
    }
    found.extend(before(subject));
}

/// A delay of less isn't worth a word: in seconds.
const SHORT: i64 = 3;

fn readiness(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let template = &subject.read.template;
    if template.containers.iter().all(|container| container.readiness.is_none()) {
        return found.push(missing(subject));
    }
    let Ok(way) = &subject.way else { return };
    let (_, why) = check::checks(&subject.adoption.policy.readiness, template, &way.port.target);
    let slowest = subject.containers().into_iter().filter_map(|(at, container)| slowest(&at, container));
    let Some((at, delay, period)) = slowest.max_by_key(|(_, delay, period)| delay + period) else { return };
    match why {
        None if delay >= SHORT => found.push(
            Finding::new(Verdict::Fine, Topic::Start, "initial-delay")
                .at(subject.called(), format!("{at}.initialDelaySeconds"))
                .found(delay.to_string())
                .why("it doesn't count: a proxy tries the probe itself while requests wait"),
        ),
        Some(why) if delay + period >= SHORT => found.push(
            Finding::new(Verdict::Slow, Topic::Start, "slow-probe")
                .at(subject.called(), &at)
                .found(format!("initialDelaySeconds {delay}, periodSeconds {period}"))
                .why(format!("{why}; so a wake may wait {} s longer than the program needs", delay + period))
                .fix("a readiness probe by HTTP, TCP or gRPC, which a proxy tries itself; or ask it each second", ""),
        ),
        _ => {}
    }
}

/// The probe of a container by which it gets ready last: its field, initial delay and period in seconds.
fn slowest(at: &str, container: &Value) -> Option<(String, i64, i64)> {
    let probe = |name: &str| {
        let probe = container.get(name).filter(|probe| probe.is_object())?;
        let delay = look::whole(probe, "/initialDelaySeconds").unwrap_or(0);
        let period = look::whole(probe, "/periodSeconds").unwrap_or(10);
        Some((format!("{}.{name}", look::field(at)), delay, period))
    };
    ["startupProbe", "readinessProbe"]
        .into_iter()
        .filter_map(probe)
        .max_by_key(|(_, delay, period)| delay + period)
}

fn missing(subject: &Subject<'_>) -> Finding {
    let way = subject.way.as_ref().ok();
    let port = way.and_then(|way| infer::number(&way.port.target, &subject.read.template));
    let serves = |(_, container): &&(String, &Value)| {
        look::list(container, "/ports")
            .iter()
            .any(|one| look::whole(one, "/containerPort") == port.map(i64::from))
    };
    let containers = subject.containers();
    let container = containers.iter().find(serves).or(containers.last());
    let name = container.map_or("", |(_, container)| look::text(container, "/name"));
    let probe = json!({"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}});
    Finding::new(Verdict::Slow, Topic::Start, "no-readiness")
        .at(subject.called(), "spec.template.spec.containers[].readinessProbe")
        .found("none")
        .why("a pod counts as ready before its program listens: the first requests of each wake are refused and sent again")
        .fix(
            "an HTTP probe if it has a path for that, else",
            port.map_or_else(String::new, |_| subject.patch_container(name, probe)),
        )
}

fn image(subject: &Subject<'_>, at: &str, container: &Value) -> Option<Finding> {
    let (name, image) = (look::text(container, "/name"), look::text(container, "/image"));
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let mutable = !image.contains('@') && tag.is_none_or(|tag| tag == "latest");
    let said = look::text(container, "/imagePullPolicy");
    let policy = match said {
        // https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting
        "" if mutable && !image.is_empty() => "Always",
        said => said,
    };
    if policy != "Always" {
        return None;
    }
    let found = if said.is_empty() {
        format!("Always, for {image} has no tag that stays")
    } else {
        format!("Always, of {image}")
    };
    let why = "each wake asks the registry first, and none succeeds while that is away";
    Some(
        Finding::new(Verdict::Slow, Topic::Start, "image-pull")
            .at(subject.called(), format!("{}.imagePullPolicy", look::field(at)))
            .found(found)
            .why(why)
            .fix(
                if mutable { "give the image a tag that stays, and" } else { "keep what a node has" },
                subject.patch_container(name, json!({"imagePullPolicy": "IfNotPresent"})),
            ),
    )
}

/// Containers that run to their end before the program begins.
fn before(subject: &Subject<'_>) -> Option<Finding> {
    let all = look::list(subject.pod(), "/initContainers").iter();
    let names: Vec<&str> = all
        .filter(|one| look::text(one, "/restartPolicy") != "Always")
        .map(|container| look::text(container, "/name"))
        .collect();
    (!names.is_empty()).then(|| {
        Finding::new(Verdict::Slow, Topic::Start, "init-containers")
            .at(subject.called(), "spec.template.spec.initContainers")
            .found(names.join(", "))
            .why("they run to their end at each wake, while requests wait")
            .fix("do once what is needed once, such as a migration: in a Job of the rollout", "")
    })
}
