//! What is kept of a Deployment.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{self as apps, DeploymentCondition};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ManagedFieldsEntry, ObjectMeta};
use kaos_core::{WorkloadId, annotation};

use super::{line, number, pairs, ports, target};
use crate::object::{Action, Container, Deployment, Probe, Template, Trouble};

/// The field manager that Kaos writes as.
const OURSELVES: &str = "kaos";

/// What the names of annotations begin with that are read.
const READ: [&str; 2] = [annotation::PREFIX, "autoscaling.knative.dev/"];

/// What is kept of `deployment`. `None`: it carries no annotation of Kaos, or is on its way out.
pub(crate) fn deployment(deployment: &apps::Deployment) -> Option<Deployment> {
    let meta = &deployment.metadata;
    let keep = |name: &str| READ.iter().any(|prefix| name.starts_with(prefix));
    let annotations = pairs(meta.annotations.as_ref(), keep);
    let ours = annotations.iter().any(|(name, _)| name.starts_with(annotation::PREFIX));
    if !ours || meta.deletion_timestamp.is_some() {
        return None;
    }
    let spec = &deployment.spec;
    let replicas = u32::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    let (contender, owner) = (contender(meta), owner(meta));
    Some(Deployment {
        id: WorkloadId::new(meta.namespace.as_deref()?, meta.name.as_deref()?),
        uid: meta.uid.as_deref()?.into(),
        version: meta.resource_version.as_deref().and_then(|version| version.parse().ok()),
        generation: meta.generation.unwrap_or(0),
        created: meta.creation_timestamp.as_ref().map_or(i64::MAX, |created| created.0.as_second()),
        annotations,
        replicas,
        selector: selector(&spec.selector),
        rolling: rolling(deployment, replicas),
        contender,
        owner,
        template: template(&spec.template),
        trouble: trouble(deployment),
    })
}

/// As `kubectl rollout status` has it: the controller has seen the last change, and no pod of an older template is left.
fn rolling(deployment: &apps::Deployment, replicas: u32) -> bool {
    let Some(status) = &deployment.status else { return true };
    let count = |count: Option<i32>| u32::try_from(count.unwrap_or(0)).unwrap_or(0);
    let unseen = status.observed_generation.unwrap_or(0) < deployment.metadata.generation.unwrap_or(0);
    let (all, updated) = (count(status.replicas), count(status.updated_replicas));
    unseen || updated < replicas.min(all) || all > updated
}

