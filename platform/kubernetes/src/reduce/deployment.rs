//! What is kept of a Deployment, and of a StatefulSet: the same.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kaos_core::{WorkloadId, annotation};
use serde_json::value::RawValue;

use super::{number, ports, target};
use crate::controller::Controller;
use crate::object::{Action, Container, Deployment, PROGRESS_DEADLINE, Probe, Template, Trouble};
use crate::protobuf::{Message, schema};
use crate::wire::{self, Condition, DeploymentSpec, DeploymentStatus, Meta, Parts, Watched, Writer, line};

/// The field manager that Kaos writes as.
const OURSELVES: &str = "kaos";

/// Of no concern is one that carries no annotation of Kaos, or is on its way out: nothing but its metadata is read.
impl Watched for Deployment {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "deployments";
    const MESSAGE: Option<&'static Message> = Some(&schema::DEPLOYMENT);

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        Deployment::of(Controller::Deployment, meta, parts)
    }
}

/// A StatefulSet, as what is kept of a Deployment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatefulSet(pub(crate) Deployment);

impl From<StatefulSet> for Deployment {
    fn from(set: StatefulSet) -> Deployment {
        set.0
    }
}

impl Watched for StatefulSet {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "statefulsets";
    const MESSAGE: Option<&'static Message> = Some(&schema::STATEFUL_SET);

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        Ok(Deployment::of(Controller::StatefulSet, meta, parts)?.map(StatefulSet))
    }
}

impl Deployment {
    fn of(controller: Controller, meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let ours = meta.annotations.iter().any(|(name, _)| name.starts_with(annotation::PREFIX));
        if !ours || meta.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let (Some(namespace), Some(name), Some(uid)) = (&meta.namespace, &meta.name, &meta.uid) else {
            return Ok(None);
        };
        let spec: DeploymentSpec<'_> = parts.spec()?.unwrap_or_default();
        let status: Option<DeploymentStatus> = parts.status()?;
        let replicas = u32::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
        let generation = meta.generation.unwrap_or(0);
        let writers: Vec<Writer> = meta.writers()?.into_iter().filter(Writer::writes_count).collect();
        Ok(Some(Deployment {
            id: WorkloadId::new(namespace, name),
            controller,
            uid: (**uid).into(),
            version: meta.resource_version.as_deref().and_then(|version| version.parse().ok()),
            generation,
            created: meta.creation_timestamp.as_ref().map_or(i64::MAX, |created| created.0.as_second()),
            replicas,
            selector: spec.selector.as_ref().and_then(selector),
            updated: status.as_ref().map_or(0, |status| count(status.updated_replicas)),
            // Who of a StatefulSet goes first is settled, whatever its pods are made from.
            rolling: controller == Controller::Deployment && rolling(status.as_ref(), generation, replicas),
            contender: contender(&writers),
            owner: owner(&meta, &writers),
            template: template(spec.template)?,
            trouble: trouble(status.as_ref(), generation),
            annotations: meta.annotations,
        }))
    }
}

/// As `kubectl rollout status` has it: the controller has seen the last change, and no pod of an older template is left.
fn rolling(status: Option<&DeploymentStatus>, generation: i64, replicas: u32) -> bool {
    let Some(status) = status else { return true };
    let unseen = status.observed_generation.unwrap_or(0) < generation;
    let (all, updated) = (count(status.replicas), count(status.updated_replicas));
    unseen || updated < replicas.min(all) || all > updated
}

fn count(pods: Option<i32>) -> u32 {
    u32::try_from(pods.unwrap_or(0)).unwrap_or(0)
}

fn selector(selector: &LabelSelector) -> Option<Box<str>> {
    let labels = selector.match_labels.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
    let expressions = selector.match_expressions.iter().flatten();
    let expressions = expressions.map(|one| {
        (one.key.as_str(), one.operator.as_str(), one.values.as_deref().unwrap_or_default().join(","))
    });
    crate::selector::text(labels, expressions).map(Into::into)
}

/// Whoever owns `spec.replicas` by the API server's own books, the last of its `writers` first, unless that is Kaos.
fn contender(writers: &[Writer]) -> Option<Box<str>> {
    let last = writers.iter().max_by_key(|writer| writer.time.as_ref().map(|time| time.0))?;
    let manager = last.manager.as_deref().filter(|manager| *manager != OURSELVES)?;
    Some(match last.subresource.as_deref().filter(|subresource| !subresource.is_empty()) {
        Some(subresource) => format!("{} ({})", line(manager), line(subresource)).into(),
        None => line(manager).into(),
    })
}

