//! What a kubelet says about a pod: the status with its conditions and container statuses, as a merge patch.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// What happens to a pod's containers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Containers {
    /// No address, nothing runs: being prepared, or refused for this reason (`ImagePullBackOff`).
    Waiting { reason: &'static str, message: String },
    /// The program runs at this address.
    Running { address: Ipv4Addr, ready: bool },
    /// The program ended and is started again after a while.
    Crashed { address: Ipv4Addr, code: i32 },
}

/// The status of `pod` with its containers so, restarted this often.
pub(crate) fn status(pod: &Pod, containers: &Containers, restarts: u32, started: Timestamp) -> Value {
    let (address, ready) = match containers {
        Containers::Waiting { .. } => (None, false),
        Containers::Running { address, ready } => (Some(address), *ready),
        Containers::Crashed { address, .. } => (Some(address), false),
    };
    let statuses: Vec<Value> = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| {
            json!({
                "name": container.name,
                "image": container.image,
                "imageID": "",
                "containerID": format!("testbed://{}/{}", pod.metadata.uid.as_deref().unwrap_or_default(), container.name),
                "ready": ready,
                "started": matches!(containers, Containers::Running { .. }),
                "restartCount": restarts,
                "state": state(containers, started),
            })
        })
        .collect();
    let reason = if ready { Value::Null } else { "ContainersNotReady".into() };
    let condition = |name: &str, holds: bool, reason: &Value| {
        let status = if holds { "True" } else { "False" };
        json!({"type": name, "status": status, "reason": reason, "lastTransitionTime": now()})
    };
    let conditions = [
        condition("PodScheduled", true, &Value::Null),
        condition("Initialized", true, &Value::Null),
        condition("PodReadyToStartContainers", address.is_some(), &Value::Null),
        condition("ContainersReady", ready, &reason),
        condition("Ready", ready, &reason),
    ];
    json!({"status": {
        "phase": if address.is_some() { "Running" } else { "Pending" },
        "podIP": address,
        "podIPs": address.map(|ip| vec![json!({"ip": ip})]),
        "startTime": started.to_string(),
        "conditions": conditions,
        "containerStatuses": statuses,
    }})
}

fn state(containers: &Containers, started: Timestamp) -> Value {
    match containers {
        Containers::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        Containers::Running { .. } => json!({"running": {"startedAt": started.to_string()}}),
        Containers::Crashed { code, .. } => json!({"waiting": {
            "reason": "CrashLoopBackOff",
            "message": format!("back-off restarting failed container: it exited with {code}"),
        }}),
    }
}

/// What a scheduler says about a pod that it finds no place for.
pub(crate) fn unschedulable(message: &str) -> Value {
    json!({"status": {"conditions": [{
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": now(),
    }]}})
}

/// To the second, as the API has it.
fn now() -> String {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string()
}