fn selector(selector: &LabelSelector) -> Option<Box<str>> {
    let mut terms: Vec<String> =
        selector.match_labels.iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
    for term in selector.match_expressions.iter().flatten() {
        let values = term.values.as_deref().unwrap_or_default().join(",");
        terms.push(match term.operator.as_str() {
            "In" => format!("{} in ({values})", term.key),
            "NotIn" => format!("{} notin ({values})", term.key),
            "Exists" => term.key.clone(),
            "DoesNotExist" => format!("!{}", term.key),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(",").into())
}

/// Whoever owns `spec.replicas` by the API server's own books, the last writer first, unless that is Kaos.
fn contender(meta: &ObjectMeta) -> Option<Box<str>> {
    let writers = meta.managed_fields.iter().flatten().filter(|entry| writes_count(entry));
    let last = writers.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    let manager = last.manager.as_deref().filter(|manager| *manager != OURSELVES)?;
    Some(match last.subresource.as_deref().filter(|subresource| !subresource.is_empty()) {
        Some(subresource) => format!("{} ({})", line(manager), line(subresource)).into(),
        None => line(manager).into(),
    })
}

fn writes_count(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    fields.is_some_and(|fields| fields.get("f:spec").is_some_and(|spec| spec.get("f:replicas").is_some()))
}

/// Who else decides between zero and one.
fn owner(meta: &ObjectMeta) -> Option<Box<str>> {
    let knative = |owner: &str| owner.split('/').next().is_some_and(|group| group.ends_with("knative.dev"));
    let owned = meta.owner_references.iter().flatten().find(|owner| knative(&owner.api_version));
    let label = meta.labels.iter().flatten().find(|(name, _)| name.starts_with("serving.knative.dev/"));
    if let Some(owner) = owned {
        return Some(format!("Knative ({} {})", line(&owner.kind), line(&owner.name)).into());
    }
    if let Some((name, value)) = label {
        return Some(format!("Knative ({} {})", line(name), line(value)).into());
    }
    let keda = |entry: &&ManagedFieldsEntry| {
        writes_count(entry) && entry.manager.as_deref().is_some_and(|manager| manager.starts_with("keda"))
    };
    let scaled = meta.labels.as_ref().and_then(|labels| labels.get("scaledobject.keda.sh/name"));
    match (scaled, meta.managed_fields.iter().flatten().find(keda)) {
        (Some(name), _) => Some(format!("KEDA (ScaledObject {})", line(name)).into()),
        (None, Some(_)) => Some("KEDA (it wrote the count)".into()),
        (None, None) => None,
    }
}

fn template(template: &core::PodTemplateSpec) -> Template {
    let spec = template.spec.as_ref();
    let sidecar = |container: &&core::Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten()).filter(sidecar);
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    let mut hasher = DefaultHasher::new();
    // What can't be written as JSON wasn't read as JSON.
    serde_json::to_string(template).unwrap_or_default().hash(&mut hasher);
    Template {
        labels: pairs(template.metadata.as_ref().and_then(|meta| meta.labels.as_ref()), |_| true),
        containers: sidecars.chain(containers).map(container).collect(),
        gated: spec.is_some_and(|spec| spec.readiness_gates.as_ref().is_some_and(|gates| !gates.is_empty())),
        hash: hasher.finish(),
    }
}

fn container(container: &core::Container) -> Container {
    Container {
        name: container.name.as_str().into(),
        ports: ports(container).collect(),
        startup: container.startup_probe.as_ref().map(probe),
        readiness: container.readiness_probe.as_ref().map(probe),
    }
}

fn probe(probe: &core::Probe) -> Probe {
    let seconds = u64::try_from(probe.timeout_seconds.unwrap_or(1)).unwrap_or(1).clamp(1, 3600);
    Probe {
        timeout: Duration::from_secs(seconds),
        successes: u32::try_from(probe.success_threshold.unwrap_or(1)).unwrap_or(1),
        action: action(probe).unwrap_or(Action::Exec),
    }
}

fn action(probe: &core::Probe) -> Option<Action> {
    let elsewhere = |host: &Option<String>| host.as_deref().is_some_and(|host| !host.is_empty());
    if let Some(http) = &probe.http_get {
        let headers = http.http_headers.iter().flatten();
        return Some(Action::Http {
            host: elsewhere(&http.host),
            port: target(&http.port)?,
            path: path(http.path.as_deref()),
            tls: http.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            headers: headers
                .map(|header| (header.name.as_str().into(), header.value.as_str().into()))
                .collect(),
        });
    }
    if let Some(tcp) = &probe.tcp_socket {
        return Some(Action::Tcp { host: elsewhere(&tcp.host), port: target(&tcp.port)? });
    }
    let grpc = probe.grpc.as_ref()?;
    let service = grpc.service.as_deref().unwrap_or_default().into();
    Some(Action::Grpc { port: number(grpc.port)?, service })
}

/// The kubelet asks for `/` where none is said, and puts a slash before what has none.
fn path(path: Option<&str>) -> Box<str> {
    match path.unwrap_or_default() {
        path if path.starts_with('/') => path.into(),
        path => format!("/{path}").into(),
    }
}

fn trouble(deployment: &apps::Deployment) -> Option<Trouble> {
    // What was said of an earlier spec says nothing of this one.
    let seen = |status: &&apps::DeploymentStatus| {
        status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
    };
    let conditions = deployment.status.as_ref().filter(seen).and_then(|status| status.conditions.as_ref());
    let find = |kind: &str, status: &str| {
        let is = |found: &&DeploymentCondition| {
            found.type_.as_deref() == Some(kind) && found.status.as_deref() == Some(status)
        };
        conditions.into_iter().flatten().find(is)
    };
    let message = |condition: &DeploymentCondition| line(condition.message.as_deref().unwrap_or_default());
    if let Some(failure) = find("ReplicaFailure", "True") {
        let message = message(failure);
        let because = if message.contains("exceeded quota") { "quota" } else { "refused" };
        let detail = format!("the cluster refuses its pods: {message}").into();
        return Some(Trouble { because, detail });
    }
    let late = |found: &&DeploymentCondition| found.reason.as_deref() == Some("ProgressDeadlineExceeded");
    let late = find("Progressing", "False").filter(late)?;
    Some(Trouble { because: "progress-deadline", detail: message(late).into() })
}
