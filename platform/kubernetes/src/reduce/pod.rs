//! What is kept of a pod of a waking workload: its address, and why it doesn't start.

use k8s_openapi::api::core::v1 as core;
use kaos_core::EndpointUid;
use kaos_core::snapshot::Phase;

use super::slice::reachable;
use super::{line, ports};
use crate::object::{Address, Pod, Trouble};

/// The label by which a Deployment's controller tells the pods of its templates apart.
const TEMPLATE: &str = "pod-template-hash";

/// What is kept of `pod`. `None`: it isn't complete.
pub(crate) fn pod(pod: &core::Pod) -> Option<Pod> {
    let uid = EndpointUid::new(pod.metadata.uid.as_deref()?);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let address = address(pod, &uid);
    let template = pod.metadata.labels.as_ref().and_then(|labels| labels.get(TEMPLATE));
    Some(Pod {
        address,
        ports: containers.flat_map(ports).collect(),
        created: pod.metadata.creation_timestamp.as_ref().map_or(0, |created| created.0.as_second()),
        template: template.map_or_else(Box::default, |hash| hash.as_str().into()),
        trouble: trouble(pod),
    })
}

fn address(pod: &core::Pod, uid: &EndpointUid) -> Option<Address> {
    let status = pod.status.as_ref()?;
    // Its address may be another pod's by now.
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let ready = holds(status, "Ready", "True").is_some();
    let phase = match (&pod.metadata.deletion_timestamp, ready) {
        (Some(_), _) => Phase::Terminating,
        (None, true) => Phase::Ready,
        (None, false) => Phase::Starting,
    };
    let ip = status.pod_ip.as_deref()?.parse().ok().filter(reachable)?;
    Some(Address { uid: uid.clone(), pod: pod.metadata.name.as_deref()?.into(), ip, phase })
}

fn holds<'a>(status: &'a core::PodStatus, kind: &str, is: &str) -> Option<&'a core::PodCondition> {
    status.conditions.iter().flatten().find(|found| found.type_ == kind && found.status == is)
}

/// Why it doesn't start, as soon as the platform knows.
fn trouble(pod: &core::Pod) -> Option<Trouble> {
    let status = pod.status.as_ref().filter(|_| pod.metadata.deletion_timestamp.is_none())?;
    let unplaced = holds(status, "PodScheduled", "False");
    if let Some(unplaced) = unplaced.filter(|found| found.reason.as_deref() == Some("Unschedulable")) {
        let why = line(unplaced.message.as_deref().unwrap_or_default());
        return Some(Trouble {
            because: "unschedulable",
            detail: format!("no node takes its pod: {why}").into(),
        });
    }
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    all.filter_map(stuck).next()
}

fn stuck(container: &core::ContainerStatus) -> Option<Trouble> {
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
    let mut detail = format!("container {} ({}): {reason}", line(&container.name), line(&container.image));
    let ended = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    if let Some(ended) = ended.filter(|_| because == "crash-loop") {
        detail.push_str(&format!(", exit status {}, {} restarts", ended.exit_code, container.restart_count));
    } else if let Some(message) = waiting.message.as_deref() {
        detail.push_str(&format!(": {}", line(message)));
    }
    Some(Trouble { because, detail: detail.into() })
}
