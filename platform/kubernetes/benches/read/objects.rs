//! Objects as a cluster has them, as text: trees of JSON would take more memory than what is measured.

use serde_json::{Value, json};

/// How many Deployments, Services and EndpointSlices there are of each.
pub(crate) const OBJECTS: usize = 10_000;

/// How many of the Deployments carry an annotation of Kaos.
pub(crate) const ADOPTED: usize = 2_000;

/// The namespace of the object of this number.
pub(crate) fn namespace(at: usize) -> String {
    format!("ns{}", at % 100)
}

/// `text` with the number `at` for each `@`, and its namespace for each `#`.
pub(crate) fn numbered(text: &str, at: usize) -> String {
    text.replace('#', &namespace(at))
        .replace("@@", &format!("{}.{}", at / 250, at % 250 + 1))
        .replace('@', &at.to_string())
}

fn meta(managers: &[&str]) -> Value {
    // Its writers' books: most of what a usual object carries.
    let fields = |many: usize| {
        let field = |at: usize| (format!("f:field{at}"), json!({".": {}, "f:name": {}, "f:value": {}}));
        let all: Value = (0..many).map(field).collect();
        json!({"f:metadata": {"f:annotations": {".": {}}}, "f:spec": {"f:template": {"f:spec": all}}})
    };
    let entry = |manager: &&str| {
        json!({"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
               "time": "2026-01-01T00:00:00Z", "fieldsV1": fields(if *manager == "kubectl" { 50 } else { 15 })})
    };
    json!({"namespace": "#", "name": "app-@", "uid": "0f0f0f0f-0000-4000-8000-1234567@", "resourceVersion": "@",
           "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
           "labels": {"app": "app-@", "app.kubernetes.io/managed-by": "Helm"},
           "managedFields": managers.iter().map(entry).collect::<Vec<_>>()})
}

pub(crate) fn deployment(adopted: bool) -> String {
    let env: Vec<Value> =
        (0..20).map(|at| json!({"name": format!("VARIABLE_{at}"), "value": "x".repeat(40)})).collect();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1,
                       "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
    let spec = json!({"replicas": 3, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
        "selector": {"matchLabels": {"app": "app-@"}}, "strategy": {"type": "RollingUpdate"},
        "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "app-@", "team": "one"}},
            "spec": {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "volumes": [{"name": "config", "configMap": {"name": "app-@", "defaultMode": 420}}],
                "containers": [{"name": "app", "image": "registry.example.com/app:1", "env": env,
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
                    "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
                    "livenessProbe": probe, "readinessProbe": probe}]}}});
    let mut meta = meta(&["kubectl", "helm", "kube-controller-manager"]);
    let said = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}).to_string();
    meta["annotations"] = json!({"deployment.kubernetes.io/revision": "1",
                                 "kubectl.kubernetes.io/last-applied-configuration": said});
    if adopted {
        meta["annotations"]["kaos.dev/enabled"] = json!("true");
        meta["annotations"]["kaos.dev/max-scale"] = json!("20");
    }
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": "MinimumReplicasAvailable", "lastUpdateTime": "2026-01-01T00:00:00Z",
               "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "Deployment has minimum availability."})
    };
    json!({"metadata": meta, "spec": spec, "status": {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3,
           "readyReplicas": 3, "availableReplicas": 3, "conditions": [condition("Available"), condition("Progressing")]}})
    .to_string()
}

pub(crate) fn service() -> String {
    json!({"metadata": meta(&["helm"]), "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "selector": {"app": "app-@"}, "sessionAffinity": "None",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]},
        "status": {"loadBalancer": {}}})
    .to_string()
}

/// With three pods, of which so many are ready.
pub(crate) fn slice(ready: usize) -> String {
    let mut meta = meta(&["kube-controller-manager"]);
    meta["name"] = json!("app-@-x7k2p");
    meta["labels"] = json!({"kubernetes.io/service-name": "app-@", "app": "app-@",
                            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
    let pod = |of: usize| {
        json!({"addresses": [format!("10.{}.@@", 1 + of)],
               "conditions": {"ready": of < ready, "serving": true, "terminating": false},
               "nodeName": "node-1", "zone": "a",
               "targetRef": {"kind": "Pod", "name": format!("app-@-6d4cf56db6-abcd{of}"), "namespace": "#",
                             "uid": format!("0f0f0f0f-000{of}-4000-8000-1234567@")}})
    };
    json!({"metadata": meta, "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
           "endpoints": (0..3).map(pod).collect::<Vec<_>>()})
    .to_string()
}
