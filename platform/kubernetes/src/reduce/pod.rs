//! What is kept of a pod of a waking workload: its address, and why it doesn't start.

use kaos_core::EndpointUid;
use kaos_core::snapshot::Phase;

use super::ports;
use super::slice::reachable;
use crate::addresses::Address;
use crate::object::{Pod, Trouble, UNSCHEDULABLE};
use crate::protobuf::{Message, schema};
use crate::wire::{Condition, ContainerStatus, Meta, Parts, PodSpec, PodStatus, Watched, line};

/// The label by which a Deployment's controller tells the pods of its templates apart.
const TEMPLATE: &str = "pod-template-hash";

impl Watched for Pod {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "pods";
    const MESSAGE: Option<&'static Message> = Some(&schema::POD);

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let Some(uid) = meta.uid.as_deref().map(EndpointUid::new) else { return Ok(None) };
        let spec: PodSpec = parts.spec()?.unwrap_or_default();
        let status: PodStatus = parts.status()?.unwrap_or_default();
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let lives = !ended && meta.deletion_timestamp.is_none();
        Ok(Some(Pod {
            // The address of one that has ended may be another pod's by now.
            address: if ended { None } else { address(&meta, &status, uid) },
            ports: spec.containers.iter().flatten().flat_map(ports).collect(),
            created: meta.creation_timestamp.as_ref().map_or(0, |created| created.0.as_second()),
            template: meta.label(TEMPLATE).unwrap_or_default().into(),
            lives,
            trouble: if lives { trouble(&status) } else { None },
        }))
    }
}

fn address(meta: &Meta<'_>, status: &PodStatus, uid: EndpointUid) -> Option<Address> {
    let ready = holds(status, "Ready", "True").is_some();
    let phase = match (&meta.deletion_timestamp, ready) {
        (Some(_), _) => Phase::Terminating,
        (None, true) => Phase::Ready,
        (None, false) => Phase::Starting,
    };
    let ip = status.pod_ip.as_deref()?.parse().ok().filter(reachable)?;
    Some(Address { uid, pod: meta.name.as_deref()?.into(), ip, phase })
}

fn holds<'a>(status: &'a PodStatus, kind: &str, is: &str) -> Option<&'a Condition> {
    let found = |it: &&Condition| it.kind.as_deref() == Some(kind) && it.status.as_deref() == Some(is);
    status.conditions.iter().flatten().find(found)
}

/// Why it doesn't start, as soon as the platform knows.
fn trouble(status: &PodStatus) -> Option<Trouble> {
    let unplaced = holds(status, "PodScheduled", "False");
    if let Some(unplaced) = unplaced.filter(|found| found.reason.as_deref() == Some("Unschedulable")) {
        // A node that is on its way, or is being cleared for it: the pod waits for a place that is its own
        // (KEP-5278 "Nominated node name for an expected pod placement"; pod preemption).
        if status.nominated_node_name.as_deref().is_some_and(|node| !node.is_empty()) {
            return None;
        }
        let why = line(unplaced.message.as_deref().unwrap_or_default());
        return Some(Trouble {
            because: UNSCHEDULABLE,
            detail: format!("no node takes its pod: {why}").into(),
        });
    }
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    all.filter_map(stuck).next()
}

fn stuck(container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let because = match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => "image-pull",
        "CrashLoopBackOff" => "crash-loop",
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => "container-error",
        _ => return None,
    };
    let text = |text: &Option<Box<str>>| line(text.as_deref().unwrap_or_default());
    let mut detail = format!("container {} ({}): {reason}", text(&container.name), text(&container.image));
    let ended = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    if let Some(ended) = ended.filter(|_| because == "crash-loop") {
        let (status, restarts) = (ended.exit_code.unwrap_or(0), container.restart_count.unwrap_or(0));
        detail.push_str(&format!(", exit status {status}, {restarts} restarts"));
    } else if let Some(message) = waiting.message.as_deref() {
        detail.push_str(&format!(": {}", line(message)));
    }
    Some(Trouble { because, detail: detail.into() })
}