/// Who else decides between zero and one.
fn owner(meta: &Meta<'_>, writers: &[Writer]) -> Option<Box<str>> {
    let text = |text: &Option<Box<str>>| line(text.as_deref().unwrap_or_default());
    let knative =
        |version: &str| version.split('/').next().is_some_and(|group| group.ends_with("knative.dev"));
    let mut owners = meta.owner_references.iter().flatten();
    let label = meta.labels.iter().find(|(name, _)| name.starts_with("serving.knative.dev/"));
    if let Some(owner) = owners.find(|owner| owner.api_version.as_deref().is_some_and(knative)) {
        return Some(format!("Knative ({} {})", text(&owner.kind), text(&owner.name)).into());
    }
    if let Some((name, value)) = label {
        return Some(format!("Knative ({} {})", line(name), line(value)).into());
    }
    let keda = |writer: &Writer| writer.manager.as_deref().is_some_and(|manager| manager.starts_with("keda"));
    match meta.label("scaledobject.keda.sh/name") {
        Some(name) => Some(format!("KEDA (ScaledObject {})", line(name)).into()),
        None => writers.iter().any(keda).then(|| "KEDA (it wrote the count)".into()),
    }
}

fn template(sent: Option<&RawValue>) -> Result<Template, String> {
    let template: wire::PodTemplate = wire::part("spec.template", sent)?.unwrap_or_default();
    let spec = template.spec.unwrap_or_default();
    let sidecar = |container: &&wire::Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(sidecar);
    let containers = spec.containers.iter().flatten();
    // The text itself changes with anything in it, and with nothing else: the API server writes fields in the order of
    // its structs and maps by their sorted keys (https://pkg.go.dev/encoding/json#Marshal). Where it is written otherwise
    // without a change, as in a list beside a watch, a failure of starts is forgotten, and found again in the same look.
    let mut hasher = DefaultHasher::new();
    hasher.write(sent.map_or("", RawValue::get).as_bytes());
    Ok(Template {
        containers: sidecars.chain(containers).map(container).collect(),
        gated: spec.readiness_gates.is_some_and(|gates| !gates.is_empty()),
        labels: template.metadata.map(|meta| meta.labels).unwrap_or_default(),
        hash: hasher.finish(),
    })
}

fn container(container: &wire::Container) -> Container {
    Container {
        name: container.name.as_deref().unwrap_or_default().into(),
        ports: ports(container).collect(),
        startup: container.startup_probe.as_ref().map(probe),
        readiness: container.readiness_probe.as_ref().map(probe),
    }
}

fn probe(probe: &wire::Probe) -> Probe {
    let seconds = u64::try_from(probe.timeout_seconds.unwrap_or(1)).unwrap_or(1).clamp(1, 3600);
    Probe {
        timeout: Duration::from_secs(seconds),
        successes: u32::try_from(probe.success_threshold.unwrap_or(1)).unwrap_or(1),
        action: action(probe).unwrap_or(Action::Exec),
    }
}

fn action(probe: &wire::Probe) -> Option<Action> {
    let elsewhere = |host: &Option<Box<str>>| host.as_deref().is_some_and(|host| !host.is_empty());
    if let Some(http) = &probe.http_get {
        let text = |text: &Option<Box<str>>| text.clone().unwrap_or_default();
        let headers = http.http_headers.iter().flatten();
        return Some(Action::Http {
            host: elsewhere(&http.host),
            port: target(http.port.as_ref()?)?,
            path: path(http.path.as_deref()),
            tls: http.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            headers: headers.map(|header| (text(&header.name), text(&header.value))).collect(),
        });
    }
    if let Some(tcp) = &probe.tcp_socket {
        return Some(Action::Tcp { host: elsewhere(&tcp.host), port: target(tcp.port.as_ref()?)? });
    }
    let grpc = probe.grpc.as_ref()?;
    let service = grpc.service.as_deref().unwrap_or_default().into();
    Some(Action::Grpc { port: number(grpc.port?)?, service })
}

/// The kubelet asks for `/` where none is said, and puts a slash before what has none.
fn path(path: Option<&str>) -> Box<str> {
    match path.unwrap_or_default() {
        path if path.starts_with('/') => path.into(),
        path => format!("/{path}").into(),
    }
}

fn trouble(status: Option<&DeploymentStatus>, generation: i64) -> Option<Trouble> {
    // What was said of an earlier spec says nothing of this one.
    let seen = |status: &&DeploymentStatus| status.observed_generation.unwrap_or(0) >= generation;
    let conditions = status.filter(seen).and_then(|status| status.conditions.as_ref());
    let find = |kind: &str, status: &str| {
        let is = |found: &&Condition| {
            found.kind.as_deref() == Some(kind) && found.status.as_deref() == Some(status)
        };
        conditions.into_iter().flatten().find(is)
    };
    let message = |condition: &Condition| line(condition.message.as_deref().unwrap_or_default());
    if let Some(failure) = find("ReplicaFailure", "True") {
        let message = message(failure);
        let because = if message.contains("exceeded quota") { "quota" } else { "refused" };
        let detail = format!("the cluster refuses its pods: {message}").into();
        return Some(Trouble { because, detail });
    }
    let late = |found: &&Condition| found.reason.as_deref() == Some("ProgressDeadlineExceeded");
    let late = find("Progressing", "False").filter(late)?;
    Some(Trouble { because: PROGRESS_DEADLINE, detail: message(late).into() })
}
