//! Services: whether Kaos finds its way over one of them, and which of them others can reach past it.

use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;
use crate::controller::Controller;
use crate::object::{Kind, Service};

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    if let Err(why) = &subject.way {
        found.push(no_way(subject, why));
    }
    for (raw, read) in &subject.services {
        found.extend(open(subject, raw, read));
        found.extend(external(subject, raw, read));
        let served = subject.way.as_ref().is_ok_and(|way| way.service == read.name);
        if !served && subject.way.is_ok() && matches!(read.kind, Kind::Cluster | Kind::Headless) {
            found.push(other(subject, raw, read));
        }
    }
}

/// Nothing would wake it.
fn no_way(subject: &Subject<'_>, why: &str) -> Finding {
    let finding = Finding::new(Verdict::Unsafe, Topic::WaysIn, "no-way").at(subject.called(), "").found(why);
    if !subject.services.is_empty() {
        let ports = subject.services.iter().flat_map(|(_, read)| &read.ports).next();
        let port = ports.map_or_else(|| "PORT".to_owned(), |port| port.port.to_string());
        return finding
            .why("Kaos doesn't know where its requests go, so it isn't adopted")
            .fix("say which Service and which port", subject.annotate(&format!("kaos.dev/port={port}")));
    }
    let mut ports =
        subject.containers().into_iter().flat_map(|(_, container)| look::list(container, "/ports"));
    let port = ports.find_map(|port| look::whole(port, "/containerPort"));
    // kubectl exposes no StatefulSet.
    let expose = port.filter(|_| subject.controller == Controller::Deployment);
    let expose =
        expose.map(|port| format!("kubectl expose {} --port=80 --target-port={port}", subject.args()));
    finding
        .why("only requests wake it, and none can reach it through Kaos: what takes no requests must not sleep")
        .fix("if it answers HTTP give it a Service, else leave it alone", expose.unwrap_or_default())
}

fn open(subject: &Subject<'_>, raw: &Value, read: &Service) -> Option<Finding> {
    let kind = match read.kind {
        Kind::NodePort => "NodePort",
        Kind::LoadBalancer => "LoadBalancer",
        Kind::Cluster | Kind::Headless => return None,
    };
    let patch = format!(
        "kubectl patch service {} -n {} -p '{}'",
        read.name,
        subject.namespace,
        json!({"spec": {"type": "ClusterIP"}})
    );
    let finding = Finding::new(Verdict::Unsafe, Topic::WaysIn, "service-open")
        .at(look::called(raw, subject.namespace), "spec.type")
        .found(kind)
        .why("requests that come this way neither wake it nor keep it awake, so Kaos only observes it");
    Some(finding.fix(format!("send its clients to {}, then close it", subject.proxy()), patch))
}

fn external(subject: &Subject<'_>, raw: &Value, read: &Service) -> Option<Finding> {
    let addresses: Vec<&str> =
        look::list(raw, "/spec/externalIPs").iter().filter_map(Value::as_str).collect();
    let step = json!({"op": "remove", "path": "/spec/externalIPs"});
    let patch =
        format!("kubectl patch service {} -n {} --type=json -p '[{step}]'", read.name, subject.namespace);
    (!addresses.is_empty()).then(|| {
        Finding::new(Verdict::Unsafe, Topic::WaysIn, "external-ips")
            .at(look::called(raw, subject.namespace), "spec.externalIPs")
            .found(addresses.join(", "))
            .why("requests that come this way neither wake it nor keep it awake")
            .fix(format!("send its clients to {}, then close it", subject.proxy()), patch)
    })
}

fn other(subject: &Subject<'_>, raw: &Value, read: &Service) -> Finding {
    let served = subject.way.as_ref().map_or("", |way| &*way.service);
    let headless = if read.kind == Kind::Headless { " (headless)" } else { "" };
    Finding::new(Verdict::Question, Topic::WaysIn, "service-other")
        .at(look::called(raw, subject.namespace), "spec.selector")
        .found(format!("leads to the same pods{headless}"))
        .why(format!(
            "Does anybody use it? Kaos stands in for the Service {served}; asleep, this one leads nowhere."
        ))
        .fix(
            "if so, and it is the one that is asked",
            subject.annotate(&format!("kaos.dev/service={}", read.name)),
        )
}
